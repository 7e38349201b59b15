"""The files of a dataset node: written, read one by one, and shared between nodes."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.manage.manager import get_manager
from aiida.repository import Repository
from aiida.repository.backend import SandboxRepositoryBackend
from isal import isal_zlib
from numpy.typing import NDArray

from aiida_autopipec.data.arrays import open_array
from aiida_autopipec.data.mapped import Archives, content_of
from aiida_autopipec.pacemaker.dataset import storage
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.dataset.summary import summarise
from aiida_autopipec.pacemaker.errors import DatasetError

if TYPE_CHECKING:
    from aiida_autopipec.data.dataset import PaceDatasetData

DIRECTORY_SHARDS = 'shards'
DIRECTORY_SOURCES = 'sources'
DIRECTORY_FINGERPRINTS = 'fingerprints'
DIRECTORY_ARRAYS = 'arrays'
"""Files of arrays that other nodes have, too, from which shards have their positions or forces."""
DIRECTORIES = (DIRECTORY_SHARDS, DIRECTORY_SOURCES, DIRECTORY_FINGERPRINTS)
SMALL_BYTES = storage.MAX_SHARD_BYTES // 16
"""Size below which a file counts as small."""
MAX_KEPT_BYTES = 4 * storage.MAX_SHARD_BYTES
"""Size up to which all files of a dataset stay in memory while their arrays are asked for one by one."""
MAX_SMALL = 8
"""Small files that follow each other in a merged dataset; where there are more, they are put together in one."""

_ALWAYS = frozenset({'numbers', 'positions', 'cells', 'pbc', 'offsets', 'names'})


Index = dict[str, NDArray[Any]]
"""``fingerprints``, ``digests`` and ``names`` of the structures in a file, ``(n,)`` each."""


class StoredShard:
    """One file of a stored dataset, read only where it is needed.

    Hashes and names stand in a small file beside the structures, so that datasets can be merged without reading them.
    """

    def __init__(self, node: PaceDatasetData, number: int, archives: Archives, index: Index | None = None) -> None:
        """Remember where the file is.

        :param archives: the files of the node, from which :meth:`field` takes its arrays.
        :param index: hashes and names where they are known, read from their file otherwise.
        """
        self.node = node
        self.number = number
        self.archives = archives
        if index is not None:
            self.index = index

    def __len__(self) -> int:
        return int(self.summary['n_structures'])

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Sizes, elements, labels and ranges."""
        summary: dict[str, Any] = self.node.base.attributes.get('shards')[self.number]
        return summary

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        return int(self.summary['n_atoms'])

    @property
    def links(self) -> dict[str, dict[str, Any]]:
        """Positions or forces that stand in a file of arrays, by field: ``file``, atom to ``begin`` at, ``crc32``."""
        links: dict[str, dict[str, Any]] = self.summary.get('links', {})
        return links

    @property
    def present(self) -> frozenset[str]:
        """Which fields :meth:`field` can return."""
        return _ALWAYS | set(self.summary['labels']) | ({'stress'} if self.summary['has_stress'] else set())

    @cached_property
    def index(self) -> Index:
        """Hashes and names."""
        return self._read(DIRECTORY_FINGERPRINTS)

    @property
    def fingerprints(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of the geometries."""
        return self.index['fingerprints']

    @property
    def digests(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of everything but the sources."""
        return self.index['digests']

    @property
    def names(self) -> NDArray[np.str_]:
        """``(n,)`` names."""
        return self.index['names']

    def load(self) -> LabelledStructures:
        """Return the structures, with their hashes."""
        linked = {field: self._linked(field) for field in self.links}
        structures = storage.from_bytes(self._content(DIRECTORY_SHARDS), sources=self.sources, **linked)
        return structures.know(self.fingerprints, self.digests)

    def field(self, name: str) -> NDArray[Any]:
        """Return one array of the structures without reading the others.

        :raises DatasetError: if a value is not finite, or a linked file is damaged.
        :raises FileFormatError: if the file of the shard is damaged.
        """
        if name in self.links:
            array: NDArray[Any] = self._linked(name)
        else:
            array = self.archives[self._path(DIRECTORY_SHARDS)].read(name)
        if array.dtype.kind == 'f' and name != 'stress' and not np.isfinite(array).all():
            raise DatasetError(f'`{name}` in file {self.number} of dataset {self.node.uuid} is not finite')
        return array

    @property
    def sources(self) -> NDArray[np.str_]:
        """``(n,)`` UUIDs of the nodes that the structures come from, empty where there is none."""
        stored = self._read(DIRECTORY_SOURCES)
        sources: NDArray[np.str_] = stored['sources'][stored['rows']]
        return sources

    def source_table(self) -> list[str]:
        """Return the UUIDs of the nodes that structures come from, each once."""
        table: list[str] = self._read(DIRECTORY_SOURCES)['sources'].tolist()
        return table

    def _path(self, directory: str) -> str:
        return f'{directory}/{self.number:05d}.npz'

    def _content(self, directory: str) -> bytes | mmap.mmap:
        """Return one of the three files of this shard."""
        return content_of(self.node, self._path(directory))

    def _linked(self, field: str) -> NDArray[np.float64]:
        """Return positions or forces that stand in a file of arrays."""
        link = self.links[field]
        with open_array(self.node, f'{DIRECTORY_ARRAYS}/{link["file"]}', field) as array:
            vectors = array.vectors(link['begin'], link['begin'] + self.n_atoms)
        if isal_zlib.crc32(vectors.data) != link['crc32']:
            raise DatasetError(f'`{field}` in file {self.number} of dataset {self.node.uuid} is damaged')
        return vectors

    def _read(self, directory: str) -> dict[str, NDArray[Any]]:
        return storage.read_arrays(self._content(directory))


class ShardWriter:
    """Collects the files of a new node, and what is known of them.

    They go straight into the repository of the profile, which knows a file by its hash: into the sandbox of an unstored
    node they would be written once more, and files of stored nodes, which any number of nodes may name, could not be
    linked. Without linking, adding little to much would cost reading, hashing and writing all of it again. What belongs
    to no node in the end is removed by ``verdi storage maintain``.

    :param node: the new node.
    :param arrays: by field, repository keys of files that hold the positions or forces of all structures to come, one
        after the other: they are linked, too.
    """

    def __init__(self, node: PaceDatasetData, arrays: Mapping[str, str] | None = None) -> None:
        self.node = node
        self.arrays = {} if arrays is None else dict(arrays)
        self.summaries: list[dict[str, Any]] = []
        self.indexes: list[Index] = []
        self._repository = Repository(backend=get_manager().get_profile_storage().get_repository())
        self._linked: dict[str, str] = {}
        self._atoms = 0

    def write(self, shard: LabelledStructures) -> None:
        """Add structures in a file of their own."""
        unique, rows = _distinct(shard.sources)
        index: Index = {name: np.asarray(getattr(shard, name)) for name in ('fingerprints', 'digests', 'names')}
        links = {field: self._link_array(key, getattr(shard, field)) for field, key in self.arrays.items()}
        self._atoms += shard.n_atoms
        self._add(DIRECTORY_SHARDS, storage.write_structures(shard, without=links))
        self._add(DIRECTORY_SOURCES, storage.write_arrays({'sources': unique, 'rows': rows}))
        self._add(DIRECTORY_FINGERPRINTS, storage.write_arrays(index))
        summary = summarise(shard)
        self._remember({**summary, 'links': links} if links else summary, index)

    def link(self, shard: StoredShard) -> None:
        """Add a file of another node as it is."""
        there = shard.node.base.repository._repository
        if isinstance(there.backend, SandboxRepositoryBackend):  # a clone of a node that is not stored yet
            self.write(shard.load())
            return
        objects = there.serialize()['o']
        for directory in DIRECTORIES:
            key: str = objects[directory]['o'][f'{shard.number:05d}.npz']['k']
            self._linked[f'{directory}/{len(self.summaries):05d}.npz'] = key
        for link in shard.links.values():
            self._linked[f'{DIRECTORY_ARRAYS}/{link["file"]}'] = objects[DIRECTORY_ARRAYS]['o'][link['file']]['k']
        self._remember(shard.summary, shard.index)

    def finish(self) -> None:
        """Give the files to the node."""
        # AiiDA has no public way to name a file that is already there; this is what it does itself for cached nodes
        tree: dict[str, Any] = self._repository.serialize()
        for path, key in self._linked.items():
            directory, name = path.split('/')
            tree.setdefault('o', {}).setdefault(directory, {}).setdefault('o', {})[name] = {'k': key}
        backend = self._repository.backend
        self.node.base.repository._repository = Repository.from_serialized(backend=backend, serialized=tree)

    def _link_array(self, key: str, vectors: NDArray[np.float64]) -> dict[str, Any]:
        file = f'{key}.npy'
        self._linked[f'{DIRECTORY_ARRAYS}/{file}'] = key
        return {'file': file, 'begin': self._atoms, 'crc32': isal_zlib.crc32(vectors.data)}

    def _add(self, directory: str, content: storage.Chunks) -> None:
        handle: Any = content  # aiida-core annotates a file opened by name, and takes any
        self._repository.put_object_from_filelike(handle, f'{directory}/{len(self.summaries):05d}.npz')

    def _remember(self, summary: dict[str, Any], index: Index) -> None:
        self.summaries.append(summary)
        self.indexes.append(index)


def _distinct(texts: NDArray[np.str_]) -> tuple[NDArray[np.str_], NDArray[np.int32]]:
    """Return each text once, in alphabetical order, and for each row which of them it is."""
    if (texts == texts[0]).all():  # all frames of one trajectory: no need to sort them
        return np.array(texts[:1].tolist(), dtype=np.str_), np.zeros(len(texts), dtype=np.int32)
    unique, rows = np.unique(texts, return_inverse=True)
    return unique, rows.astype(np.int32)


Part = LabelledStructures | StoredShard


def tidy(parts: Iterable[Part]) -> Iterator[Part]:
    """Replace runs of many small files by one.

    Thousands of small additions would otherwise leave thousands of files. Whatever the size of a dataset, one addition
    rewrites no more than :data:`MAX_SMALL` files of :data:`SMALL_BYTES`.

    :param parts: those that are not in a file yet end a run, as they are written anyway.
    """
    run: list[StoredShard] = []
    for part in parts:
        if isinstance(part, StoredShard) and storage.size_of(len(part), part.n_atoms) < SMALL_BYTES:
            run.append(part)
            continue
        yield from _together(run)
        run = []
        yield part
    yield from _together(run)


def _together(run: list[StoredShard]) -> Iterable[Part]:
    return run if len(run) <= MAX_SMALL else storage.gather(shard.load() for shard in run)


def parts_to_files(parts: Iterable[Part], max_bytes: int) -> Iterator[Part]:
    """Yield what stands in a file each: files that are there, and sets of the right size between them."""
    waiting: list[LabelledStructures] = []
    size = 0
    for part in parts:
        if isinstance(part, StoredShard):
            yield from storage.gather(waiting, max_bytes)
            waiting, size = [], 0
            yield part
            continue
        waiting.append(part)
        size += storage.size_of(len(part), part.n_atoms)
        if size > max_bytes:
            *done, last = storage.gather(waiting, max_bytes)
            yield from done
            waiting, size = [last], storage.size_of(len(last), last.n_atoms)
    yield from storage.gather(waiting, max_bytes)
