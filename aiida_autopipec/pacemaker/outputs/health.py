"""Whether a training did what it was for. Exit code 0 does not tell: see the cases of :class:`Health`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from aiida_autopipec.pacemaker.outputs.log import StopReason, TrainingLog
from aiida_autopipec.pacemaker.outputs.metrics import Metrics


class Health(str, Enum):
    """Verdicts on a training; the values are stable names."""

    HEALTHY = 'healthy'
    DRY_RUN = 'dry_run'
    NOT_STARTED = 'not_started'
    NOT_TRAINED = 'not_trained'
    DIVERGED = 'diverged'
    SKIPPED = 'skipped'
    NO_NEW_FUNCTIONS = 'no_new_functions'
    LOSS_ROSE = 'loss_rose'
    INTERRUPTED = 'interrupted'

    @property
    def explanation(self) -> str:
        """Return one sentence: what happened, and what to do."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Health.HEALTHY: 'The loss fell and is finite, and the potential was written.',
    Health.DRY_RUN: 'This was a dry run: the potential is the untrained basis.',
    Health.NOT_STARTED: 'Pacemaker stopped before the first evaluation of the loss; read the end of its stderr.',
    Health.NOT_TRAINED: (
        'The loss never moved: the potential is untrained; check `npot`, `rcut` and `trainable_parameters`.'
    ),
    Health.DIVERGED: 'The loss is not finite; check the start potential and the labels.',
    Health.SKIPPED: (
        'Pacemaker skipped the fit because the metadata of the start potential say that its fit cycles are finished; '
        'remove `_fit_cycles` from it (`strip_fit_history`).'
    ),
    Health.NO_NEW_FUNCTIONS: (
        'The initial potential already has all functions of the basis, so there was nothing to fit; go on from it with '
        '`-p`, or enlarge the basis.'
    ),
    Health.LOSS_ROSE: 'The loss ended above where it began; check the start potential and the labels.',
    Health.INTERRUPTED: 'Pacemaker stopped before it wrote the potential; go on from the interim potential.',
}

#: Relative difference under which two losses are equal: a start from a converged potential may gain nothing more.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """A judgement on a training.

    :param health: the verdict.
    :param converged: the last minimisation met the optimiser's criterion; ``None`` if none was finished. A fixed number
        of iterations normally ends without.
    :param stop_reason: why the last minimisation ended; ``None`` if none was finished.
    :param initial_loss: loss of the first row of the metrics; ``final_loss`` that of the last.
    :param ladder_step: the step that the verdict is about, where a ladder went wrong in one.
    """

    health: Health
    converged: bool | None
    stop_reason: StopReason | None
    initial_loss: float | None
    final_loss: float | None
    ladder_step: int | None = None

    @property
    def explanation(self) -> str:
        """Return one sentence: what happened, and what to do."""
        return self.health.explanation


def judge_training(metrics: Metrics, log: TrainingLog, *, has_output_potential: bool) -> Verdict:
    """Judge a training by its metrics and its log, not by its exit code.

    Healthy is a run that wrote its potential and whose loss is finite and fell, in every ladder step and in at least
    one fit cycle of it. A start from a converged potential that the optimiser calls converged at once is healthy too;
    from an untrained basis it is not, because a wrong ``npot`` gives zero gradients, which are called success as well.

    :param metrics: of ``metrics.txt``.
    :param log: of ``log.txt``, or of stderr.
    :param has_output_potential: ``output_potential.yaml`` is there.
    """
    stretches = list(metrics.stretches())
    last = log.optimisation
    health, ladder_step = _health(stretches, log, has_output_potential)
    return Verdict(
        health=health,
        converged=last.success if last else None,
        stop_reason=_stop_reason(log),
        initial_loss=float(metrics['loss'][0]) if stretches else None,
        final_loss=metrics.final_loss,
        ladder_step=ladder_step,
    )


def _stop_reason(log: TrainingLog) -> StopReason | None:
    """Return why the last minimisation ended.

    With early stopping after the last iteration the crash of python-ace#86 swallows the optimiser's result.
    """
    if log.optimisation is not None:
        return log.optimisation.stop_reason
    return StopReason.EARLY_STOPPING if log.early_stopping else None


def _health(stretches: list[Metrics], log: TrainingLog, has_output_potential: bool) -> tuple[Health, int | None]:
    """Return the verdict and the ladder step that it is about."""
    if not stretches:
        return _without_rows(log), None
    for step, cycles in _by_ladder_step(stretches):
        if not any(math.isfinite(cycle['loss'][-1]) for cycle in cycles):
            return Health.DIVERGED, step
    # the metrics lack the iteration that failed, and Pacemaker takes a NaN for the smallest loss of all fit cycles
    if any(optimisation.stop_reason is StopReason.NAN for optimisation in log.optimisations):
        return Health.DIVERGED, None
    if not has_output_potential:
        return Health.INTERRUPTED, None
    may_stand_still = log.starts_from_potential
    for step, cycles in _by_ladder_step(stretches):
        verdict = _judge_step(cycles, log, may_stand_still)
        if verdict is not Health.HEALTHY:
            return verdict, step
        may_stand_still = True  # the next ladder step starts from this one
    return Health.HEALTHY, None


def _without_rows(log: TrainingLog) -> Health:
    """Return the verdict on a run whose metrics are a header only."""
    if log.dry_run:
        return Health.DRY_RUN
    if log.skipped:
        return Health.SKIPPED
    # a ladder that ended well says so too, but has rows
    return Health.NO_NEW_FUNCTIONS if log.no_new_functions else Health.NOT_STARTED


def _by_ladder_step(stretches: Iterable[Metrics]) -> list[tuple[int | None, list[Metrics]]]:
    """Return the minimisations of each ladder step; ``None`` stands for the only step of a fit without a ladder."""
    steps: dict[int, list[Metrics]] = {}
    for stretch in stretches:
        steps.setdefault(int(stretch['ladder_step'][0]), []).append(stretch)
    single = len(steps) == 1
    return [(None if single else step, cycles) for step, cycles in steps.items()]


def _judge_step(cycles: list[Metrics], log: TrainingLog, may_stand_still: bool) -> Health:
    """Judge one ladder step: the best of its fit cycles counts, as Pacemaker keeps that one."""
    losses = [(float(cycle['loss'][0]), float(cycle['loss'][-1])) for cycle in cycles]
    if any(last < first * (1 - _ROUNDING) for first, last in losses):
        return Health.HEALTHY
    if all(last > first * (1 + _ROUNDING) for first, last in losses):
        return Health.LOSS_ROSE
    settled = any(optimisation.success for optimisation in log.optimisations)
    return Health.HEALTHY if may_stand_still and settled else Health.NOT_TRAINED
