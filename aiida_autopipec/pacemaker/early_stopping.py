"""Ending a fit by its test loss, and keeping the potential with the lowest one: settings, and what became of it.

``remote/autopipec_hook.py`` does the work, in the job, called by Pacemaker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.outputs.metrics import Metrics
from aiida_autopipec.pacemaker.outputs.report import storable

CALLBACK = 'autopipec_hook.after_iteration'
"""What Pacemaker is told to call after each iteration."""

_PRINTED = 1e-9
"""Relative difference of the same loss in two files."""

ENDED_BY_CALLBACK = ('BFGS', 'L-BFGS-B', 'CG', 'Nelder-Mead', 'Powell')


class EarlyStoppingParameters(BaseModel):
    """When a minimisation is ended by its test loss.

    The potential with the lowest test loss becomes the output `best_potential`, beside the last one.
    """

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)

    patience: int = Field(
        100, ge=1, description='Iterations that may pass until the test loss has fallen by `least_improvement`.'
    )
    least_improvement: float = Field(
        1e-3, ge=0.0, lt=1.0, description='Part of itself by which the test loss has to fall for the fit to go on.'
    )
    stop: bool = Field(True, description='`false`: nothing is ended, and the best potential is kept.')


def parse_early_stopping(value: Mapping[str, Any]) -> EarlyStoppingParameters:
    """Read the settings of early stopping.

    :raises ConfigError: if a key is unknown or a value is not possible; the message names the key.
    """
    return parse_parameters(EarlyStoppingParameters, value)


def early_stopping_problem(
    parameters: EarlyStoppingParameters, config: TrainingConfig, *, has_test_set: bool
) -> str | None:
    """Return what is wrong with early stopping for a training, if anything."""
    if not has_test_set:
        return '`early_stopping` needs a test set: give one, or use fit.min_relative_train_loss_per_iter'
    if not parameters.stop:
        return None
    backend, optimizer = config.backend, config.fit.optimizer
    if backend.evaluator == 'tensorpot' and parameters.patience < backend.display_step:
        return (
            f'`early_stopping.patience` is {parameters.patience}, but Pacemaker computes the test loss only each '
            f'{backend.display_step} iterations: set backend.display_step to that or less'
        )
    if optimizer not in ENDED_BY_CALLBACK:
        return f'`early_stopping` cannot end the optimizer {optimizer}: set `stop: false`, or use BFGS'
    return None


def early_stopping_report(outcome: Mapping[str, Any], *, stderr: str = '') -> dict[str, Any]:
    """Return what became of early stopping.

    :param outcome: content of ``early_stopping.json``; empty if Pacemaker never called.
    :param stderr: why the module cannot be imported, if it cannot.
    """
    if not outcome:
        lines = stderr.strip().splitlines()
        return {'used': False, 'reason': lines[-1][:300] if lines else 'no iteration was seen'}
    report = {key: outcome.get(key) for key in ('used', 'reason', 'looks', 'seconds')}
    stops = outcome.get('stopped')
    stops = stops if isinstance(stops, list) else []
    return dict(
        storable(
            {
                **report,
                'used': outcome.get('used') is True,
                'stopped': bool(stops),
                'stops': stops,
                **{name: _state(outcome.get(name)) for name in ('best', 'last')},
            }
        )
    )


def _state(found: Any) -> dict[str, Any] | None:
    """Return where a state is and its test errors, in the units of all reports; ``None`` without a test loss."""
    if not isinstance(found, Mapping) or _number(found.get('test_loss')) is None:
        return None
    energy, forces = _number(found.get('rmse_epa')), _number(found.get('rmse_f_comp'))
    return {
        **{name: _number(found.get(name)) for name in ('ladder_step', 'fit_cycle', 'iteration', 'test_loss')},
        'rmse_energy_mev_per_atom': None if energy is None else 1e3 * energy,
        'rmse_forces_mev_per_angstrom': None if forces is None else 1e3 * forces,
    }


def _number(value: Any) -> float | None:
    """Return a number as it is, and nothing for what else may stand in a file from a remote computer."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def last_is_best(report: Mapping[str, Any], metrics: Metrics, test_metrics: Metrics) -> dict[str, Any] | None:
    """Return the place and the test errors of the last state of a fit if it has the lowest test loss.

    The test metrics of evaluator ``tensorpot`` end with a row of the last state, after all calls of the module.

    :param report: of :func:`early_stopping_report`.
    :param metrics: of a single minimisation.
    """
    row, best = test_metrics.last, report.get('best') or {}
    lowest = best.get('test_loss')
    if not report.get('used') or not row or not math.isfinite(row['loss']) or row['iter_num'] == 0:
        return None
    if lowest is not None and row['loss'] >= lowest * (1 - _PRINTED):
        return None
    place = {'ladder_step': 0, 'fit_cycle': 0, 'iteration': metrics.n_iterations, 'test_loss': row['loss']}
    found = {**row, **place}
    return dict(storable(_state(found) or {}))


def early_stopping_warning(report: Mapping[str, Any]) -> str | None:
    """Return what is to be said of early stopping that did not go as asked, or ``None``."""
    reason = report.get('reason')
    if not report.get('used'):
        return f'early_stopping: not used, trained as without it: {reason}'
    return None if reason is None else f'early_stopping: nothing was ended: {reason}'
