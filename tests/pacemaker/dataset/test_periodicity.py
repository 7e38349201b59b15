"""Slabs and wires as Pacemaker can handle them."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.neighborlist import neighbor_list

from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

CUTOFF = 9.0


def distances(atoms: ase.Atoms) -> np.ndarray:
    """Return the sorted distances to all neighbours within the cutoff."""
    return np.sort(neighbor_list('d', atoms, CUTOFF))


@pytest.mark.parametrize('pbc', [(True, True, False), (False, True, True), (True, False, False), (False, True, False)])
def test_neighbours_stay_the_same(pbc: tuple[bool, bool, bool]) -> None:
    """A slab or wire of skewed cell becomes periodic in all directions and keeps exactly its neighbours."""
    atoms = bulk('Al', 'fcc', 4.05).repeat(2)
    atoms.rattle(0.1, seed=1)
    atoms.pbc = pbc
    result = without_mixed_periodicity(LabelledStructures.from_atoms([atoms], require_labels=False)).to_atoms()[0]
    assert result.pbc.all()
    assert result.cell.volume > 0
    np.testing.assert_allclose(distances(result), distances(atoms), atol=1e-10)


def test_slab_without_third_vector_gets_one() -> None:
    """A slab whose cell has no vector along the vacuum gets one."""
    atoms = fcc111('Al', (1, 1, 3))
    assert not atoms.cell[2].any()
    result = without_mixed_periodicity(LabelledStructures.from_atoms([atoms], require_labels=False)).to_atoms()[0]
    np.testing.assert_allclose(distances(result), distances(atoms), atol=1e-10)


def test_other_structures_are_not_touched() -> None:
    """Crystals and molecules stay as they are, bit by bit."""
    molecule = ase.Atoms('Al2', positions=[[0, 0, 0], [0, 0, 2.5]])
    structures = LabelledStructures.from_atoms([bulk('Al', 'fcc', 4.05), molecule], require_labels=False)
    assert without_mixed_periodicity(structures) is structures
