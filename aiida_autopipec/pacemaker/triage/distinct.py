"""Rows of small whole numbers, each kind once: counted, where ``np.unique`` sorts them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def distinct_rows(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Do what ``np.unique(rows, axis=0, return_inverse=True)`` does.

    :param rows: ``(n, k)`` numbers that are not negative.
    :return: ``(m, k)`` different rows in lexicographic order, and ``(n,)`` the number of each row among them.
    """
    ranks = np.zeros(len(rows), dtype=np.int64)
    for column in rows.T:
        # both factors are at most n after ranking, however large the numbers are
        values = ranks_of(column)
        ranks = ranks_of(ranks * (int(values.max(initial=0)) + 1) + values)
    example = np.empty(int(ranks.max(initial=-1)) + 1, dtype=np.int64)
    example[ranks] = np.arange(len(rows))
    return rows[example], ranks


def ranks_of(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ``(n,)`` the number of each value among the different ones, in ascending order.

    :param numbers: ``(n,)`` numbers that are not negative.
    """
    beyond = int(numbers.max(initial=-1)) + 1
    if beyond > 4 * len(numbers):  # a table of all numbers up to the largest would be larger than what it is for
        return np.unique(numbers, return_inverse=True)[1].reshape(-1)
    occurs = np.zeros(beyond, dtype=np.int64)
    occurs[numbers] = 1
    ranks: NDArray[np.int64] = (np.cumsum(occurs) - 1)[numbers]
    return ranks
