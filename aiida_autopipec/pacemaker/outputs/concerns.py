"""Whether a training that runs is worth going on with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from aiida_autopipec.pacemaker.outputs.progress import RECENT_ROWS, Progress, TrainingPlan

LASTING_ROWS = 3
"""Rows after which a loss that is not finite is there to stay, if it has not been seen twice before."""
LASTING_LOOKS = 2


class Concern(str, Enum):
    """Reasons to stop a training; the values are stable names."""

    NOT_FINITE = 'not_finite'
    LOSS_DIVERGING = 'diverging'
    OVERFITTING = 'overfitting'
    LOSS_STALLED = 'stalled'
    WALLTIME_TOO_SHORT = 'walltime'

    @property
    def explanation(self) -> str:
        """Return one sentence: what happened, and what to do."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Concern.NOT_FINITE: 'The loss is not finite; check the start potential and the labels.',
    Concern.LOSS_DIVERGING: (
        'The loss grows and grows: the monitor stopped the training; check the labels, the weights and the optimizer.'
    ),
    Concern.OVERFITTING: (
        'The test loss rises while the training loss falls: the monitor stopped the training; add data, use fewer '
        'functions or a stronger regularisation, or end the fit well, and keep its best potential, by `early_stopping`.'
    ),
    Concern.LOSS_STALLED: (
        'The loss hardly falls any more: the monitor stopped the training; its `interim_potential` is as good as it '
        'gets from this start, and a new start from it gives the optimizer a new chance.'
    ),
    Concern.WALLTIME_TOO_SHORT: (
        'The training cannot end within its walltime: the monitor stopped it; ask for more time, or go on from its '
        '`interim_potential`.'
    ),
}


class MonitorThresholds(BaseModel):
    """Settings of the monitor ``autopipec.pace_train``: when a training that runs is stopped.

    Without any it stops a training whose loss is no longer finite or grows and grows, and warns of a walltime that is
    too short.
    """

    model_config = ConfigDict(extra='forbid', frozen=True, strict=True)

    stop: bool = Field(True, description='Whether anything is stopped; `false`: the progress is recorded only.')
    not_finite: bool = Field(True, description='Stop when the loss is not finite and stays so.')
    divergence_factor: float | None = Field(
        10.0, gt=1, description='Stop when the loss is so many times the best one of this minimisation; `null`: never.'
    )
    divergence_rows: int = Field(3, ge=1, le=RECENT_ROWS, description='For so many iterations in a row.')
    stall_iterations: int | None = Field(
        None, ge=2, description='Stop when the loss has hardly fallen over so many iterations; `null`: never.'
    )
    stall_improvement: float = Field(
        1e-3, gt=0, lt=1, description='Hardly: by less than this part of itself, over all of these iterations.'
    )
    overfitting_rows: int | None = Field(
        None,
        ge=1,
        description='Stop when the test loss has been above its best for so many rows of `test_metrics.txt`, one each '
        '`backend.display_step`; `null`: never. Evaluator `pyace` writes none.',
    )
    overfitting_tolerance: float = Field(0.02, ge=0, description='Above: by more than this part of the best test loss.')
    walltime: Literal['ignore', 'warn', 'stop'] = Field(
        'warn', description='What to do when `maxiter` cannot be reached within the walltime.'
    )


@dataclass(frozen=True)
class Finding:
    """A reason to stop, with its numbers in one sentence."""

    concern: Concern
    detail: str


def find_concern(
    progress: Progress,
    thresholds: MonitorThresholds,
    plan: TrainingPlan,
    *,
    now: float,
    seconds_of_walltime: float | None,
) -> Finding | None:
    """Return the gravest reason to stop a training, or to warn of, if there is one.

    :param now: seconds since the epoch.
    :param seconds_of_walltime: that remain; ``None`` if they are not known or there is no limit.
    """
    if progress.rows == 0:
        return None
    return (
        _not_finite(progress, thresholds, plan)
        or _diverging(progress, thresholds)
        or _overfitting(progress, thresholds)
        or _stalled(progress, thresholds)
        or _walltime(progress, thresholds, plan, now, seconds_of_walltime)
    )


def _where(progress: Progress) -> str:
    return f'after {progress.iterations} iterations'


def _not_finite(progress: Progress, thresholds: MonitorThresholds, plan: TrainingPlan) -> Finding | None:
    """Look for a loss that is not finite and stays so.

    A later fit cycle may recover from an infinite loss, but not from NaN: Pacemaker goes on from the cycle with the
    lowest loss, and ``numpy.argmin`` takes NaN for the lowest (``pyace/generalfit.py``, python-ace 0.4.0rc1).
    """
    if not thresholds.not_finite or progress.loss_kind not in ('infinite', 'nan'):
        return None
    if progress.rows_not_finite < LASTING_ROWS and progress.looks_not_finite < LASTING_LOOKS:
        return None
    cycle_to_come = progress.cycle_step + 1 < plan.fit_cycles
    if progress.loss_kind == 'infinite' and cycle_to_come and progress.rows_not_finite < RECENT_ROWS:
        return None
    name = 'NaN' if progress.loss_kind == 'nan' else 'infinite'
    return Finding(Concern.NOT_FINITE, f'the loss is {name} {_where(progress)}')


def _diverging(progress: Progress, thresholds: MonitorThresholds) -> Finding | None:
    """Look for a loss that has been far above the best one for some rows; it may start anew with each minimisation."""
    factor, best = thresholds.divergence_factor, progress.best_loss
    recent = [loss for loss in progress.recent_losses[-thresholds.divergence_rows :] if loss is not None]
    if factor is None or best is None or best <= 0 or len(recent) < thresholds.divergence_rows:
        return None
    if min(recent) <= factor * best:
        return None
    return Finding(
        Concern.LOSS_DIVERGING, f'the loss is {recent[-1]:.3g} {_where(progress)}, but has been {best:.3g} before'
    )


def _overfitting(progress: Progress, thresholds: MonitorThresholds) -> Finding | None:
    test, rows = progress.test, thresholds.overfitting_rows
    if rows is None or test.loss is None or test.best_loss is None or test.rows_since_best < rows:
        return None
    if test.loss <= test.best_loss * (1 + thresholds.overfitting_tolerance):
        return None
    return Finding(
        Concern.OVERFITTING,
        f'the test loss is {test.loss:.3g} {_where(progress)}, but was {test.best_loss:.3g}, {test.rows_since_best} '
        'test rows ago',
    )


def _stalled(progress: Progress, thresholds: MonitorThresholds) -> Finding | None:
    iterations = thresholds.stall_iterations
    if iterations is None or progress.loss is None:
        return None
    before = progress.loss_before(iterations)
    if before is None or before <= 0 or progress.loss < before * (1 - thresholds.stall_improvement):
        return None
    return Finding(
        Concern.LOSS_STALLED,
        f'the loss is {progress.loss:.5g} {_where(progress)} and was {before:.5g} {iterations} iterations before',
    )


def _walltime(
    progress: Progress, thresholds: MonitorThresholds, plan: TrainingPlan, now: float, available: float | None
) -> Finding | None:
    needed = progress.seconds_left(plan, now=now)
    if thresholds.walltime == 'ignore' or available is None or needed is None or needed <= available:
        return None
    return Finding(
        Concern.WALLTIME_TOO_SHORT,
        f'{plan.max_iterations} iterations may take another {needed:.0f} s, but only {max(0.0, available):.0f} s of '
        'the walltime are left',
    )
