"""Potentials that are a sum over pairs of atoms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential, ReferenceValues
from aiida_autopipec.pacemaker.reference_potentials.pairs import Pairs, iter_pairs

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.reference_potentials.calculator import ReferenceCalculator

Array = NDArray[np.float64]
Numbers = NDArray[np.int32]
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class PairPotential(ReferencePotential):
    """A sum over pairs of atoms of a function of their distance and their elements."""

    @property
    @abstractmethod
    def cutoff(self) -> float:
        """Distance in Å beyond which no pair interacts."""

    @abstractmethod
    def pair(self, distances: Array, first: Numbers, second: Numbers) -> tuple[Array, Array]:
        """Return energies in eV and their derivatives in eV/Å.

        :param distances: ``(p,)`` in Å.
        :param first: ``(p,)`` atomic numbers of the first atoms, ``second`` those of the others.
        :raises ConfigError: if a pair of elements has no parameters.
        """

    def evaluate(self, structures: LabelledStructures) -> ReferenceValues:
        """Return energies, forces and virials of all structures; see :meth:`ReferencePotential.evaluate`."""
        n, a = len(structures), structures.n_atoms
        values = ReferenceValues(energy=np.zeros(n), forces=np.zeros((a, 3)), virial=np.zeros((n, 6)))
        with np.errstate(over='ignore', invalid='ignore'):  # refused below, by the name of the structure
            for pairs in iter_pairs(structures, self.cutoff):
                self._add(structures, pairs, values)
        bad = np.flatnonzero(~np.isfinite(values.energy))
        if bad.size:
            raise DatasetError(
                f'the reference potential of structure `{structures.names[bad[0]]}` is not finite, because atoms are '
                'too close: remove it'
            )
        return values

    def _add(self, structures: LabelledStructures, pairs: Pairs, values: ReferenceValues) -> None:
        n, a = len(structures), structures.n_atoms
        numbers = structures.numbers
        energies, slopes = self.pair(pairs.distances, numbers[pairs.first], numbers[pairs.second])
        pulls = (slopes / pairs.distances)[:, None] * pairs.vectors
        values.energy[:] += np.bincount(pairs.rows, energies, minlength=n)
        for axis in range(3):
            values.forces[:, axis] += np.bincount(pairs.first, pulls[:, axis], minlength=a)
            values.forces[:, axis] -= np.bincount(pairs.second, pulls[:, axis], minlength=a)
        for column, (i, j) in enumerate(VOIGT):
            values.virial[:, column] -= np.bincount(pairs.rows, pulls[:, i] * pairs.vectors[:, j], minlength=n)

    def calculator(self) -> ReferenceCalculator:
        """Return a new calculator of ASE with energy, forces and, for cells with a volume, stress."""
        from aiida_autopipec.pacemaker.reference_potentials.calculator import ReferenceCalculator

        return ReferenceCalculator(self)

    # The two halves of what LAMMPS is told

    @property
    @abstractmethod
    def lammps_style(self) -> str:
        """Name and arguments for ``pair_style``."""

    @abstractmethod
    def lammps_coefficients(self, elements: Sequence[str]) -> Iterable[tuple[int, int, str]]:
        """Yield atom types ``i <= j`` and the arguments for their ``pair_coeff``."""

    def lammps_modifiers(self) -> list[str]:
        """Return arguments for ``pair_modify``."""
        return []

    def lammps_commands(self, elements: Sequence[str], potential: str | None = None) -> list[str]:
        """Return lines for LAMMPS; see :meth:`ReferencePotential.lammps_commands`."""
        name = self.lammps_style.split()[0]
        if potential is None:
            modifiers = [f'pair_modify {text}' for text in self.lammps_modifiers()]
            coefficients = [f'pair_coeff {i} {j} {text}' for i, j, text in self.lammps_coefficients(elements)]
            return [f'pair_style {self.lammps_style}', *modifiers, *coefficients]
        return [
            f'pair_style hybrid/overlay pace {self.lammps_style}',
            *(f'pair_modify pair {name} {text}' for text in self.lammps_modifiers()),
            f'pair_coeff * * pace {potential} {" ".join(elements)}',
            *(f'pair_coeff {i} {j} {name} {text}' for i, j, text in self.lammps_coefficients(elements)),
        ]
