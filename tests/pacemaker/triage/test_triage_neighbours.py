"""Nearest neighbours of many structures at once agree with ASE's neighbour list."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage import neighbours
from aiida_autopipec.pacemaker.triage.neighbours import nearest_neighbours


def _zoo() -> list[Atoms]:
    """Return structures of all boundary conditions, sizes and shapes of cells, some with skew or left-handed ones."""
    rng = np.random.default_rng(4)
    images = [bulk('Al'), bulk('Mg'), bulk('NaCl', 'rocksalt', 5.64), molecule('CH3CH2OH'), Atoms('Al')]
    images += [fcc111('Al', (1, 1, 3)), fcc111('Al', (2, 1, 4), vacuum=5.0)]
    images.append(Atoms('CuZn', positions=[[0, 0, 0], [0, 0, 2.4]], cell=[0, 0, 5.0], pbc=(False, False, True)))
    images.append(Atoms('Al2', positions=[[0, 0, 0], [0, 0, 9.5]], cell=[20, 20, 20], pbc=True))
    skew = bulk('Al', cubic=True)
    skew.set_cell(np.array([[1, 0, 0], [7, 1, 0], [3, 5, 1]]) @ skew.cell.array)
    images.append(skew)
    for size in (1, 2, 3, 5, 40):
        image = Atoms(numbers=rng.choice([1, 8, 13], size), positions=20 * rng.random((size, 3)), pbc=True)
        image.set_cell(np.eye(3) * (3 + size / 5) + rng.normal(size=(3, 3)))
        images.append(image)
    mirrored = bulk('Mg')
    mirrored.set_cell(mirrored.cell.array[[1, 0, 2]])
    return [*images, mirrored]


@pytest.fixture
def zoo() -> LabelledStructures:
    """Return the zoo as a set."""
    return LabelledStructures.from_atoms(_zoo(), require_labels=False)


@pytest.mark.parametrize('cutoff', [2.0, 3.0, 6.0, 10.0])
def test_distances_are_those_of_ase(zoo: LabelledStructures, cutoff: float) -> None:
    """The distance to the nearest atom is that of ``ase.neighborlist``, whatever cell and boundary conditions are."""
    expected = []
    for image in _zoo():
        first, distances = neighbor_list('id', image, cutoff)
        nearest = np.full(len(image), np.inf)
        np.minimum.at(nearest, first, distances)
        expected.append(nearest)
    np.testing.assert_allclose(nearest_neighbours(zoo, cutoff).distances, np.concatenate(expected), atol=1e-9)


def test_closest_contact_is_that_of_all_pairs(zoo: LabelledStructures) -> None:
    """The smallest ratio of distance and covalent radii is found, with the atoms and the distance it belongs to."""
    found = nearest_neighbours(zoo, 3.0, contact_fraction=1.2)
    for row, image in enumerate(_zoo()):
        first, second, distances = neighbor_list('ijd', image, 8.0)
        radii = covalent_radii[image.numbers]
        ratios = distances / (radii[first] + radii[second])
        if len(ratios) == 0 or ratios.min() >= 1.2:
            assert np.isinf(found.contact_ratios[row])
            continue
        assert found.contact_ratios[row] == pytest.approx(ratios.min())
        a, b = found.contact_atoms[row]
        assert found.contact_distances[row] == pytest.approx(found.contact_ratios[row] * (radii[a] + radii[b]))
        assert np.any((first == a) & (second == b) & np.isclose(distances, found.contact_distances[row]))


def test_large_structures_go_in_blocks(zoo: LabelledStructures, monkeypatch: pytest.MonkeyPatch) -> None:
    """A structure of more pairs than fit into one array gives the same result in blocks."""
    whole = nearest_neighbours(zoo, 6.0, contact_fraction=1.2)
    monkeypatch.setattr(neighbours, 'MAX_PAIRS', 7)
    parts = nearest_neighbours(zoo, 6.0, contact_fraction=1.2)
    np.testing.assert_allclose(parts.distances, whole.distances)
    np.testing.assert_allclose(parts.contact_ratios, whole.contact_ratios)


def test_flat_cells_have_no_images(make_set) -> None:
    """Linearly dependent cell vectors, or nearly, are recognised, and atoms in the cell still have distances."""
    cells = np.tile(np.eye(3) * 4.05, (3, 1, 1))
    cells[1, 2] = cells[1, 0] + cells[1, 1] + [0, 0, 0.02]
    cells[2, 1] = 2 * cells[2, 0]
    structures = make_set(3, cells=cells, pbc=np.array([[1, 1, 1], [1, 1, 1], [1, 1, 0]], dtype=bool))
    found = nearest_neighbours(structures, 6.0)
    assert found.lattices.flat.tolist() == [False, True, True]
    assert np.isfinite(found.distances).all()
