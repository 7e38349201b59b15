"""Pacemaker's programs on a computer: find them, and register them as codes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiida.orm import Computer, InstalledCode

    from aiida_autopipec.calculations.defaults import JobDefaults

PROGRAMS = (
    'pacemaker',
    'pace_activeset',
    'pace_select',
    'pace_yaml2yace',
    'pace_info',
    'pace_timing',
    'pace_augment',
    'pace_corerep',
    'pace_collect',
)
"""The programs that this package runs."""

ONE_THREAD = 'export OMP_NUM_THREADS=1'
"""Pacemaker's linear algebra is small: more threads only get into each other's way."""


@dataclass(frozen=True)
class Registration:
    """What became of each program that was looked for.

    :param created: codes that are new.
    :param existing: codes that were there already, with the same executable.
    :param missing: programs that are not in the folder.
    """

    created: tuple[str, ...]
    existing: tuple[str, ...]
    missing: tuple[str, ...]


class ProgramsError(Exception):
    """The programs cannot be registered; the message is one sentence."""


def local_bin_folder() -> Path:
    """Return the folder of the running Python, where ``pip install`` puts programs."""
    return Path(sys.executable).parent


def register_programs(
    computer: Computer,
    folder: str,
    *,
    suffix: str = '',
    prepend_text: str = '',
    options: JobDefaults | None = None,
) -> Registration:
    """Register every program that lies in a folder of a computer as a code, labelled by its name.

    Run again, it changes nothing.

    :param folder: absolute path on the computer.
    :param suffix: put behind the labels, to tell two installations apart.
    :param prepend_text: what the scripts of jobs run first.
    :param options: defaults of jobs; ``None`` leaves those of codes that are there already as they are.
    :raises ProgramsError: if the folder cannot be looked at, holds none of the programs, or if a code of the same label
        runs something else.
    """
    from aiida_autopipec.calculations.defaults import state_for_code

    if not PurePosixPath(folder).is_absolute():
        raise ProgramsError(f'`{folder}` is not an absolute path')
    found = _programs_in(computer, folder)
    if not found:
        raise ProgramsError(
            f'none of the programs of Pacemaker is in {folder} on `{computer.label}`: give the folder that holds '
            '`pacemaker`, for example the `bin` of the environment that python-ace is installed in'
        )
    known = {program: _find_code(computer, f'{program}{suffix}') for program in found}
    for program, code in known.items():
        executable = f'{folder.rstrip("/")}/{program}'
        if code is not None and str(code.filepath_executable) != executable:
            raise ProgramsError(
                f'the code `{code.full_label}` already runs {code.filepath_executable}, not {executable}: choose '
                'another --label-suffix, or relabel it with `verdi code relabel`'
            )
    for program, known_code in known.items():
        code = known_code or _store_code(
            computer, f'{folder.rstrip("/")}/{program}', f'{program}{suffix}', prepend_text
        )
        if options is not None:
            state_for_code(code, options)
    return Registration(
        created=tuple(f'{name}{suffix}' for name, code in known.items() if code is None),
        existing=tuple(f'{name}{suffix}' for name, code in known.items() if code is not None),
        missing=tuple(program for program in PROGRAMS if program not in found),
    )


def _programs_in(computer: Computer, folder: str) -> list[str]:
    """Look for the programs through the transport of the computer."""
    from aiida.common.exceptions import AiidaException

    try:
        with computer.get_transport() as transport:
            return [program for program in PROGRAMS if transport.isfile(f'{folder.rstrip("/")}/{program}')]
    # each transport raises what its library raises where a computer cannot be reached
    except (AiidaException, OSError, RuntimeError, ValueError) as exception:
        raise ProgramsError(f'computer `{computer.label}` cannot be reached: {exception}') from exception


def _find_code(computer: Computer, label: str) -> InstalledCode | None:
    from aiida.orm import Computer as ComputerClass
    from aiida.orm import InstalledCode, QueryBuilder

    query = QueryBuilder().append(ComputerClass, filters={'uuid': computer.uuid}, tag='computer')
    query.append(InstalledCode, with_computer='computer', filters={'label': label})
    code: InstalledCode | None = query.first(flat=True)
    return code


def _store_code(computer: Computer, executable: str, label: str, prepend_text: str) -> InstalledCode:
    from aiida.orm import InstalledCode

    code = InstalledCode(
        label=label,
        computer=computer,
        filepath_executable=executable,
        prepend_text=prepend_text,
        description=f'{PurePosixPath(executable).name} of Pacemaker',
    )
    code.store()
    return code
