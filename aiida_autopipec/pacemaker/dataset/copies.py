"""Structures that are there more than once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.checks import all_different
from aiida_autopipec.pacemaker.dataset.compare import Mask, Pairs, Rows
from aiida_autopipec.pacemaker.dataset.pool import Pool

Look = Callable[[Rows, Pairs], None]


def originals(pool: Pool, fingerprints: NDArray[np.bytes_], look: Look | None = None) -> Rows:
    """Return for each structure the row of the first that is the same, which may be its own.

    Structures with equal hashes are compared themselves: hashes can be made to be equal.

    :param pool: the structures; only parts with equal hashes are read.
    :param fingerprints: ``(n,)`` hashes of all of them.
    :param look: is given rows of copies, each row once, and the pairs of the original and the copy, while they are in
        memory.
    """
    if all_different(fingerprints):
        return np.arange(len(fingerprints))
    original = _first_with_equal_hash(fingerprints)
    copies = np.flatnonzero(original != np.arange(len(original)))
    others = []
    for chosen, pairs in pool.pairs(original[copies], copies):
        same = pairs.same_geometry()
        others.append(copies[chosen[~same]])
        if look is not None:
            look(copies[chosen[same]], pairs.where(same))
    _divide(pool, original, np.sort(np.concatenate(others)), look)
    return original


def _first_with_equal_hash(fingerprints: NDArray[np.bytes_]) -> Rows:
    words = np.ascontiguousarray(fingerprints).view(np.uint64).reshape(len(fingerprints), -1)
    order = np.lexsort(words.T)  # stable: of equal ones the first row comes first
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    original = np.empty(len(order), dtype=np.int64)
    original[order] = order[is_first][np.cumsum(is_first) - 1]
    return original


def _divide(pool: Pool, original: Rows, others: Rows, look: Look | None) -> None:
    """Find the originals of structures that have the hash of one that they are no copies of.

    :param original: changed in place.
    :param others: rows of these structures, in ascending order.
    """
    firsts: dict[int, list[int]] = {}  # by the first structure of the hash: the firsts of the other kinds
    for row in others.tolist():
        known = firsts.setdefault(int(original[row]), [])
        same = first_with(pool, row, known, Pairs.same_geometry)
        if same is None:
            original[row] = row
            known.append(row)
            continue
        original[row] = same
        if look is not None:
            for _, pairs in pool.pairs_with(row, [same]):
                look(np.array([row]), pairs)


def first_with(pool: Pool, row: int, others: Sequence[int], alike: Callable[[Pairs], Mask]) -> int | None:
    """Return the first of other structures that is like one in some respect.

    :param row: of the one.
    :param others: rows of the others.
    :param alike: says of pairs which are.
    """
    found = [chosen[alike(pairs)] for chosen, pairs in pool.pairs_with(row, others)]
    places = np.concatenate([np.zeros(0, dtype=np.int64), *found])
    return others[int(places.min())] if len(places) else None
