"""The YAML file that describes a computer and the programs on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.pacemaker.errors import ConfigError


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


class CodeSettings(_Section):
    """An installation of Pacemaker on the computer."""

    bin_dir: str = Field(pattern=r'^/', description='Folder that holds `pacemaker`, an absolute path.')
    label_suffix: str = Field('', description='Put behind the names of the programs to make their labels.')
    prepend_text: str = Field('', description='For the scripts of jobs: modules, environment, `#SBATCH` lines.')


class ClusterSettings(_Section):
    """A computer and the installations of Pacemaker on it."""

    computer: ComputerSettings
    codes: list[CodeSettings] = Field(min_length=1)


def parse_cluster(mapping: Mapping[str, Any]) -> ClusterSettings:
    """Read the content of the file.

    :raises ConfigError: if a key is unknown or missing, or a value is not possible; the message names the key.
    """
    try:
        return ClusterSettings.model_validate(mapping)
    except ValidationError as exception:
        # a misspelt key is also a missing one: that it is unknown says more
        error = min(exception.errors(include_url=False), key=lambda error: error['type'] != 'extra_forbidden')
        key = '.'.join(map(str, error['loc']))
        if error['type'] == 'extra_forbidden':
            raise ConfigError(f'`{key}` is unknown; known are {", ".join(_keys_beside(error["loc"]))}') from exception
        raise ConfigError(f'`{key}`: {error["msg"]}') from exception


def _keys_beside(path: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section that a wrong key stands in."""
    sections: dict[str, type[_Section]] = {'computer': ComputerSettings, 'codes': CodeSettings}
    section = sections.get(str(path[0]), ClusterSettings) if len(path) > 1 else ClusterSettings
    return list(section.model_fields)
