"""Numpy arrays and numbers from their records: shape, type and bytes are checked against each other, then viewed."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import FileFormatError
from aiida_autopipec.pacemaker.pickles.sandbox.records import Record, RecordType, has_role

_DTYPE = re.compile(r'[<>|=]?([biufSUO])(\d{1,7})')
_ITEM_SIZES = {'b': (1,), 'i': (1, 2, 4, 8), 'u': (1, 2, 4, 8), 'f': (2, 4, 8)}
_MAX_DIMENSIONS = 8


@dataclass(frozen=True, eq=False)
class ObjectArray:
    """An array of Python objects; ``items`` are in C order, which is numpy's order whatever the layout was."""

    shape: tuple[int, ...]
    items: list[Any]


class NotPlainError(FileFormatError):
    """Values of a type that is left out, such as dates."""


def not_plain(what: str) -> NotPlainError:
    """Return the error for values of a type that is left out."""
    return NotPlainError(f'The file is damaged or no dataset: {what}, which is neither numbers nor strings.')


def damaged(what: str) -> FileFormatError:
    """Return the error for content that no program writes."""
    return FileFormatError(f'The file is damaged or no dataset: {what}.')


class ArrayDecoder:
    """Decodes the arrays of one file; each type is decoded once, as pickles share it between arrays."""

    def __init__(self) -> None:
        self._dtypes: dict[Record, np.dtype[Any] | None] = {}

    def array(self, value: Any) -> NDArray[Any] | ObjectArray:
        """Return the array that a record stands for, as a view of the file's bytes where possible.

        :raises FileFormatError: if it is no array, of no plain type, or says one size and has another.
        """
        if has_role(value, 'reconstruct', 'ndarray') and isinstance(value.state, tuple) and len(value.state) == 5:
            _, shape, dtype, fortran, data = value.state
            return self._decode(shape, dtype, 'F' if fortran is True else 'C', data)
        if has_role(value, 'frombuffer') and len(value.args) == 4:
            data, dtype, shape, order = value.args
            return self._decode(shape, dtype, 'F' if order == 'F' else 'C', data)
        raise damaged('something else stands where an array is expected')

    def numeric(self, value: Any) -> NDArray[Any]:
        """Return an array of numbers or booleans.

        :raises FileFormatError: if it is none.
        """
        array = self.array(value)
        if isinstance(array, ObjectArray):
            array = np.array([self.scalar(item) for item in array.items], dtype=np.float64).reshape(array.shape)
        if array.dtype.kind not in 'biuf':
            raise damaged(f'an array of type {array.dtype} stands where numbers are expected')
        return array

    def scalar(self, value: Any) -> float | int | bool | str | None:
        """Return a plain value; None for each way to say "missing".

        :raises FileFormatError: if it is no plain value.
        """
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, RecordType) and value.role == 'missing':
            return None
        if has_role(value, 'scalar') and len(value.args) == 2:
            array = self._decode((), value.args[0], 'C', value.args[1])
        else:
            array = self.array(value)
        if isinstance(array, ObjectArray) or array.shape != ():
            raise damaged('an array stands where one value is expected')
        item = array.item()
        if not isinstance(item, (bool, int, float, str)):
            raise damaged(f'a value of type {array.dtype} stands where a number or a string is expected')
        return item

    def _decode(self, shape: Any, dtype: Any, order: Any, data: Any) -> NDArray[Any] | ObjectArray:
        lengths = _shape(shape)
        kind = self._dtype(dtype)
        if kind is None:
            if not isinstance(data, list) or len(data) != math.prod(lengths):
                raise damaged(f'an array of objects of shape {lengths} does not hold that many')
            return ObjectArray(lengths, data)
        content = decode_bytes(data)
        size = math.prod(lengths) * kind.itemsize
        if len(content) != size:
            raise damaged(f'an array of shape {lengths} needs {size} bytes and has {len(content)}')
        flat: NDArray[Any] = np.frombuffer(content, dtype=kind)
        native = flat if kind.isnative else flat.astype(kind.newbyteorder('='))
        return native.reshape(lengths, order=order)

    def _dtype(self, value: Any) -> np.dtype[Any] | None:
        """Return the type, or None for objects."""
        if not has_role(value, 'dtype'):
            raise damaged('an array has no type')
        if value not in self._dtypes:
            self._dtypes[value] = _decode_dtype(value)
        return self._dtypes[value]


def decode_bytes(value: Any) -> bytes | bytearray:
    """Return bytes from each of their spellings.

    :raises FileFormatError: if they are none.
    """
    if isinstance(value, (bytes, bytearray)):
        return value
    if has_role(value, 'bytearray') and len(value.args) <= 1:
        return decode_bytes(value.args[0]) if value.args else b''
    if has_role(value, 'encode') and len(value.args) == 2 and isinstance(value.args[0], str):
        return value.args[0].encode('latin-1')  # how Python 3 spells bytes in protocols 0 to 2
    raise damaged('something else stands where bytes are expected')


def _shape(value: Any) -> tuple[int, ...]:
    if (
        not isinstance(value, tuple)
        or len(value) > _MAX_DIMENSIONS
        or not all(isinstance(length, int) and length >= 0 for length in value)
    ):
        raise damaged('an array has an impossible shape')
    return value


def _decode_dtype(record: Record) -> np.dtype[Any] | None:
    spelling = record.args[0] if record.args else None
    match = _DTYPE.fullmatch(spelling) if isinstance(spelling, str) else None
    if match is None or not isinstance(spelling, str):
        # anything but text is not shown: the repr of 64 tuples that hold each other twice is endless
        raise not_plain(
            f'an array has the type {spelling[:40]!r}' if isinstance(spelling, str) else 'an array has no type'
        )
    kind, size = match[1], int(match[2])
    if kind == 'O':
        return None
    if kind in _ITEM_SIZES and size not in _ITEM_SIZES[kind]:
        raise not_plain(f'an array has the type {spelling!r}')
    byte_order = spelling[0] if spelling[0] in '<>' else '<'
    if isinstance(record.state, tuple):
        # (version, byte order, subarray, names, fields, item size, alignment, flags)
        if len(record.state) < 5 or any(part is not None for part in record.state[2:5]):
            raise not_plain(f'an array has a type made of parts ({spelling!r})')
        byte_order = '>' if record.state[1] == '>' else '<'
    return np.dtype(f'{byte_order}{kind}{size}')
