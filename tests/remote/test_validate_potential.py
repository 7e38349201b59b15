"""The copy of the reference potentials that travels computes what the library computes."""

from __future__ import annotations

import sys
from importlib import resources
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk

from aiida_autopipec.pacemaker.reference_potentials import ZBL, LennardJones, NamedCalculator, ReferencePotential
from aiida_autopipec.pacemaker.validation import reference_settings

PAIRS = {'Al': {'epsilon': 0.2, 'sigma': 2.2, 'cutoff': 4.0}, 'Ni': {'epsilon': 0.3, 'sigma': 2.0, 'cutoff': 3.5}}


@pytest.fixture
def travelling(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the module as the script imports it."""
    monkeypatch.syspath_prepend(str(resources.files('aiida_autopipec.remote')))
    import validate_potential

    yield validate_potential
    sys.modules.pop('validate_potential', None)


@pytest.mark.parametrize(
    'reference',
    [
        ZBL(1.5, 3.1),
        LennardJones(PAIRS, mixing='arithmetic'),
        LennardJones(PAIRS, mixing='sixthpower', shift=True),
        NamedCalculator('emt', {}),
    ],
    ids=['zbl', 'lj', 'lj shifted', 'emt'],
)
def test_energies_forces_and_stresses_are_the_same(travelling: Any, reference: ReferencePotential) -> None:
    """To 1e-10 eV, eV/Å and eV/Å³, for a small skewed cell and a molecule."""
    cell = bulk('AlNi', 'cesiumchloride', 2.7)
    cell.set_cell(cell.cell[:] @ np.array([[1, 0, 0], [0.3, 1, 0], [-0.2, 0.1, 1]]), scale_atoms=True)
    cell.rattle(0.2, seed=1)
    molecule = ase.Atoms('AlNiAl', positions=[[0, 0, 0], [0.9, 0, 0], [2.0, 1.5, 0]])
    copied = travelling.reference_calculator(reference_settings(reference, ('Al', 'Ni')))
    for atoms in (cell, molecule):
        results = []
        for calculator in (copied, reference.calculator()):
            atoms.calc = calculator
            stress = atoms.get_stress() if atoms.cell.rank == 3 else np.zeros(6)
            results.append((atoms.get_potential_energy(), atoms.get_forces(), stress))
        assert np.allclose(results[0][2], results[1][2], atol=1e-10)
        assert results[0][0] == pytest.approx(results[1][0], abs=1e-10)
        assert np.allclose(results[0][1], results[1][1], atol=1e-10)
        assert abs(results[0][0]) > 1e-3


def test_an_unknown_reference_is_refused(travelling: Any) -> None:
    """A name that only a newer library knows is an error, not nothing."""
    with pytest.raises(ValueError, match='unknown reference'):
        travelling.reference_calculator({'name': 'new'})
