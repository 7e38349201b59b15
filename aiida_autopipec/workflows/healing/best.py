"""The potential with the lowest test loss of a training that took several jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import CalcJobNode

OUTPUT = 'best_potential'


def best_job(jobs: Mapping[int, CalcJobNode]) -> int | None:
    """Return the number of the job whose best potential has the lowest test loss, or ``None`` if there is none.

    :param jobs: those that led to the result, by their numbers.
    """
    losses = {
        number: job.outputs[OUTPUT].base.attributes.get('test_loss')
        for number, job in jobs.items()
        if OUTPUT in job.outputs
    }
    return min(losses, key=lambda number: (losses[number], number), default=None)


def early_stopping_over(reports: Mapping[int, Mapping[str, Any]], best: int | None) -> dict[str, Any]:
    """Return the report of the last job that followed its test loss, with the best state of all jobs.

    :param reports: ``output_parameters`` of those that led to the result, by the numbers of the jobs.
    :param best: number of the job that has the best potential.
    """
    known = {number: report['early_stopping'] for number, report in reports.items() if 'early_stopping' in report}
    if not known:
        return {}
    report = dict(known[max(known)])
    if best in known and known[best].get('best'):
        report['best'] = {**known[best]['best'], 'attempt': best}
    return {'early_stopping': report}
