"""The command that brings a finished Pacemaker folder into the graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_autopipec.cli.messages import blame, fail
from aiida_autopipec.cli.nodes import add_to_group
from aiida_autopipec.cli.params import options, types

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer, Node, ProcessNode


class FileOrNode(click.ParamType):
    """A file, or else a node.

    :param kind: the type of the node.
    """

    def __init__(self, kind: types.NodeType) -> None:
        self.kind = kind
        self.name = f'{kind.name} or file'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of a file that exists, or load the node."""
        if isinstance(value, str) and not value.isdigit() and Path(value).is_file():
            return Path(value).absolute()
        return self.kind.convert(value, param, ctx)


@click.command('import')
@click.argument('folder', metavar='DIR', type=click.Path(exists=True, file_okay=False, path_type=Path))
@options.COMPUTER
@click.option('--input', 'input_filename', default='input.yaml', show_default=True, help='Name of the input in DIR.')
@click.option('--dataset', type=FileOrNode(types.DATASET), help='Training set, where it is not in DIR.')
@click.option('--test-dataset', type=FileOrNode(types.DATASET), help='Test set, where it is not in DIR.')
@click.option('--initial-potential', type=FileOrNode(types.POTENTIAL), help='Start of the fit, where it is not in DIR.')
@click.option('--config', type=types.YamlMapping(), help='Settings, where those of the input cannot be stated.')
@click.option('--pacemaker', type=types.CodeType(), help='The code that ran; by default `pacemaker` on --computer.')
@options.LABEL
@options.GROUP
@options.PROFILE
def cmd_import(
    folder: Path,
    computer: Computer | None,
    pacemaker: AbstractCode | None,
    label: str,
    group: str | None,
    **stated: Any,
) -> None:
    """Import DIR, the folder of a fit that was made without AiiDA, with its data and potentials.

    Nothing is run, and nothing in DIR is changed. DIR has to be on this computer.
    """
    from aiida.orm import RemoteData

    from aiida_autopipec.calculations.importers.pace_train import import_inputs

    remote = RemoteData(remote_path=str(folder.absolute()), computer=computer or _this_computer())
    with blame('DIR'):
        inputs = import_inputs(remote, code=pacemaker, **stated)
    for remark in _remarks(folder, stated['input_filename']):
        click.echo(remark)
    node = _run(remote, inputs)
    node.label = label or folder.absolute().name
    if group:
        add_to_group(node, group)
    _report(node)


def _this_computer() -> Computer:
    """Return the computer `localhost`.

    :raises click.ClickException: if there is none.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_computer

    try:
        return load_computer('localhost')
    except NotExistent:
        fail('there is no computer `localhost`: make it with `aiida-autopipec setup --localhost`, or name --computer')


def _remarks(folder: Path, input_filename: str) -> list[str]:
    """Return what of the folder does not enter the graph."""
    from aiida_autopipec.pacemaker.input_files import Level, read_fit_folder

    found = read_fit_folder(folder, input_filename=input_filename)
    advice = [f'{input_filename}:{remark}' for remark in found.report.of(Level.ADVICE) if 'was ignored' in remark.text]
    return [*advice, *(str(remark) for remark in found.remarks)]


def _run(remote: Node, inputs: dict[str, Any]) -> ProcessNode:
    from aiida.engine import run_get_node

    from aiida_autopipec.calculations.pace_train import PaceTrainCalculation

    return run_get_node(PaceTrainCalculation, remote_folder=remote, **inputs)[1]


def _report(node: ProcessNode) -> None:
    """Say what entered the graph, and what the parser thinks of the fit."""
    click.echo(f'imported {node.process_label}<{node.pk}> {node.uuid}')
    if not node.is_finished_ok:
        click.echo(f'[{node.exit_status}] {node.exit_message}')
    for warning in node.outputs['output_parameters']['parser_warnings'] if 'output_parameters' in node.outputs else ():
        click.echo(f'warning: {warning}')
    for name in ('dataset', 'test_dataset', 'initial_potential'):
        if name in node.inputs:
            click.echo(f'{name:<17} {node.inputs[name].uuid}')
    for name in ('potential', 'lammps_potential', 'active_set', 'interim_potential', 'learning_curve', 'predictions'):
        if name in node.outputs:
            click.echo(f'{name:<17} {node.outputs[name].uuid}')
