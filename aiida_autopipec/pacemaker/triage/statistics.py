"""Robust statistics: what most of the data say, whatever a few wrong ones say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAD_TO_SIGMA = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""
_REWEIGHTINGS = 25

Array = NDArray[np.float64]


def scores(values: Array, groups: NDArray[np.int64], *, floor: float, min_size: int) -> Array:
    """Return how far each value lies from the median of its group, in robust standard deviations of its side.

    The modified z-score of Iglewicz and Hoaglin ("How to Detect and Handle Outliers", 1993), ``(x - median) /
    (1.4826 MAD)``, with one median absolute deviation for the values above the median and one for those below.
    Energies are skewed: far more structures lie above the ground state than can lie below it, so a common MAD would
    call the distorted ones wrong and overlook a value that is too low.

    :param values: ``(n,)``.
    :param groups: ``(n,)`` number of the group that each belongs to; negative for values that take no part.
    :param floor: smallest standard deviation, in units of the values.
    :param min_size: groups that are smaller are not judged.
    :return: ``(n,)``; NaN where a value takes no part or its group is too small.
    """
    result = np.full(len(values), np.nan)
    order = np.argsort(groups, kind='stable')
    unique, starts = np.unique(groups[order], return_index=True)
    for group, members in zip(unique.tolist(), np.split(order, starts[1:]), strict=True):
        if group >= 0 and len(members) >= min_size:
            result[members] = _two_sided(values[members], floor)
    return result


def _two_sided(values: Array, floor: float) -> Array:
    deviations = values - np.median(values)
    above, below = deviations >= 0, deviations <= 0
    scale_above = max(MAD_TO_SIGMA * float(np.median(deviations[above])), floor)
    scale_below = max(MAD_TO_SIGMA * float(np.median(-deviations[below])), floor)
    return np.where(above, deviations / scale_above, deviations / scale_below)


def baseline(fractions: Array, values: Array) -> Array:
    """Return what the composition alone explains of values per atom: one value per element, and least absolute error.

    Least squares, reweighted by one over the residual, which tends to the least absolute error: a few wrong values
    do not shift the baseline for all others.

    :param fractions: ``(n, elements)`` fractions of the elements in each structure.
    :param values: ``(n,)`` for example energies in eV/atom.
    :return: ``(n,)``.
    """
    # a common constant would dominate the least-norm solution where compositions do not determine all elements
    shift = float(np.median(values))
    centred = values - shift
    weights = np.ones(len(values))
    fitted: Array = np.zeros(len(values))
    for _ in range(_REWEIGHTINGS):
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(fractions * root[:, None], centred * root, rcond=None)[0]
        fitted = np.asarray(fractions @ solution, dtype=np.float64)
        residuals = np.abs(centred - fitted)
        weights = 1 / np.maximum(residuals, 1e-6 + 1e-3 * float(np.median(residuals)))
    return fitted + shift
