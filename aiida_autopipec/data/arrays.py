"""Arrays of stored nodes, read piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import numpy as np
from aiida.orm import ArrayData
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

    def _read(self, offset: int, shape: tuple[int, ...], order: Any = 'C') -> NDArray[Any]:
        size = int(np.prod(shape, dtype=np.int64)) * self.dtype.itemsize
        if self._handle.tell() != self._begin + offset:
            self._handle.seek(self._begin + offset)
        content = self._handle.read(size)
        if len(content) != size:
            raise DatasetError(f'the array `{self._name}` is cut off')
        return np.frombuffer(content, dtype=self.dtype).reshape(shape, order=order)


@contextmanager
def open_arrays(node: ArrayData) -> Iterator[dict[str, StoredArray]]:
    """Open all arrays of a node.

    :raises DatasetError: if one is no plain array.
    """
    with ExitStack() as stack:
        arrays = {}
        for name in sorted(node.get_arraynames()):
            handle: Any = stack.enter_context(node.base.repository.open(f'{name}.npy', mode='rb'))
            if not handle.seekable():
                handle = io.BytesIO(handle.read())
            arrays[name] = StoredArray(name, handle)
        yield arrays


def _read_header_2(handle: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(handle)
