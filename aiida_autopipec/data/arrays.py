"""Arrays of stored nodes, read piece by piece."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import numpy as np
from aiida.orm import ArrayData, Node
from aiida.repository.backend import SandboxRepositoryBackend
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError


class StoredArray:
    """An ``npy`` file of which rows are read when they are asked for, in ascending order best."""

    def __init__(self, name: str, handle: BinaryIO) -> None:
        """Read what is said about the array.

        :param name: what to call it in a complaint.
        :param handle: the open file.
        :raises DatasetError: if it holds no plain array.
        """
        try:
            version = np.lib.format.read_magic(handle)
            reader: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_header_2
            self.shape, self._in_columns, self.dtype = reader(handle)
        except (ValueError, OSError) as exception:
            raise DatasetError(f'the array `{name}` cannot be read: {exception}') from exception
        self._name = name
        self._handle = handle
        self._begin = handle.tell()
        if self.dtype.hasobject:
            raise DatasetError(f'the array `{name}` holds Python objects, but has to hold numbers')

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return consecutive rows.

        :raises DatasetError: if the file ends before.
        """
        begin, end, _ = rows.indices(self.shape[0])
        if self._in_columns:  # no piece of the file is a row
            return self._read(0, self.shape, order='F')[begin:end]
        row = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        return self._read(begin * row, (end - begin, *self.shape[1:]))

    @property
    def nbytes(self) -> int:
        """Size of all numbers in bytes."""
        return int(np.prod(self.shape, dtype=np.int64) * self.dtype.itemsize)

    @property
    def holds_vectors(self) -> bool:
        """Whether the file is one vector of three numbers after the other, as datasets have them."""
        return not self._in_columns and self.dtype == np.dtype('<f8') and self.shape[-1:] == (3,)

    def vectors(self, begin: int, end: int) -> NDArray[np.float64]:
        """Return ``(end - begin, 3)`` consecutive vectors, whatever the shape of the array.

        :raises DatasetError: if the file ends before, or holds something else.
        """
        if not self.holds_vectors:
            raise DatasetError(f'the array `{self._name}` does not hold vectors')
        width = 3 * self.dtype.itemsize
        return self._read(begin * width, (end - begin, 3))

    def _read(self, offset: int, shape: tuple[int, ...], order: Any = 'C') -> NDArray[Any]:
        size = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        content = map_file(self._handle, self._begin + offset, size)
        if content is None:
            if self._handle.tell() != self._begin + offset:
                self._handle.seek(self._begin + offset)
            content = memoryview(self._handle.read(size))
        if len(content) != size:
            raise DatasetError(f'the array `{self._name}` is cut off')
        return np.frombuffer(content, dtype=self.dtype).reshape(shape, order=order)


def map_file(handle: BinaryIO, begin: int, size: int) -> memoryview | None:
    """Return a piece of a file as memory that is read when it is looked at, and given back when nothing refers to it.

    :return: ``None`` where it is no file of its own (packed, or in an archive), or ends before.
    """
    before = begin % mmap.ALLOCATIONGRANULARITY
    try:
        mapped = mmap.mmap(handle.fileno(), before + size, access=mmap.ACCESS_READ, offset=begin - before)
    except (AttributeError, OSError, ValueError):
        return None
    return memoryview(mapped)[before:]


@contextmanager
def open_array(node: Node, path: str, name: str) -> Iterator[StoredArray]:
    """Open an array in the repository of a node.

    :param name: what to call it in a complaint.
    :raises DatasetError: if it is no plain array.
    """
    with node.base.repository.open(path, mode='rb') as opened:
        handle: Any = opened if opened.seekable() else io.BytesIO(opened.read())
        yield StoredArray(name, handle)


@contextmanager
def open_arrays(node: ArrayData) -> Iterator[dict[str, StoredArray]]:
    """Open all arrays of a node.

    :raises DatasetError: if one is no plain array.
    """
    with ExitStack() as stack:
        names = sorted(node.get_arraynames())
        arrays = {name: stack.enter_context(open_array(node, f'{name}.npy', name)) for name in names}
        yield arrays


def keys_of_vectors(
    node: ArrayData, arrays: Mapping[str, StoredArray], names: Mapping[str, str], min_bytes: int
) -> dict[str, str]:
    """Return where the repository of the profile has some arrays of a stored node, if other nodes can link them.

    :param arrays: as from :func:`open_arrays`.
    :param names: which arrays, by any key.
    :param min_bytes: smaller ones are not worth it.
    :return: the keys of the files by the same key, without arrays that are smaller or hold something else than vectors.
    """
    repository = node.base.repository._repository
    if isinstance(repository.backend, SandboxRepositoryBackend):  # not stored
        return {}
    objects = repository.serialize()['o']
    return {
        key: objects[f'{name}.npy']['k']
        for key, name in names.items()
        if name in arrays and arrays[name].holds_vectors and arrays[name].nbytes >= min_bytes
    }


def _read_header_2(handle: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(handle)
