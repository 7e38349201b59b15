"""The option ``gpus`` of a training: its port, its check against the other inputs, and what is expected of the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, Computer

from aiida_autopipec.calculations.defaults import computer_of, stated_for_computer
from aiida_autopipec.calculations.gpus import (
    GpuRequest,
    asked_by_hand,
    directive,
    parse_request,
    with_directive,
)
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.errors import ConfigError

ON_CPU = -1
"""``backend.gpu_config.gpu_ind`` that keeps TensorFlow from using a GPU."""


def define_gpus(spec: CalcJobProcessSpec) -> None:
    """Define the option by which a training asks for GPUs."""
    spec.input(
        'metadata.options.gpus',
        valid_type=(int, dict),
        required=False,
        validator=validate_gpus,
        help='GPUs per node, asked for as the scheduler of the computer wants it: a number, or keys as of GpuRequest.',
    )


def validate_gpus(value: int | dict[str, Any] | None, _: Any) -> str | None:
    """Check the option by itself."""
    try:
        parse_request(value)
    except ConfigError as exception:
        return str(exception)
    return None


def gpus_problem(inputs: Mapping[str, Any], config: TrainingConfig | None) -> str | None:
    """Return why the GPUs that a training asks for cannot be asked for, or would not be used.

    :param inputs: of the calculation, with the defaults of computer and code.
    :param config: ``None`` where a work chain states it elsewhere.
    """
    options = inputs.get('metadata', {}).get('options', {})
    computer = computer_of(inputs) if 'code' in inputs else None
    if validate_gpus(options.get('gpus'), None) or computer is None:
        return None  # reported by the ports themselves
    request = parse_request(options.get('gpus'))
    try:
        gpu_directive(request, computer)
    except ConfigError as exception:
        return f'`metadata.options`: {exception}'
    if config is None or request.count == 0:
        return None
    if config.backend.evaluator != 'tensorpot':
        return (
            f'`metadata.options.gpus` is {request.count}, but `backend.evaluator` is {config.backend.evaluator}, which '
            'runs on the CPU: set `evaluator: tensorpot`, or leave `gpus` out'
        )
    if config.backend.gpu_config.gpu_ind == ON_CPU:
        return (
            f'`metadata.options.gpus` is {request.count}, but `backend.gpu_config.gpu_ind` is {ON_CPU}, which means '
            'the CPU: remove one of the two'
        )
    return None


def gpu_directive(request: GpuRequest, computer: Computer) -> str:
    """Return how a computer is asked for GPUs.

    :raises ConfigError: if it cannot be asked in this way.
    """
    form = stated_for_computer(computer).get('gpu_form')
    return directive(request, computer.get_scheduler(), default_form=form)


def script_with_gpus(script: str, options: Mapping[str, Any], computer: Computer) -> str:
    """Return the script of a job with the request for GPUs that its options state."""
    text = gpu_directive(parse_request(options.get('gpus')), computer)
    return with_directive(script, text, computer.get_scheduler())


def expected_gpus(options: Mapping[str, Any], config: TrainingConfig, codes: Mapping[str, AbstractCode]) -> GpuRequest:
    """Return the GPUs that a training may count on: those of the option, or else of directives written by hand.

    :param codes: all codes of the job, whose texts stand in its script.
    """
    if config.backend.evaluator != 'tensorpot' or config.backend.gpu_config.gpu_ind == ON_CPU:
        return GpuRequest(count=0)
    if options.get('gpus') is not None:
        return parse_request(options['gpus'])
    texts = [options.get('custom_scheduler_commands'), options.get('prepend_text')]
    for code in codes.values():
        texts += [code.prepend_text, code.computer.get_prepend_text() if code.computer is not None else None]
    return GpuRequest(count=asked_by_hand(*texts))
