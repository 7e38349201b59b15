"""What a training work chain does while it does it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_autopipec.cli.console import Console
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import Metrics, parse_metrics

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode, ProcessNode

TRAINING = 'PaceTrainCalculation'


def watch(process: ProcessNode, console: Console, *, interval: float = 1.0) -> None:
    """Show each step of a process as it ends, and the learning curve while it trains, until the process ends.

    :param interval: seconds between looks; as fast as the computer of a job allows its own scheduler to be asked.
    """
    shown: set[str] = set()
    curves = Curves()
    started = time.monotonic()
    while True:
        ended = process.is_terminated  # asked before the steps are, so that no last step is missed
        running = ''
        for label, step in steps(process):
            if step.is_terminated and step.uuid not in shown:
                shown.add(step.uuid)
                console.line(f'  {_mark(step)} {label:<20} {_outcome(step)}')
            elif not step.is_terminated and not step.called:
                running = f'{label:<20} {curves.describe(step) or _state(step)}'
        if ended:
            return
        console.live(f'{running or process.process_label}  [{time.monotonic() - started:.0f} s]')
        time.sleep(interval)


def steps(process: ProcessNode) -> Iterator[tuple[str, ProcessNode]]:
    """Yield every process that a process has called, directly or not, by the label of the call."""
    from aiida.common.links import LinkType
    from aiida.orm import ProcessNode

    links = process.base.links.get_outgoing(
        node_class=ProcessNode, link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)
    ).all()
    for label, child in sorted(((link.link_label, link.node) for link in links), key=lambda pair: pair[1].pk or 0):
        if not isinstance(child, ProcessNode):
            continue  # nothing else can be called
        called = list(steps(child))
        # the work chain around a single job adds nothing to what is seen
        yield from ((label if len(called) == 1 else f'{label}/{name}', node) for name, node in called)
        if not called:
            yield label, child


class Curves:
    """Learning curves of trainings that run.

    A computer is not looked at more often than AiiDA itself would.
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, str]] = {}

    def describe(self, process: ProcessNode) -> str:
        """Return iteration, loss and errors of a running training, or nothing for another process."""
        from aiida.orm import CalcJobNode

        if not isinstance(process, CalcJobNode) or process.process_label != TRAINING:
            return ''
        looked, text = self._last.get(process.uuid, (float('-inf'), ''))
        computer = process.computer
        pause = 0.0 if computer is None else computer.get_minimum_job_poll_interval()
        if time.monotonic() - looked > pause:
            metrics = read_metrics(process)
            text = curve_line(metrics, _max_iterations(process)) if metrics is not None else ''
            self._last[process.uuid] = (time.monotonic(), text)
        return text


def curve_line(metrics: Metrics, max_iterations: int | None) -> str:
    """Return the last row of a learning curve as text; energies in meV/atom, forces in meV/Å."""
    row = metrics.last
    if not row:
        return ''
    total = '' if max_iterations is None else f'/{max_iterations}'
    return (
        f'iteration {row["iter_num"]:.0f}{total}  loss {row["loss"]:.3e}  '
        f'{1e3 * row["rmse_epa"]:.2f} meV/atom  {1e3 * row["rmse_f_comp"]:.2f} meV/Å'
    )


def read_metrics(calculation: CalcJobNode) -> Metrics | None:
    """Read the learning curve of a training that runs from its folder, or nothing where there is none yet."""
    from aiida.common.exceptions import AiidaException
    from aiida.orm import RemoteData

    folder = calculation.base.links.get_outgoing(link_label_filter='remote_folder').first()
    if folder is None or not isinstance(folder.node, RemoteData):
        return None
    with tempfile.TemporaryDirectory() as local:
        path = Path(local) / filenames.METRICS
        try:
            folder.node.getfile(filenames.METRICS, str(path))
            return parse_metrics(path.read_text())
        # no file yet, no connection for a moment, or a line half-written: the next look will tell
        except (OSError, AiidaException, OutputError):
            return None


def _max_iterations(calculation: CalcJobNode) -> int | None:
    number: int | None = calculation.inputs['config'].get_dict().get('fit', {}).get('maxiter')
    return number


def _mark(process: ProcessNode) -> str:
    return '+' if process.is_finished_ok else '!'


def _outcome(process: ProcessNode) -> str:
    """Return the name of a process with the time that it took, and what went wrong with it."""
    seconds = (process.mtime - process.ctime).total_seconds()
    text = f'{process.process_label}<{process.pk}>  {seconds:.1f} s'
    return text if process.is_finished_ok else f'{text}  {process.exit_message or process.process_state}'


def _state(process: ProcessNode) -> str:
    from aiida.orm import CalcJobNode

    state = process.get_state() if isinstance(process, CalcJobNode) else None
    return f'{process.process_label}<{process.pk}>' + ('' if state is None else f'  {state.value}')
