"""A potential as aiida-lammps takes it, without importing that package.

Names of inputs are those of aiida-lammps 1.0.2.
"""

from __future__ import annotations

import io
import re
from typing import Any

from aiida.orm import FolderData, SinglefileData

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.handoff import Handoff


def lammps_raw_inputs(handoff: FolderData, script: str) -> dict[str, Any]:
    """Return inputs of ``lammps.raw``, which takes everything: reference potential and extrapolation grades included.

    :param handoff: as the output of that name, with what is needed for LAMMPS.
    :param script: input of LAMMPS, which includes ``NAME.lammps`` or ``NAME-grades.lammps``.
    :return: ``script`` and ``files``; the caller adds ``code``, and files of its own.
    :raises InputError: if the script includes neither.
    """
    names = [name for name in handoff.base.repository.list_object_names() if name != 'README.md']
    lines = [name for name in names if name.endswith('.lammps')]
    if not set(lines) & _included(script):
        offered = ' or '.join(f'`include {name}`' for name in lines) or 'such a file, but the folder has none'
        raise InputError(f'the script does not give the potential to LAMMPS: add {offered}')
    files = {
        _link_label(name): SinglefileData(
            io.BytesIO(handoff.base.repository.get_object_content(name, mode='rb')), filename=name
        )
        for name in names
    }
    return {'script': SinglefileData.from_string(script, filename='input.in'), 'files': files}


def lammps_potential_data(handoff: FolderData) -> dict[str, Any]:
    """Return what ``LammpsPotentialData.get_or_create`` takes, for ``lammps.base`` and the work chains above it.

    :param handoff: as the output of that name, with a ``.yace``.
    :raises InputError: if there is no ``.yaml`` or no ``.yace``; or if a reference potential belongs to it, which one
        ``pair_style`` cannot say.
    """
    repository = handoff.base.repository
    names = {name.rpartition('.')[2]: name for name in repository.list_object_names()}
    if 'yaml' not in names:
        raise InputError('the folder has no `.yaml`: give the output `handoff` of a training, or of an export')
    if 'yace' not in names:
        raise InputError('the folder has no `.yace`: train with `codes.yaml2yace`')
    potential = Handoff(repository.get_object_content(names['yaml'], mode='rb').decode())
    if potential.reference is not None:
        raise InputError(
            f'{potential.reference} belongs to this potential, and `lammps.base` of aiida-lammps writes one '
            '`pair_style` only: use `lammps.raw`, whose inputs `lammps_raw_inputs` makes'
        )
    return {
        'source': io.BytesIO(repository.get_object_content(names['yace'], mode='rb')),
        'filename': names['yace'],
        'pair_style': 'pace',
        'species': list(potential.info.elements),
        'atom_style': 'atomic',
        'units': 'metal',
    }


def _included(script: str) -> set[str]:
    """Return the names of the files that a script includes; LAMMPS takes them in quotes, too."""
    words = [line.split() for line in script.splitlines()]
    return {line[1].strip('"\'').removeprefix('./') for line in words if line[:1] == ['include'] and line[1:]}


def _link_label(name: str) -> str:
    """Return a name that a link in the graph may have; AiiDA takes two underscores for a namespace."""
    return re.sub('[^A-Za-z0-9]+', '_', name)
