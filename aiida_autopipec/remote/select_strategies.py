"""Strategies: in which order candidates are offered.

Part of ``select_structures.py``; needs numpy only.

A strategy has ``ranking(among, room, in_atoms)``: a generator of ``(candidate, round)``, best first, out of the
candidates ``among``, for ``room`` atoms or structures. It is sent whether the candidate was taken, which is how those
that build on earlier choices learn of them.
"""

import hashlib
import heapq

import numpy as np
from select_projections import components, leverages

ROUND = 1
REFRESH = 50  # after so many updates the inverse is computed anew, so that rounding errors do not add up
DIMENSIONS = 32  # principal components in which distances are measured
CLUSTERS = 100
KMEANS_ITERATIONS = 50


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


class Leverage:
    """Draw each structure with a probability proportional to its leverage per atom, or certainly.

    Those with probability 1 come first, then what systematic sampling hits, then the rest by weighted draws.

    :param leverage: ``(n,)`` as :func:`select_projections.leverages` returns them.
    """

    def __init__(self, leverage, sizes, fingerprints, seed):
        self.leverage = leverage
        # an isolated atom has no leverage; it can be drawn last
        self.weights = np.maximum(leverage, 1e-9) / sizes
        self.sizes = sizes
        self.draws = uniforms(fingerprints, seed, 'leverage')
        self.tickets = uniforms(fingerprints, seed, 'leverage: the rest')
        self.start = uniforms([b'start'], seed, 'leverage')[0]
        self.probability = np.zeros(len(sizes))

    def ranking(self, among, room, in_atoms):
        """Offer by probability."""
        costs = self.sizes[among] if in_atoms else np.ones(len(among))
        chances = inclusion_probabilities(self.weights[among], costs, room)
        self.probability[among] = chances
        shuffled = np.argsort(self.draws[among], kind='stable')
        sure = shuffled[chances[shuffled] >= 1]
        others = shuffled[chances[shuffled] < 1]
        hit = systematic_sample(chances[others], self.start)
        rest = others[~hit]
        # an exponential clock with rate w rings first with probability w / sum(w)
        clocks = -np.log1p(-self.tickets[among[rest]]) / self.weights[among[rest]]
        rest = rest[np.argsort(clocks, kind='stable')]
        for candidate in among[np.concatenate([sure, others[hit], rest])]:
            yield candidate, ROUND


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


class GreedyLogDeterminant:
    """Offer whatever raises the log-determinant of the Gram matrix most per atom.

    Lazily: a gain can only fall when more is chosen, so a candidate whose gain, computed anew, is still above the old
    gains of all others is the best (Minoux 1978).
    """

    def __init__(self, projections, space):
        self.projections = projections
        self.space = space
        self.gram = {element: space.start(element) for element in space.elements}
        self.inverse = {element: np.linalg.inv(gram) for element, gram in self.gram.items()}
        self.gains = np.zeros(projections.n)
        self.updates = 0

    def add(self, candidate):
        """Learn that a candidate is chosen."""
        self.updates += 1
        for element, rows in self._block(candidate).items():
            self.gram[element] += rows.T @ rows
            if self.updates % REFRESH == 0:
                self.inverse[element] = np.linalg.inv(self.gram[element])
                continue
            # Woodbury: the inverse changes by as many dimensions as there are atoms
            reach = self.inverse[element] @ rows.T
            self.inverse[element] -= reach @ np.linalg.solve(np.eye(len(rows)) + rows @ reach, reach.T)

    def gain(self, candidate):
        """Return by how much the log-determinant rises per atom."""
        total = 0.0
        for element, rows in self._block(candidate).items():
            total += np.linalg.slogdet(np.eye(len(rows)) + rows @ self.inverse[element] @ rows.T)[1]
        return total / int(self.projections.sizes[candidate])

    def ranking(self, among, room, in_atoms):
        """Offer the largest gain per atom, always after what was taken."""
        heap = [(-self.gain(candidate), candidate, self.updates) for candidate in among.tolist()]
        heapq.heapify(heap)
        while heap:
            gain, candidate, computed = heapq.heappop(heap)
            if computed != self.updates:
                heapq.heappush(heap, (-self.gain(candidate), candidate, self.updates))
                continue
            self.gains[candidate] = -gain
            if (yield candidate, ROUND):
                self.add(candidate)

    def _block(self, candidate):
        return {
            element: self.space.scaled(element, rows) for element, rows in self.projections.block(candidate).items()
        }


class FarthestPoint:
    """Offer the structure that is farthest from all that are chosen, in the space of mean projections.

    The first is the one nearest to the centre, unless something is chosen already.
    """

    def __init__(self, points):
        self.points = points
        self.nearest = np.full(len(points), np.inf)
        self.begun = False

    def add(self, candidate):
        """Learn that a candidate is chosen."""
        self.begun = True
        self.nearest = np.minimum(self.nearest, np.linalg.norm(self.points - self.points[candidate], axis=1))

    def ranking(self, among, room, in_atoms):
        """Offer by the distance to the nearest structure that is chosen."""
        left = np.zeros(len(self.points), dtype=bool)
        left[among] = True
        while left.any():
            candidates = np.flatnonzero(left)
            if self.begun:
                candidate = candidates[np.argmax(self.nearest[candidates])]
            else:
                candidate = candidates[np.argmin(np.linalg.norm(self.points[candidates], axis=1))]
            left[candidate] = False
            if (yield candidate, ROUND):
                self.add(candidate)


class KMeans:
    """Divide the pool into clusters of alike structures, and draw from one after the other.

    From each cluster the structure nearest to its centre comes first, then the others at random.
    """

    def __init__(self, points, sizes, fingerprints, seed):
        self.points = points
        self.sizes = sizes
        self.draws = uniforms(fingerprints, seed, 'kmeans')
        self.seed = seed

    def ranking(self, among, room, in_atoms):
        """Offer one structure of each cluster, then the second of each, and so on."""
        wanted = room / self.sizes[among].mean() if in_atoms else room
        clusters = min(CLUSTERS, len(among), max(int(wanted), 1))
        members, distances = kmeans(self.points[among], clusters, self.seed)
        first = np.zeros(len(among))
        for cluster in np.unique(members):
            inside = np.flatnonzero(members == cluster)
            first[inside[np.argmin(distances[inside])]] = -1.0
        order = np.lexsort((self.draws[among] + 2 * first, members))
        places = np.empty(len(among), dtype=np.int64)
        begin = np.searchsorted(members[order], members[order])
        places[order] = np.arange(len(among)) - begin
        for candidate in among[np.lexsort((members, places))]:
            yield candidate, ROUND


def kmeans(points, clusters, seed):
    """Divide points into clusters by Lloyd's algorithm, from centres drawn as in k-means++ (Arthur and others 2007).

    :param points: ``(n, d)``.
    :return: the cluster of each point, and its distance to the centre.
    """
    random = np.random.RandomState(seed % 2**32)  # its stream is the same in all versions of numpy
    centres = points[[random.randint(len(points))]]
    squares = ((points - centres[0]) ** 2).sum(axis=1)
    while len(centres) < clusters and squares.max() > 0:
        draw = random.random_sample() * squares.sum()
        chosen = min(int(np.searchsorted(np.cumsum(squares), draw)), len(points) - 1)
        centres = np.vstack([centres, points[chosen]])
        squares = np.minimum(squares, ((points - points[chosen]) ** 2).sum(axis=1))
    members = None
    for _ in range(KMEANS_ITERATIONS):
        distances = _squares(points, centres)
        nearest = distances.argmin(axis=1)
        if members is not None and (nearest == members).all():
            break
        members = nearest
        for cluster in np.unique(members):
            centres[cluster] = points[members == cluster].mean(axis=0)
    return members, np.sqrt(distances[np.arange(len(points)), members])


def _squares(points, centres):
    distances = (points**2).sum(axis=1)[:, None] - 2 * points @ centres.T + (centres**2).sum(axis=1)
    return np.maximum(distances, 0.0)


def make(name, projections, space, fingerprints, seed, kept=()):
    """Return a strategy by its name, all but ``maxvol``.

    :param kept: candidates that are chosen already.
    """
    if name == 'random':
        return Random(fingerprints, seed)
    if name == 'leverage':
        return Leverage(leverages(projections, space), projections.sizes, fingerprints, seed)
    if name == 'greedy_logdet':
        strategy = GreedyLogDeterminant(projections, space)
    else:
        points = components(projections, space, DIMENSIONS)
        if name == 'kmeans':
            return KMeans(points, projections.sizes, fingerprints, seed)
        strategy = FarthestPoint(points)
    for candidate in kept:
        strategy.add(candidate)
    return strategy
