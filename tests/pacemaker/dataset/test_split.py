"""Division into training and test set."""

from __future__ import annotations

import ase
import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset.split import check_disjoint, mask_of_test_set, split_structures
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


def atoms_at(*places: float) -> LabelledStructures:
    """Return one dimer for each distance, without labels."""
    images = [ase.Atoms('Al2', positions=[[0, 0, 0], [0, 0, place]]) for place in places]
    return LabelledStructures.from_atoms(images, require_labels=False)


MANY = 2.0 + 0.001 * np.arange(2000)


def test_no_structure_changes_sides_when_data_are_added() -> None:
    """Adding, removing or reordering structures leaves all others where they were."""
    whole = atoms_at(*MANY)
    mask = mask_of_test_set(whole, 0.2, 1)
    rows = np.random.default_rng(0).permutation(len(whole))[:300]
    np.testing.assert_array_equal(mask_of_test_set(whole.take(rows), 0.2, 1), mask[rows])


def test_copies_are_on_the_same_side() -> None:
    """Copies with other names, labels and rounding stand on one side."""
    twice = atoms_at(*MANY[:200], *(MANY[:200] + 1e-9))
    mask = mask_of_test_set(twice, 0.5, 3)
    np.testing.assert_array_equal(mask[:200], mask[200:])
    check_disjoint(*split_structures(twice, 0.5, 3))


@pytest.mark.parametrize('fraction', [0.1, 0.5])
def test_fraction_is_met_on_average(fraction: float) -> None:
    """The number of test structures lies within five standard deviations of the expected one."""
    n = len(MANY)
    count = mask_of_test_set(atoms_at(*MANY), fraction, 0).sum()
    assert abs(count - n * fraction) < 5 * np.sqrt(n * fraction * (1 - fraction))


def test_seeds_are_independent() -> None:
    """Two seeds agree on as many structures as chance would have it."""
    structures = atoms_at(*MANY)
    both = (mask_of_test_set(structures, 0.5, 1) & mask_of_test_set(structures, 0.5, 2)).sum()
    assert abs(both - len(MANY) / 4) < 5 * np.sqrt(len(MANY) * 3 / 16)


def test_larger_fraction_holds_the_smaller_one() -> None:
    """A larger test set of the same seed contains the smaller one, so test errors stay comparable."""
    structures = atoms_at(*MANY)
    small, large = (mask_of_test_set(structures, fraction, 5) for fraction in (0.1, 0.3))
    assert not np.any(small & ~large)


def test_both_sides_make_up_the_whole(mixed: LabelledStructures) -> None:
    """Every structure is on exactly one side, with its labels."""
    seed = next(s for s in range(20) if 0 < mask_of_test_set_or_none(mixed, s) < 4)
    training, test = split_structures(mixed, 0.5, seed)
    assert sorted([*training.names, *test.names]) == sorted(mixed.names)
    assert training.forces is not None
    assert test.stress is not None


def mask_of_test_set_or_none(structures: LabelledStructures, seed: int) -> int:
    """Return the size of the test set, 0 where one side would be empty."""
    try:
        return int(mask_of_test_set(structures, 0.5, seed).sum())
    except DatasetError:
        return 0


@pytest.mark.parametrize('fraction', [0.0, 1.0, -0.1, 1.1, float('nan')])
def test_fraction_out_of_range(fraction: float) -> None:
    """A fraction that leaves a side empty by intention, or is none, is refused."""
    with pytest.raises(DatasetError, match='has to lie between 0 and 1'):
        mask_of_test_set(atoms_at(2.0, 3.0), fraction, 0)


def test_empty_sides_are_refused() -> None:
    """A side that is empty by chance is an error, which says which one and what to change."""
    with pytest.raises(DatasetError, match='puts none of the 2 structures into the test set'):
        mask_of_test_set(atoms_at(2.0, 3.0), 1e-9, 0)
    with pytest.raises(DatasetError, match='leaves nothing to train on'):
        mask_of_test_set(atoms_at(2.0, 3.0), 1 - 1e-9, 0)


def test_common_structures_are_named() -> None:
    """A structure in both sets is an error that names it."""
    training, test = atoms_at(2.0, 3.0), atoms_at(3.0, 4.0)
    with pytest.raises(DatasetError, match=f'1 structures of the training set .*`{training.names[1]}`'):
        check_disjoint(training, test)
    with pytest.raises(DatasetError, match='nothing is left to train on'):
        check_disjoint(training, training)
