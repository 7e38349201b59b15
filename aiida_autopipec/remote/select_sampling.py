"""Strategies that draw structures with probabilities.

Part of ``select_structures.py``; needs numpy only. What a strategy is, ``select_strategies.py`` says.
"""

import hashlib

import numpy as np

ROUND = 1
SPREAD_DIMENSIONS = 8  # principal components in which a draw is spread evenly


def uniforms(fingerprints, seed, purpose):
    """Return a number in [0, 1) for each candidate that depends on its geometry, the seed and the purpose only.

    So a draw does not depend on how the pool is cut, nor on the version of numpy. Equal geometries are numbered.

    :param fingerprints: ``(n,)`` hashes of the geometries.
    """
    key = ('%d %s' % (seed, purpose)).encode()
    seen, draws = {}, []
    for fingerprint in fingerprints:
        repeat = seen[fingerprint] = seen.get(fingerprint, 0) + 1
        digest = hashlib.blake2b(b'%s %d' % (bytes(fingerprint), repeat), digest_size=7, key=key).digest()
        draws.append(int.from_bytes(digest, 'little') / 2.0**56)
    return np.array(draws)


class Random:
    """Every order is as likely as every other; another pool with the same structures has them in the same order."""

    def __init__(self, fingerprints, seed):
        self.draws = uniforms(fingerprints, seed, 'random')

    def ranking(self, among, room, in_atoms):
        """Offer in the order of the draws."""
        for candidate in among[np.argsort(self.draws[among], kind='stable')]:
            yield candidate, ROUND


class Sampling:
    """Draw each structure with a probability proportional to its weight, or certainly.

    Those with probability 1 come first, then what systematic sampling hits, then the rest by weighted draws.

    :param weights: ``(n,)`` positive.
    :param sizes: ``(n,)`` atoms of each candidate.
    :param purpose: other draws for another one.
    """

    def __init__(self, weights, sizes, fingerprints, seed, purpose):
        self.weights = weights
        self.sizes = sizes
        self.draws = uniforms(fingerprints, seed, purpose)
        self.tickets = uniforms(fingerprints, seed, purpose + ': the rest')
        self.start = uniforms([b'start'], seed, purpose)[0]
        self.probability = np.zeros(len(sizes))

    def ranking(self, among, room, in_atoms):
        """Offer by probability."""
        costs = self.sizes[among] if in_atoms else np.ones(len(among))
        chances = inclusion_probabilities(self.weights[among], costs, room)
        self.probability[among] = chances
        line = self.line(among)
        sure = line[chances[line] >= 1]
        others = line[chances[line] < 1]
        hit = systematic_sample(chances[others], self.start)
        rest = others[~hit]
        # an exponential clock with rate w rings first with probability w / sum(w)
        clocks = -np.log1p(-self.tickets[among[rest]]) / self.weights[among[rest]]
        rest = rest[np.argsort(clocks, kind='stable')]
        # the last few may not fit: those are any
        hits = others[hit][np.argsort(self.draws[among[others[hit]]], kind='stable')]
        for candidate in among[np.concatenate([sure, hits, rest])]:
            yield candidate, ROUND

    def line(self, among):
        """Return the order in which systematic sampling walks along some candidates."""
        return np.argsort(self.draws[among], kind='stable')


class Leverage(Sampling):
    """Draw each structure with a probability proportional to its leverage per atom.

    :param leverage: ``(n,)`` as :func:`select_projections.leverages` returns them.
    """

    def __init__(self, leverage, sizes, fingerprints, seed):
        # an isolated atom has no leverage; it can be drawn last
        super().__init__(np.maximum(leverage, 1e-9) / sizes, sizes, fingerprints, seed, 'leverage')


class Spread(Sampling):
    """Draw all with the same probability, and evenly over the space of mean projections.

    Systematic sampling takes every so many along a line on which neighbours are alike. The line goes through a tree
    that halves the candidates again and again where they differ most; which half comes first is drawn. This is the
    generalised random tessellation of Stevens and Olsen (2004), with a tree instead of a grid.

    :param points: ``(n, d)`` mean projections.
    """

    def __init__(self, points, sizes, fingerprints, seed):
        super().__init__(np.ones(len(sizes)), sizes, fingerprints, seed, 'spread')
        self.points = points
        self.seed = seed

    def line(self, among):
        """Return the leaves of the tree."""
        random = np.random.RandomState(self.seed % 2**32)  # its stream is the same in all versions of numpy
        leaves, stack = [], [np.arange(len(among))]
        while stack:
            members = stack.pop()
            if len(members) == 1:
                leaves.append(members[0])
                continue
            points = self.points[among[members]]
            axis = points[:, np.argmax(points.var(axis=0))]
            members = members[np.argsort(axis, kind='stable')]
            halves = [members[: len(members) // 2], members[len(members) // 2 :]]
            stack.extend(halves if random.random_sample() < 0.5 else halves[::-1])
        return np.array(leaves, dtype=np.int64)


def inclusion_probabilities(weights, costs, room):
    """Return ``min(1, c weight)`` with the ``c`` for which the expected cost is the room.

    :param weights: ``(n,)`` positive.
    :param costs: ``(n,)`` positive.
    """
    if costs.sum() <= room:
        return np.ones(len(weights))
    low, high = 0.0, 1.0 / weights.min()
    for _ in range(200):  # halving an interval of doubles cannot go on for longer
        middle = (low + high) / 2
        if (np.minimum(1.0, middle * weights) * costs).sum() > room:
            high = middle
        else:
            low = middle
    return np.minimum(1.0, low * weights)


def systematic_sample(probabilities, start):
    """Tell who is hit by one random start and steps of one along the summed probabilities.

    :param probabilities: ``(n,)`` below 1.
    :param start: in [0, 1).
    :return: ``(n,)`` truth values; their number differs by less than one from the sum of the probabilities.
    """
    steps = np.floor(np.cumsum(np.concatenate([[start], probabilities])))  # each bound once: rounded, it counts for one
    return np.diff(steps) > 0
