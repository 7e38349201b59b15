"""What is known of candidates before the job runs."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.selection.candidates import describe_candidates, selection_problem
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters


@pytest.fixture
def pool(make_atoms):
    """Return six structures of aluminium, copper, and both, of two sources and none."""
    atoms = make_atoms(6, labelled=False)
    for number, image in enumerate(atoms):
        image.symbols = [*['Al', 'Cu', 'Al', 'Cu'][: len(image)]] if number % 3 == 0 else ['Cu'] * len(image)
    atoms[5].symbols = ['Al'] * len(atoms[5])
    structures = LabelledStructures.from_atoms(atoms, require_labels=False)
    forces = np.zeros((structures.n_atoms, 3))
    sources = np.array(['a', 'a', 'b', 'b', '', ''])
    return structures.replace(sources=sources, energy=np.array([0.0, -3, -1, -2, -4, 9]), forces=forces)


def describe(pool, **stated):
    """Describe a pool that is stored in two parts."""
    parameters = SelectParameters.model_validate({'max_structures': 3, **stated})
    return describe_candidates([pool.take(range(2)), pool.take(range(2, 6))], parameters)


def test_nothing_is_asked_for(pool):
    """Without lists and quotas nothing is kept, and all belong to one group."""
    candidates = describe(pool)
    assert candidates.fingerprints.tolist() == pool.fingerprints.tolist()
    assert not candidates.keep.any()
    assert not candidates.strata.any()
    assert candidates.shares == ()


def test_what_is_named_is_kept(pool):
    """Names and fingerprints of geometries both count."""
    fingerprint = pool.fingerprints[4].decode()
    kept = describe(pool, keep_names=[pool.names[2]], keep_fingerprints=[fingerprint]).keep
    assert np.flatnonzero(kept).tolist() == [2, 4]


def test_names_that_are_not_there_are_refused(pool):
    """A misspelt name is not ignored."""
    with pytest.raises(InputError, match='`keep_names` has `x` and 1 more, which is not in the pool'):
        describe(pool, keep_names=['x', 'y', pool.names[0]])
    with pytest.raises(InputError, match='`keep_fingerprints` has `0'):
        describe(pool, keep_fingerprints=['0' * 32])


def test_the_lowest_energy_of_each_composition(pool):
    """Per atom, and whatever the size of the cell: compositions are reduced."""
    kept = np.flatnonzero(describe(pool, keep=['lowest_energy']).keep).tolist()
    per_atom = pool.energy / pool.sizes
    groups = ([0, 3], [1, 2, 4], [5])
    assert kept == sorted(min(group, key=per_atom.__getitem__) for group in groups)


def test_the_lowest_energy_needs_energies(pool):
    """Without labels there is no lowest energy."""
    with pytest.raises(InputError, match='the pool has no energies'):
        describe(pool.replace(energy=None), keep=['lowest_energy'])


def test_groups_by_elements(pool):
    """The groups are the chemical systems, and their parts those of the pool."""
    candidates = describe(pool, quota_by='elements')
    assert candidates.groups == ('Al', 'Al-Cu', 'Cu')
    assert candidates.strata.tolist() == [1, 2, 2, 1, 2, 0]
    assert candidates.shares == (1.0, 2.0, 3.0)


def test_groups_by_source(pool):
    """Structures without a source are a group of their own; with atoms as budget the parts are those of the atoms."""
    candidates = describe(pool, max_structures=None, max_atoms=9, quota_by='source')
    assert candidates.groups == ('a', 'b', 'none')
    assert candidates.shares == tuple(float(pool.sizes[i : i + 2].sum()) for i in (0, 2, 4))


def test_stated_parts(pool):
    """Each group of the pool needs a number, and no other has one."""
    assert describe(pool, quota_by='source', quotas='equal').shares == (1.0, 1.0, 1.0)
    assert describe(pool, quota_by='source', quotas={'a': 1, 'b': 2, 'none': 0.5}).shares == (1.0, 2.0, 0.5)
    with pytest.raises(InputError, match=r'differ in the group `none`.*a, b, none'):
        describe(pool, quota_by='source', quotas={'a': 1, 'b': 2})


@pytest.mark.parametrize(
    ('stated', 'words'),
    [
        ({'max_structures': 3}, None),
        ({'max_structures': 4}, 'the pool has only 3 structures'),
        ({'max_atoms': 2}, None),
        ({'max_atoms': 1}, '`max_atoms` leaves room for 1 atoms, but the smallest structure of the pool has 2'),
        ({'max_atoms': 10}, 'the pool has only 9 atoms'),
        ({'fraction': 0.1}, '`fraction` leaves room for 1 atoms'),
        ({'fraction': 1.0}, None),
    ],
)
def test_what_a_pool_cannot_give(stated, words):
    """It is said before anything is submitted."""
    problem = selection_problem(SelectParameters.model_validate(stated), np.array([2, 3, 4]))
    assert problem is None if words is None else words in problem
