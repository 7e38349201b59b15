"""Judge of elastic constants: a crystal that is stable resists every strain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.validation.criteria import Criterion, above, below, fact
from aiida_autopipec.pacemaker.validation.measurements import Measurements
from aiida_autopipec.pacemaker.validation.parameters import ElasticCheck

Array = NDArray[np.float64]

FAMILIES = (('C11', 'C22', 'C33'), ('C12', 'C13', 'C23'), ('C44', 'C55', 'C66'))
"""Constants that symmetry makes equal in many crystals; the others vanish in most, and stand in the curves."""
EQUAL = 0.01
"""Part of the largest constant by which equal ones may differ."""


def judge_elastic(measured: Measurements, settings: ElasticCheck) -> list[Criterion]:
    """Judge the elastic constants of a crystal.

    It is stable under small strains if their matrix is positive definite (F. Mouhat and F.-X. Coudert, Phys. Rev. B 90,
    224104 (2014)).

    :raises OutputError: if there is no such matrix.
    """
    constants = measured.of('elastic').get('constants')
    if constants is None or constants.shape != (6, 6):
        raise OutputError('the elastic constants are missing')
    if not np.isfinite(constants).all():
        return [fact('elastic', 'constants are finite', False)]
    symmetric = (constants + constants.T) / 2
    softest = float(np.linalg.eigvalsh(symmetric)[0])
    return [
        above('elastic', 'softest response to strain', softest, settings.softest, 'GPa'),
        below('elastic', 'bulk modulus (Voigt)', float(symmetric[:3, :3].mean()), None, 'GPa'),
        *_reported(symmetric, settings),
        *_limited(symmetric, settings),
    ]


def _reported(constants: Array, settings: ElasticCheck) -> Iterator[Criterion]:
    """Yield the constants of a family that differ, each once."""
    scale = float(np.abs(constants).max())
    for family in FAMILIES:
        left = [name for name in family if name not in settings.constants]
        while left:
            value = _constant(constants, left[0])
            alike = [name for name in left if abs(_constant(constants, name) - value) <= EQUAL * scale]
            left = [name for name in left if name not in alike]
            yield below('elastic', ', '.join(alike), value, None, 'GPa')


def _limited(constants: Array, settings: ElasticCheck) -> Iterator[Criterion]:
    """Yield the constants that have limits."""
    for name, (low, high) in settings.constants.items():
        value = _constant(constants, name)
        yield below('elastic', name, value, high, 'GPa') if value > low else above('elastic', name, value, low, 'GPa')


def _constant(constants: Array, name: str) -> float:
    return float(constants[int(name[1]) - 1, int(name[2]) - 1])
