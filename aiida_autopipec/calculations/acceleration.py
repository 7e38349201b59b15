"""The input ``acceleration`` of a training: its port, and the script that travels with the job for it."""

from __future__ import annotations

import shlex
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, Data, Dict

from aiida_autopipec.calculations import validation
from aiida_autopipec.calculations.common import send_scripts
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.acceleration import (
    AccelerationParameters,
    keeps_its_start,
    parse_acceleration,
    script_arguments,
)
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.restart import is_export_only

SCRIPT = 'accelerate'


def define_acceleration(spec: CalcJobProcessSpec) -> None:
    """Define the input ``acceleration``."""
    spec.input(
        'acceleration',
        valid_type=Dict,
        required=False,
        serializer=serialize_acceleration,
        validator=validate_acceleration,
        help='A better start of the fit than zero: `none`, `prefit`, `full`, or a mapping; see AccelerationParameters. '
        'A fit that goes on from a potential begins with that; `full` tells it the curvature there.',
    )


def serialize_acceleration(value: Any) -> Data:
    """Turn the name of a mode, or a plain mapping, into a node."""
    if isinstance(value, str):
        return Dict({'mode': value})
    return validation.serialize_dict(value)


def validate_acceleration(value: Dict, _: Any) -> str | None:
    """Check the settings."""
    try:
        parse_acceleration(value.get_dict())
    except ConfigError as exception:
        return str(exception)
    return None


def acceleration_of(inputs: Any) -> AccelerationParameters | None:
    """Return the settings where the begin of a fit is to be accelerated, otherwise ``None``.

    A fit that goes on from a potential has no better start than that, but it can be told the curvature there. A job
    that only exports fits nothing.
    """
    if 'acceleration' not in inputs or is_export_only(inputs.config.get_dict()):
        return None
    parameters = parse_acceleration(inputs.acceleration.get_dict())
    has_potential = 'initial_potential' in inputs or 'parent_folder' in inputs
    goes_on = keeps_its_start(inputs.config.get_dict(), has_potential=has_potential)
    return parameters if parameters.mode == 'full' or (parameters.mode == 'prefit' and not goes_on) else None


def add_acceleration(
    calcinfo: CalcInfo,
    folder: Folder,
    parameters: AccelerationParameters,
    *,
    source: str,
    code: AbstractCode,
    python: AbstractCode | None,
) -> None:
    """Let the script run after the probe and before the programs, in Pacemaker's own Python.

    Pacemaker is run with another input file, which is the plain one until the script replaces it. So nothing that may
    happen to the script stops the training.

    :param source: name of the plain input; the job may change it before.
    """
    send_scripts(calcinfo, folder, *filenames.ACCELERATION_SCRIPTS, filenames.PYTHON_FINDER)
    finder = ['sh', filenames.PYTHON_FINDER, str(code.get_executable())]
    arguments = script_arguments(parameters, source=source, target=filenames.ACCELERATED_INPUT)
    start = finder if python is None else [str(python.get_executable())]
    command = shlex.join([*start, filenames.ACCELERATION_SCRIPTS[0], *arguments])
    output = f'> {filenames.stdout_of(SCRIPT)} 2> {filenames.stderr_of(SCRIPT)}'
    copy = f'cp {source} {filenames.ACCELERATED_INPUT}'
    calcinfo.prepend_text = f'{calcinfo.prepend_text or ""}\n{copy}\n{command} {output} || true'.lstrip('\n')
    calcinfo.retrieve_list = [
        *(calcinfo.retrieve_list or []),
        filenames.ACCELERATION,
        filenames.HESSIAN_DELIVERED,
        filenames.stderr_of(SCRIPT),
    ]
