"""The commands around ``input.yaml``; none of them needs a profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_autopipec.cli.files import check_target
from aiida_autopipec.cli.messages import blame, fail

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.input_files.template import Evaluator

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group('config')
def cmd_config() -> None:
    """Check, explain and write Pacemaker's input.yaml."""


@cmd_config.command('check')
@click.argument('files', nargs=-1, required=True, type=_FILE)
@click.option('--strict', is_flag=True, help='Advice counts as an error.')
@click.option('--notes/--no-notes', default=True, show_default=True, help='Say what Pacemaker does silently.')
@click.option(
    '--write',
    type=click.Path(dir_okay=False, path_type=Path),
    help='Write the settings of the one FILE, without names of files, for `train launch --config`.',
)
@click.option('-f', '--force', is_flag=True, help='Overwrite the file of --write.')
def cmd_check(files: tuple[Path, ...], strict: bool, notes: bool, write: Path | None, force: bool) -> None:
    """Say what is wrong with FILES, what has no effect, and what Pacemaker does silently.

    Each line names the file, the line, the key, and what to do. Ends with 1 if there is an error.
    """
    from aiida_autopipec.pacemaker.input_files import Level, check_input

    if write is not None and len(files) > 1:
        raise click.BadParameter('writes the settings of one file: name only one', param_hint='--write')
    counted = (Level.ERROR, Level.ADVICE) if strict else (Level.ERROR,)
    shown = tuple(level for level in Level if notes or level is not Level.NOTE)
    n_errors = 0
    for file in files:
        report = check_input(_read(file))
        for remark in report.of(*shown):
            click.echo(f'{file}:{"" if remark.line is not None else " "}{remark}')
        n_errors += len(report.of(*counted))
        if not report.of(Level.ERROR):
            click.echo(f'{file}: in order' + (', apart from the advice' if report.of(Level.ADVICE) else ''))
        if write is not None and not report.of(*counted):
            _write(write, report.settings().to_yaml(), '--write', force=force)
    if n_errors:
        fail(f'{n_errors} {"error" if n_errors == 1 else "errors"}')


@cmd_config.command('explain')
@click.argument('subject', metavar='[KEY|FILE]', required=False)
def cmd_explain(subject: str | None) -> None:
    """Say what a KEY means (`kappa`, `fit.loss`, `potential.bonds.ALL.rcut`), or what all of a FILE mean.

    Of a FILE the whole input is printed: what is commented out is the default. Without an argument all keys are listed.
    """
    from aiida_autopipec.pacemaker.input_files import Level, check_input, explain_config, explain_keys

    if subject is None or not Path(subject).is_file():
        if subject is not None and subject.endswith(('.yaml', '.yml')):
            raise click.BadParameter(f'there is no file `{subject}`', param_hint='KEY|FILE')
        with blame('KEY|FILE'):
            click.echo(explain_keys(subject), nl=False)
        return
    report = check_input(_read(Path(subject)))
    with blame('KEY|FILE'):
        click.echo(explain_config(report.settings()), nl=False)
    for remark in report.of(Level.ADVICE):
        click.echo(f'# {remark}')


@cmd_config.command('template')
@click.option('--elements', help='Chemical symbols, such as Al,Ni.')
@click.option('--data', type=_FILE, help='Instead: data to choose the settings from, as for `dataset import`.')
@click.option('--protocol', help='Protocol that chooses from --data; by default balanced.')
@click.option(
    '--evaluator',
    type=click.Choice(['pyace', 'tensorpot']),
    default='pyace',
    show_default=True,
    help='pyace for CPUs, tensorpot for GPUs.',
)
@click.option('--output', type=click.Path(dir_okay=False, path_type=Path), help='File to write; by default the screen.')
@click.option('-f', '--force', is_flag=True, help='Overwrite the file.')
def cmd_template(
    elements: str | None,
    data: Path | None,
    protocol: str | None,
    evaluator: Evaluator,
    output: Path | None,
    force: bool,
) -> None:
    """Write a new input with comments, to be changed to taste."""
    from aiida_autopipec.pacemaker.input_files import template_config, template_text

    if (elements is None) == (data is None):
        raise click.UsageError('give --elements, or --data to choose the settings from')
    if data is not None:
        text = _from_protocol(data, protocol, evaluator)
    elif protocol is not None:
        raise click.BadParameter('chooses from data: give --data instead of --elements', param_hint='--protocol')
    else:
        with blame('--elements'):
            symbols = [symbol.strip() for symbol in str(elements).split(',') if symbol.strip()]
            text = template_text(template_config(symbols, evaluator))
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text, '--output', force=force)


def _from_protocol(data: Path, protocol: str | None, evaluator: str) -> str:
    """Return an input with the settings that a protocol chooses from data."""
    from aiida_autopipec.pacemaker.config import TrainingConfig
    from aiida_autopipec.pacemaker.cost import DataFacts
    from aiida_autopipec.pacemaker.dataset.files import read_structures
    from aiida_autopipec.pacemaker.input_files import template_text
    from aiida_autopipec.workflows.protocols.inputs import settings_from_protocol

    with blame('--data'):
        facts = DataFacts.of([read_structures(data)[0]])
    with blame('--protocol'):
        # what is subtracted from total energies is another input of the work chain: any will do here
        overrides = {'reference': {'method': 'least_squares'}}
        chosen = settings_from_protocol(facts, protocol=protocol, evaluator=evaluator, overrides=overrides)
    return template_text(TrainingConfig.model_validate(chosen.config), chosen.reasons)


def _read(file: Path) -> str:
    """Return the text of a file.

    :raises click.BadParameter: if it is no text.
    """
    from aiida_autopipec.pacemaker.input_files.document import MAX_BYTES

    if file.stat().st_size > MAX_BYTES:
        raise click.BadParameter(f'`{file}` has more than {MAX_BYTES} bytes: no input is that large', param_hint='FILE')
    try:
        return file.read_text(encoding='utf-8')
    except UnicodeDecodeError as exception:
        raise click.BadParameter(f'`{file}` is no text', param_hint='FILE') from exception


def _write(file: Path, text: str, option: str, *, force: bool) -> None:
    """Write a text to a new file, and say so."""
    check_target(file, force, option)
    file.write_text(text, encoding='utf-8')
    click.echo(f'the settings are in {file}')
