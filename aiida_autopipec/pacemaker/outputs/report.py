"""The numbers of a training in one mapping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiida_autopipec.pacemaker.outputs.health import Verdict
from aiida_autopipec.pacemaker.outputs.log import TrainingLog
from aiida_autopipec.pacemaker.outputs.metrics import Metrics
from aiida_autopipec.pacemaker.outputs.potential import PotentialInfo
from aiida_autopipec.pacemaker.outputs.predictions import Predictions
from aiida_autopipec.pacemaker.outputs.states import FitState


def training_report(
    *,
    log: TrainingLog,
    metrics: Metrics,
    verdict: Verdict,
    potential: PotentialInfo | None,
    predictions: Mapping[str, Predictions],
    environment: Mapping[str, Any],
    state: FitState | None = None,
) -> dict[str, Any]:
    """Return errors, iterations, versions, timings and device of a training.

    Units are part of the names; what is not known is ``None``.

    :param state: what an unfinished training left to go on from.
    """
    report: dict[str, Any] = {
        'health': verdict.health.value,
        'converged': verdict.converged,
        'stop_reason': None if verdict.stop_reason is None else verdict.stop_reason.value,
        'iterations': metrics.n_iterations,
        'state': None if state is None else {'filename': state.filename, **state.position.as_dict()},
        'initial_loss': verdict.initial_loss,
        'final_loss': verdict.final_loss,
        'errors': {part: values.errors() for part, values in predictions.items()},
        'n_functions': None if potential is None else dict(potential.n_functions),
        'n_parameters': log.n_parameters,
        'cutoff_angstrom': log.cutoff if potential is None else potential.cutoff,
        'training_structures': log.n_train_structures,
        'training_atoms': log.n_train_atoms,
        'test_structures': log.n_test_structures,
        'test_atoms': log.n_test_atoms,
        'evaluator': log.evaluator,
        'device': log.device,
        'hostname': log.hostname,
        'wall_seconds': log.wall_seconds,
        'microseconds_per_atom_and_evaluation': log.time_per_evaluation,
        'batch_size_reductions': [list(pair) for pair in log.batch_size_reductions],
        'reference_energy_by_pacemaker': None if log.reference_energy is None else dict(log.reference_energy),
        'hints': sorted(hint.value for hint in log.hints),
        'versions': {
            'pacemaker': log.pacemaker_version,
            'ace_evaluator': log.ace_evaluator_version,
            'tensorpot': log.tensorpot_version,
        },
        'environment': dict(environment),
    }
    stored: dict[str, Any] = storable(report)
    return stored


def storable(value: Any) -> Any:
    """Return a value that a database can hold: it takes neither NaN nor infinity, so ``None`` stands for them."""
    if isinstance(value, Mapping):
        return {key: storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
