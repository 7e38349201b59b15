"""Comparison of structures that are perhaps the same, and of their labels; many pairs of two sets at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.fingerprint import blocks_of_one_size, in_steps
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

ENERGY_TOLERANCE = 1e-6
"""eV: energies of copies of one structure that differ by more are different labels."""
FORCES_TOLERANCE = 1e-6
"""eV/Å: likewise for the components of forces."""
STRESS_TOLERANCE = 1e-7
"""eV/Å³: likewise for the components of the stress."""

_OF_STRUCTURES = {
    'energy': ENERGY_TOLERANCE,
    'energy_corrected': ENERGY_TOLERANCE,
    'stress': STRESS_TOLERANCE,
    'energy_weights': 0.0,
}
_OF_ATOMS = {'forces': FORCES_TOLERANCE, 'force_weights': 0.0}

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of structures of two sets, which may be the same set.

    :param a: a set.
    :param rows_a: ``(m,)`` the structure of each pair in it.
    :param b: the other set.
    :param rows_b: ``(m,)`` the structure of each pair in that.
    """

    a: LabelledStructures
    rows_a: Rows
    b: LabelledStructures
    rows_b: Rows

    def where(self, mask: Mask) -> Pairs:
        """Return the pairs that an ``(m,)`` mask chooses."""
        return self if mask.all() else Pairs(self.a, self.rows_a[mask], self.b, self.rows_b[mask])

    def same_geometry(self) -> Mask:
        """Return ``(m,)`` which are the same structure in what fingerprints are made of."""
        same: Mask = self.a.sizes[self.rows_a] == self.b.sizes[self.rows_b]
        same &= (self.a.pbc[self.rows_a] == self.b.pbc[self.rows_b]).all(axis=1)
        same &= _same_lengths(self.a.cells[self.rows_a], self.b.cells[self.rows_b])
        for chosen, atoms_a, atoms_b in self._atoms(np.flatnonzero(same)):
            same[chosen] = (self.a.numbers[atoms_a] == self.b.numbers[atoms_b]).all(axis=1)
            same[chosen] &= _same_lengths(self.a.positions[atoms_a], self.b.positions[atoms_b])
        return same

    def same_labels(self) -> Mask:
        """Return ``(m,)`` which copies of one structure carry the same labels, within the tolerances of this module.

        A stress that only one of them has is no difference, so a merge keeps the first of them with or without it.
        Weights count as labels.
        """
        same: Mask = np.ones(len(self.rows_a), dtype=bool)
        for field, tolerance in _OF_STRUCTURES.items():
            x, y = getattr(self.a, field), getattr(self.b, field)
            if x is not None and y is not None:
                same &= _within(x[self.rows_a], y[self.rows_b], tolerance)
        present = [field for field in _OF_ATOMS if field in self.a.present & self.b.present]
        for chosen, atoms_a, atoms_b in self._atoms(np.flatnonzero(same)) if present else ():
            for field in present:
                x, y = self.a.field(field), self.b.field(field)
                same[chosen] &= _within(x[atoms_a], y[atoms_b], _OF_ATOMS[field])
        return same

    def _atoms(self, pairs: Rows) -> Iterator[tuple[Rows, Rows, Rows]]:
        """Yield pairs of structures with equal numbers of atoms, and the ``(k, size)`` atoms of both."""
        begins_a, begins_b = self.a.offsets[self.rows_a], self.b.offsets[self.rows_b]
        for size, members in blocks_of_one_size(self.a.sizes[self.rows_a[pairs]]):
            chosen, within = pairs[members], np.arange(size)
            yield chosen, begins_a[chosen, None] + within, begins_b[chosen, None] + within


def _same_lengths(x: NDArray[np.float64], y: NDArray[np.float64]) -> Mask:
    """Return ``(m,)`` where all lengths are the same after rounding; most copies are the same before."""
    same = _everywhere(x == y)
    rest = np.flatnonzero(~same)
    same[rest] = _everywhere(in_steps(x[rest]) == in_steps(y[rest]))
    return same


def _within(x: NDArray[Any], y: NDArray[Any], tolerance: float) -> Mask:
    """Return ``(m,)`` where no number differs by more; one that is not known, NaN, does not differ."""
    return _everywhere(~(np.abs(x - y) > tolerance))


def _everywhere(mask: Mask) -> Mask:
    """Return ``(m,)`` where all of ``(m, ...)`` is true."""
    result: Mask = np.all(mask, axis=tuple(range(1, mask.ndim)))
    return result
