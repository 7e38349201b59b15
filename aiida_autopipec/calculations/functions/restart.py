"""Calculation functions of a training that takes several jobs: changed settings, and the results of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import ArrayData, Dict, FolderData, SinglefileData
from aiida.repository.common import FileType

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.outputs import Attempt, Metrics, newest_state, parse_log, salvage_metrics, stitch
from aiida_autopipec.pacemaker.restart import merged

TEST = 'test_'


@calcfunction
def change_config(config: Dict, changes: Dict) -> Dict:
    """Return other settings of a training, for a job that goes on from the state of another one.

    :param config: settings as the user made them.
    :param changes: nested like the settings; ``None`` removes a key.
    :raises ConfigError: if Pacemaker would ignore or misread the result.
    """
    changed = merged(config.get_dict(), changes.get_dict())
    TrainingConfig.model_validate(changed)
    return Dict(changed)


@calcfunction
def read_unfinished(files: FolderData) -> dict[str, Any]:
    """Read how far a training came from files of its folder, as the parser would have done.

    :param files: ``metrics.txt``, ``log.txt`` and ``interim_potential_*.yaml``, as far as they are there.
    :return: ``interim_potential`` and ``learning_curve``, each if there is one, and ``output_parameters`` with
        ``state`` and ``problems``.
    """
    content = {name: files.base.repository.get_object_content(name, mode='rb') for name in _file_names(files)}
    metrics = salvage_metrics(content.get(filenames.METRICS, b'').decode(errors='replace'))
    log = parse_log(content.get(filenames.LOG, b'').decode(errors='replace'))
    states = {name: value for name, value in content.items() if name.startswith('interim_potential_')}
    state, problems = newest_state(states, metrics, log)
    report: dict[str, Any] = {'iterations': metrics.n_iterations, 'state': None, 'problems': list(problems)}
    results: dict[str, Any] = {}
    if len(metrics):
        results['learning_curve'] = ArrayData({name: np.asarray(rows) for name, rows in metrics.columns.items()})
    if state is not None:
        report['state'] = {'filename': state.filename, **state.position.as_dict()}
        results['interim_potential'] = SinglefileData.from_bytes(state.content, filename='interim_potential.yaml')
    return {**results, 'output_parameters': Dict(report)}


def _file_names(files: FolderData) -> list[str]:
    """Return the names of the files of a folder, without those in folders in it."""
    repository = files.base.repository
    return [entry.name for entry in repository.list_objects() if entry.file_type is FileType.FILE]


@calcfunction
def combine_attempts(story: Dict, parameters: Dict, **curves: ArrayData) -> dict[str, Any]:
    """Put together what the jobs of one training gave.

    :param story: ``attempts``, one mapping per job that says how it ended; and what else replaces numbers of the last
        job, such as ``converged``.
    :param parameters: ``output_parameters`` of the job that ended the training.
    :param curves: ``learning_curve`` of the jobs that led to the result, each of which went on from the one before, by
        ``attempt_01``, ``attempt_02``, …
    :return: ``output_parameters``, whose ``iterations`` counts all that led to the result, each once; and
        ``learning_curve``, if there is one, with the array ``attempt``.
    """
    attempts = [_attempt(int(key.rpartition('_')[2]), curve) for key, curve in sorted(curves.items())]
    whole = stitch(attempts)
    report = {**parameters.get_dict(), **story.get_dict()}
    if not len(whole.metrics):
        return {'output_parameters': Dict({**report, 'iterations': 0})}
    start = float(whole.metrics['loss'][0])
    report |= {
        'iterations': whole.metrics.n_iterations,
        'initial_loss': start if np.isfinite(start) else None,
    }
    arrays = dict(whole.metrics.columns)
    if len(whole.test_metrics):
        arrays |= {f'{TEST}{name}': values for name, values in whole.test_metrics.columns.items()}
    return {
        'output_parameters': Dict(report),
        'learning_curve': ArrayData({name: np.asarray(values) for name, values in arrays.items()}),
    }


def _attempt(number: int, curve: ArrayData) -> Attempt:
    arrays = {name: np.asarray(curve.get_array(name), dtype=float) for name in sorted(curve.get_arraynames())}
    return Attempt(
        number,
        Metrics({name: values for name, values in arrays.items() if not name.startswith(TEST)}),
        Metrics({name.removeprefix(TEST): values for name, values in arrays.items() if name.startswith(TEST)}),
    )
