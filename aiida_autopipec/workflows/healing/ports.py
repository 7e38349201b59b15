"""Ports and exit codes of a training that heals itself."""

from __future__ import annotations

from typing import Any

from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import Int

from aiida_autopipec.calculations.exit_codes import WARNINGS_FROM
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation

EXIT_CODES: dict[str, tuple[int, str]] = {
    'ERROR_NO_PROGRESS': (403, '{attempts} attempts in a row got no further; the last one: {cause}'),
    'ERROR_OUT_OF_MEMORY': (404, 'There is not enough memory, and nothing is left to change: {cause}'),
    'ERROR_DIVERGED': (405, 'The loss is not finite or grows, and what usually helps did not: {cause}'),
    'ERROR_NOT_TRAINED': (406, 'The loss does not move, and shaking the coefficients did not help: {cause}'),
    'ERROR_ENVIRONMENT': (407, 'The computer cannot run this training as it is set up: {cause}'),
    'ERROR_STORAGE': (408, 'Files are lost or cut off, also in a second attempt: {cause}'),
    'ERROR_STOPPED': (409, 'The monitor stopped the training: {cause}'),
    'ERROR_EXPORT_FAILED': (410, 'The potential is trained, but not exported, also in a second attempt: {cause}'),
    'ERROR_NO_STATE': (411, '`parent_folder` holds no whole state of the training to go on from: {problems}'),
}


def define_limits(spec: WorkChainSpec) -> None:
    """Define how often and with how much a training is tried."""
    inputs: Any = spec.inputs
    # after that pause aiida-core 2.9 counts from one again and looks at the first job once more instead of the newest
    del inputs['pause_on_max_iterations']
    inputs['max_iterations'].default = lambda: Int(100)
    inputs['max_iterations'].help = 'Most jobs in all, however much progress they make.'
    spec.input(
        'max_attempts_without_progress',
        valid_type=Int,
        default=lambda: Int(3),
        validator=validate_positive,
        help='The training is given up when so many jobs in a row got no further. Jobs that did are not counted.',
    )
    spec.input(
        'max_memory_kb',
        valid_type=Int,
        required=False,
        validator=validate_positive,
        help='Up to how much memory (kB) may be asked for when a job had too little. Without it no job asks for '
        'more than the one before.',
    )
    spec.input(
        'extra_rounds',
        valid_type=Int,
        required=False,
        validator=validate_not_negative,
        help='How often a fit that reached `maxiter` before it converged goes on for another `maxiter` iterations; '
        'if it has not converged after that, the work chain finishes with `WARNING_NOT_CONVERGED`. Without this '
        'input `maxiter` is a normal end.',
    )


def define_exit_codes(spec: WorkChainSpec) -> None:
    """Define one exit code for each way in which a training is given up."""
    for label, (status, message) in EXIT_CODES.items():
        spec.exit_code(status, label, message=message)
    define_warnings(spec)


def define_warnings(spec: WorkChainSpec) -> None:
    """Define one exit code for each warning that a training finishes with: all outputs are there."""
    for label, code in PaceTrainCalculation.exit_codes.items():
        if code.status >= WARNINGS_FROM:
            spec.exit_code(code.status, label, message=code.message)
    spec.exit_code(
        710,
        'WARNING_NOT_CONVERGED',
        message='The potential is trained, but the optimizer has not converged after {rounds} extra rounds.',
    )


def validate_positive(value: Int, _: Any) -> str | None:
    """Check that a limit allows anything."""
    return None if value.value > 0 else f'must be at least 1, not {value.value}'


def validate_not_negative(value: Int | None, _: Any) -> str | None:
    """Check that a number of rounds is one."""
    return None if value is None or value.value >= 0 else f'must be 0 or more, not {value.value}'
