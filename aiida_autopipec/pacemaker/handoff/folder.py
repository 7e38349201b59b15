"""The folder that is handed on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, from_metadata
from aiida_autopipec.pacemaker.errors import ConfigError, InputError
from aiida_autopipec.pacemaker.handoff import readme
from aiida_autopipec.pacemaker.handoff.lammps import extrapolation_lines, lammps_lines
from aiida_autopipec.pacemaker.outputs.potential import PotentialInfo, parse_potential
from aiida_autopipec.pacemaker.reference_potentials import ReferencePotential, parse_reference_potential

NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,80}')


@dataclass(frozen=True, eq=False)
class Handoff:
    """What is handed on.

    :param potential: content of the ``.yaml``.
    :param lammps_potential: content of the ``.yace`` made from it, if there is one.
    :param active_set: content of the ``.asi``, if there is one.
    :param name: of the files, without ending; by default the elements.
    :param errors: of energies and forces by part (``train``, ``test``), as in ``output_parameters``.
    :param uuids: of the nodes that this comes from, by what they are.
    :raises InputError: if the potential is none, or the name would not do for a file in LAMMPS.
    """

    potential: str
    lammps_potential: bytes | None = None
    active_set: bytes | None = None
    name: str = ''
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    uuids: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name and not NAME.fullmatch(self.name):
            raise InputError(
                f'{self.name!r} is no name for files: use letters, digits, and `_`, `-` or `.` between them'
            )
        if not self.name:
            object.__setattr__(self, 'name', ''.join(self.info.elements))

    @cached_property
    def info(self) -> PotentialInfo:
        """Return what the potential is about."""
        return parse_potential(self.potential)

    @property
    def recorded(self) -> dict[str, Any] | None:
        """Return what was subtracted before training, ``None`` if the potential does not say it."""
        written = self.info.metadata.get(METADATA_KEY)
        return None if written is None else from_metadata(written)

    @property
    def reference(self) -> ReferencePotential | None:
        """Return the reference potential that is part of the whole, if there is one."""
        settings = (self.recorded or {}).get('potential')
        return None if settings is None else parse_reference_potential(settings)

    def file(self, ending: str) -> str:
        """Return the name of a file."""
        return f'{self.name}.{ending}'


def handoff_files(handoff: Handoff) -> dict[str, bytes]:
    """Return the content of all files by name.

    ``NAME.yaml``, ``NAME.yace`` and ``NAME.asi`` as far as they are there; ``NAME.lammps`` and ``NAME-grades.lammps``
    to be included in an input of LAMMPS; and ``README.md``.
    """
    texts = {handoff.file('yaml'): handoff.potential}
    for name, lines in lammps_inputs(handoff).items():
        texts[name] = '\n'.join([*readme.include_header(handoff, name), *lines, ''])
    texts['README.md'] = readme.readme_text(handoff, lammps_inputs(handoff))
    binaries = {'yace': handoff.lammps_potential, 'asi': handoff.active_set}
    files = {name: text.encode() for name, text in texts.items()}
    return files | {handoff.file(ending): content for ending, content in binaries.items() if content is not None}


def lammps_inputs(handoff: Handoff) -> dict[str, list[str]]:
    """Return the lines for LAMMPS by name of file; none where LAMMPS has no such reference potential."""
    elements, reference = handoff.info.elements, handoff.reference
    inputs: dict[str, list[str]] = {}
    try:
        if handoff.lammps_potential is not None:
            inputs[handoff.file('lammps')] = lammps_lines(elements, handoff.file('yace'), reference)
        if handoff.active_set is not None:
            inputs[f'{handoff.name}-grades.lammps'] = extrapolation_lines(
                elements, handoff.file('yaml'), handoff.file('asi'), reference
            )
    except ConfigError:
        return {}
    return inputs


def write_handoff(handoff: Handoff, folder: Path) -> list[Path]:
    """Write all files into a folder, which is made where needed.

    :raises InputError: if a file is there already.
    """
    files = handoff_files(handoff)
    for name in files:
        if (folder / name).exists():
            raise InputError(f'`{folder / name}` exists: choose another folder')
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]
