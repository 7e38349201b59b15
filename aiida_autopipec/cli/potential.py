"""Commands about trained potentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_autopipec.cli.messages import blame
from aiida_autopipec.cli.params import options, types

if TYPE_CHECKING:
    from aiida.orm import Node


def _sources() -> tuple[type[Node], ...]:
    from aiida.orm import ProcessNode, SinglefileData

    return (ProcessNode, SinglefileData)


SOURCE = types.NodeType(_sources, 'training or potential')


@click.group('potential')
def cmd_potential() -> None:
    """Hand potentials on: to LAMMPS, ASE and people."""


@cmd_potential.command('export')
@click.argument('source', type=SOURCE)
@click.option(
    '--output',
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help='Folder to write into; made where needed.',
)
@click.option('--name', default='', help='Name of the files, without ending; by default the elements.')
@options.PROFILE
def cmd_export(source: Node, output: Path, name: str) -> None:
    """Write all that belongs to a potential into a folder.

    SOURCE is a training (work chain or job) or the node of a potential. The folder gets the potential as far as it was
    exported (.yaml, .yace, .asi), files to be included in an input of LAMMPS, reference potential and extrapolation
    grades included, and a README.md with units, errors and UUIDs. Nothing is stored in the database.
    """
    from aiida_autopipec.data.handoff import make_handoff, nodes_of
    from aiida_autopipec.pacemaker.handoff import write_handoff

    with blame('SOURCE'):
        handoff = make_handoff(nodes_of(source), name)
    with blame('--output'):
        paths = write_handoff(handoff, output)
    for path in paths:
        click.echo(path)
    if handoff.lammps_potential is None:
        click.echo('there is no .yace for LAMMPS: train with `codes.yaml2yace`, or run pace_yaml2yace on the .yaml')
