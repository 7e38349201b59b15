"""The command that registers Pacemaker's programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_autopipec.cli.machine import create_computer, create_profile, get_or_create_localhost
from aiida_autopipec.cli.messages import blame, fail
from aiida_autopipec.cli.params.options import load_profile
from aiida_autopipec.cli.params.types import ComputerType, YamlMapping
from aiida_autopipec.cli.programs import ONE_THREAD, ProgramsError, local_bin_folder, register_programs

if TYPE_CHECKING:
    from aiida.orm import Computer

    from aiida_autopipec.cli.cluster import ClusterSettings, CodeSettings

NEW_PROFILE = 'autopipec'
NEW_PROFILE_EMAIL = 'aiida@localhost'


@click.command('setup')
@click.option('--computer', 'computer_label', metavar='LABEL', help='A computer that AiiDA knows already.')
@click.option('--localhost', is_flag=True, help='This computer; it and the profile are made where they are missing.')
@click.option('--config', type=YamlMapping(), help='YAML file that describes a computer and the programs on it.')
@click.option('--ask', is_flag=True, help='Ask for what such a file would say.')
@click.option(
    '--save',
    type=click.Path(dir_okay=False, path_type=Path),
    help='Write the answers of --ask to a file that --config reads.',
)
@click.option(
    '--bin-dir',
    metavar='PATH',
    help='Folder on the computer that holds `pacemaker`; on this computer by default that of the running Python.',
)
@click.option('--label-suffix', default='', help='Put behind the names of the programs to make their labels.')
@click.option('--prepend-text', help='What the scripts of jobs run before the program.  [default: one thread]')
@click.option('-y', '--yes', is_flag=True, help='Make a profile without asking.')
@click.option('-p', '--profile', metavar='NAME', help='Profile of AiiDA; by default the default profile.')
@click.pass_context
def cmd_setup(
    ctx: click.Context,
    computer_label: str | None,
    localhost: bool,
    config: dict[str, Any] | None,
    ask: bool,
    save: Path | None,
    bin_dir: str | None,
    label_suffix: str,
    prepend_text: str | None,
    yes: bool,
    profile: str | None,
) -> None:
    """Register all programs of Pacemaker that lie in one folder of a computer as codes.

    Run again, it changes nothing: computers and codes that are there already are kept. Only the defaults of jobs
    (`gpu_form` and `options` in the file of --config) are written anew.
    """
    if sum((computer_label is not None, localhost, config is not None, ask)) != 1:
        raise click.UsageError('Give one of --computer, --localhost, --config and --ask.')
    if (config is not None or ask) and (bin_dir or label_suffix or prepend_text is not None):
        raise click.UsageError('--bin-dir, --label-suffix and --prepend-text stand in the file of --config.')
    if save is not None and not ask:
        raise click.UsageError('--save writes the answers of --ask.')
    if localhost and profile is None:
        _ensure_profile(yes)
    _load_profile(ctx, profile)
    if config is not None:
        _set_up(config, '--config')
        return
    if ask:
        _ask_and_set_up(save, yes)
        return
    if bin_dir is None and not localhost:
        raise click.UsageError('--computer needs --bin-dir, the folder that holds `pacemaker` there.')
    computer = _localhost() if localhost else ComputerType().convert(computer_label, _option(ctx), ctx)
    text = ONE_THREAD if prepend_text is None else prepend_text
    installation = _installation(bin_dir or str(local_bin_folder()), label_suffix, text)
    _register(computer, installation, '--bin-dir')


def _ask_and_set_up(save: Path | None, yes: bool) -> None:
    """Make a computer and codes from answers, after the user has seen what they amount to."""
    import yaml

    from aiida_autopipec.cli.questions import ask_cluster

    answers = ask_cluster()
    text = yaml.safe_dump(answers, sort_keys=False)
    click.echo(f'\n{text}')
    if save is not None:
        save.write_text(text)
        click.echo(f'file       {save}: written')
    if not yes and not click.confirm('Make this computer and its codes?', default=True):
        fail('nothing was done')
    _set_up(answers, '--ask')


def _set_up(content: dict[str, Any], option: str) -> None:
    """Make the computer and the codes that a file describes, with their defaults."""
    from aiida_autopipec.calculations.defaults import state_for_computer
    from aiida_autopipec.cli.cluster import parse_cluster

    with blame(option):
        cluster: ClusterSettings = parse_cluster(content)
    computer = _get_or_create(cluster, option)
    if state_for_computer(computer, gpu_form=cluster.computer.gpu_form, options=cluster.computer.options):
        click.echo(f'defaults   {computer.label}: written')
    for installation in cluster.codes:
        _register(computer, installation, option)


def _installation(bin_dir: str, label_suffix: str, prepend_text: str) -> CodeSettings:
    from aiida_autopipec.cli.cluster import CodeSettings

    if not bin_dir.startswith('/'):
        raise click.BadParameter(f'`{bin_dir}` is not an absolute path', param_hint='--bin-dir')
    return CodeSettings(bin_dir=bin_dir, label_suffix=label_suffix, prepend_text=prepend_text)


def _option(ctx: click.Context) -> click.Parameter:
    return next(parameter for parameter in ctx.command.params if parameter.name == 'computer_label')


def _ensure_profile(yes: bool) -> None:
    """Make a profile if there is none, with the user's consent."""
    from aiida.manage.configuration import get_config

    if get_config(create=True).profile_names:
        return
    question = f'There is no profile of AiiDA yet. Make `{NEW_PROFILE}`, which needs no service?'
    if not yes and not click.confirm(question, default=True):
        fail('nothing was done: make a profile with `verdi presto`')
    create_profile(NEW_PROFILE, NEW_PROFILE_EMAIL)
    click.echo(f'profile    {NEW_PROFILE}: new; start its daemon with `verdi daemon start`')


def _load_profile(ctx: click.Context, name: str | None) -> None:
    parameter = next(parameter for parameter in ctx.command.params if parameter.name == 'profile')
    load_profile(ctx, parameter, name)


def _localhost() -> Computer:
    from aiida.manage import get_config, get_manager

    name = get_manager().get_profile().name  # type: ignore[union-attr]
    computer, is_new = get_or_create_localhost(str(Path(get_config().dirpath) / 'scratch' / name))
    click.echo(f'computer   {computer.label}: {"new" if is_new else "there already"}')
    return computer


def _get_or_create(cluster: ClusterSettings, option: str) -> Computer:
    """Return the computer of a file, and make it where it is missing."""
    from aiida.common.exceptions import AiidaException, NotExistent
    from aiida.orm import load_computer

    label = cluster.computer.label
    try:
        computer = load_computer(label)
    except NotExistent:
        try:
            computer = create_computer(label, cluster.computer.model_dump())
        except (AiidaException, ValueError) as exception:
            raise click.BadParameter(f'the computer cannot be made: {exception}', param_hint=option) from exception
        click.echo(f'computer   {label}: new')
    else:
        click.echo(f'computer   {label}: there already, kept as it is')
    return computer


def _register(computer: Computer, installation: CodeSettings, option: str) -> None:
    """Register one installation, and say what was found."""
    try:
        registration = register_programs(
            computer,
            installation.bin_dir,
            suffix=installation.label_suffix,
            prepend_text=installation.prepend_text,
            options=None if option == '--bin-dir' else installation.options,
        )
    except ProgramsError as exception:
        raise click.BadParameter(str(exception), param_hint=option) from exception
    for labels, words in ((registration.created, 'new'), (registration.existing, 'there already')):
        for label in labels:
            click.echo(f'code       {label}@{computer.label}: {words}')
    for program in registration.missing:
        click.echo(f'missing    {program}: not in {installation.bin_dir}')
