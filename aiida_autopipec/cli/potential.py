"""Commands about trained potentials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_autopipec.cli.files import check_target
from aiida_autopipec.cli.messages import blame
from aiida_autopipec.cli.params import options, types

if TYPE_CHECKING:
    from aiida.orm import Node, ProcessNode


def _sources() -> tuple[type[Node], ...]:
    from aiida.orm import ProcessNode, SinglefileData

    return (ProcessNode, SinglefileData)


def _processes() -> tuple[type[Node], ...]:
    from aiida.orm import ProcessNode

    return (ProcessNode,)


SOURCE = types.NodeType(_sources, 'training or potential')
PROCESS = types.NodeType(_processes, 'validation or training')


@click.group('potential')
def cmd_potential() -> None:
    """Hand potentials on: to LAMMPS, ASE and people; and see what checks said of them."""


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


@cmd_potential.command('verdict')
@click.argument('process', type=PROCESS)
@click.option(
    '--plot',
    type=click.Path(dir_okay=False, path_type=Path),
    help='Draw dimer curves, volumes, frequencies and hot dynamics into this .png, .svg or .pdf.',
)
@click.option('-f', '--force', is_flag=True, help='Overwrite the plot.')
@options.PROFILE
def cmd_verdict(process: ProcessNode, plot: Path | None, force: bool) -> None:
    """Show what a validation found, check by check.

    PROCESS is a validation, or a training that had one.
    """
    from aiida_autopipec.pacemaker.plots import plot_validation
    from aiida_autopipec.pacemaker.validation import verdict_table

    outputs = process.outputs
    report, curves = (
        next((outputs[name] for name in (port, f'validation_{port}') if name in outputs), None)
        for port in ('report', 'curves')
    )
    if report is None or 'checks' not in report:
        raise click.BadParameter(f'{process.process_label}<{process.pk}> has no validation', param_hint='PROCESS')
    if plot is not None:
        check_target(plot, force, '--plot')
        with blame('--plot'):
            plot_validation({} if curves is None else dict(curves.get_iterarrays()), plot)
    click.echo(verdict_table(report.get_dict()))
    if plot is not None:
        click.echo(f'\nthe plot is in {plot}')
