"""Data of which no more than the size is known."""

from __future__ import annotations

import dataclasses
import math

ATOMS_PER_VOLUME = 0.06
"""Atoms per Å³ of a common solid: aluminium has 0.060, silicon 0.050, copper 0.085."""


@dataclasses.dataclass(frozen=True)
class AssumedData:
    """Solids of common density, with equal shares of all elements: enough for the cost of a training.

    :param n_structures: number of structures.
    :param n_atoms: number of atoms in all structures.
    :param elements: chemical symbols.
    """

    n_structures: int
    n_atoms: int
    elements: tuple[str, ...]

    @property
    def atoms_by_element(self) -> dict[str, int]:
        """Number of atoms by chemical symbol."""
        return dict.fromkeys(self.elements, math.ceil(self.n_atoms / len(self.elements)))

    def neighbours(self, cutoff: float) -> float:
        """Return the mean number of neighbours of an atom.

        :param cutoff: in Å.
        """
        return ATOMS_PER_VOLUME * 4 / 3 * math.pi * cutoff**3
