"""Sort the columns of a table: values per row, values per atom, short vectors per row."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError
from aiida_autopipec.pacemaker.pickles.sandbox import wire
from aiida_autopipec.pacemaker.pickles.sandbox.arrays import ArrayDecoder, damaged
from aiida_autopipec.pacemaker.pickles.sandbox.expressions import Column, Pieces
from aiida_autopipec.pacemaker.pickles.sandbox.records import has_role

#: Columns of Pacemaker whose meaning is fixed: shape of one atom's part of a row, in the order of trust for row sizes.
PER_ATOM: dict[str, tuple[int, ...]] = {'forces': (3,), 'forces_pred': (3,), 'w_forces': ()}
#: Columns that are vectors even where their length happens to be the number of atoms.
PER_ROW = {'stress', 'stress_pred', 'virial', 'virials'}
_NEVER_PLAIN = {'forces', 'forces_pred', *PER_ROW}  # a table whose rows all lack them has a column of NaN
_MAX_DEPTH = 2  # a row may be a list of lists (forces), not more
_REPLACEMENT = np.uint32(0xFFFD)
_ARRAYS = ('reconstruct', 'frombuffer', 'ndarray')

Rows = list['NDArray[np.float64] | None']


@dataclass
class SortedColumns:
    """The columns of a file by kind (see ``RawFrame``)."""

    plain: dict[str, NDArray[Any]] = field(default_factory=dict)
    per_atom: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    per_row: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


class ColumnSorter:
    """Sorts columns.

    :param arrays: decodes the arrays in them.
    :param offsets: (n + 1,) bounds of the atoms of each row; None to take them from the columns.
    """

    def __init__(self, arrays: ArrayDecoder, offsets: NDArray[np.int64] | None) -> None:
        self._arrays = arrays
        self._known_offsets = offsets
        self._rows: dict[str, NDArray[np.float64] | Pieces | Rows] = {}
        self.result = SortedColumns()

    def sort(self, columns: dict[str, Column], n: int) -> NDArray[np.int64]:
        """Sort all columns into :attr:`result` and return the offsets.

        :raises DatasetError: if a per-atom column has the wrong shape for a structure.
        """
        for name, column in columns.items():
            self._decode(name, column)
        offsets = self._known_offsets if self._known_offsets is not None else self._offsets_from_rows(n)
        for name, rows in self._rows.items():
            self._sort_rows(name, rows, offsets)
        return offsets

    def _decode(self, name: str, column: Column) -> None:
        """File plain columns at once, and keep those with an array per row until all sizes are known."""
        if isinstance(column, Pieces):
            self._rows[name] = column
        elif isinstance(column, np.ndarray):
            if column.ndim == 1 and name in _NEVER_PLAIN:
                self._rows[name] = [self._row(item) for item in column.tolist()]
            elif column.ndim == 1:
                self._file_values(name, column)
            else:
                self._rows[name] = column.astype(np.float64, copy=False)
        elif isinstance(column, list):
            try:
                if (
                    name in PER_ATOM
                    or name in PER_ROW
                    or any(isinstance(item, (list, tuple)) or _is_vector(item) for item in column)
                ):
                    self._rows[name] = [self._row(item) for item in column]
                else:
                    self._file_values(name, _plain_values([self._arrays.scalar(item) for item in column]))
            except (FileFormatError, ValueError, TypeError, OverflowError) as error:
                if name in PER_ATOM:
                    raise DatasetError(f'The column `{name}` holds something else than arrays of numbers.') from error
                self._ignore(name, 'its values are neither numbers, strings nor arrays of numbers')
        else:
            self._ignore(name, 'it is a second column of structures')

    def _row(self, item: Any, depth: int = 0) -> NDArray[np.float64] | None:
        if isinstance(item, (list, tuple)):
            if depth == _MAX_DEPTH:
                raise damaged('a row nests lists')
            return np.array([self._row(part, depth + 1) for part in item], dtype=np.float64)
        if has_role(item, *_ARRAYS):
            return self._arrays.numeric(item).astype(np.float64, copy=False)
        value = self._arrays.scalar(item)
        if value is None or _is_nan(value):
            return None
        return np.asarray(value, dtype=np.float64)

    def _file_values(self, name: str, values: NDArray[Any]) -> None:
        if values.dtype.kind in 'iu' and not (values.dtype == np.uint64 and len(values) and values.max() >= 1 << 63):
            values = values.astype(np.int64, copy=False)
        elif values.dtype.kind in 'uf':
            values = values.astype(np.float64, copy=False)
        elif values.dtype.kind == 'U':
            values = self._text(name, values)
        elif values.dtype.kind != 'b':
            self._ignore(name, f'its values are of type {values.dtype}')
            return
        self.result.plain[name] = values

    def _text(self, name: str, values: NDArray[np.str_]) -> NDArray[np.str_]:
        """Return text that can be encoded: Python keeps bytes of old file names as halves of surrogate pairs."""
        points = np.ascontiguousarray(values).reshape(-1).view(np.uint32)
        broken = (points >= wire.FIRST_SURROGATE) & (points <= wire.LAST_SURROGATE)
        if not broken.any():
            return values
        self.result.ignored.append(f'characters of the column `{name}` that are no Unicode, each replaced by U+FFFD')
        replaced: NDArray[np.str_] = np.where(broken, _REPLACEMENT, points).view(values.dtype).reshape(values.shape)
        return replaced

    def _ignore(self, name: str, why: str) -> None:
        self.result.ignored.append(f'the column `{name}`, because {why}')

    def _offsets_from_rows(self, n: int) -> NDArray[np.int64]:
        """Return the sizes of the structures of a table without structures, as its arrays per atom have them."""
        sizes = np.full(n, -1, dtype=np.int64)
        for name in PER_ATOM:
            rows = self._rows.get(name, [])
            if isinstance(rows, Pieces):
                found = np.diff(rows.offsets)
            else:
                lengths = [len(row) if row is not None and row.ndim else -1 for row in rows]
                found = np.array(lengths or [-1] * n, dtype=np.int64)
            sizes = np.where(sizes < 0, found, sizes)
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.maximum(sizes, 0))])

    def _sort_rows(self, name: str, rows: NDArray[np.float64] | Pieces | Rows, offsets: NDArray[np.int64]) -> None:
        if isinstance(rows, Pieces) and np.array_equal(rows.offsets, offsets):
            data = rows.data.astype(np.float64, copy=False)
            if data.shape[1:] == PER_ATOM.get(name, data.shape[1:]):
                self.result.per_atom[name] = data
                return
        if isinstance(rows, np.ndarray) and name not in PER_ATOM:
            self.result.per_row[name] = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
            return
        if isinstance(rows, Pieces):
            rows = [rows.data[start:stop] for start, stop in zip(rows.offsets[:-1], rows.offsets[1:], strict=True)]
        listed: Rows = list(rows)
        if name not in PER_ROW and self._sort_per_atom(name, listed, offsets):
            return
        shapes = {row.shape for row in listed if row is not None}
        if name in PER_ROW and not shapes:
            return  # no row gives it, so nothing is lost
        if len(shapes) == 1:
            self.result.per_row[name] = _stack(listed, shapes.pop())
        else:
            self._ignore(name, 'its rows have neither a value for each atom nor all the same shape')

    def _sort_per_atom(self, name: str, rows: Rows, offsets: NDArray[np.int64]) -> bool:
        sizes = np.diff(offsets).tolist()
        tail = PER_ATOM.get(name) or next((row.shape[1:] for row in rows if row is not None), ())
        for i, (row, size) in enumerate(zip(rows, sizes, strict=True)):
            if row is None or row.shape == (size, *tail):
                continue
            if name not in PER_ATOM:
                return False
            raise DatasetError(
                f'Row {i}: `{name}` has shape {row.shape}, and the structure has {size} atoms; '
                f'{(size, *tail)} is needed.'
            )
        parts = [np.full((size, *tail), np.nan) if row is None else row for row, size in zip(rows, sizes, strict=True)]
        self.result.per_atom[name] = np.concatenate(parts or [np.zeros((0, *tail))])
        return True


def _is_nan(value: float | str) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_vector(item: Any) -> bool:
    return has_role(item, *_ARRAYS)


def _stack(rows: Rows, shape: tuple[int, ...]) -> NDArray[np.float64]:
    missing = np.full(shape, np.nan)
    stacked = np.array([missing if row is None else row for row in rows])
    return stacked.reshape(len(rows), int(np.prod(shape)))


def _plain_values(values: list[float | int | bool | str | None]) -> NDArray[Any]:
    """Return an array of the narrowest kind that holds all values; None is NaN among numbers, empty among strings."""
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, str) for value in given):
        return np.array([value or '' for value in values], dtype=np.str_)
    if any(isinstance(value, str) for value in given):
        # pandas marks missing strings by NaN
        if all(isinstance(value, str) or _is_nan(value) for value in given):
            return np.array([value if isinstance(value, str) else '' for value in values], dtype=np.str_)
        raise damaged('numbers and strings are mixed')
    if len(given) == len(values) and given:
        if all(isinstance(value, bool) for value in given):
            return np.array(values, dtype=np.bool_)
        if all(isinstance(value, int) and not isinstance(value, bool) for value in given):
            return np.array(values, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
