"""Numbers of neighbours agree with ASE's neighbour list."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.neighborlist import neighbor_list

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.cost import count_neighbours, neighbours


def zoo() -> list[Atoms]:
    """Return structures of all boundary conditions, sizes and shapes of cells."""
    rng = np.random.default_rng(1)
    images = [bulk('Al'), bulk('Mg'), bulk('NaCl', 'rocksalt', 5.64), molecule('CH3CH2OH'), Atoms('Al')]
    images.append(fcc111('Al', (2, 1, 4), vacuum=5.0))
    skew = bulk('Al', cubic=True)
    skew.set_cell(np.array([[1, 0, 0], [3, 1, 0], [2, 1, 1]]) @ skew.cell.array)
    crowd = Atoms('Al30', positions=9 * rng.random((30, 3)), cell=np.eye(3) * 9, pbc=True)
    return [*images, skew, crowd]


@pytest.mark.parametrize('cutoff', [2.9, 4.5, 7.3])
def test_counts_are_those_of_ase(cutoff: float) -> None:
    """Every atom has as many neighbours, its own images included, as ASE finds."""
    images = zoo()
    expected = [np.bincount(neighbor_list('i', image, cutoff), minlength=len(image)) for image in images]
    counts = count_neighbours(LabelledStructures.from_atoms(images, require_labels=False), cutoff)
    assert counts.tolist() == np.concatenate(expected).tolist()


def test_large_structures_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the blocks does not change the counts."""
    structures = LabelledStructures.from_atoms(zoo(), require_labels=False)
    at_once = count_neighbours(structures, 5.0)
    monkeypatch.setattr(neighbours, 'MAX_PAIRS', 50)
    assert count_neighbours(structures, 5.0).tolist() == at_once.tolist()
