"""A reference potential as a calculator of ASE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import ase
import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.reference_potentials.base import stress_of

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.reference_potentials.pair_potential import PairPotential


class ReferenceCalculator(Calculator):
    """Energy in eV, forces in eV/Å and, for cells with a volume, stress in eV/Å³ of a reference potential.

    :param potential: the potential.
    """

    implemented_properties = ['energy', 'free_energy', 'forces', 'stress']  # noqa: RUF012 - as ase declares it

    def __init__(self, potential: PairPotential) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.potential = potential

    def calculate(
        self,
        atoms: ase.Atoms | None = None,
        properties: Sequence[str] = ('energy',),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Compute everything at once."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        atoms = cast('ase.Atoms', self.atoms)  # ase keeps a copy of what it was given
        values = self.potential.evaluate(_single(atoms))
        energy = float(values.energy[0])
        self.results: dict[str, Any] = {'energy': energy, 'free_energy': energy, 'forces': values.forces}
        if atoms.cell.rank == 3:
            self.results['stress'] = stress_of(values.virial, atoms.cell[:][None])[0]


def _single(atoms: ase.Atoms) -> LabelledStructures:
    """Return one structure without labels; its name is given, because making one costs more than the neighbours."""
    return LabelledStructures(
        numbers=atoms.numbers,
        positions=atoms.positions.copy(),
        cells=atoms.cell[:][None].copy(),
        pbc=atoms.pbc[None].copy(),
        offsets=np.array([0, len(atoms)]),
        names=np.array(['atoms']),
    )
