"""The YAML file that describes a computer and the programs on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiida.plugins import SchedulerFactory, TransportFactory
from aiida.plugins.entry_point import get_entry_point_names
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.calculations.defaults import JobDefaults
from aiida_autopipec.calculations.gpus import GpuRequest, directive, parse_request
from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.errors import ConfigError

_DIRECTIVES = ('#SBATCH', '#PBS', '#BSUB', '#$ ')


class _Section(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class ComputerSettings(_Section):
    """A computer as AiiDA knows it."""

    label: str = Field(min_length=1, description='Name of the computer in AiiDA.')
    hostname: str = Field(min_length=1, description='Name of the host; with core.ssh_async as in ~/.ssh/config.')
    description: str = Field('', description='For people.')
    transport: str = Field('core.ssh_async', description='Entry point of the transport.')
    scheduler: str = Field('core.slurm', description='Entry point of the scheduler.')
    work_dir: str = Field(min_length=1, description='Folder of jobs on the computer; `{username}` is filled in.')
    shebang: str = Field('#!/bin/bash', description='First line of job scripts.')
    mpirun_command: str = Field('', description='Not used by Pacemaker, which knows no MPI.')
    mpiprocs_per_machine: int = Field(1, ge=1, description='Processes per node unless a job says otherwise.')
    prepend_text: str = Field('', description='For the scripts of all jobs on this computer.')
    append_text: str = Field('', description='For the end of the scripts of all jobs.')
    minimum_job_poll_interval: float = Field(10.0, ge=0, description='Seconds between looks into the queue.')
    safe_interval: float = Field(15.0, ge=0, description='Seconds between connections.')
    transport_options: dict[str, Any] = Field(default={}, description='Further options of the transport.')
    gpu_form: str | None = Field(None, description='How the scheduler is asked for GPUs; by default its usual form.')
    options: JobDefaults = Field(
        default=JobDefaults(), description='Options of all jobs on this computer that do not state their own.'
    )


class CodeSettings(_Section):
    """An installation of Pacemaker on the computer."""

    bin_dir: str = Field(pattern=r'^/', description='Folder that holds `pacemaker`, an absolute path.')
    label_suffix: str = Field('', description='Put behind the names of the programs to make their labels.')
    prepend_text: str = Field('', description='For the scripts of jobs: modules and environment.')
    options: JobDefaults = Field(
        default=JobDefaults(), description='Options of jobs of this installation that do not state their own.'
    )


class ClusterSettings(_Section):
    """A computer and the installations of Pacemaker on it."""

    computer: ComputerSettings
    codes: list[CodeSettings] = Field(min_length=1)


def parse_cluster(mapping: Mapping[str, Any]) -> ClusterSettings:
    """Read the content of the file.

    :raises ConfigError: if a key is unknown or missing, or a value is not possible; the message names the key.
    """
    try:
        settings = ClusterSettings.model_validate(mapping)
    except ValidationError as exception:
        # a misspelt key is also a missing one: that it is unknown says more
        error = min(exception.errors(include_url=False), key=lambda error: error['type'] != 'extra_forbidden')
        key = '.'.join(map(str, error['loc']))
        if error['type'] == 'extra_forbidden':
            raise _unknown(key, str(error['loc'][-1]), _keys_beside(error['loc'])) from exception
        if error['type'] == 'model_type':
            raise ConfigError(f'`{key}` has to hold a mapping of keys to values') from exception
        raise ConfigError(f'`{key}`: {error["msg"].removeprefix("Value error, ")}') from exception
    _check_plugins(settings.computer)
    _check_gpus(settings)
    _check_texts(settings)
    return settings


def _unknown(key: str, name: str, known: Iterable[str]) -> ConfigError:
    """Return the error about something that there is not, with what was meant."""
    known = list(known)
    near = nearest(name, known)
    advice = f'did you mean {near}?' if near else f'known are {", ".join(known)}'
    return ConfigError(f'`{key}` is unknown; {advice}')


def _keys_beside(path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section that a wrong key stands in."""
    sections: dict[str, type[BaseModel]] = {
        'computer': ComputerSettings,
        'codes': CodeSettings,
        'options': JobDefaults,
    }
    parents = [sections[str(part)] for part in path[:-1] if part in sections]
    return list((parents[-1] if parents else ClusterSettings).model_fields)


def _check_plugins(computer: ComputerSettings) -> None:
    """Check that transport and scheduler exist, and the options of the transport."""
    for key, name, group in (
        ('transport', computer.transport, 'aiida.transports'),
        ('scheduler', computer.scheduler, 'aiida.schedulers'),
    ):
        names = sorted(get_entry_point_names(group))
        if name not in names:
            raise _unknown(f'computer.{key}: {name}', name, names)
    known = TransportFactory(computer.transport).get_valid_auth_params()
    for option in computer.transport_options:
        if option not in known:
            raise _unknown(f'computer.transport_options.{option}', option, known)


def _check_gpus(settings: ClusterSettings) -> None:
    """Check that the scheduler can be asked for GPUs as it is stated."""
    scheduler, form = SchedulerFactory(settings.computer.scheduler)(), settings.computer.gpu_form
    requests = {'computer.gpu_form': GpuRequest(form=form)}
    sections = {'computer': settings.computer.options}
    sections |= {f'codes.{number}': code.options for number, code in enumerate(settings.codes)}
    requests |= {f'{key}.options.gpus': parse_request(options.gpus) for key, options in sections.items()}
    for key, request in requests.items():
        try:
            directive(request, scheduler, default_form=form)
        except ConfigError as exception:
            raise ConfigError(f'`{key}`: {exception}') from exception


def _check_texts(settings: ClusterSettings) -> None:
    """Refuse directives that the scheduler would not see, because a command stands before them."""
    for number, code in enumerate(settings.codes):
        command = ''
        for line in f'{settings.computer.prepend_text}\n{code.prepend_text}'.splitlines():
            if line.startswith(_DIRECTIVES) and command:
                raise ConfigError(
                    f'`codes.{number}.prepend_text`: the scheduler would ignore the line `{line}`, because `{command}` '
                    'stands before it: state it in `options`, or before all commands'
                )
            command = command or ('' if line.startswith('#') else line.strip())
