"""Options that jobs on a computer, or of an installation, have unless they state their own.

``aiida-autopipec setup`` states them: for a computer in its metadata, for a code in its extras. A job that is made
takes them over into its own options, so its node shows what it really ran with.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from aiida.orm import AbstractCode, Computer, Dict
from pydantic import BaseModel, ConfigDict, Field, field_validator

from aiida_autopipec.calculations.gpus import parse_request

KEY = 'autopipec'
"""Under which the extras of a code and the metadata of a computer hold what belongs to this package."""

RESOURCES = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
"""Of a job that states none: Pacemaker does not use MPI."""


class JobDefaults(BaseModel):
    """Options of AiiDA for jobs that do not state them."""

    model_config = ConfigDict(extra='forbid', frozen=True, strict=True)

    queue_name: str | None = Field(None, description='Partition or queue.')
    account: str | None = Field(None, description='Whom the time is charged to.')
    qos: str | None = Field(None, description='Quality of service.')
    max_wallclock_seconds: int | None = Field(None, ge=1, description='Time limit (s).')
    max_memory_kb: int | None = Field(None, ge=1, description='Memory per node (kB).')
    resources: dict[str, Any] | None = Field(None, description='Nodes, processes and cores, as the scheduler has them.')
    gpus: int | dict[str, Any] | None = Field(
        None, description='GPUs of a training with the evaluator tensorpot: a number, or keys as of GpuRequest.'
    )

    @field_validator('gpus')
    @classmethod
    def check_gpus(cls, value: Any) -> Any:
        """Check the request for GPUs."""
        parse_request(value)
        return value

    def stated(self) -> dict[str, Any]:
        """Return those that are set."""
        return self.model_dump(exclude_none=True)


def state_for_computer(computer: Computer, *, gpu_form: str | None, options: JobDefaults) -> bool:
    """Keep defaults with a computer, and tell whether that changed anything."""
    kept: dict[str, Any] = {'options': options.stated()} if options.stated() else {}
    if gpu_form is not None:
        kept['gpu_form'] = gpu_form
    if kept == stated_for_computer(computer):
        return False
    computer.set_property(KEY, kept)
    return True


def state_for_code(code: AbstractCode, options: JobDefaults) -> bool:
    """Keep defaults with a code, and tell whether that changed anything."""
    kept = {'options': options.stated()} if options.stated() else {}
    if kept == stated_for_code(code):
        return False
    code.base.extras.set(KEY, kept)
    return True


def stated_for_computer(computer: Computer) -> dict[str, Any]:
    """Return what is kept with a computer."""
    kept: dict[str, Any] = computer.get_property(KEY, {})
    return kept


def stated_for_code(code: AbstractCode) -> dict[str, Any]:
    """Return what is kept with a code."""
    kept: dict[str, Any] = code.base.extras.get(KEY, {})
    return kept


def with_defaults(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a job with the options of its code and its computer, where it states none itself.

    Resources are replaced if they are those of every job: a work chain hands these on as if they were stated.
    """
    filled = dict(inputs)
    code = inputs.get('code', None)
    if not isinstance(code, AbstractCode):
        return filled
    computer = computer_of(inputs)
    kept = [stated_for_computer(computer) if computer is not None else {}, stated_for_code(code)]
    defaults = {key: value for part in kept for key, value in part.get('options', {}).items()}
    if not _trains_with_tensorflow(inputs):
        defaults.pop('gpus', None)
    metadata = dict(inputs.get('metadata', {}))
    given = dict(metadata.get('options', {}))
    if given.get('resources') == RESOURCES:
        del given['resources']
    options = {'resources': dict(RESOURCES), **deepcopy(defaults), **given}
    filled['metadata'] = {**metadata, 'options': options}
    return filled


def computer_of(inputs: Mapping[str, Any]) -> Computer | None:
    """Return the computer that a job runs on."""
    computer: Computer | None = inputs['code'].computer or inputs.get('metadata', {}).get('computer', None)
    return computer


def _trains_with_tensorflow(inputs: Mapping[str, Any]) -> bool:
    """Tell whether a job can make use of a GPU."""
    config = inputs.get('config', {})
    settings = config.get_dict() if isinstance(config, Dict) else config
    backend = settings.get('backend') if isinstance(settings, Mapping) and 'dataset' in inputs else None
    return isinstance(backend, Mapping) and backend.get('evaluator') == 'tensorpot'
