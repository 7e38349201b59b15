"""Labelled structures as bytes: files that ``numpy.load(allow_pickle=False)`` can read."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import FileFormatError

MAX_SHARD_BYTES = 64 * 1024**2
"""Size beyond which a dataset is stored as several files, so that no step needs all of it in memory at once."""

_BYTES_PER_ATOM = 4 + 24 + 24
_BYTES_PER_STRUCTURE = 72 + 8 + 8 + 48 + 64
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_arrays(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return an ``npz`` archive, uncompressed, whose bytes depend on the arrays alone.

    Strings are stored as UTF-8, which takes a quarter of the space of numpy's own.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            array = arrays[name]
            if array.dtype.kind == 'U':
                array = np.char.encode(array, 'utf-8')
            entry = zipfile.ZipInfo(f'{name}.npy', _EPOCH)
            with archive.open(entry, 'w', force_zip64=True) as handle:
                np.lib.format.write_array(handle, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def read_arrays(handle: BinaryIO) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` wrote.

    :raises FileFormatError: if it is something else.
    """
    try:
        with np.load(handle, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return {
            name: np.char.decode(array, 'utf-8') if array.dtype.kind == 'S' and name in ('names', 'sources') else array
            for name, array in arrays.items()
        }
    # a bare array instead of an archive has no `files`, nor can it be closed
    except (AttributeError, TypeError, ValueError, OSError, zipfile.BadZipFile, EOFError) as exception:
        raise FileFormatError(f'this is not an archive of arrays: {exception}') from exception


def to_bytes(structures: LabelledStructures) -> bytes:
    """Return the content of a set, without its sources; equal content gives equal bytes."""
    return write_arrays({name: array for name, array in structures.fields().items() if name != 'sources'})


def from_bytes(handle: BinaryIO, sources: NDArray[np.str_] | None = None) -> LabelledStructures:
    """Read a set back.

    :param sources: ``(n,)`` UUIDs of the nodes that the structures come from, which are stored elsewhere.
    :raises FileFormatError: if the file is something else.
    :raises DatasetError: if its arrays do not fit together.
    """
    try:
        fields: dict[str, Any] = {**read_arrays(handle), 'sources': sources}
        return LabelledStructures(**fields)
    except TypeError as exception:
        raise FileFormatError(f'this is not a set of labelled structures: {exception}') from exception


def iter_shards(structures: LabelledStructures, max_bytes: int = MAX_SHARD_BYTES) -> Iterator[LabelledStructures]:
    """Divide a set into consecutive parts of about ``max_bytes`` at most each."""
    weights = structures.sizes * _BYTES_PER_ATOM + _BYTES_PER_STRUCTURE
    part_of = (np.cumsum(weights) - 1) // max_bytes
    bounds = [0, *(np.flatnonzero(np.diff(part_of)) + 1).tolist(), len(structures)]
    if len(bounds) == 2:
        yield structures
        return
    for begin, end in itertools.pairwise(bounds):
        yield structures.stretch(begin, end)
