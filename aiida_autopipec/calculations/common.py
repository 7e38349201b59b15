"""What the calculation jobs have in common: files that travel with a job, and ports."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import resources
from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.formats import save_shards

RETRIEVED_ALWAYS = (filenames.ENVIRONMENT, filenames.COLLECT_OUTCOME, filenames.stderr_of('collect'))


def write_dataset(dataset: PaceDatasetData, folder: Folder, filename: str, *, weights: bool = True) -> None:
    """Write a dataset as Pacemaker reads it into the folder of a job."""
    shards = map(without_mixed_periodicity, dataset.iter_shards())
    save_shards(shards, folder.get_abs_path(filename), weights=weights)


def set_default_options(spec: CalcJobProcessSpec, *, parser_name: str) -> None:
    """Let a job run its parser, on one core unless more are asked for: Pacemaker does not use MPI."""
    options: Any = spec.inputs['metadata']['options']  # type: ignore[index]
    options['parser_name'].default = parser_name
    options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    options['withmpi'].default = False


def code_info(code: AbstractCode, program: str, arguments: Sequence[str], *, with_mpi: bool) -> CodeInfo:
    """Describe one run of one program."""
    info = CodeInfo()
    info.code_uuid = code.uuid
    info.cmdline_params = list(arguments)
    info.stdout_name = filenames.stdout_of(program)
    info.stderr_name = filenames.stderr_of(program)
    info.withmpi = with_mpi
    return info


def add_collect_script(
    calcinfo: CalcInfo, folder: Folder, *, task: str, code: AbstractCode, python: AbstractCode | None
) -> None:
    """Let the script that turns pickles into arrays run after the programs, in Pacemaker's own Python.

    :param task: ``train``, ``select`` or ``activeset``.
    :param code: the program whose Python is looked for.
    :param python: that Python itself, where it is known.
    """
    for name in (filenames.COLLECT_SCRIPT, filenames.PYTHON_FINDER):
        source = resources.files('aiida_autopipec.remote').joinpath(name)
        with folder.open(name, 'w') as handle:
            handle.write(source.read_text())
    calcinfo.provenance_exclude_list = [
        *(calcinfo.provenance_exclude_list or []),
        filenames.COLLECT_SCRIPT,
        filenames.PYTHON_FINDER,
    ]
    if python is not None:
        calcinfo.codes_info = [
            *(calcinfo.codes_info or []),
            code_info(python, 'collect', [filenames.COLLECT_SCRIPT, task], with_mpi=False),
        ]
        return
    command = ['sh', filenames.PYTHON_FINDER, str(code.get_executable()), filenames.COLLECT_SCRIPT, task]
    output = f'> {filenames.stdout_of("collect")} 2> {filenames.stderr_of("collect")}'
    calcinfo.append_text = f'{shlex.join(command)} {output}'
