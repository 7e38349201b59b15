"""D-optimality by MaxVol, as Pacemaker does it, in rounds and by shards.

Part of ``select_structures.py``; needs python-ace. ``pace_select`` does one round on everything at once:
``select_structures_maxvol`` in ``pyace/aceselect.py`` of python-ace 0.4.0rc1, whose answer a round here repeats.
"""

from collections import Counter

import numpy as np
from select_projections import rounding_error

COPIES = 4  # arrays of the size of the projections while MaxVol runs: one here, one with the known rows, two inside


class MaxVol:
    """Offer structures by how many of their atoms the active set holds; then the same with the rest, and so on.

    :param known: by element, rows of an active set of other data, which take part in every round.
    :param memory: bytes that one MaxVol may take; where it needs more, the candidates are divided.
    :param rounds: how often to go on with the rest; ``None``: as long as something is chosen.
    """

    def __init__(self, projections, space, *, known, tolerance, iterations, refinements=2, memory=None, rounds=None):
        self.projections = projections
        self.space = space
        self.known = known
        self.settings = {'tolerance': tolerance, 'iterations': iterations, 'refinements': refinements}
        self.memory = memory
        self.rounds = rounds
        self.active_atoms = np.zeros(projections.n, dtype=np.int64)
        self.shards = 1
        self.touched = 0  # structures that the first round offers

    def ranking(self, among, room, in_atoms):
        """Offer those with most active atoms, round by round."""
        left = np.sort(among)
        number = 0
        while len(left) and (self.rounds is None or number < self.rounds):
            number += 1
            counts = self.one_round(left)
            if not counts:
                return
            self.active_atoms[list(counts)] = list(counts.values())
            self.touched = self.touched or len(counts)
            for candidate, _ in counts.most_common():
                yield candidate, number
            left = np.setdiff1d(left, np.array(list(counts)), assume_unique=True)

    def one_round(self, candidates):
        """Return how many active atoms each candidate holds, of those that hold any."""
        counts = Counter()
        for element in self.projections.elements:
            if not self.projections.count(element, candidates).any():
                continue
            _, owners = active_rows(
                self.projections, self.space, element, candidates, known=self.known.get(element),
                memory=self.memory, notice=self._notice, **self.settings,
            )  # fmt: skip
            counts.update(owners[owners >= 0].tolist())
        return counts

    def _notice(self, shards):
        self.shards = max(self.shards, shards)


def active_rows(
    projections,
    space,
    element,
    candidates,
    *,
    known,
    tolerance,
    iterations,
    refinements=2,
    memory=None,
    notice=lambda shards: None,
):
    """Return the rows that MaxVol picks for an element, and for each the structure that it belongs to (-1: known).

    :param candidates: the structures whose atoms are looked at, ascending.
    :param known: rows that take part beside them, or ``None``.
    :param notice: told the number of shards.
    """
    atoms = projections.count(element, candidates)
    per_shard = np.inf if memory is None else max(memory // (8 * COPIES * projections.functions[element]), 1)
    # a shard has to hold enough atoms for its own active set, and then some
    per_shard = max(per_shard, 4 * projections.functions[element])
    shards = int(np.ceil(atoms.sum() / per_shard))
    notice(max(shards, 1))
    pick = _Picker(space, element, tolerance, iterations)
    if shards <= 1:
        rows, owners = projections.gather(element, candidates)
        return pick(*_with_known(rows, owners, known))
    parts = np.array_split(candidates, np.searchsorted(np.cumsum(atoms), per_shard * np.arange(1, shards)))
    # shard by shard, what was picked goes on into the next one: the union never has more rows than a shard and a set
    rows, owners = _with_known(np.empty((0, projections.functions[element])), np.empty(0, dtype=np.int64), known)
    for part in parts:
        rows, owners = pick(*_joined(rows, owners, *projections.gather(element, part)))
    return _refined(projections, element, parts, rows, owners, pick, refinements)


def _refined(projections, element, parts, rows, owners, pick, refinements):
    """Let atoms that the active set does not span join it, until there are none: the end of a single MaxVol."""
    for _ in range(refinements):
        outside, whose = [rows], [owners]
        inverse = np.linalg.pinv(pick.reduced(rows))
        for part in parts:
            more, their = projections.gather(element, part)
            far = _outside(pick.reduced(more), inverse, pick.tolerance)
            outside.append(more[far])
            whose.append(their[far])
        if sum(map(len, whose)) == len(owners):
            break
        rows, owners = pick(np.concatenate(outside), np.concatenate(whose))
    return rows, owners


def _outside(rows, inverse, tolerance):
    """Tell which rows lie outside of an active set, without more than one array of their size."""
    grades = rows @ inverse
    return np.abs(grades, out=grades).max(axis=1) > tolerance


def _joined(rows, owners, more, whose):
    """Put rows behind each other; nothing else refers to either part when this has returned."""
    return np.concatenate([rows, more]), np.concatenate([owners, whose])


def _with_known(rows, owners, known):
    """Put the known rows behind the others, where pace_select has them."""
    if known is None:
        return rows, owners
    return np.concatenate([rows, known]), np.concatenate([owners, np.full(len(known), -1)])


class _Picker:
    """MaxVol on the rows of one element.

    Where the pool spans fewer dimensions than there are functions, MaxVol itself fails or picks a row twice (seen with
    python-ace 0.4.0rc1): then it is run in the dimensions that are spanned.
    """

    def __init__(self, space, element, tolerance, iterations):
        self.tolerance, self.iterations = tolerance, iterations
        self.deficient = space.rank[element] < space.functions(element)
        self.span = space.span[element]
        self.scale = space.scale[element]

    def reduced(self, rows):
        return rows @ self.span if self.deficient else rows / self.scale

    def __call__(self, rows, owners):
        if len(rows) == 0:
            return rows, owners
        if not self.deficient and len(rows) >= rows.shape[1]:
            from pyace.activelearning import compute_active_set

            try:
                active, whose = compute_active_set(
                    {0: rows}, {0: owners}, tol=self.tolerance, max_iters=self.iterations
                )
                return active[0], whose[0].astype(np.int64)
            except ValueError:  # singular: the rest of a pool may span less than the pool
                pass
        chosen = independent_rows(self.reduced(rows), self.tolerance, self.iterations)
        return rows[chosen], owners[chosen]


def independent_rows(rows, tolerance, iterations):
    """Return the indices of the rows that MaxVol picks in the dimensions that the rows span."""
    from pyace.maxvol import maxvol

    values, vectors = np.linalg.eigh(rows.T @ rows)
    span = vectors[:, values > rounding_error(values)]
    reduced = rows @ span
    if span.shape[1] == 0:
        return np.empty(0, dtype=np.int64)
    if len(rows) <= span.shape[1]:
        return np.arange(len(rows))
    try:
        chosen, _ = maxvol(reduced, tol=tolerance, max_iters=iterations)
    except ValueError:  # singular to the last digit: any basis of the span will do
        return greedy_rows(reduced)
    return np.asarray(chosen, dtype=np.int64)


def greedy_rows(rows):
    """Return the indices of rows chosen one by one, each the longest after the chosen ones are projected out."""
    left = rows.copy()
    chosen = []
    for _ in range(rows.shape[1]):
        lengths = (left**2).sum(axis=1)
        best = int(lengths.argmax())
        if lengths[best] <= 0:
            break
        chosen.append(best)
        direction = left[best] / np.sqrt(lengths[best])
        left -= np.outer(left @ direction, direction)
        left[best] = 0.0
    return np.array(chosen, dtype=np.int64)
