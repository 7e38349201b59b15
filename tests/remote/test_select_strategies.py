"""In which order candidates are offered, as pure functions of their projections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

NAMES = ('random', 'spread', 'leverage', 'greedy_logdet', 'farthest_point', 'kmeans')


@pytest.fixture(scope='session')
def make_pool(select):
    """Return a function that makes projections of structures of two elements, and fingerprints."""

    def make(n=30, *, seed=0, width=5, folder=None):
        rng = np.random.default_rng(seed)
        counts = {'Al': rng.integers(0, 4, n) + 1, 'Cu': rng.integers(0, 3, n)}
        rows = {element: rng.normal(size=(number.sum(), width)) ** 3 for element, number in counts.items()}
        pool = select.projections.Projections(counts, dict.fromkeys(counts, width), folder=folder)
        for element, array in rows.items():
            half = len(array) // 2
            pool.append(element, array[:half])
            pool.append(element, array[half:])
        fingerprints = [f'{seed:04x}{number:028x}'.encode() for number in rng.permutation(n)]
        return pool, select.projections.Space(pool), fingerprints

    return make


@pytest.fixture(scope='session')
def chosen_by(select, make_pool):
    """Return a function that selects by a strategy, best first."""

    def choose(name, amount, *, in_atoms=False, seed=0, pool=None):
        projections, space, fingerprints = pool or make_pool()
        strategy = select.strategies.make(name, projections, space, fingerprints, seed)
        choice = select.budget.Choice(projections.sizes, amount, in_atoms)
        select.budget.fill(choice, strategy)
        return choice.order

    return choose


@pytest.mark.parametrize('name', NAMES)
@given(amount=st.integers(1, 30), seed=st.integers(0, 2**40))
@settings(max_examples=15, deadline=None)
def test_every_strategy_gives_the_number_and_repeats_itself(chosen_by, name, amount, seed):
    """Any number is reached, none twice, and the same seed gives the same choice in the same order."""
    first = chosen_by(name, amount, seed=seed)
    assert len(first) == len(set(first)) == amount
    assert chosen_by(name, amount, seed=seed) == first


@pytest.mark.parametrize('name', ['random', 'spread', 'leverage', 'kmeans'])
def test_another_seed_draws_otherwise(chosen_by, name):
    """Where a strategy draws, the seed matters."""
    assert len({tuple(chosen_by(name, 10, seed=seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize('name', ['greedy_logdet', 'farthest_point'])
def test_strategies_that_do_not_draw_ignore_the_seed(chosen_by, name):
    """Where nothing is drawn, the seed does not matter."""
    assert chosen_by(name, 10, seed=1) == chosen_by(name, 10, seed=2)


@pytest.mark.parametrize('name', NAMES)
def test_atoms_as_budget(chosen_by, make_pool, name):
    """A number of atoms is never exceeded, and met where the sizes allow it."""
    projections, _, _ = pool = make_pool(n=60)
    assert projections.sizes.min() == 1
    chosen = chosen_by(name, 50, in_atoms=True, pool=pool)
    assert projections.sizes[chosen].sum() == 50


def test_random_draws_do_not_depend_on_the_pool(select):
    """Structures of a part of the pool come in the order that they have in the whole."""
    fingerprints = [f'{number:032x}'.encode() for number in range(50)]
    whole = select.sampling.Random(fingerprints, 3).draws
    part = select.sampling.Random(fingerprints[10:20], 3).draws
    assert np.array_equal(whole[10:20], part)


def test_equal_geometries_draw_differently(select):
    """Copies of one structure are not all taken or all left."""
    assert len(set(select.sampling.uniforms([b'same'] * 9, 0, 'test'))) == 9


@given(
    weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40),
    data=st.data(),
)
@settings(deadline=None)
def test_inclusion_probabilities_meet_the_budget(select, weights, data):
    """The expected cost is the room, nobody is more than certain, and who weighs more is not less likely."""
    weights = np.array(weights)
    costs = np.array(data.draw(st.lists(st.integers(1, 20), min_size=len(weights), max_size=len(weights))))
    room = data.draw(st.integers(1, int(costs.sum())))
    chances = select.sampling.inclusion_probabilities(weights, costs, room)
    assert chances.max() <= 1
    assert (chances * costs).sum() == pytest.approx(room, rel=1e-6)
    order = np.argsort(weights)
    assert np.all(np.diff(chances[order]) >= -1e-12)


@given(chances=st.lists(st.floats(0, 0.999), max_size=40), start=st.floats(0, 0.999999))
@example(chances=[0.5, 0.7689701762637956, 0.5], start=0.5)  # a bound that falls on a whole number
@settings(deadline=None)
def test_systematic_sampling_hits_as_many_as_expected(select, chances, start):
    """The number of hits differs from the sum of the probabilities by less than one."""
    chances = np.array(chances)
    hits = select.sampling.systematic_sample(chances, start).sum()
    assert abs(hits - chances.sum()) < 1 + 1e-9


def test_leverage_is_that_of_a_linear_fit(select, make_pool):
    """It is the trace of the hat matrix over the atoms: all together are as many as there are functions."""
    projections, space, _ = make_pool()
    leverage = select.projections.leverages(projections, space)
    expected = np.zeros(projections.n)
    for element in projections.elements:
        rows = projections.rows(element, 0, projections.n)
        hat = np.einsum('ij,jk,ik->i', rows, np.linalg.pinv(rows.T @ rows), rows)
        owners = np.repeat(np.arange(projections.n), projections.count(element, np.arange(projections.n)))
        np.add.at(expected, owners, hat)
    assert leverage == pytest.approx(expected, rel=1e-2, abs=1e-3)
    assert leverage.sum() == pytest.approx(10, rel=1e-3)


def test_leverage_sampling_is_unbiased(select, make_pool):
    """Over many seeds each structure comes as often as its probability says."""
    projections, space, fingerprints = make_pool()
    leverage = select.projections.leverages(projections, space)
    counts, runs = np.zeros(projections.n), 400
    for seed in range(runs):
        strategy = select.sampling.Leverage(leverage, projections.sizes, fingerprints, seed)
        choice = select.budget.Choice(projections.sizes, 10)
        select.budget.fill(choice, strategy)
        counts[choice.chosen] += 1
    assert np.abs(counts / runs - strategy.probability).max() < 0.1
    assert np.all(counts[strategy.probability == 1] == runs)


def test_a_structure_of_high_leverage_is_certain(select, make_pool):
    """What the fit hangs on is taken whatever the seed."""
    projections, _, fingerprints = make_pool()
    leverage = np.ones(projections.n)
    leverage[7] = 1e3
    for seed in range(10):
        strategy = select.sampling.Leverage(leverage, projections.sizes, fingerprints, seed)
        choice = select.budget.Choice(projections.sizes, 5)
        select.budget.fill(choice, strategy)
        assert choice.order[0] == 7


def test_the_lazy_greedy_is_the_greedy(select, chosen_by, make_pool):
    """Every step takes what raises the log-determinant most per atom, found here by trying all."""
    projections, space, _ = pool = make_pool(n=12)
    chosen, determinant = [], select.projections.log_determinant
    for _ in range(6):
        now = determinant(projections, space, np.array(chosen, dtype=int))
        gains = {
            candidate: (determinant(projections, space, np.array([*chosen, candidate])) - now)
            / projections.sizes[candidate]
            for candidate in set(range(12)) - set(chosen)
        }
        chosen.append(max(gains, key=gains.__getitem__))
    assert chosen_by('greedy_logdet', 6, pool=pool) == chosen


def test_the_inverse_stays_right_over_many_updates(select, make_pool):
    """Updates of the inverse do not drift away from the matrix."""
    projections, space, _ = make_pool(n=120)
    greedy = select.strategies.GreedyLogDeterminant(projections, space)
    for candidate in range(120):
        greedy.add(candidate)
    for element, gram in greedy.gram.items():
        assert greedy.inverse[element] @ gram == pytest.approx(np.eye(len(gram)), abs=1e-6)


def test_farthest_points(select):
    """After the one in the middle comes the one farthest away, and then the one farthest from both."""
    points = np.array([[0.0, 0], [1, 0], [-9, 0], [8, 0], [8, 0.1]])
    ranking = select.strategies.FarthestPoint(points).ranking(np.arange(5), 3, in_atoms=False)
    assert [next(ranking)[0], ranking.send(True)[0], ranking.send(True)[0]] == [0, 2, 4]


def test_every_cluster_is_visited_before_any_twice(select):
    """The first structures come from different clusters."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(10, 2)) * 0.1 + centre for centre in ([0, 0], [9, 0], [0, 9])])
    strategy = select.strategies.KMeans(points, np.ones(30), [b'%d' % i for i in range(30)], 0)
    first = [candidate for candidate, _ in strategy.ranking(np.arange(30), 3, in_atoms=False)][:3]
    assert sorted(candidate // 10 for candidate in first) == [0, 1, 2]


def test_equal_points_make_one_cluster(select):
    """Copies cannot be divided, and do not need to be."""
    members, distances = select.strategies.kmeans(np.ones((6, 3)), 4, 0)
    assert set(members) == {0}
    assert not distances.any()


def test_on_disk_as_in_memory(select, make_pool, tmp_path):
    """Where projections lie makes no difference to anything that is computed of them."""
    here, space, _ = make_pool()
    there, far, _ = make_pool(folder=str(tmp_path / 'rows'))
    for element in here.elements:
        assert np.array_equal(space.gram[element], far.gram[element])
        for one, other in zip(
            here.gather(element, np.arange(3, 9)), there.gather(element, np.arange(3, 9)), strict=True
        ):
            assert np.array_equal(one, other)
    assert np.array_equal(select.projections.leverages(here, space), select.projections.leverages(there, far))
    points = (select.projections.components(rows, basis, 2) for rows, basis in ((here, space), (there, far)))
    assert np.array_equal(*points)
    there.remove()
    assert not (tmp_path / 'rows').exists()


def test_components_are_those_of_the_means(select, make_pool):
    """They are the projections on the directions in which the mean scaled projections vary most."""
    projections, space, _ = make_pool()
    means = np.zeros((projections.n, 10))
    for number, element in enumerate(projections.elements):
        for structure in range(projections.n):
            rows = projections.rows(element, structure, structure + 1) / space.scale[element]
            means[structure, 5 * number : 5 * number + 5] = rows.sum(axis=0) / projections.sizes[structure]
    centred = means - means.mean(axis=0)
    _, values, _ = np.linalg.svd(centred)
    points = select.projections.components(projections, space, 2)
    assert np.linalg.norm(points, axis=0) == pytest.approx(values[:2])
    assert points.T @ points == pytest.approx(np.diag(values[:2] ** 2), abs=1e-8)


def test_a_rank_that_is_too_low_is_seen(select):
    """Two functions that are the same for all atoms leave one dimension less."""
    rows = np.random.default_rng(0).normal(size=(40, 5))
    rows[:, 4] = rows[:, 1]
    pool = select.projections.Projections.from_arrays({'Al': rows}, {'Al': np.full(10, 4)})
    assert select.projections.Space(pool).rank == {'Al': 4}


def test_known_rows_lower_the_leverage_of_what_is_like_them(select, make_pool):
    """Against an active set, what it spans already counts for less, in leverage and in gain."""
    projections, space, _ = make_pool()
    known = {element: 100 * np.eye(5) * space.scale[element] for element in projections.elements}
    after = select.projections.Space(projections, known)
    assert np.all(select.projections.leverages(projections, after) < select.projections.leverages(projections, space))
    before, then = (select.strategies.GreedyLogDeterminant(projections, basis) for basis in (space, after))
    assert all(then.gain(candidate) < before.gain(candidate) for candidate in range(projections.n))


def test_a_spread_draw_is_fair(select, make_pool):
    """Over many seeds every structure comes equally often."""
    projections, space, fingerprints = make_pool()
    counts, runs = np.zeros(projections.n), 400
    for seed in range(runs):
        strategy = select.strategies.make('spread', projections, space, fingerprints, seed)
        choice = select.budget.Choice(projections.sizes, 10)
        select.budget.fill(choice, strategy)
        counts[choice.chosen] += 1
    assert np.abs(counts / runs - strategy.probability).max() < 0.1
    assert strategy.probability == pytest.approx(1 / 3)


def test_a_spread_draw_takes_of_everything(select):
    """However small a group of alike structures is, its part of the draw is met to less than one structure."""
    rng = np.random.default_rng(0)
    sizes = (40, 20, 10, 10)
    groups = np.repeat(np.arange(4), sizes)
    points = rng.normal(size=(80, 3)) + 50 * np.eye(4, 3)[groups]
    fingerprints = [b'%032x' % number for number in rng.permutation(80)]
    for seed in range(10):
        strategy = select.sampling.Spread(points, np.ones(80, dtype=int), fingerprints, seed)
        choice = select.budget.Choice(np.ones(80), 16)
        select.budget.fill(choice, strategy)
        taken = np.bincount(groups[choice.order], minlength=4)
        assert np.abs(taken - np.array(sizes) / 5).max() <= 1
