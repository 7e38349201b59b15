"""Strategies: in which order candidates are offered.

Part of ``select_structures.py``; needs numpy only.

A strategy has ``ranking(among, room, in_atoms)``: a generator of ``(candidate, round)``, best first, out of the
candidates ``among``, for ``room`` atoms or structures. It is sent whether the candidate was taken, which is how those
that build on earlier choices learn of them.
"""

import heapq

import numpy as np
from select_projections import components, leverages
from select_sampling import ROUND, SPREAD_DIMENSIONS, Leverage, Random, Spread, uniforms

REFRESH = 50  # after so many updates the inverse is computed anew, so that rounding errors do not add up
DIMENSIONS = 32  # principal components in which distances are measured
CLUSTERS = 100
KMEANS_ITERATIONS = 50


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
    if name == 'spread':
        return Spread(components(projections, space, SPREAD_DIMENSIONS), projections.sizes, fingerprints, seed)
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
