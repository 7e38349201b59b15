"""How trainings look on the screen."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from typing import TextIO

from aiida_autopipec.cli.messages import table
from aiida_autopipec.cli.watch_trainings import Snapshot
from aiida_autopipec.pacemaker.outputs.progress import Progress, TrainingPlan

BLOCKS = '▁▂▃▄▅▆▇█'
ASCII_BLOCKS = '_.-~=+*#'
CURVE_WIDTH = 24
HEADER = ['training', 'set', 'energy RMSE', 'force RMSE', 'iterations', 'loss']


def sparkline(losses: Sequence[float | None], *, width: int = CURVE_WIDTH, blocks: str = BLOCKS) -> str:
    """Return a curve of the logarithm of the loss, one character for each of ``width`` equal parts of it.

    :param losses: ``None`` stands for one that is not finite, and is left blank.
    """
    count = min(width, len(losses))
    chosen = [losses[(number + 1) * len(losses) // count - 1] for number in range(count)]
    logarithms = [math.log(loss) if loss is not None and loss > 0 else None for loss in chosen]
    known = [value for value in logarithms if value is not None]
    if not known:
        return ''
    low, span = min(known), max(known) - min(known) or 1.0
    top = len(blocks) - 1
    return ''.join(' ' if value is None else blocks[round((value - low) / span * top)] for value in logarithms)


def duration(seconds: float | None) -> str:
    """Return hours, minutes and seconds; a dash where they are not known."""
    if seconds is None:
        return '-'
    whole = max(0, round(seconds))
    return f'{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}'


def heading(snapshot: Snapshot) -> str:
    """Return what it is, how it is, and where it runs."""
    parts = [snapshot.name, snapshot.state]
    if snapshot.run > 1:
        parts.append(f'run {snapshot.run}')
    if snapshot.place:
        parts.append(snapshot.place)
    if snapshot.seconds_running is not None:
        limit = '' if snapshot.walltime_left is None else f', walltime left {duration(snapshot.walltime_left)}'
        parts.append(f'for {duration(snapshot.seconds_running)}{limit}')
    return '  '.join(parts)


def reached(snapshot: Snapshot, *, blocks: str = BLOCKS) -> str:
    """Return what the fit has reached: energies in meV/atom, forces in meV/Å."""
    progress, plan = snapshot.progress, snapshot.plan
    if progress is None or plan is None:
        return snapshot.problem or ''
    loss = f'loss {progress.loss:.3e}' if progress.loss is not None else f'loss {progress.loss_kind}'
    curve = sparkline([point[2] for point in progress.curve.points], blocks=blocks)
    parts = [
        _iteration(progress, plan),
        f'{loss} {curve}',
        f'{_milli(progress.rmse_energy_ev_per_atom)} meV/atom',
        f'{_milli(progress.rmse_forces_ev_per_angstrom)} meV/Å',
    ]
    if progress.test.loss is not None:
        parts.append(f'test {progress.test.loss:.3e}')
    if not snapshot.ended:
        parts.append(f'left {duration(snapshot.seconds_left)}')
    return '  '.join([*parts, *filter(None, (snapshot.concern, snapshot.problem))])


def _iteration(progress: Progress, plan: TrainingPlan) -> str:
    """Return the iteration, and which minimisation it belongs to where there are several."""
    text = f'iteration {progress.iteration}/{plan.max_iterations}'
    if plan.ladder:
        text += f' of ladder step {progress.ladder_step + 1}'
    if plan.fit_cycles > 1:
        text += f' of cycle {progress.cycle_step + 1}/{plan.fit_cycles}'
    return text


def _milli(number: float | None) -> str:
    return '-' if number is None else f'{1e3 * number:.2f}'


def final_table(snapshots: Sequence[Snapshot]) -> str:
    """Return what came out of the trainings."""
    rows = []
    for snapshot in snapshots:
        progress = snapshot.progress
        fit = ('-', '-') if progress is None else (str(progress.iterations), f'{progress.loss or math.nan:.3e}')
        for part, numbers in snapshot.errors.items():
            energy, forces = (
                f'{numbers[key]:.2f}' for key in ('rmse_energy_mev_per_atom', 'rmse_forces_mev_per_angstrom')
            )
            rows.append((snapshot.name, part, energy, forces, *fit))
        if not snapshot.errors:
            rows.append((snapshot.name, '-', '-', '-', *fit))
    title = 'Errors: energies in meV/atom, force components in meV/Å'
    return table(HEADER, rows, title=title, text=(0, 1))


class Screen:
    """Shows snapshots: on a terminal in the same place again and again, else one line for each that has changed.

    :param stream: where to print.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.is_terminal = stream.isatty()
        self._blocks = BLOCKS if (stream.encoding or '').lower().startswith('utf') else ASCII_BLOCKS
        self._height = 0
        self._printed: dict[str, tuple[str, str]] = {}

    def show(self, snapshots: Sequence[Snapshot]) -> None:
        """Show how it is now."""
        if self.is_terminal:
            self._redraw(snapshots)
        else:
            self._append(snapshots)
        self.stream.flush()

    def _redraw(self, snapshots: Sequence[Snapshot]) -> None:
        """Write over what was there; lines are cut at the width, as one that wraps would be counted as one."""
        size = shutil.get_terminal_size()
        lines = []
        for snapshot in sorted(snapshots, key=lambda each: each.ended):
            detail = reached(snapshot, blocks=self._blocks)
            lines += [heading(snapshot), *([f'  {detail}'] if detail else [])]
        room = size.lines - 2
        if len(lines) > room:
            lines = [*lines[: room - 1], f'… and {len(lines) - room + 1} more lines: make the window higher']
        back = f'\x1b[{self._height}F' if self._height else ''
        self.stream.write(back + ''.join(f'\x1b[K{line[: size.columns - 1]}\n' for line in lines) + '\x1b[J')
        self._height = len(lines)

    def _append(self, snapshots: Sequence[Snapshot]) -> None:
        for snapshot in snapshots:
            detail = reached(snapshot, blocks=self._blocks)
            # the clock alone is no news
            news = (snapshot.state, detail.partition('  left ')[0])
            if self._printed.get(snapshot.name) == news:
                continue
            self._printed[snapshot.name] = news
            self.stream.write('  '.join(filter(None, (heading(snapshot), detail))) + '\n')
