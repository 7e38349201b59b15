"""Calculation function that puts a potential together as it is handed on."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, FolderData, SinglefileData, Str

from aiida_autopipec.data.handoff import make_handoff
from aiida_autopipec.pacemaker.handoff import handoff_files


@calcfunction
def export_potential(
    potential: SinglefileData,
    lammps_potential: SinglefileData | None = None,
    active_set: SinglefileData | None = None,
    output_parameters: Dict | None = None,
    name: Str | None = None,
) -> dict[str, Any]:
    """Put the files of a potential into one folder, with lines for LAMMPS and a page that says what it is.

    :param potential: the ``.yaml``; what was subtracted before its training is read from it.
    :param lammps_potential: the ``.yace`` made from it.
    :param active_set: its ``.asi``.
    :param output_parameters: of the training, for the errors.
    :param name: of the files, without ending; by default the elements.
    :return: ``handoff``, a folder.
    :raises InputError: if the potential is none, or the name would not do for a file in LAMMPS.
    """
    given = {
        'potential': potential,
        'lammps_potential': lammps_potential,
        'active_set': active_set,
        'output_parameters': output_parameters,
    }
    nodes = {port: node for port, node in given.items() if node is not None}
    folder = FolderData()
    for filename, content in handoff_files(make_handoff(nodes, name.value if name else '')).items():
        folder.base.repository.put_object_from_bytes(content, filename)
    return {'handoff': folder}
