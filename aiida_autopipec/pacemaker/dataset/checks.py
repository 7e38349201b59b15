"""Checks of labelled structures: shapes, types and values, each with one sentence that names the structure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.vectors import determinants
from aiida_autopipec.pacemaker.errors import DatasetError

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

MAX_ATOMIC_NUMBER = 118
MIN_CELL_VOLUME = 1e-6
"""Å³: a periodic cell of less is flat within rounding."""

LARGEST = 1e100
"""Beyond it no length, energy or force is real, and sums of squares overflow."""

_DTYPES: dict[str, Any] = {
    'numbers': np.int32,
    'offsets': np.int64,
    'pbc': np.bool_,
    'names': np.str_,
    'sources': np.str_,
}
_SHARED_FIELDS = ('energy', 'energy_corrected', 'forces', 'energy_weights', 'force_weights')
_FINITE = ('positions', 'cells', 'energy', 'energy_corrected', 'forces', 'energy_weights', 'force_weights')
_WORDS = {
    'energy': 'energy',
    'energy_corrected': 'corrected energy',
    'forces': 'forces',
    'positions': 'positions',
    'cells': 'cell',
    'energy_weights': 'energy weight',
    'force_weights': 'force weights',
}


def coerce(arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Turn what was given into arrays of the expected types, leaving absent fields out.

    :raises DatasetError: if something is not an array of numbers.
    """
    coerced: dict[str, NDArray[Any]] = {}
    for name, value in arrays.items():
        if value is None:
            continue
        dtype = _DTYPES.get(name, np.float64)
        try:
            coerced[name] = np.ascontiguousarray(value, dtype=dtype)
        except (TypeError, ValueError, OverflowError) as exception:
            raise DatasetError(f'`{name}` is not a regular array of numbers ({exception})') from exception
        # numpy cuts 13.7 to 13 and wraps 2**32 + 13 around to 13 without a word
        if coerced[name] is not value and np.issubdtype(dtype, np.integer) and not np.array_equal(coerced[name], value):
            raise DatasetError(f'`{name}` has to hold whole numbers')
    return coerced


def check_shapes(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check that all arrays fit together.

    :raises DatasetError: if one does not.
    """
    offsets = arrays['offsets']
    if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
        raise DatasetError('`offsets` must start with 0 and not decrease')
    n, a = len(offsets) - 1, int(offsets[-1])
    if n == 0:
        raise DatasetError('the dataset is empty: there is no structure in it')
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if empty.size:
        raise DatasetError(f'structure {empty[0]} ({_name(arrays, empty[0])}) has no atoms')
    expected: dict[str, tuple[int, ...]] = {
        'numbers': (a,),
        'positions': (a, 3),
        'cells': (n, 3, 3),
        'pbc': (n, 3),
        'energy': (n,),
        'energy_corrected': (n,),
        'forces': (a, 3),
        'stress': (n, 6),
        'energy_weights': (n,),
        'force_weights': (a,),
        'names': (n,),
        'sources': (n,),
    }
    for name, shape in expected.items():
        if name in arrays and arrays[name].shape != shape:
            raise DatasetError(
                f'`{name}` has shape {arrays[name].shape}, but {n} structures with {a} atoms need {shape}'
            )


def check_values(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check that every value can be what it stands for.

    :raises DatasetError: if one is missing, not finite, out of range, or not unique.
    """
    numbers = arrays['numbers']
    wrong = np.flatnonzero((numbers < 1) | (numbers > MAX_ATOMIC_NUMBER))
    if wrong.size:
        row = _row_of_atom(arrays, wrong[0])
        raise DatasetError(
            f'structure {row} ({_name(arrays, row)}) has atomic number {numbers[wrong[0]]}, which is no element'
        )
    for field in _FINITE:
        if field in arrays:
            _check_finite(field, arrays)
    for field in ('energy_weights', 'force_weights'):
        if field in arrays and np.any(arrays[field] < 0):
            raise DatasetError(f'`{field}` contains a negative weight')
    _check_cells(arrays)
    if 'stress' in arrays:
        finite, unknown = np.isfinite(arrays['stress']).all(axis=1), np.isnan(arrays['stress']).all(axis=1)
        broken = np.flatnonzero(~finite & ~unknown)
        if broken.size:
            raise DatasetError(
                f'the stress of structure {broken[0]} ({_name(arrays, broken[0])}) is not finite; give all six '
                'components, or six NaN where it is not known'
            )
    if 'names' in arrays:
        check_unique_names(arrays['names'])


def all_different(texts: NDArray[Any]) -> bool:
    """Tell whether no text of an array occurs in it twice.

    Numbers made of all their letters are compared first: where those differ, the texts do.

    :param texts: ``(n,)`` texts or bytes.
    """
    if len(texts) < 2:
        return True
    width = next(width for width in (8, 4, 1) if texts.dtype.itemsize % width == 0)
    letters: NDArray[Any] = np.ascontiguousarray(texts).view(f'u{width}').reshape(len(texts), -1)
    factors = np.random.default_rng(0).integers(1, 2**63, letters.shape[1], dtype=np.uint64)
    numbers: NDArray[np.uint64] = np.einsum('nk,k->n', letters, factors)
    numbers.sort()
    return bool((numbers[1:] != numbers[:-1]).all()) or len(set(texts.tolist())) == len(texts)


def check_unique_names(names: NDArray[np.str_]) -> None:
    """Check that no two structures have the same name.

    :raises DatasetError: if two have; the message says which name.
    """
    if not all_different(names):
        unique, counts = np.unique(names, return_counts=True)
        raise DatasetError(
            f'the name `{unique[counts > 1][0]}` is used by {counts[counts > 1][0]} structures, but names are unique; '
            'when reading a file, `names: content` makes names from the structures themselves'
        )


def check_same_labels(parts: Sequence[LabelledStructures]) -> None:
    """Check that sets can be put together without losing or inventing a label.

    :raises DatasetError: if there are no parts, or a label or weight is present in some of them only.
    """
    check_same_fields([labels_of(part) for part in parts])


def labels_of(structures: LabelledStructures) -> frozenset[str]:
    """Return which labels and weights every structure of a set has."""
    return frozenset(field for field in _SHARED_FIELDS if getattr(structures, field) is not None)


def check_same_fields(labels: Sequence[Collection[str]]) -> None:
    """Check the same of sets of which only the labels are known.

    :raises DatasetError: if there are no sets, or a label or weight is present in some of them only.
    """
    if not labels:
        raise DatasetError('there is no dataset to put together')
    for field in _SHARED_FIELDS:
        present = [field in part for part in labels]
        if any(present) and not all(present):
            raise DatasetError(
                f'dataset {present.index(True)} has `{field}` and dataset {present.index(False)} has not, so putting '
                f'them together would lose or invent values: give `{field}` for all of them or for none'
            )


def _check_finite(field: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    array = arrays[field]
    # of NaN every comparison is false
    if array.max(initial=-LARGEST) <= LARGEST and array.min(initial=LARGEST) >= -LARGEST:
        return
    first = int(np.argwhere(~(np.abs(array) <= LARGEST))[0][0])
    per_atom = field in ('positions', 'forces', 'force_weights')
    row = _row_of_atom(arrays, first) if per_atom else first
    where = f' of atom {first - int(arrays["offsets"][row])}' if per_atom else ''
    what = 'too large to be real' if np.isfinite(array[first]).all() else 'missing or not finite'
    raise DatasetError(
        f'the {_WORDS[field]}{where} in structure {row} ({_name(arrays, row)}) is {what}: '
        f'{array[first].tolist()}; remove the structure or compute it again'
    )


def _check_cells(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check that a structure has cell vectors along which it is periodic: neighbour lists need them."""
    cells, pbc = arrays['cells'], arrays['pbc']
    missing = pbc & ~cells.astype(bool).any(axis=2)
    flat = pbc.all(axis=1) & (np.abs(determinants(cells)) < MIN_CELL_VOLUME)
    wrong = np.flatnonzero(missing.any(axis=1) | flat)
    if wrong.size:
        row = int(wrong[0])
        raise DatasetError(
            f'structure {row} ({_name(arrays, row)}) is periodic, but its cell {cells[row].tolist()} has no volume; '
            'give its cell vectors, or no periodic boundary conditions'
        )


def _row_of_atom(arrays: Mapping[str, NDArray[Any]], atom: int) -> int:
    return int(np.searchsorted(arrays['offsets'], atom, side='right')) - 1


def _name(arrays: Mapping[str, NDArray[Any]], row: int) -> str:
    return f'`{arrays["names"][row]}`' if 'names' in arrays else 'without name'
