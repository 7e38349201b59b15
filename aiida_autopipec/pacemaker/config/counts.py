"""How many basis functions Pacemaker makes of ``nradmax_by_orders`` and ``lmax_by_orders``, without Pacemaker.

A basis function of order r is a set of r pairs (element, n) with an angular momentum l each, coupled to total angular
momentum zero and even parity. For labels that occur m times the l are coupled symmetrically, so that the number of
functions of a choice of l is the number of invariants in the product of symmetric powers, found by counting the states
with total projection 0 minus those with 1 (R. Drautz, Phys. Rev. B 99, 014104 (2019); G. Dusson et al., J. Comput.
Phys. 454, 110946 (2022)). Up to order six these numbers are those of Pacemaker's own table
(``pyace/data/mus_ns_uni_to_rawlsLS_np_rank.pckl``, python-ace 0.4.0rc1); beyond, that table leaves some functions out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import comb

#: Up to this order Pacemaker's table holds every invariant.
LAST_COMPLETE_ORDER = 6
#: Multiplicities of the labels, in the order of the labels -> functions with all l at most 0, 1, 2, in Pacemaker's
#: table (python-ace 0.4.0rc1), which from order seven on holds fewer than there are.
INCOMPLETE_ORDERS: dict[tuple[int, ...], tuple[int, ...]] = {
    (7,): (1, 3, 15),
    (6, 1): (1, 6, 55),
    (5, 2): (1, 5, 86),
    (4, 3): (1, 7, 102),
    (3, 4): (1, 9, 116),
    (2, 5): (1, 8, 95),
    (1, 6): (1, 6, 47),
    (8,): (1, 5),
    (7, 1): (1, 8),
    (6, 2): (1, 14),
    (5, 3): (1, 16),
    (4, 4): (1, 17),
    (3, 5): (1, 15),
    (2, 6): (1, 14),
    (1, 7): (1, 8),
    (9,): (1, 3),
    (8, 1): (1, 7),
    (7, 2): (1, 11),
    (6, 3): (1, 15),
    (5, 4): (1, 15),
    (4, 5): (1, 13),
    (3, 6): (1, 8),
    (2, 7): (1, 8),
    (1, 8): (1, 3),
    (10,): (1, 6),
    (9, 1): (1, 10),
    (8, 2): (1, 17),
    (7, 3): (1, 21),
    (6, 4): (1, 24),
    (5, 5): (1, 24),
    (4, 6): (1, 23),
    (3, 7): (1, 19),
    (2, 8): (1, 17),
    (1, 9): (1, 10),
    (11,): (1, 4),
    (10, 1): (1, 9),
    (9, 2): (1, 14),
    (8, 3): (1, 18),
    (7, 4): (1, 11),
    (6, 5): (1, 19),
    (5, 6): (1, 11),
    (4, 7): (1, 16),
    (3, 8): (1, 15),
    (2, 9): (1, 13),
    (1, 10): (1, 9),
}

Multiplicities = tuple[int, ...]


def functions_of_order(order: int, n_radial: int, l_max: int, n_species: int) -> int:
    """Return the number of functions of one order in a block.

    :param order: number of neighbours in a function, from 1.
    :param n_radial: entry of ``nradmax_by_orders``.
    :param l_max: entry of ``lmax_by_orders``.
    :param n_species: number of different elements of the block, the central one included.
    """
    return sum(
        label_sets(len(multiplicities), n_radial, n_species) * couplings(multiplicities, l_max)
        for multiplicities in compositions(order)
        if len(multiplicities) <= n_radial * n_species
    )


def compositions(total: int) -> Iterator[Multiplicities]:
    """Yield every way to write a number as a sum of positive integers, order respected."""
    if total == 0:
        yield ()
    for first in range(1, total + 1):
        for rest in compositions(total - first):
            yield (first, *rest)


def label_sets(size: int, n_radial: int, n_species: int) -> int:
    """Return the number of sets of different (element, n) in which every element but the central one occurs."""
    others = n_species - 1
    return sum(
        (-1) ** absent * comb(others, absent) * comb((n_species - absent) * n_radial, size)
        for absent in range(others + 1)
    )


@cache
def couplings(multiplicities: Multiplicities, l_max: int) -> int:
    """Return the number of functions for labels that occur so many times, with every l at most ``l_max``."""
    if sum(multiplicities) > LAST_COMPLETE_ORDER:
        known = INCOMPLETE_ORDERS.get(multiplicities, (0,))
        return known[min(l_max, len(known) - 1)]
    if multiplicities != (ordered := tuple(sorted(multiplicities))):
        return couplings(ordered, l_max)
    return sum(
        _invariants(tuple(sorted(group for choice in choices for group in choice)))
        for choices in product(*(tuple(_angular_choices(number, l_max)) for number in multiplicities))
    )


Groups = tuple[tuple[int, int], ...]


def _angular_choices(number: int, l_max: int) -> Iterator[Groups]:
    """Yield every multiset of ``number`` angular momenta, as (l, how many)."""
    if number == 0:
        yield ()
    elif l_max >= 0:
        for taken in range(number + 1):
            for rest in _angular_choices(number - taken, l_max - 1):
                yield ((l_max, taken), *rest) if taken else rest


@cache
def _invariants(groups: Groups) -> int:
    """Return the number of invariants of even parity: states with projection 0 minus states with projection 1."""
    if sum(momentum * number for momentum, number in groups) % 2:
        return 0
    states: Counter[int] = Counter({0: 1})
    for momentum, number in groups:
        symmetric = _symmetric_power(momentum, number)
        product_states: Counter[int] = Counter()
        for left, n_left in states.items():
            for right, n_right in symmetric.items():
                product_states[left + right] += n_left * n_right
        states = product_states
    return states[0] - states[1]


@cache
def _symmetric_power(momentum: int, number: int) -> dict[int, int]:
    """Return how many multisets of ``number`` projections of ``momentum`` have each total projection."""
    states: Counter[tuple[int, int]] = Counter({(0, 0): 1})
    for projection in range(-momentum, momentum + 1):
        extended: Counter[tuple[int, int]] = Counter()
        for (taken, total), n_ways in states.items():
            for more in range(number - taken + 1):
                extended[taken + more, total + more * projection] += n_ways
        states = extended
    return {total: n_ways for (taken, total), n_ways in states.items() if taken == number}
