"""How a pool is divided, and what its parts are asked for so that the whole comes out exactly."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.selection.candidates import Candidates
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.parts import divide_pool, last_settings, small_structures


class Pool:
    """Candidates without structures: hashes, names, sizes, groups, and which are taken in any case."""

    def __init__(self, n, *, groups=1, kept=0, seed=0, quotas=None):
        rng = np.random.default_rng(seed)
        self.sizes = rng.integers(1, 9, n)
        self.names = np.array([f's{number:04d}' for number in range(n)])
        self.kept = np.zeros(n, dtype=bool)
        self.kept[rng.permutation(n)[:kept]] = True
        fingerprints = np.array([b'%032x' % number for number in rng.permutation(n)])
        strata = rng.integers(0, groups, n)
        names = tuple(f'g{number}' for number in range(groups)) if groups > 1 else ()
        shares = tuple(np.bincount(strata, weights=self.sizes, minlength=groups).tolist()) if groups > 1 else ()
        self.candidates = Candidates(fingerprints, self.kept, strata, names, quotas or shares)

    def divide(self, n_parts, **stated):
        """Divide."""
        parameters = SelectParameters.model_validate(stated)
        return divide_pool(self.candidates, self.names, self.sizes, parameters, kept=self.kept, n_parts=n_parts)

    def offered(self, parts, key):
        """Return how much the parts and what is kept offer at least: the largest structure may not fit any more."""
        costs = self.sizes if key == 'max_atoms' else np.ones_like(self.sizes)
        total = int(costs[self.kept].sum())
        for part in parts:
            whole = int(costs[part.rows].sum())
            asked = whole if part.settings is None else part.settings[key]
            spare = int(self.sizes[part.rows].max()) - 1 if key == 'max_atoms' and asked < whole else 0
            total += min(asked, whole) - spare
        return total


@given(
    n=st.integers(2, 80),
    n_parts=st.integers(1, 9),
    part=st.floats(0.01, 1.0),
    key=st.sampled_from(['max_structures', 'max_atoms']),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=200)
def test_the_parts_are_the_pool_and_offer_enough(n, n_parts, part, key, seed):
    """Every structure is in one part, sizes are alike, and all offers together are no less than what is asked for."""
    pool = Pool(n, seed=seed)
    total = int(pool.sizes.sum()) if key == 'max_atoms' else n
    amount = max(int(part * total), int(pool.sizes.max()) if key == 'max_atoms' else 1)
    parts = pool.divide(n_parts, **{key: amount})
    rows = np.concatenate([one.rows for one in parts])
    assert sorted(rows.tolist()) == list(range(n))
    atoms = [int(pool.sizes[one.rows].sum()) for one in parts]
    if len(parts) == n_parts:
        assert max(atoms) - min(atoms) <= 2 * pool.sizes.max()
    assert pool.offered(parts, key) >= amount
    for one in parts:
        if one.settings is not None:
            SelectParameters.model_validate(one.settings)


@given(n_parts=st.integers(1, 5), amount=st.integers(12, 60), groups=st.integers(2, 4), seed=st.integers(0, 50))
@settings(deadline=None, max_examples=100)
def test_each_group_offers_its_share(n_parts, amount, groups, seed):
    """With quotas, the parts together offer as much of each group as the quota says, or all that it has."""
    pool = Pool(60, groups=groups, seed=seed, quotas=(1.0,) * groups)
    parts = pool.divide(n_parts, max_structures=amount, quota_by='source', quotas='equal')
    offered = np.zeros(groups)
    for part in parts:
        there = np.bincount(pool.candidates.strata[part.rows], minlength=groups)
        if part.settings is None:
            offered += there
        else:
            assert part.settings['max_structures'] == round(sum(part.settings['quotas'].values()))
            offered += [part.settings['quotas'].get(f'g{group}', 0.0) for group in range(groups)]
    there = np.bincount(pool.candidates.strata, minlength=groups)
    assert np.all(offered >= np.minimum(amount // groups, there) - 1e-3)


def test_the_order_of_the_pool_plays_no_part():
    """The same structures in another order are divided alike."""
    pool = Pool(50)
    order = np.random.default_rng(1).permutation(50)
    before = [set(pool.names[part.rows]) for part in pool.divide(4, max_structures=9)]
    pool.candidates = Candidates(pool.candidates.fingerprints[order], pool.kept, pool.candidates.strata)
    pool.names, pool.sizes = pool.names[order], pool.sizes[order]
    assert [set(pool.names[part.rows]) for part in pool.divide(4, max_structures=9)] == before


def test_parts_offer_about_twice_their_share():
    """The union is small beside the pool, or a selection in parts would save nothing."""
    parts = Pool(400).divide(4, max_structures=40)
    assert sum(part.settings['max_structures'] for part in parts) == pytest.approx(80, abs=4)


def test_what_is_kept_is_in_no_part():
    """It takes part in the last selection whatever the parts offer, and counts."""
    pool = Pool(100, kept=10)
    parts = pool.divide(3, max_structures=30, keep=['dimers'], keep_names=['s0001'])
    assert not pool.kept[np.concatenate([part.rows for part in parts])].any()
    assert sum(part.settings['max_structures'] for part in parts) == pytest.approx(40, abs=3)
    assert not {'keep', 'keep_names'} & set(parts[0].settings)


def test_nothing_is_left_to_divide():
    """Where everything is kept, there are no parts."""
    assert Pool(5, kept=5).divide(3, max_structures=5) == []


def test_other_settings_are_those_of_the_whole():
    """Strategy, seed and limits hold in each part; without a number there is none in the parts."""
    (part,) = Pool(30).divide(1, strategy='leverage', seed=3, memory_limit='2GB', fraction=0.1)
    assert part.settings['strategy'] == 'leverage'
    assert (part.settings['seed'], part.settings['memory_limit']) == (3, '2GB')
    assert 'fraction' not in part.settings
    (part,) = Pool(30).divide(1)
    assert part.settings == {}


def test_no_part_is_refused():
    """The message says what the number has to be."""
    with pytest.raises(InputError, match='at least 1'):
        Pool(5).divide(0, max_structures=1)


def test_numbers_of_the_last_selection_are_those_of_the_pool():
    """A fraction is one of the atoms of the pool, and shares are those of the pool, of groups that are left."""
    pool = Pool(100, groups=3)
    offered = pool.candidates.strata != 1
    parameters = SelectParameters(fraction=0.2, quota_by='elements', keep_names=('s0001',), seed=4)
    last = last_settings(pool.candidates, pool.sizes, parameters, offered)
    assert last['max_atoms'] == int(0.2 * pool.sizes.sum())
    assert last['quotas'] == {f'g{group}': pool.candidates.shares[group] for group in (0, 2)}
    assert last['keep_names'] == ['s0001']
    assert SelectParameters.model_validate(last).seed == 4
    few = np.zeros(100, dtype=bool)
    few[:3] = True
    assert last_settings(pool.candidates, pool.sizes, SelectParameters(max_structures=9), few)['max_structures'] == 3


def test_small_structures_are_found_by_their_neighbours():
    """An isolated atom sees nothing, a dimer one other atom, and a crystal of one atom its own images."""
    images = [
        Atoms('Al', positions=[[0, 0, 0]]),
        Atoms('Al2', positions=[[0, 0, 0], [0, 0, 2.5]]),
        Atoms('Al2', positions=[[0, 0, 0], [0, 0, 9.0]]),
        bulk('Al'),
        bulk('Al', cubic=True),
        Atoms('Al', positions=[[0, 0, 0]], cell=[20, 20, 20], pbc=True),
    ]
    part = LabelledStructures.from_atoms(images, require_labels=False)
    found = {kind: next(iter(small_structures([part], [kind], 6.0))).tolist() for kind in ('isolated_atoms', 'dimers')}
    assert found['isolated_atoms'] == [True, False, True, False, False, True]
    assert found['dimers'] == [False, True, False, False, False, False]
    assert not next(iter(small_structures([part], ['lowest_energy'], 6.0))).any()
