"""How many structures are taken, and which places are reserved: exactly what was asked for, whatever the strategy.

Part of ``select_structures.py``; needs numpy only.
"""

import numpy as np

KEPT = 0  # the round of structures that are taken in any case


class UnfulfillableError(ValueError):
    """The pool or the budget cannot give what was asked for."""


class Choice:
    """What is chosen so far, and the room that is left.

    :param sizes: ``(n,)`` atoms of each candidate.
    :param amount: structures or atoms to choose; ``None``: as many as the strategy offers.
    :param in_atoms: whether the amount is one of atoms.
    """

    def __init__(self, sizes, amount, in_atoms=False):
        self.sizes = np.asarray(sizes, dtype=np.int64)
        self.in_atoms = in_atoms
        self.costs = self.sizes if in_atoms else np.ones_like(self.sizes)
        self.amount = amount
        self.chosen = np.zeros(len(self.sizes), dtype=bool)
        self.order = []
        self.rounds = np.full(len(self.sizes), -1, dtype=np.int64)

    @property
    def used(self):
        """Structures or atoms that are chosen."""
        return int(self.costs[self.chosen].sum())

    @property
    def free(self):
        """Candidates that are not chosen, ascending."""
        return np.flatnonzero(~self.chosen)

    def take(self, candidate, number):
        """Choose a candidate in a round."""
        self.chosen[candidate] = True
        self.order.append(int(candidate))
        self.rounds[candidate] = number


def keep(choice, candidates):
    """Choose what is taken in any case.

    :raises UnfulfillableError: if it is more than the amount.
    """
    for candidate in sorted(candidates):
        choice.take(candidate, KEPT)
    if choice.amount is not None and choice.used > choice.amount:
        raise UnfulfillableError(
            'the structures to keep are %d %s, but only %d may be selected: raise the budget, or keep fewer'
            % (choice.used, 'atoms' if choice.in_atoms else 'structures', choice.amount)
        )


def fill(choice, strategy, strata=None, shares=None):
    """Choose until the amount is reached or the strategy has no more to offer.

    :param strategy: has ``ranking(among, room, in_atoms)``, a generator of ``(candidate, round)``, best first, which is
        sent whether the candidate was taken.
    :param strata: ``(n,)`` number of the stratum of each candidate.
    :param shares: the part of the amount that each stratum gets, by its number. What a stratum cannot give goes to all.
    """
    if strata is not None and choice.amount is not None:
        rooms = allot(choice.amount, shares)
        for number, room in enumerate(rooms):
            members = strata == number
            left = room - int(choice.costs[choice.chosen & members].sum())
            left = min(left, choice.amount - choice.used)
            _fill(choice, strategy, np.flatnonzero(members & ~choice.chosen), left)
    room = None if choice.amount is None else choice.amount - choice.used
    _fill(choice, strategy, choice.free, room)


def allot(amount, shares):
    """Divide an amount in whole numbers by shares: rounded down, the rest to the largest remainders."""
    shares = np.asarray(shares, dtype=np.float64)
    exact = amount * shares / shares.sum()
    whole = np.floor(exact).astype(np.int64)
    order = np.lexsort((np.arange(len(shares)), -(exact - whole)))
    whole[order[: amount - int(whole.sum())]] += 1
    return whole.tolist()


def _fill(choice, strategy, among, room):
    """Take from some candidates what the strategy ranks best, as long as there is room."""
    if len(among) == 0 or (room is not None and room <= 0):
        return
    gate = Gate(choice.costs[among], room)
    ranking = strategy.ranking(among, room, choice.in_atoms)
    taken = None
    while not gate.closed:
        try:
            candidate, number = ranking.send(taken)
        except StopIteration:
            return
        taken = gate.admit(int(choice.costs[candidate]))
        if taken:
            choice.take(candidate, number)


class Gate:
    """Lets candidates pass in the order in which they come, and ends with as little room left as is possible.

    As long as there is much room, whatever fits passes. Near the end a candidate passes only if those that are still
    there can complete the rest as well with it as without it.

    :param costs: of all candidates that may come.
    :param room: what may pass in total; ``None``: everything.
    """

    FEW = 4  # the end is near when there is room for no more than so many candidates of mean cost

    def __init__(self, costs, room):
        different, counts = np.unique(costs, return_counts=True)
        self._left = dict(zip(different.tolist(), counts.tolist()))
        self._number, self._cost = len(costs), int(np.sum(costs))
        self._room = room
        self._target = None  # the largest total that can still pass, once the end is near
        self._verdicts = {}

    @property
    def closed(self):
        """Whether nothing can pass any more."""
        if self._room is None:
            return False
        self._look_ahead()
        return self._room <= 0 or self._target == 0

    def admit(self, cost):
        """Tell whether a candidate passes."""
        if self._room is None:
            return True
        if cost > self._room:
            return False
        if self._target is not None and not self._keeps_target(cost):
            return False
        self._room -= cost
        self._left[cost] -= 1
        self._number -= 1
        self._cost -= cost
        if self._target is not None:
            self._target -= cost
            self._verdicts.clear()
        return True

    def _look_ahead(self):
        if self._target is None and self._room * self._number <= self.FEW * self._cost:
            self._target = largest_total(self._left, self._room)

    def _keeps_target(self, cost):
        if cost not in self._verdicts:
            rest = dict(self._left)
            rest[cost] -= 1
            self._verdicts[cost] = cost + largest_total(rest, self._room - cost) == self._target
        return self._verdicts[cost]


def largest_total(counts, room):
    """Return the largest total up to ``room`` to which costs can add up, each used as often as it is there.

    A bounded knapsack: the reachable totals are the bits of a number, and a cost that is there ``m`` times shifts them
    by 1, 2, 4, ... and the remainder times the cost.

    :param counts: how often each cost is there.
    """
    mask = (1 << (room + 1)) - 1
    reachable = 1
    for cost, count in counts.items():
        left = min(count, room // cost)
        step = 1
        while left > 0:
            step = min(step, left)
            reachable |= (reachable << (step * cost)) & mask
            left -= step
            step *= 2
    return reachable.bit_length() - 1
