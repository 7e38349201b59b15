"""Data node that holds labelled structures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.common.exceptions import ValidationError
from aiida.orm import Data
from aiida.orm.nodes.caching import NodeCaching
from aiida.orm.pydantic import OrmMetadataField
from numpy.typing import NDArray

from aiida_autopipec.data.mapped import Archives
from aiida_autopipec.data.shards import (
    DIRECTORIES,
    DIRECTORY_ARRAYS,
    MAX_KEPT_BYTES,
    Index,
    ShardWriter,
    StoredShard,
    parts_to_files,
)
from aiida_autopipec.pacemaker.dataset import storage
from aiida_autopipec.pacemaker.dataset.checks import check_unique_names
from aiida_autopipec.pacemaker.dataset.fingerprint import content_hash
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.dataset.summary import combine_summaries

if TYPE_CHECKING:
    import ase


class PaceDatasetCaching(NodeCaching):
    """Compares datasets by content: where the structures came from does not change what is trained on them."""

    def get_objects_to_hash(self) -> dict[str, Any]:
        """Return what makes two datasets the same for caching."""
        attributes = self._node.base.attributes
        return {
            'class': str(self._node.__class__),
            'content_hash': attributes.get('content_hash'),
            'reference': attributes.get('reference', None),
        }


class PaceDatasetData(Data):
    """Structures with energies and forces, stored as arrays in one or more files.

    The repository holds ``shards/00000.npz`` and so on, which ``numpy.load(allow_pickle=False)`` reads and whose bytes
    depend on the content alone, beside them the UUIDs of the source nodes and the fingerprints of the structures.
    Equal shards of different nodes are stored once. Positions and forces of a long trajectory stay in its own files,
    which ``arrays/`` links.
    """

    _CLS_NODE_CACHING = PaceDatasetCaching

    class AttributesModel(Data.AttributesModel):
        """Attributes that queries can use."""

        n_structures: int = OrmMetadataField(description='Number of structures')
        n_atoms: int = OrmMetadataField(description='Number of atoms in all structures')
        shards: list[dict[str, Any]] = OrmMetadataField(description='The same numbers for each file')
        n_shards: int = OrmMetadataField(description='Number of files that the structures are stored in')
        elements: list[str] = OrmMetadataField(description='Chemical symbols that occur, in alphabetical order')
        labelled: bool = OrmMetadataField(description='Whether every structure has an energy and forces')
        has_energy: bool = OrmMetadataField(description='Whether there are total energies')
        has_energy_corrected: bool = OrmMetadataField(description='Whether there are corrected energies')
        has_stress: bool = OrmMetadataField(description='Whether any structure has a stress')
        has_weights: bool = OrmMetadataField(description='Whether the structures bring their own weights')
        energy_per_atom_min: float | None = OrmMetadataField(None, description='Lowest total energy in eV/atom')
        energy_per_atom_max: float | None = OrmMetadataField(None, description='Highest total energy in eV/atom')
        energy_corrected_per_atom_min: float | None = OrmMetadataField(
            None, description='Lowest corrected energy in eV/atom'
        )
        energy_corrected_per_atom_max: float | None = OrmMetadataField(
            None, description='Highest corrected energy in eV/atom'
        )
        force_max: float | None = OrmMetadataField(None, description='Largest force on an atom in eV/Å')
        content_hash: str = OrmMetadataField(description='Hash of everything but the sources')
        reference: dict[str, Any] | None = OrmMetadataField(
            None, description='What was subtracted from the energies to give the corrected ones'
        )

    # Named constructors

    @classmethod
    def from_structures(
        cls,
        structures: LabelledStructures | Iterable[LabelledStructures | StoredShard],
        *,
        reference: Mapping[str, Any] | None = None,
        max_shard_bytes: int = storage.MAX_SHARD_BYTES,
        arrays: Mapping[str, str] | None = None,
    ) -> PaceDatasetData:
        """Return an unstored node.

        :param structures: a set, or several, looked at one after the other. Small ones share a file, large ones are
            divided. Shards of other nodes stay what they are, neither read nor written again.
        :param reference: what was subtracted from the energies to give ``energy_corrected``.
        :param max_shard_bytes: size in bytes beyond which a set is divided.
        :param arrays: by field, repository keys of files with the positions or forces of all these structures, which
            are linked instead of written once more; ``keys_of_vectors`` in ``data/arrays.py`` finds them.
        :raises DatasetError: if labels are present in some sets only, or names clash.
        """
        return cls.with_shards(structures, reference=reference, max_shard_bytes=max_shard_bytes, arrays=arrays)[0]

    @classmethod
    def with_shards(
        cls,
        structures: LabelledStructures | Iterable[LabelledStructures | StoredShard],
        *,
        reference: Mapping[str, Any] | None = None,
        max_shard_bytes: int = storage.MAX_SHARD_BYTES,
        arrays: Mapping[str, str] | None = None,
    ) -> tuple[PaceDatasetData, list[StoredShard]]:
        """Return what :meth:`from_structures` does, and its parts, of which names and hashes are in memory.

        :raises DatasetError: as that method.
        """
        node = cls()
        writer = ShardWriter(node, arrays)
        parts = [structures] if isinstance(structures, LabelledStructures) else structures
        for part in parts_to_files(parts, max_shard_bytes):
            if isinstance(part, StoredShard):
                writer.link(part)
            else:
                writer.write(part)
        summaries = writer.summaries
        attributes = {**combine_summaries(summaries), 'n_shards': len(summaries), 'shards': summaries}
        check_unique_names(np.concatenate([index['names'] for index in writer.indexes]))
        attributes['content_hash'] = content_hash((index['digests'], index['names']) for index in writer.indexes)
        node.base.attributes.set_many(attributes)
        if reference is not None:
            node.base.attributes.set('reference', dict(reference))
        writer.finish()
        return node, node._shards(writer.indexes)

    @classmethod
    def from_atoms(cls, atoms: Sequence[ase.Atoms], names: Sequence[str] | None = None) -> PaceDatasetData:
        """Return an unstored node with structures and labels from ASE.

        :raises DatasetError: if a label is missing, not finite or of the wrong shape.
        """
        return cls.from_structures(LabelledStructures.from_atoms(atoms, names=names))

    # Content

    def iter_shards(self) -> Iterator[LabelledStructures]:
        """Yield the parts in order, one in memory at a time."""
        for shard in self.stored_shards():
            yield shard.load()

    def iter_taken(self, rows: NDArray[Any]) -> Iterator[LabelledStructures | StoredShard]:
        """Yield chosen structures, part by part, in the order in which they stand here.

        :param rows: indices of structures, or a boolean mask of all. Of parts of which nothing is chosen nothing is
            read, and those that are chosen as a whole stay the files that they are.
        """
        chosen = np.zeros(self.n_structures, dtype=bool)
        chosen[rows] = True
        begin = 0
        for shard in self.stored_shards():
            mask = chosen[begin : begin + len(shard)]
            begin += len(shard)
            if mask.all():
                yield shard
            elif mask.any():
                yield shard.load().take(mask)

    def stored_shards(self) -> list[StoredShard]:
        """Return the parts in order without reading them."""
        return self._shards([None] * self.n_shards)

    def get_structures(self) -> LabelledStructures:
        """Return all structures."""
        return concatenate(list(self.iter_shards()))

    def get_sample(self, max_atoms: int) -> LabelledStructures:
        """Return every structure, or every second, third, …: as many as have about ``max_atoms`` atoms at most.

        No more than that and one file is in memory at once.
        """
        rows = np.arange(0, self.n_structures, max(1, -(-self.n_atoms // max_atoms)))
        return concatenate(
            [part if isinstance(part, LabelledStructures) else part.load() for part in self.iter_taken(rows)]
        )

    def get_fingerprints(self) -> NDArray[np.bytes_]:
        """Return the ``(n,)`` hashes of the geometries, without reading the structures."""
        return np.concatenate([shard.fingerprints for shard in self.stored_shards()])

    def get_names(self) -> NDArray[np.str_]:
        """Return the ``(n,)`` names, without reading the structures."""
        return np.concatenate([shard.names for shard in self.stored_shards()])

    def get_sizes(self) -> NDArray[np.int64]:
        """Return the ``(n,)`` numbers of atoms, without reading more than that."""
        return np.concatenate([np.diff(shard.field('offsets')) for shard in self.stored_shards()])

    def get_source_uuids(self) -> set[str]:
        """Return the UUIDs of the nodes that structures come from."""
        return {uuid for shard in self.stored_shards() for uuid in shard.source_table()} - {''}

    # A property for each attribute

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return int(self.base.attributes.get('n_structures'))

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        return int(self.base.attributes.get('n_atoms'))

    @property
    def n_shards(self) -> int:
        """Number of files that the structures are stored in."""
        return int(self.base.attributes.get('n_shards'))

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur, in alphabetical order."""
        return tuple(self.base.attributes.get('elements'))

    @property
    def labelled(self) -> bool:
        """Whether every structure has an energy and forces."""
        return bool(self.base.attributes.get('labelled'))

    @property
    def has_energy(self) -> bool:
        """Whether there are total energies."""
        return bool(self.base.attributes.get('has_energy'))

    @property
    def has_energy_corrected(self) -> bool:
        """Whether there are corrected energies."""
        return bool(self.base.attributes.get('has_energy_corrected'))

    @property
    def has_stress(self) -> bool:
        """Whether any structure has a stress."""
        return bool(self.base.attributes.get('has_stress'))

    @property
    def has_weights(self) -> bool:
        """Whether the structures bring their own weights of energies and forces."""
        return bool(self.base.attributes.get('has_weights'))

    @property
    def energy_per_atom_range(self) -> tuple[float, float] | None:
        """Lowest and highest total energy in eV/atom."""
        return self._range('energy_per_atom')

    @property
    def energy_corrected_per_atom_range(self) -> tuple[float, float] | None:
        """Lowest and highest corrected energy in eV/atom."""
        return self._range('energy_corrected_per_atom')

    @property
    def force_max(self) -> float | None:
        """Largest force on an atom in eV/Å."""
        value: float | None = self.base.attributes.get('force_max', None)
        return value

    @property
    def content_hash(self) -> str:
        """Hash of everything but the sources."""
        return str(self.base.attributes.get('content_hash'))

    @property
    def reference(self) -> dict[str, Any] | None:
        """What was subtracted from the energies to give the corrected ones, if anything."""
        value: dict[str, Any] | None = self.base.attributes.get('reference', None)
        return value

    # Internals

    def _shards(self, indexes: Sequence[Index | None]) -> list[StoredShard]:
        keep = storage.size_of(self.n_structures, self.n_atoms) <= MAX_KEPT_BYTES
        archives = Archives(self, keep=keep)
        return [StoredShard(self, number, archives, index) for number, index in enumerate(indexes)]

    def _validate(self) -> bool:
        """Check before storing that the node is complete."""
        super()._validate()
        if not self.base.attributes.get('content_hash', None):
            raise ValidationError('make a dataset with `PaceDatasetData.from_structures` or one of the conversions')
        expected = {f'{number:05d}.npz' for number in range(self.n_shards)}
        for directory in DIRECTORIES:
            if set(self.base.repository.list_object_names(directory)) != expected:
                raise ValidationError(f'the dataset should hold {self.n_shards} files in `{directory}`')
        linked = {link['file'] for shard in self.stored_shards() for link in shard.links.values()}
        if linked and set(self.base.repository.list_object_names(DIRECTORY_ARRAYS)) != linked:
            raise ValidationError(f'the dataset should hold {len(linked)} files in `{DIRECTORY_ARRAYS}`')
        self._check_files()
        return True

    def _check_files(self) -> None:
        """Check that the files are still there: those of an unstored node are removed by a clean-up of the storage.

        :raises ValidationError: if one is not.
        """
        repository = self.base.repository._repository
        keys = {key for key in repository.flatten(repository.serialize()).values() if key}
        if not all(repository.backend.has_objects(sorted(keys))):
            raise ValidationError('files of the dataset were removed before it was stored: make it once more')

    def _range(self, name: str) -> tuple[float, float] | None:
        low = self.base.attributes.get(f'{name}_min', None)
        return None if low is None else (float(low), float(self.base.attributes.get(f'{name}_max')))
