"""Parameters of unlike pairs from those of like ones (https://docs.lammps.org/pair_modify.html)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple


class PairTerms(NamedTuple):
    """Parameters of a pair of elements.

    :param epsilon: depth in eV.
    :param sigma: distance in Å at which the energy is zero.
    :param cutoff: in Å.
    """

    epsilon: float
    sigma: float
    cutoff: float


def geometric(a: PairTerms, b: PairTerms) -> PairTerms:
    """Return geometric means."""
    return PairTerms(math.sqrt(a.epsilon * b.epsilon), math.sqrt(a.sigma * b.sigma), math.sqrt(a.cutoff * b.cutoff))


def arithmetic(a: PairTerms, b: PairTerms) -> PairTerms:
    """Return the geometric mean of epsilon and arithmetic means of lengths (Lorentz and Berthelot)."""
    return PairTerms(math.sqrt(a.epsilon * b.epsilon), (a.sigma + b.sigma) / 2, (a.cutoff + b.cutoff) / 2)


def sixthpower(a: PairTerms, b: PairTerms) -> PairTerms:
    """Return means of sixth powers of lengths, and the epsilon that belongs to them (Waldman and Hagler)."""
    powers = a.sigma**6 + b.sigma**6
    epsilon = 2 * math.sqrt(a.epsilon * b.epsilon) * a.sigma**3 * b.sigma**3 / powers
    return PairTerms(epsilon, (powers / 2) ** (1 / 6), ((a.cutoff**6 + b.cutoff**6) / 2) ** (1 / 6))


MIXING: dict[str, Callable[[PairTerms, PairTerms], PairTerms]] = {
    'geometric': geometric,
    'arithmetic': arithmetic,
    'sixthpower': sixthpower,
}
