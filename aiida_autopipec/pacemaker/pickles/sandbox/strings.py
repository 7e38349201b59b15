"""Columns of pandas' extension types: strings, categories, and numbers with a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.pickles.sandbox.arrays import (
    ArrayDecoder,
    ObjectArray,
    damaged,
    decode_bytes,
    not_plain,
)
from aiida_autopipec.pacemaker.pickles.sandbox.records import Record, RecordType, has_role

_ARROW_OFFSETS = {'string': '<i4', 'utf8': '<i4', 'large_string': '<i8', 'large_utf8': '<i8'}
ExtensionValues = NDArray[Any] | list[Any]


def decode_extension(record: Record, arrays: ArrayDecoder) -> ExtensionValues:
    """Return the values of a one-dimensional extension array.

    :raises FileFormatError: if its type is not understood.
    """
    role = type(record).role
    if role == 'array_backed' and record.args and isinstance(record.args[0], RecordType):
        role = record.args[0].role
    if role == 'string_array':
        return _objects(_member(record, '_ndarray', 'reconstruct'), arrays)
    if role == 'categorical':
        return _categorical(record, arrays)
    if role == 'masked_array' and isinstance(record.state, dict):
        values = arrays.numeric(record.state.get('_data')).astype(np.float64)
        mask = arrays.numeric(record.state.get('_mask')).astype(bool)
        if values.ndim != 1 or mask.shape != values.shape:
            raise damaged('a column of numbers and its mask differ in shape')
        values[mask] = np.nan
        return values
    if role == 'arrow_array' and isinstance(record.state, dict):
        return _arrow_strings(record.state.get('_pa_array', record.state.get('_data')))
    raise not_plain(f'a column of type {type(record).spelling}')


def _member(record: Record, key: str, *roles: str) -> Any:
    """Return the part of an extension array's state: a dictionary up to pandas 1.2, a tuple in varying order since."""
    state = record.state
    if isinstance(state, dict) and key in state:
        return state[key]
    if isinstance(state, tuple):
        for part in state:
            if has_role(part, *roles):
                return part
    raise damaged(f'a column of type {type(record).spelling} has no values')


def _objects(value: Any, arrays: ArrayDecoder) -> list[Any]:
    array = arrays.array(value)
    if not isinstance(array, ObjectArray) or len(array.shape) != 1:
        raise damaged('a column of strings is not a list')
    return array.items


def _categorical(record: Record, arrays: ArrayDecoder) -> list[Any]:
    state_key = '_ndarray' if isinstance(record.state, dict) and '_ndarray' in record.state else '_codes'
    codes = arrays.numeric(_member(record, state_key, 'reconstruct', 'frombuffer'))
    dtype = _member(record, '_dtype', 'categorical_dtype')
    index = dtype.state.get('categories') if has_role(dtype, 'categorical_dtype') and dtype.state else None
    if not has_role(index, 'new_index') or codes.ndim != 1 or codes.dtype.kind not in 'iu':
        raise damaged('a column of categories has none')
    categories = list(decode_index_values(index, arrays))
    if len(codes) and not -1 <= codes.min() <= codes.max() < len(categories):
        raise damaged('a column of categories points outside them')
    return [None if code < 0 else categories[code] for code in codes.tolist()]


def decode_index_values(index: Record, arrays: ArrayDecoder) -> ExtensionValues:
    """Return the labels of a pandas index that lists them.

    :raises FileFormatError: if its type is not understood.
    """
    if len(index.args) == 2 and isinstance(index.args[1], dict):
        data = index.args[1].get('data')
        if isinstance(data, list):
            return data
        if has_role(data, 'array_backed', 'string_array', 'arrow_array'):
            return decode_extension(data, arrays)
        array = arrays.array(data)
        if len(array.shape) == 1:
            return array.items if isinstance(array, ObjectArray) else array
    raise damaged('an index is not understood')


def _arrow_strings(value: Any) -> list[str | None]:
    """Decode pyarrow's arrays of strings, by the Arrow columnar format: validity bits, offsets, UTF-8 bytes."""
    if has_role(value, 'arrow_chunks') and value.args and isinstance(value.args[0], list):
        return [text for chunk in value.args[0] for text in _arrow_strings_of_chunk(chunk)]
    return _arrow_strings_of_chunk(value)


def _arrow_strings_of_chunk(value: Any) -> list[str | None]:
    description = value.args[0] if has_role(value, 'arrow_restore') and value.args else None
    if not isinstance(description, tuple) or len(description) < 5:
        raise damaged('a pyarrow column is not understood')
    kind, length, _, start, buffers = description[:5]
    offset_type = _ARROW_OFFSETS.get(kind.args[0]) if has_role(kind, 'arrow_type') and kind.args else None
    if offset_type is None or not isinstance(buffers, list) or len(buffers) != 3:
        raise damaged('a pyarrow column holds no strings')
    if not isinstance(length, int) or not isinstance(start, int) or length < 0 or start < 0:
        raise damaged('a pyarrow column has an impossible length')
    if length == 0:
        return []
    validity, offset_bytes, text = (None if buffer is None else _arrow_buffer(buffer) for buffer in buffers)
    stop = start + length
    if offset_bytes is None or len(offset_bytes) < (stop + 1) * np.dtype(offset_type).itemsize:
        raise damaged('a pyarrow column is cut off')
    offsets = np.frombuffer(offset_bytes, dtype=offset_type, count=stop + 1)[start:]
    text = text or b''
    if offsets[0] < 0 or np.any(np.diff(offsets) < 0) or offsets[-1] > len(text):
        raise damaged('a pyarrow column points outside its text')
    valid = np.ones(length, dtype=bool)
    if validity is not None:
        if len(validity) * 8 < stop:
            raise damaged('a pyarrow column is cut off')
        bits = np.unpackbits(np.frombuffer(validity, dtype=np.uint8), count=stop, bitorder='little')
        valid = bits[start:].astype(bool)
    bounds = offsets.tolist()
    return [
        text[bounds[i] : bounds[i + 1]].decode('utf-8', 'surrogatepass') if valid[i] else None for i in range(length)
    ]


def _arrow_buffer(value: Any) -> bytes | bytearray:
    if not has_role(value, 'arrow_buffer') or len(value.args) != 1:
        raise damaged('a pyarrow column has no memory')
    return decode_bytes(value.args[0])
