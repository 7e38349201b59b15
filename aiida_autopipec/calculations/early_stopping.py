"""The input ``early_stopping`` of a training: its port, and the module that Pacemaker imports for it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib import resources
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, Data, Dict, SinglefileData

from aiida_autopipec.calculations import validation
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.early_stopping import (
    EarlyStoppingParameters,
    early_stopping_problem,
    parse_early_stopping,
)
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.restart import is_export_only


def define_early_stopping(spec: CalcJobProcessSpec) -> None:
    """Define the input ``early_stopping`` and the output ``best_potential``."""
    spec.input(
        'early_stopping',
        valid_type=Dict,
        required=False,
        serializer=serialize_early_stopping,
        validator=validate_early_stopping,
        help='End the fit when its test loss falls no more: the patience in iterations, or a mapping; see '
        'EarlyStoppingParameters.',
    )
    spec.output(
        'best_potential',
        valid_type=SinglefileData,
        required=False,
        help='With `early_stopping`, the potential (`.yaml`) with the lowest test loss; attributes say which it is.',
    )


def serialize_early_stopping(value: Any) -> Data:
    """Turn a patience, or a plain mapping, into a node."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Dict({'patience': value})
    return validation.serialize_dict(value)


def validate_early_stopping(value: Dict | None, _: Any) -> str | None:
    """Check the settings."""
    try:
        parse_early_stopping({} if value is None else value.get_dict())
    except ConfigError as exception:
        return str(exception)
    return None


def stopping_problem(inputs: Mapping[str, Any], config: TrainingConfig, *, has_test_set: bool) -> str | None:
    """Return what is wrong with early stopping for a training, if it is asked for.

    :param inputs: those of the training job.
    """
    stated: Dict | None = inputs.get('early_stopping', None)
    if stated is None or 'remote_folder' in inputs or validate_early_stopping(stated, None):
        return None
    return early_stopping_problem(parse_early_stopping(stated.get_dict()), config, has_test_set=has_test_set)


def early_stopping_of(inputs: Any) -> EarlyStoppingParameters | None:
    """Return the settings where a fit is to be followed, otherwise ``None``: a job that only exports fits nothing."""
    if 'early_stopping' not in inputs or is_export_only(inputs.config.get_dict()):
        return None
    return parse_early_stopping(inputs.early_stopping.get_dict())


def add_hook(calcinfo: CalcInfo, folder: Folder) -> None:
    """Let Pacemaker find the module that it calls after each iteration.

    It lies in a folder of its own, so that nothing else of the job becomes a module of that name.
    """
    source = resources.files('aiida_autopipec.remote').joinpath(filenames.HOOK)
    with folder.get_subfolder(filenames.HOOK_FOLDER, create=True).open(filenames.HOOK, 'w') as handle:
        handle.write(source.read_text())
    excluded = calcinfo.provenance_exclude_list or []
    calcinfo.provenance_exclude_list = [*excluded, f'{filenames.HOOK_FOLDER}/{filenames.HOOK}']
    found = f'export PYTHONPATH="$PWD/{filenames.HOOK_FOLDER}${{PYTHONPATH:+:$PYTHONPATH}}"'
    calcinfo.prepend_text = f'{calcinfo.prepend_text or ""}\n{found}'.lstrip('\n')


def add_early_stopping(
    calcinfo: CalcInfo,
    folder: Folder,
    parameters: EarlyStoppingParameters,
    *,
    code: AbstractCode,
    python: AbstractCode | None,
) -> None:
    """Let the job use the input that names the module, if Pacemaker's own Python can import it.

    Without that test an environment that does not reach Pacemaker would end it at its start.
    """
    with folder.open(filenames.EARLY_STOPPING_SETTINGS, 'w') as handle:
        json.dump(parameters.model_dump(), handle)
    start = ['sh', filenames.PYTHON_FINDER, str(code.get_executable())]
    test = shlex.join([*(start if python is None else [str(python.get_executable())]), '-c', 'import autopipec_hook'])
    output = f'> /dev/null 2> {filenames.stderr_of("hook")}'
    plain = f'cp {filenames.INPUT} {filenames.FOLLOWED_INPUT}'
    calcinfo.prepend_text = f'{calcinfo.prepend_text or ""}\n{test} {output} || {plain}'.lstrip('\n')
    calcinfo.retrieve_list = [
        *(calcinfo.retrieve_list or []),
        filenames.EARLY_STOPPING,
        filenames.BEST_POTENTIAL,
        filenames.stderr_of('hook'),
    ]
