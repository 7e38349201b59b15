"""The command, which runs the demo in a process of its own.

AiiDA reads where its configuration is when it is imported, so a process that has a configuration of its own has to be a
new one; and this one must not import aiida, which would make a configuration folder in the user's home.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click

from aiida_autopipec.cli.demo.settings import example_file
from aiida_autopipec.cli.programs import local_bin_folder

OUTPUTS = (
    'potential.yaml',
    'potential.yace',
    'potential.asi',
    'errors.json',
    'provenance.svg',
    'dataset.png',
    'parity.png',
    'learning_curve.png',
)
PROFILE_FOLDER = 'aiida'
"""Folder in the output folder in which the profile stays with --keep."""
NEEDED_PROGRAMS = ('pacemaker', 'pace_yaml2yace', 'pace_activeset', 'pace_select')


@click.command('demo')
@click.option(
    '--output',
    type=click.Path(file_okay=False, path_type=Path),
    default=Path('autopipec-demo'),
    show_default=True,
    help='Folder for the potential and all that belongs to it.',
)
@click.option('--keep', is_flag=True, help='Keep the profile, to look at it with verdi.')
@click.option('-f', '--force', is_flag=True, help='Overwrite the files of an earlier demo.')
def cmd_demo(output: Path, keep: bool, force: bool) -> None:
    """Train a potential for aluminium on real data of density functional theory, in about a minute.

    Everything happens in a profile of its own, which is removed in the end; your own configuration of AiiDA is not
    touched.
    """
    output = output.absolute()
    _check_programs()
    _check_output(output, force)
    try:
        example_file()
        output.mkdir(parents=True, exist_ok=True)
    except OSError as exception:
        raise click.ClickException(str(exception)) from exception
    home = output / PROFILE_FOLDER if keep else Path(tempfile.mkdtemp(prefix='autopipec-demo-'))
    try:
        home.mkdir(exist_ok=True)
        status = _run(output, home)
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    if status == 0 and keep:
        click.echo(f'\nThe profile is kept. To look at it:\n  export AIIDA_PATH={home}\n  verdi process list -a')
    sys.exit(status)


def _check_programs() -> None:
    missing = [program for program in NEEDED_PROGRAMS if not (local_bin_folder() / program).exists()]
    if missing:
        raise click.ClickException(
            f'`{missing[0]}` is not in {local_bin_folder()}: install Pacemaker with '
            "`pip install 'aiida-autopipec[pacemaker]'`"
        )


def _check_output(output: Path, force: bool) -> None:
    if (output / PROFILE_FOLDER).exists():
        raise click.BadParameter(
            f'{output / PROFILE_FOLDER} holds the profile of an earlier demo: remove it, or choose another folder',
            param_hint='--output',
        )
    existing = [name for name in OUTPUTS if (output / name).exists()]
    if existing and not force:
        raise click.BadParameter(
            f'{output / existing[0]} exists: choose another folder, or overwrite it with --force', param_hint='--output'
        )


def _run(output: Path, home: Path) -> int:
    """Run the demo with a configuration of AiiDA in a folder of its own, and return its exit code.

    A signal to end is handed on, so that the daemon is always stopped before this returns.
    """
    environment = {
        **os.environ,
        'AIIDA_PATH': str(home),
        # AiiDA looks for `verdi` there, to start the daemon: the environment need not be activated
        'PATH': f'{local_bin_folder()}{os.pathsep}{os.environ.get("PATH", "")}',
        'MPLCONFIGDIR': str(home / 'matplotlib'),
        'OMP_NUM_THREADS': '1',
        'PYTHONWARNINGS': 'ignore',
    }
    environment.pop('AIIDA_PROFILE', None)
    command = [sys.executable, '-m', 'aiida_autopipec.cli.demo.main', str(output), str(home)]
    process = subprocess.Popen(command, env=environment)

    def hand_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGTERM)

    previous = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    # the terminal sends an interrupt to both
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
