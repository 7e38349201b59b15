"""What makes two structures the same."""

from __future__ import annotations

import io

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk

from aiida_autopipec.pacemaker.dataset.compare import Pairs
from aiida_autopipec.pacemaker.dataset.fingerprint import content_hash
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


def crystals(n: int = 30) -> list[ase.Atoms]:
    """Return rattled and strained crystals of 32 atoms, so about a hundred coordinates each."""
    rng = np.random.default_rng(3)
    images = []
    for _ in range(n):
        image = bulk('Al', cubic=True).repeat(2)
        image.set_cell(image.cell.array * (1 + 0.02 * rng.normal(size=(3, 3))), scale_atoms=True)
        image.rattle(0.1, rng=rng)
        images.append(image)
    return images


def fingerprints(images: list[ase.Atoms]) -> list[bytes]:
    """Return the fingerprints of structures without labels."""
    return LabelledStructures.from_atoms(images, require_labels=False).fingerprints.tolist()


def test_copy_through_extxyz_is_the_same_structure() -> None:
    """Every structure has the same fingerprint after eight decimals of a text file, not only most of them."""
    images = crystals()
    buffer = io.StringIO()
    ase.io.write(buffer, images, format='extxyz')
    buffer.seek(0)
    assert fingerprints(ase.io.read(buffer, ':', format='extxyz')) == fingerprints(images)


def test_noise_of_the_machine_does_not_count() -> None:
    """Rounding errors of arithmetic, as from fractional coordinates, do not make another structure."""
    images = crystals()
    moved = [image.copy() for image in images]
    for image in moved:
        image.set_scaled_positions(image.get_scaled_positions(wrap=False))
    assert fingerprints(moved) == fingerprints(images)


def test_sign_of_zero_does_not_count() -> None:
    """-0.0 and 0.0 are the same place."""
    plus, minus = bulk('Al'), bulk('Al')
    minus.positions *= -0.0
    minus.cell[0, 0] *= -0.0
    assert fingerprints([plus]) == fingerprints([minus])


@pytest.mark.parametrize('change', ['order', 'position', 'element', 'pbc', 'cell', 'origin'])
def test_what_makes_another_structure(change: str) -> None:
    """Order of atoms, places, elements, cell, origin and boundary conditions count."""
    image = bulk('CuAl', 'rocksalt', 5.0)
    other = image.copy()
    if change == 'order':
        other = other[[1, 0]]
    elif change == 'position':
        other.positions[0, 0] += 1e-4
    elif change == 'element':
        other.numbers[0] = 28
    elif change == 'pbc':
        other.pbc[2] = False
    elif change == 'cell':
        other.cell[0, 1] += 1e-4
    else:
        other.positions += 0.5
    assert fingerprints([image]) != fingerprints([other])
    both = LabelledStructures.from_atoms([image, other], require_labels=False)
    assert not Pairs(both, np.array([0]), both, np.array([1])).same_geometry().any()


def test_same_geometry_is_what_has_equal_fingerprints() -> None:
    """What the hash rounds away is rounded away in the comparison, too; fewer atoms are another structure."""
    images = crystals(2)
    shaken = images[0].copy()
    shaken.positions += 1e-9
    structures = LabelledStructures.from_atoms([*images, shaken, images[0][:-1]], require_labels=False)
    pairs = Pairs(structures, np.zeros(4, dtype=int), structures, np.arange(4))
    assert pairs.same_geometry().tolist() == [True, False, True, False]
    assert [mark == structures.fingerprints[0] for mark in structures.fingerprints] == [True, False, True, False]


def grid(n: int, atoms: int, values: np.ndarray, rng: np.random.Generator) -> LabelledStructures:
    """Return structures whose coordinates and labels are few short numbers, in every arrangement that chance finds."""
    shape = (n * atoms, 3)
    return LabelledStructures(
        numbers=rng.choice([13, 29], n * atoms),
        positions=rng.choice(values, shape),
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), dtype=bool),
        offsets=np.arange(n + 1) * atoms,
        energy=rng.choice(values, n),
        forces=rng.choice(values, shape),
        names=np.array([str(row) for row in range(n)]),
    )


@pytest.mark.parametrize('step', [1e-6, 0.25, 1.0, 2.0**20])
def test_no_two_of_many_regular_structures_have_one_hash(step: float) -> None:
    """Structures of a lattice differ by few bits in few places, the worst for a hash that is a sum."""
    structures = grid(100_000, 4, step * np.arange(-2, 3), np.random.default_rng(1))
    shape = (len(structures), -1)
    geometry = np.concatenate([structures.numbers.reshape(shape), structures.positions.reshape(shape)], axis=1)
    assert len(set(structures.fingerprints.tolist())) == len(np.unique(geometry, axis=0))

    labels = np.concatenate([structures.forces.reshape(shape), structures.energy.reshape(shape)], axis=1)
    same = structures.replace(numbers=np.full(400_000, 13), positions=np.zeros((400_000, 3)))
    assert len(set(same.fingerprints.tolist())) == 1
    assert len(set(same.digests.tolist())) == len(np.unique(labels, axis=0))


def test_exchanged_labels_are_other_content() -> None:
    """A sum does not care for the order of its terms; the hash has to."""
    image = crystals(1)[0]
    n = len(image)
    forces = np.zeros((n, 3))
    forces[0] = [0.5, -0.25, 1.0]
    structures = LabelledStructures.from_atoms([image] * n, require_labels=False)
    moved = np.concatenate([np.roll(forces, row, axis=0) for row in range(n)])
    swapped = np.concatenate([np.roll(forces, row % 3, axis=1) for row in range(n)])
    assert len(set(structures.replace(energy=np.zeros(n), forces=moved).digests.tolist())) == n
    assert len(set(structures.replace(energy=np.zeros(n), forces=swapped).digests.tolist())) == 3


def test_half_of_all_bits_change() -> None:
    """Of a coordinate that moves by one step, half of the digits of the hash change, wherever it stands."""
    image = crystals(1)[0]
    images = [image]
    for atom in range(len(image)):
        for axis in range(3):
            images.append(image.copy())
            images[-1].positions[atom, axis] += 2e-6
    hashes = [int(mark, 16) for mark in fingerprints(images)]
    changed = np.array([[(hashes[0] ^ other) >> bit & 1 for bit in range(128)] for other in hashes[1:]])
    assert 0.4 < changed.mean() < 0.6
    assert changed.mean(axis=0).min() > 0.2


def test_hashes_stay_what_they_are() -> None:
    """Names, splits and stored indices are made of them: another version, or machine, gives the same."""
    images = [bulk('Al', cubic=True), bulk('CuAl', 'rocksalt', 5.0)]
    structures = LabelledStructures.from_atoms(images, require_labels=False)
    assert structures.fingerprints.tolist() == [
        b'5f63875510b46c9049dc5229b325cf83',
        b'768edebd3267e3c8e3764b407baae85f',
    ]
    assert structures.content_hash == 'eaf005f4aa9ccaa35c15305206f9c999a2dd975b'


def test_labels_and_names_do_not_count(mixed: LabelledStructures) -> None:
    """The fingerprint is of the geometry alone."""
    other = mixed.replace(energy=mixed.energy + 1, names=['p', 'q', 'r', 's'])
    np.testing.assert_array_equal(other.fingerprints, mixed.fingerprints)


def test_fingerprint_does_not_depend_on_neighbours_in_the_set(mixed: LabelledStructures) -> None:
    """Each structure is hashed by itself."""
    np.testing.assert_array_equal(mixed.take([2, 0]).fingerprints, mixed.fingerprints[[2, 0]])


def test_content_hash_does_not_depend_on_the_division(mixed: LabelledStructures) -> None:
    """However rows are divided into parts, equal rows in equal order have one hash."""
    whole = mixed.content_hash
    for division in ([[0], [1, 2], [3]], [[0, 1, 2], [3]]):
        parts = [mixed.take(rows) for rows in division]
        assert content_hash((part.digests, part.names) for part in parts) == whole
    assert mixed.take([1, 0, 2, 3]).content_hash != whole


def test_where_a_name_ends_counts(mixed: LabelledStructures) -> None:
    """The same letters divided into other names are other content."""
    first, second = (mixed.take([0, 1]).replace(names=names) for names in (['ab', 'c'], ['a', 'bc']))
    assert first.content_hash != second.content_hash


def test_the_last_bit_of_a_position_counts(mixed: LabelledStructures) -> None:
    """Two positions with the same fingerprint that differ in one bit are other content, whatever atom and axis."""
    for atom in range(mixed.n_atoms):
        for axis in range(3):
            positions = mixed.positions.copy()
            positions[atom, axis] = np.nextafter(positions[atom, axis], np.inf)
            changed = mixed.replace(positions=positions)
            assert changed.fingerprints.tolist() == mixed.fingerprints.tolist()
            assert (changed.digests != mixed.digests).sum() == 1


def test_division_between_atoms_of_structures_counts() -> None:
    """The same atoms divided into other structures are other content."""
    atoms = [ase.Atoms('Al', positions=[[x, 0, 0]]) for x in (0.0, 3.0, 6.0)]
    names = ['a', 'b']
    first = LabelledStructures.from_atoms([atoms[0] + atoms[1], atoms[2]], names=names, require_labels=False)
    second = LabelledStructures.from_atoms([atoms[0], atoms[1] + atoms[2]], names=names, require_labels=False)
    assert first.content_hash != second.content_hash
