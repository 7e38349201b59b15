"""How much is taken: exactly what was asked for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=30)


class InOrder:
    """A strategy that offers candidates in a given order."""

    def __init__(self, order):
        self.order = order

    def ranking(self, among, room, in_atoms):
        """Offer what is among them."""
        inside = set(among.tolist())
        for candidate in self.order:
            if candidate in inside:
                yield candidate, 1


@given(counts=st.dictionaries(st.integers(1, 9), st.integers(0, 3), max_size=4), room=st.integers(0, 40))
@settings(deadline=None)
def test_the_largest_total_is_that_of_all_ways_to_add_up(select, counts, room):
    """No other choice of costs comes nearer to the room."""
    ways = itertools.product(*(range(count + 1) for count in counts.values()))
    totals = [sum(cost * used for cost, used in zip(counts, way, strict=True)) for way in ways]
    assert select.budget.largest_total(counts, room) == max(total for total in totals if total <= room)


@given(sizes=SIZES, data=st.data())
@settings(deadline=None)
def test_exactly_as_many_structures_as_asked_for(select, sizes, data):
    """Any number up to the size of the pool is reached, and no structure comes twice."""
    amount = data.draw(st.integers(1, len(sizes)))
    choice = select.budget.Choice(sizes, amount)
    select.budget.fill(choice, InOrder(data.draw(st.permutations(range(len(sizes))))))
    assert len(choice.order) == len(set(choice.order)) == amount == int(choice.chosen.sum())


@given(sizes=SIZES, data=st.data())
@settings(deadline=None)
def test_as_many_atoms_as_asked_for(select, sizes, data):
    """Atoms never exceed the number; what is left unused is too little for any completion by what was not taken."""
    amount = data.draw(st.integers(1, sum(sizes)))
    choice = select.budget.Choice(sizes, amount, in_atoms=True)
    select.budget.fill(choice, InOrder(data.draw(st.permutations(range(len(sizes))))))
    left = amount - choice.used
    free = choice.sizes[~choice.chosen].tolist()
    assert left >= 0
    assert select.budget.largest_total({size: free.count(size) for size in free}, left) == 0


@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=20), amount=st.integers(1, 60))
@settings(deadline=None)
def test_single_atoms_complete_any_number(select, sizes, amount):
    """Where there are enough structures of one atom, the number of atoms is met exactly."""
    pool = [*sizes, *[1] * 60]
    choice = select.budget.Choice(pool, amount, in_atoms=True)
    select.budget.fill(choice, InOrder(range(len(pool))))
    assert choice.used == amount


def test_the_best_is_taken_while_there_is_room(select):
    """The order of the strategy decides, but for the last few that complete the number."""
    choice = select.budget.Choice([4] * 20 + [3], 43, in_atoms=True)
    select.budget.fill(choice, InOrder(range(21)))
    assert choice.order == [*range(10), 20]


@given(amount=st.integers(0, 200), shares=st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
@settings(deadline=None)
def test_parts_add_up(select, amount, shares):
    """The parts are whole numbers that differ from the exact ones by less than one and add up to the whole."""
    parts = select.budget.allot(amount, shares)
    assert sum(parts) == amount
    exact = amount * np.array(shares) / sum(shares)
    assert np.all(np.abs(np.array(parts) - exact) < 1 + 1e-9)


def test_each_group_gets_its_part(select):
    """With quotas the groups get equal numbers, although the strategy would take all from one."""
    strata = np.array([0] * 10 + [1] * 10)
    choice = select.budget.Choice([2] * 20, 6)
    select.budget.fill(choice, InOrder(range(20)), strata, [1, 1])
    assert choice.order == [0, 1, 2, 10, 11, 12]


def test_what_a_group_cannot_give_goes_to_the_others(select):
    """The number is reached although one group is smaller than its part."""
    strata = np.array([0] * 10 + [1] * 2)
    choice = select.budget.Choice([1] * 12, 8)
    select.budget.fill(choice, InOrder(range(12)), strata, [1, 1])
    assert choice.order == [0, 1, 2, 3, 10, 11, 4, 5]


def test_what_is_kept_counts(select):
    """Structures that are taken in any case come first, in round 0, and are part of the number and of their group."""
    strata = np.array([0] * 5 + [1] * 5)
    choice = select.budget.Choice([1] * 10, 4)
    select.budget.keep(choice, [4])
    select.budget.fill(choice, InOrder(range(10)), strata, [1, 1])
    assert choice.order == [4, 0, 5, 6]
    assert choice.rounds[4] == 0
    assert choice.rounds[0] == 1
    assert choice.rounds[9] == -1


def test_keeping_more_than_asked_for_is_refused(select):
    """The message has both numbers."""
    choice = select.budget.Choice([5, 5, 5], 9, in_atoms=True)
    with pytest.raises(select.budget.UnfulfillableError, match='10 atoms, but only 9'):
        select.budget.keep(choice, [0, 1])


def test_without_a_number_everything_offered_is_taken(select):
    """Where no number is stated the strategy decides."""
    choice = select.budget.Choice([1] * 5, None)
    select.budget.fill(choice, InOrder([3, 1]))
    assert choice.order == [3, 1]
