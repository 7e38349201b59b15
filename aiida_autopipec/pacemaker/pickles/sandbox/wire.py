"""The answer of the child process: one line of JSON, then the memory of its arrays. The parent believes none of it.

Each array begins at a multiple of 64 bytes, so that the parent can use a large file as the memory that it is. Nobody
else can change it then: the child has ended, and could start no other process (a root that is attacked has lost more).
"""

from __future__ import annotations

import json
import math
import mmap
import os
import re
from io import BufferedIOBase
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import UnsafeFileError

_PLAIN_TYPE = re.compile(r'<f8|<i8|\|b1|<U[1-9][0-9]{0,6}')
_MAX_HEAD_BYTES = 16 << 20
_LAST_CODE_POINT = 0x10FFFF
FIRST_SURROGATE, LAST_SURROGATE = 0xD800, 0xDFFF
_ALIGNMENT = 64
MIN_MAPPED_BYTES = 16 << 20
"""Size from which an answer is mapped: each map keeps a file open, of which a process may have about a thousand."""


def send(file: BinaryIO, arrays: dict[str, NDArray[Any]], ignored: list[str]) -> None:
    """Write arrays of float64, int64, bool and strings.

    :raises UnsafeFileError: if their names alone fill megabytes; nothing is written then.
    """
    plain = {name: np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<')) for name, array in arrays.items()}
    described = [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()]
    _send_head(file, {'arrays': described, 'ignored': ignored})
    for array in plain.values():
        if array.nbytes:
            file.write(array.reshape(-1).view(np.uint8).data)
            file.write(bytes(_padding(array.nbytes)))
    file.flush()


def send_error(file: BinaryIO, kind: str, message: str) -> None:
    """Write why there are no arrays."""
    _send_head(file, {'error': kind, 'message': message})
    file.flush()


def _send_head(file: BinaryIO, head: dict[str, Any]) -> None:
    line = json.dumps(head).encode('ascii')
    line += b' ' * _padding(len(line) + 1) + b'\n'
    if len(line) > _MAX_HEAD_BYTES:
        raise UnsafeFileError('The file has more columns, or longer names of them, than any dataset: refused.')
    file.write(line)


def receive_head(file: BufferedIOBase) -> dict[str, Any]:
    """Read the line of JSON.

    :raises ValueError: if there is none.
    """
    line = file.readline(_MAX_HEAD_BYTES)
    head = json.loads(line) if line.endswith(b'\n') else None
    if not isinstance(head, dict):
        raise ValueError('no head')
    return head


def receive_arrays(file: BufferedIOBase, head: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the arrays that ``head`` announces, which can be changed without changing the file.

    Those of a large file are parts of it, which takes neither time nor memory, and keep it.

    :raises ValueError: if they are not exactly what is left of the file, or not of plain types.
    """
    begin = file.tell()
    content: mmap.mmap | bytearray
    size = file.seek(0, os.SEEK_END)
    if size >= MIN_MAPPED_BYTES:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    else:
        content = bytearray(size)
        file.seek(0)
        file.readinto(content)
    arrays = {}
    for name, spelling, shape in head['arrays']:
        if not isinstance(name, str) or not _PLAIN_TYPE.fullmatch(spelling):
            raise ValueError('not a plain array')
        if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError('not a shape')
        dtype, count = np.dtype(spelling), math.prod(shape)
        end = begin + count * dtype.itemsize
        if end > len(content):
            raise ValueError('cut off')
        arrays[name] = _checked(np.frombuffer(content, dtype, count, begin) if count else np.empty(0, dtype), shape)
        begin = end + _padding(end)
    if begin != len(content):
        raise ValueError('more than announced')
    return arrays


def _padding(size: int) -> int:
    """Return how many bytes are missing to the next multiple of the alignment."""
    return -size % _ALIGNMENT


def _checked(flat: NDArray[Any], shape: list[int]) -> NDArray[Any]:
    if flat.dtype.kind == 'U' and flat.size:
        points = flat.view(np.uint32)
        if points.max() > _LAST_CODE_POINT or np.any((points >= FIRST_SURROGATE) & (points <= LAST_SURROGATE)):
            raise ValueError('no text')
    if flat.dtype.kind == 'b' and flat.size and flat.view(np.uint8).max() > 1:
        raise ValueError('no booleans')
    return flat.astype(flat.dtype.newbyteorder('='), copy=False).reshape(shape)
