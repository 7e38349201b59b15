"""One thing that is judged, and how it is told."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from aiida_autopipec.pacemaker.validation.parameters import Check

Status = Literal['passed', 'failed', 'reported']


@dataclass(frozen=True)
class Criterion:
    """A number or a fact against its threshold.

    :param check: the check that it belongs to.
    :param name: what is judged, such as ``Al-Al repels``.
    :param status: ``reported`` where there is no threshold.
    :param value: what was measured, if it is one finite number.
    :param threshold: what it was compared with.
    :param unit: of both.
    :param detail: what happened, in a few words.
    """

    check: Check
    name: str
    status: Status
    value: float | None = None
    threshold: float | None = None
    unit: str = ''
    detail: str = ''

    def as_dict(self) -> dict[str, Any]:
        """Return what a database can hold, without the name of the check."""
        values = asdict(self)
        del values['check']
        return values

    def __str__(self) -> str:
        number = '' if self.value is None else f'{self.value:.4g} {self.unit}'.rstrip()
        limit = '' if self.threshold is None else f'(threshold {self.threshold:.4g} {self.unit}'.rstrip() + ')'
        return ' '.join(filter(None, (f'{self.check}: {self.name}:', number, limit, self.detail)))


def below(
    check: Check, name: str, value: float | None, threshold: float | None, unit: str, detail: str = ''
) -> Criterion:
    """Judge a number that should not exceed a threshold; one that is missing or not finite does."""
    return _compared(check, name, value, threshold, unit, detail, sign=1.0)


def above(
    check: Check, name: str, value: float | None, threshold: float | None, unit: str, detail: str = ''
) -> Criterion:
    """Judge a number that should reach a threshold; one that is missing or not finite does not."""
    return _compared(check, name, value, threshold, unit, detail, sign=-1.0)


def fact(check: Check, name: str, holds: bool, detail: str = '') -> Criterion:
    """Judge something that is so or not."""
    return Criterion(check, name, 'passed' if holds else 'failed', detail=detail)


def _compared(
    check: Check, name: str, value: float | None, threshold: float | None, unit: str, detail: str, *, sign: float
) -> Criterion:
    finite = value is not None and math.isfinite(value)
    if value is None or not finite:
        return Criterion(check, name, 'failed', None, threshold, unit, detail or 'not a finite number')
    if threshold is None:
        return Criterion(check, name, 'reported', value, None, unit, detail)
    status: Status = 'passed' if sign * value <= sign * threshold else 'failed'
    return Criterion(check, name, status, value, threshold, unit, detail)
