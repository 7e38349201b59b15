"""The command that looks on while potentials are trained."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from aiida_autopipec.cli.messages import fail
from aiida_autopipec.cli.params import options
from aiida_autopipec.cli.params.types import PROCESS

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

SECONDS_BETWEEN_LOOKS = 5.0


@click.command('watch')
@click.argument('processes', metavar='PK...', nargs=-1, required=True, type=PROCESS)
@click.option('--once', is_flag=True, help='Show how it is now, and end.')
@click.option(
    '--interval',
    type=click.FloatRange(min=0.5),
    default=SECONDS_BETWEEN_LOOKS,
    show_default=True,
    help='Seconds between looks. A computer is asked at most that often, and only for jobs without a monitor.',
)
@options.PROFILE
def cmd_watch(processes: tuple[ProcessNode, ...], once: bool, interval: float) -> None:
    """Look on while potentials are trained, until all have ended; then show their errors.

    PK: number or UUID of work chains or training jobs. Ctrl-C stops looking, not the trainings. Exit code 1 says that
    one of those that have ended failed.
    """
    from aiida_autopipec.cli.watch_trainings import Trainings
    from aiida_autopipec.cli.watch_view import Screen, final_table

    screen = Screen(click.get_text_stream('stdout'))
    trainings = Trainings(processes, interval=interval)
    try:
        while True:
            snapshots = trainings.look()
            screen.show(snapshots)
            if once or all(snapshot.ended for snapshot in snapshots):
                break
            time.sleep(interval)
    except KeyboardInterrupt:
        click.echo('\nthe trainings go on')
        return
    ended = [snapshot for snapshot in snapshots if snapshot.ended]
    if any(snapshot.run for snapshot in ended):
        click.echo('\n' + final_table([snapshot for snapshot in ended if snapshot.run]))
    failed = [snapshot.name for snapshot in ended if not snapshot.ok]
    if failed:
        fail(f'{", ".join(failed)} failed: see `verdi process report`')
