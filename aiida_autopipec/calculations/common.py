"""What the calculation jobs have in common: files and scripts that travel with a job."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib import resources

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.orm import AbstractCode

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.dataset.periodic import PeriodicPart
from aiida_autopipec.pacemaker.formats import save_shards

RETRIEVED_ALWAYS = (
    filenames.ENVIRONMENT,
    filenames.stderr_of('probe'),
    filenames.COLLECT_OUTCOME,
    filenames.stderr_of('collect'),
)

STOP = 3
"""Exit status by which the probe says that the job is not to begin."""


def write_dataset(dataset: PaceDatasetData, folder: Folder, filename: str, *, weights: bool = True) -> None:
    """Write a dataset as Pacemaker reads it into the folder of a job."""
    shards = map(PeriodicPart, dataset.stored_shards())
    save_shards(shards, folder.get_abs_path(filename), weights=weights)


def code_info(code: AbstractCode, program: str, arguments: Sequence[str], *, with_mpi: bool) -> CodeInfo:
    """Describe one run of one program."""
    info = CodeInfo()
    info.code_uuid = code.uuid
    info.cmdline_params = list(arguments)
    info.stdout_name = filenames.stdout_of(program)
    info.stderr_name = filenames.stderr_of(program)
    info.withmpi = with_mpi
    return info


def add_probe(
    calcinfo: CalcInfo,
    folder: Folder,
    *,
    code: AbstractCode,
    python: AbstractCode | None,
    arguments: Sequence[str] = (),
) -> None:
    """Let the script that looks at the computer run before the programs; it may end the job.

    Where it cannot run, because Pacemaker's Python is not found, the job goes on.

    :param code: the program whose Python is looked for.
    :param python: that Python itself, where it is known.
    :param arguments: what the training needs, see ``remote/probe.py``.
    """
    send_scripts(calcinfo, folder, filenames.PROBE_SCRIPT, filenames.PYTHON_FINDER)
    start = ['sh', filenames.PYTHON_FINDER, str(code.get_executable())]
    command = shlex.join([*([str(python.get_executable())] if python else start), filenames.PROBE_SCRIPT, *arguments])
    output = f'> {filenames.stdout_of("probe")} 2> {filenames.stderr_of("probe")}'
    calcinfo.prepend_text = f'{command} {output} || [ $? -ne {STOP} ] || exit {STOP}'


def add_collect_script(
    calcinfo: CalcInfo, folder: Folder, *, task: str, code: AbstractCode, python: AbstractCode | None
) -> None:
    """Let the script that turns pickles into arrays run after the programs, in Pacemaker's own Python.

    :param task: ``train`` or ``activeset``.
    :param code: the program whose Python is looked for.
    :param python: that Python itself, where it is known.
    """
    send_scripts(calcinfo, folder, filenames.COLLECT_SCRIPT, filenames.PYTHON_FINDER)
    if python is not None:
        calcinfo.codes_info = [
            *(calcinfo.codes_info or []),
            code_info(python, 'collect', [filenames.COLLECT_SCRIPT, task], with_mpi=False),
        ]
        return
    command = ['sh', filenames.PYTHON_FINDER, str(code.get_executable()), filenames.COLLECT_SCRIPT, task]
    output = f'> {filenames.stdout_of("collect")} 2> {filenames.stderr_of("collect")}'
    calcinfo.append_text = f'{shlex.join(command)} {output}'


def send_scripts(calcinfo: CalcInfo, folder: Folder, *names: str) -> None:
    """Write scripts into the folder of a job; they are part of this package and not stored with every job."""
    for name in names:
        source = resources.files('aiida_autopipec.remote').joinpath(name)
        with folder.open(name, 'w') as handle:
            handle.write(source.read_text())
    excluded = calcinfo.provenance_exclude_list or []
    calcinfo.provenance_exclude_list = [*excluded, *(name for name in names if name not in excluded)]
