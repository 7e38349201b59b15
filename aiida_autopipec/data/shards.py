"""The files of a dataset node: written, read one by one, and shared between nodes."""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.manage.manager import get_manager
from aiida.repository import Repository
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset import storage
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.dataset.summary import summarise

if TYPE_CHECKING:
    from aiida_autopipec.data.dataset import PaceDatasetData

DIRECTORY_SHARDS = 'shards'
DIRECTORY_SOURCES = 'sources'
DIRECTORY_FINGERPRINTS = 'fingerprints'
DIRECTORIES = (DIRECTORY_SHARDS, DIRECTORY_SOURCES, DIRECTORY_FINGERPRINTS)


class StoredShard:
    """One file of a stored dataset, read only where it is needed.

    Hashes and names stand in a small file beside the structures, so that datasets can be merged without reading them.
    """

    def __init__(self, node: PaceDatasetData, number: int) -> None:
        self.node = node
        self.number = number

    def __len__(self) -> int:
        return int(self.summary['n_structures'])

    @property
    def summary(self) -> dict[str, Any]:
        """Sizes, elements, labels and ranges."""
        summary: dict[str, Any] = self.node.base.attributes.get('shards')[self.number]
        return summary

    @property
    def fingerprints(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of the geometries."""
        return self._index['fingerprints']

    @property
    def digests(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of everything but the sources."""
        return self._index['digests']

    @property
    def names(self) -> NDArray[np.str_]:
        """``(n,)`` names."""
        return self._index['names']

    def load(self) -> LabelledStructures:
        """Return the structures; they are kept as long as this object."""
        return self._structures

    def source_table(self) -> list[str]:
        """Return the UUIDs of the nodes that structures come from, each once."""
        table: list[str] = storage.read_arrays(self.open(DIRECTORY_SOURCES))['sources'].tolist()
        return table

    def open(self, directory: str) -> io.BytesIO:
        """Return one of the three files of this shard."""
        name = f'{directory}/{self.number:05d}.npz'
        return io.BytesIO(self.node.base.repository.get_object_content(name, mode='rb'))

    @cached_property
    def _index(self) -> dict[str, NDArray[Any]]:
        return storage.read_arrays(self.open(DIRECTORY_FINGERPRINTS))

    @cached_property
    def _structures(self) -> LabelledStructures:
        arrays = storage.read_arrays(self.open(DIRECTORY_SOURCES))
        return storage.from_bytes(self.open(DIRECTORY_SHARDS), sources=arrays['sources'][arrays['rows']])


class ShardWriter:
    """Collects the files of a new node, and what is known of them.

    Files of stored nodes are linked: the repository knows a file by its hash, and any number of nodes may name it.
    Without that, adding little to much would cost reading, hashing and writing all of it again.
    """

    def __init__(self, node: PaceDatasetData) -> None:
        self.node = node
        self.summaries: list[dict[str, Any]] = []
        self.digests: list[NDArray[np.bytes_]] = []
        self.names: list[NDArray[np.str_]] = []
        self._linked: dict[str, str] = {}
        self._written: list[str] = []

    def write(self, shard: LabelledStructures) -> None:
        """Add structures in a file of their own."""
        unique, rows = np.unique(shard.sources, return_inverse=True)
        index = {name: np.asarray(getattr(shard, name)) for name in ('fingerprints', 'digests', 'names')}
        self._add(DIRECTORY_SHARDS, storage.to_bytes(shard))
        self._add(DIRECTORY_SOURCES, storage.write_arrays({'sources': unique, 'rows': rows.astype(np.int32)}))
        self._add(DIRECTORY_FINGERPRINTS, storage.write_arrays(index))
        self._remember(summarise(shard), shard.digests, shard.names)

    def link(self, shard: StoredShard) -> None:
        """Add a file of another node as it is."""
        if not shard.node.is_stored:
            self.write(shard.load())
            return
        objects = shard.node.base.repository.metadata['o']
        for directory in DIRECTORIES:
            key: str = objects[directory]['o'][f'{shard.number:05d}.npz']['k']
            self._linked[f'{directory}/{len(self.summaries):05d}.npz'] = key
        self._remember(shard.summary, shard.digests, shard.names)

    def finish(self) -> None:
        """Put written and linked files together."""
        if not self._linked:
            return
        # AiiDA has no public way to name a file that is already there; this is what it does itself for cached nodes
        backend = get_manager().get_profile_storage().get_repository()
        repository = Repository(backend=backend)
        for path in self._written:
            with self.node.base.repository.open(path, 'rb') as handle:
                repository.put_object_from_filelike(handle, path)
        tree: dict[str, Any] = repository.serialize()
        for path, key in self._linked.items():
            directory, name = path.split('/')
            tree.setdefault('o', {}).setdefault(directory, {}).setdefault('o', {})[name] = {'k': key}
        self.node.base.repository._repository = Repository.from_serialized(backend=backend, serialized=tree)

    def _add(self, directory: str, content: bytes) -> None:
        path = f'{directory}/{len(self.summaries):05d}.npz'
        handle: Any = io.BytesIO(content)  # aiida-core annotates a file opened by name, and takes any
        self.node.base.repository.put_object_from_filelike(handle, path)
        self._written.append(path)

    def _remember(self, summary: dict[str, Any], digests: NDArray[np.bytes_], names: NDArray[np.str_]) -> None:
        self.summaries.append(summary)
        self.digests.append(digests)
        self.names.append(names)
