"""The verdict on a potential: every check against its thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.validation.criteria import Criterion, fact
from aiida_autopipec.pacemaker.validation.judge_curves import judge_dimers, judge_volumes
from aiida_autopipec.pacemaker.validation.judge_data import judge_errors, judge_export
from aiida_autopipec.pacemaker.validation.judge_elastic import judge_elastic
from aiida_autopipec.pacemaker.validation.judge_motion import judge_dynamics, judge_phonons
from aiida_autopipec.pacemaker.validation.measurements import Measurements
from aiida_autopipec.pacemaker.validation.parameters import Check, ValidationParameters


@dataclass(frozen=True, eq=False)
class Subject:
    """What is judged.

    :param elements: those of the potential.
    :param has_grades: whether there is an active set.
    :param structures: held-out structures with the forces to be predicted, if there are any.
    :param energy: ``(n,)`` their energies to be predicted (eV).
    """

    elements: tuple[str, ...]
    has_grades: bool = False
    structures: LabelledStructures | None = None
    energy: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Verdict:
    """What is to be thought of a potential.

    :param criteria: everything that was judged.
    :param checks: those that were to run.
    :param required: those that have to be passed.
    """

    criteria: tuple[Criterion, ...]
    checks: tuple[Check, ...]
    required: tuple[Check, ...]

    def failed(self, checks: Sequence[Check]) -> list[Criterion]:
        """Return what is not good enough in some of the checks."""
        return [item for item in self.criteria if item.check in checks and item.status == 'failed']

    @property
    def passed(self) -> bool:
        """Whether all that is required is good enough."""
        return not self.failed(self.required)

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as a database can hold it."""
        return {
            'passed': self.passed,
            'required': list(self.required),
            'checks': {
                check: {
                    'passed': not self.failed((check,)),
                    'criteria': [item.as_dict() for item in self.criteria if item.check == check],
                }
                for check in self.checks
            },
        }


def judge(
    measured: Measurements, parameters: ValidationParameters, subject: Subject, checks: tuple[Check, ...]
) -> Verdict:
    """Judge all checks that were to run; one that broke, or that left nothing, is failed.

    :param checks: the checks that were asked for.
    """
    criteria: list[Criterion] = []
    for check in checks:
        error = measured.text(check, 'error')
        if error or check not in measured.facts:
            criteria.append(fact(check, 'runs', False, error or 'it left no result'))
            continue
        try:
            criteria += _judge_one(check, measured, parameters, subject)
        except OutputError as exception:
            criteria.append(fact(check, 'can be read', False, str(exception)))
    return Verdict(tuple(criteria), checks, parameters.needed_to_pass(checks))


def _judge_one(
    check: Check, measured: Measurements, parameters: ValidationParameters, subject: Subject
) -> list[Criterion]:
    if check == 'dimer':
        return judge_dimers(measured, parameters.dimer, subject.elements)
    if check == 'volume':
        return judge_volumes(measured, parameters.volume)
    if check == 'elastic':
        return judge_elastic(measured, parameters.elastic)
    if check == 'phonons':
        return judge_phonons(measured, parameters.phonons)
    if check == 'dynamics':
        return judge_dynamics(measured, parameters.dynamics, subject.elements, has_grades=subject.has_grades)
    if check == 'errors':
        if subject.structures is None or subject.energy is None:
            raise OutputError('there are no structures with labels')
        return judge_errors(measured, parameters.errors, subject.structures, subject.energy)
    return judge_export(measured, parameters.export)


def verdict_table(report: dict[str, Any]) -> str:
    """Return a report as a table for people.

    :param report: :meth:`Verdict.as_dict`, or the content of the output ``report``.
    """
    rows = [('check', 'criterion', 'value', 'threshold', 'verdict', '')]
    for check, found in report['checks'].items():
        for item in found['criteria']:
            numbers = (_number(item['value'], item['unit']), _number(item['threshold'], item['unit']))
            rows.append((check, item['name'], *numbers, item['status'], item['detail']))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ['  '.join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
             for row in rows]  # fmt: skip
    return '\n'.join([lines[0], '-' * max(map(len, lines)), *lines[1:], '', _conclusion(report)])


def _number(value: float | None, unit: str) -> str:
    return '' if value is None else f'{value:.4g} {unit}'.rstrip()


def _conclusion(report: dict[str, Any]) -> str:
    failed = [check for check, found in report['checks'].items() if not found['passed']]
    if not failed:
        return 'All checks are passed.'
    needed = [check for check in failed if check in report['required']]
    return f'Failed: {", ".join(failed)}' + ('.' if needed else ', which is not required.')
