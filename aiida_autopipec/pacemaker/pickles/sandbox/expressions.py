"""The expressions that this package's own writer spells, decoded to whole arrays without a Python object per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.pickles.sandbox.arrays import ArrayDecoder, damaged
from aiida_autopipec.pacemaker.pickles.sandbox.records import Record, RecordType, has_role

ATOMS_ARGUMENTS = 11  # symbols, positions, numbers, six that stay None, cell, pbc


@dataclass(frozen=True, eq=False)
class Pieces:
    """Rows of different length, end to end: row ``i`` is ``data[offsets[i]:offsets[i + 1]]``."""

    data: NDArray[Any]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, eq=False)
class Structures:
    """The ``ase_atoms`` column as arrays (shapes as in ``RawFrame``)."""

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


#: (n,) values or (n, ...) rows in an array, n Python objects or records, or what our own writer spells.
Column = NDArray[Any] | list[Any] | Pieces | Structures


def decode_expression(value: Any, arrays: ArrayDecoder) -> Column:
    """Return the column that an expression stands for.

    :raises FileFormatError: if it is none that this package writes.
    """
    if isinstance(value, list):
        return value
    if not has_role(value, 'list'):
        return _rows_of_array(value, arrays)
    (items,) = _arguments(value, 'list', 1)
    if not has_role(items, 'map'):
        return _rows_of_array(items, arrays)
    if len(items.args) == ATOMS_ARGUMENTS + 1:
        return _structures(items.args, arrays)
    if len(items.args) == 3 and has_role(items.args[2], 'map'):
        return _pieces(items, arrays)
    return _table_rows(items, arrays)


def _rows_of_array(value: Any, arrays: ArrayDecoder) -> NDArray[Any]:
    array = arrays.numeric(value)
    if array.ndim == 0:
        raise damaged('a number stands where a column is expected')
    return array


def _arguments(value: Any, role: str, count: int) -> tuple[Any, ...]:
    if not has_role(value, role) or len(value.args) != count:
        raise damaged(f'a call of {role} is not understood')
    args: tuple[Any, ...] = value.args
    return args


def _function(value: Any, role: str) -> None:
    if not isinstance(value, RecordType) or value.role != role:
        raise damaged(f'{role} is expected, and something else would be mapped')


def _pieces(value: Any, arrays: ArrayDecoder) -> Pieces:
    """Decode ``map(getitem, repeat(data), map(slice, starts, stops))``; the slices must tile the data."""
    getitem, repeated, slices = _arguments(value, 'map', 3)
    _function(getitem, 'getitem')
    slice_type, starts, stops = _arguments(slices, 'map', 3)
    _function(slice_type, 'slice')
    data = _rows_of_array(_arguments(repeated, 'repeat', 1)[0], arrays)
    first, last = arrays.numeric(starts), arrays.numeric(stops)
    if first.ndim != 1 or first.shape != last.shape or first.dtype.kind != 'i' or last.dtype.kind != 'i':
        raise damaged('the pieces of an array have no bounds')
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), last])
    if np.any(first != offsets[:-1]) or np.any(np.diff(offsets) < 0) or offsets[-1] != len(data):
        raise damaged('the pieces of an array do not tile it')
    return Pieces(data, offsets)


def _structures(args: tuple[Any, ...], arrays: ArrayDecoder) -> Structures:
    """Decode ``map(Atoms, repeat(None), positions, numbers, repeat(None) six times, cells, pbc)``."""
    _function(args[0], 'atoms')
    for argument in (args[1], *args[4:10]):
        if _arguments(argument, 'repeat', 1) != (None,):
            raise damaged('structures are given what this package does not write')
    positions, numbers = _pieces(args[2], arrays), _pieces(args[3], arrays)
    cells, pbc = arrays.numeric(args[10]), arrays.numeric(args[11])
    n, total = len(positions), len(positions.data)
    shapes = positions.data.shape, numbers.data.shape, cells.shape, pbc.shape
    if shapes != ((total, 3), (total,), (n, 3, 3), (n, 3)) or np.any(positions.offsets != numbers.offsets):
        raise damaged('the arrays of the structures have different lengths')
    return Structures(
        numbers.data.astype(np.int64, copy=False),
        positions.data.astype(np.float64, copy=False),
        cells.astype(np.float64, copy=False),
        pbc.astype(np.bool_, copy=False),
        positions.offsets,
    )


def _table_rows(value: Record, arrays: ArrayDecoder) -> NDArray[Any]:
    """Decode ``map(getitem, repeat(list(chain(rows, repeat(None, 1)))), places)``; None becomes a row of NaN."""
    getitem, repeated, places = _arguments(value, 'map', 3)
    _function(getitem, 'getitem')
    (chained,) = _arguments(_arguments(repeated, 'repeat', 1)[0], 'list', 1)
    given, missing = _arguments(chained, 'chain', 2)
    if _arguments(missing, 'repeat', 2) != (None, 1):
        raise damaged('a table ends with something unknown')
    rows = _rows_of_array(given, arrays).astype(np.float64, copy=False)
    index = arrays.numeric(places)
    if index.ndim != 1 or index.dtype.kind != 'i' or (len(index) and not 0 <= index.min() <= index.max() <= len(rows)):
        raise damaged('a table is read outside its rows')
    table: NDArray[Any] = np.concatenate([rows, np.full((1, *rows.shape[1:]), np.nan)])
    chosen: NDArray[Any] = table[index]
    return chosen
