"""Structures of mixed sizes, compositions and boundary conditions, with labels."""

from __future__ import annotations

import ase
import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


@pytest.fixture
def mixed_atoms() -> list[ase.Atoms]:
    """Return an alloy, a molecule, a slab and a crystal with arbitrary energies, forces and stresses."""
    rng = np.random.default_rng(7)
    slab = fcc111('Al', (1, 1, 3), vacuum=5.0)
    slab.pbc = (True, True, False)
    images = [bulk('CuAl', 'rocksalt', 5.0), molecule('H2O'), slab, bulk('Cu', cubic=True)]
    for number, image in enumerate(images):
        image.rattle(0.05, rng=rng)
        labels = {'energy': rng.normal(-3.0 * len(image)), 'forces': rng.normal(size=(len(image), 3))}
        if number != 1:
            labels['stress'] = rng.normal(size=6) * 0.01
        image.calc = SinglePointCalculator(image, **labels)
    return images


@pytest.fixture
def mixed(mixed_atoms: list[ase.Atoms]) -> LabelledStructures:
    """Return the same as labelled structures."""
    return LabelledStructures.from_atoms(mixed_atoms)
