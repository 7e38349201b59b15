"""A better start of a fit than zero: its settings, and what became of it.

The scripts ``remote/accelerate*.py`` do the work, on the computer of the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.outputs.metrics import Metrics
from aiida_autopipec.pacemaker.outputs.report import storable

AGREEMENT = 1e-4
"""Relative difference of Pacemaker's first loss from the predicted one that is none of weights or structures.

With evaluator ``pyace`` both were the same to nine digits in every fit that was tried. ``tensorpot`` has no splines:
with ``deltaSplineBins`` 0.01, and a start that met the labels nearly exactly, 3e-6 remained. One structure too many
among 86 made 7e-3.
"""

GOES_ON = 'the fit goes on from a potential'


class AccelerationParameters(BaseModel):
    """How a fit begins. One that goes on from a potential keeps that start, and `full` tells it the curvature there."""

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)

    mode: Literal['none', 'prefit', 'full'] = Field(
        'prefit',
        description='`none`: from zero. `prefit`: with the best first density, which is a linear problem. `full`: also '
        'with a start of the second density, and with the curvature of the loss there (BFGS only, not in a ladder).',
    )
    damping: float = Field(
        1e-3, gt=0.0, le=1.0, description='Part of its diagonal that is added to the curvature before it is inverted.'
    )
    structures: int = Field(100, ge=1, description='Structures, chosen at random, that the curvature is computed from.')
    seed: int = Field(0, ge=0, lt=2**32, description='Seed of that choice, and of the structures of the self-test.')


def parse_acceleration(value: Mapping[str, Any]) -> AccelerationParameters:
    """Read the settings of an acceleration.

    :raises ConfigError: if a key is unknown or a value is not possible; the message names the key.
    """
    return parse_parameters(AccelerationParameters, value)


def keeps_its_start(config: Mapping[str, Any], *, has_potential: bool) -> bool:
    """Return whether a fit goes on from a potential, and not only with its shape.

    :param config: the settings.
    :param has_potential: a potential is given.
    """
    stated = config.get('potential')
    return has_potential and not (isinstance(stated, Mapping) and stated.get('reset') is True)


def script_arguments(parameters: AccelerationParameters, *, source: str, target: str) -> list[str]:
    """Return the arguments of ``accelerate.py``.

    :param source: name of the plain input.
    :param target: name of the input that Pacemaker is run with; a copy of the plain one until the script replaces it.
    """
    return [
        source,
        target,
        '--mode', parameters.mode,
        '--damping', repr(parameters.damping),
        '--structures', str(parameters.structures),
        '--seed', str(parameters.seed),
    ]  # fmt: skip


def acceleration_report(
    outcome: Mapping[str, Any], metrics: Metrics, *, stderr: str = '', delivered: bool = False
) -> dict[str, Any]:
    """Return what became of an acceleration, with Pacemaker's own first loss beside the predicted one.

    :param outcome: content of ``acceleration.json``; empty if the script did not come to its end.
    :param metrics: of the fit; the first row is its start.
    :param stderr: what the script said.
    :param delivered: Pacemaker was given the curvature that lies in a file.
    """
    if not outcome:
        lines = stderr.strip().splitlines()
        return {'used': False, 'reason': f'the script did not end: {lines[-1][:300] if lines else "it says nothing"}'}
    report = {key: value for key, value in outcome.items() if key != 'traceback'}
    if outcome.get('used') is not True:
        return {**storable(report), 'used': False}
    predicted, found = outcome.get('predicted_loss'), float(metrics['loss'][0]) if len(metrics) else None
    report['first_loss'] = found
    if isinstance(predicted, float) and found is not None:
        report['as_predicted'] = abs(found - predicted) <= AGREEMENT * abs(predicted)
    curvature = outcome.get('curvature')
    if isinstance(curvature, Mapping) and curvature.get('by_file') and not delivered:
        report['curvature'] = {'used': False, 'reason': 'Pacemaker did not take it from its file'}
    return dict(storable(report))


def acceleration_problem(report: Mapping[str, Any]) -> str | None:
    """Return what is to be said of an acceleration that did not go as asked, or ``None``."""
    if not report.get('used'):
        return f'acceleration: not used, trained as without it: {report.get("reason")}'
    curvature = report.get('curvature')
    if isinstance(curvature, Mapping) and not curvature.get('used'):
        return f'acceleration: without curvature: {curvature.get("reason")}'
    if report.get('as_predicted') is False:
        return (
            f'acceleration: the first loss is {report.get("first_loss")}, but {report.get("predicted_loss")} was '
            'predicted: report this as a bug; the fit itself is what the metrics say'
        )
    return None
