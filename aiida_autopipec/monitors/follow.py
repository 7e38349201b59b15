"""The metrics of a running training, read through a connection: only what is new, and never more than a limit."""

from __future__ import annotations

import time

from aiida.orm import CalcJobNode, Dict
from aiida.transports import Transport

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.outputs.progress import Progress, TrainingPlan

PROGRESS_KEY = 'autopipec_progress'
"""Extra of a calculation under which the monitor keeps what the training has reached."""
ENTRY_POINT = 'autopipec.pace_train'
MOST_BYTES = 1 << 20
"""Read in one go: 2800 iterations."""
MOST_READS = 16


def follow(transport: Transport, folder: str, progress: Progress, *, test: bool, now: float | None = None) -> Progress:
    """Return what a training has reached, after a look at what is new in its folder.

    :param transport: an open connection to the computer of the training.
    :param folder: the training's folder there.
    :param progress: what was known before.
    :param test: whether there may be test metrics.
    :param now: seconds since the epoch; by default the present.
    :raises OSError: if the folder cannot be read.
    """
    now = time.time() if now is None else now
    for _ in range(MOST_READS):
        size, data = read_new(transport, folder, filenames.METRICS, progress.position.offset)
        if 0 < size < progress.position.offset:
            progress = Progress()  # another run has begun in the same folder: a requeued job does
            continue
        test_data = b''
        if test:
            test_data = read_new(transport, folder, filenames.TEST_METRICS, progress.test.position.offset)[1]
        progress = progress.look(data, test_data, now=now)
        if len(data) < MOST_BYTES:
            break
    return progress


def read_new(transport: Transport, folder: str, filename: str, offset: int) -> tuple[int, bytes]:
    """Return the size of a file, and its bytes from an offset on, :data:`MOST_BYTES` at most.

    A file that is not there is empty. Bytes that are no text become question marks, one each: asyncssh refuses output
    that is not UTF-8, and offsets count bytes.

    :raises OSError: if the command could not run at all.
    """
    command = (
        f'if [ -f {filename} ]; then wc -c < {filename} && tail -c +{offset + 1} {filename} | head -c {MOST_BYTES} '
        f"| LC_ALL=C tr -c '\\11\\12\\40-\\176' '?'; else echo 0; fi"
    )
    status, output, problem = transport.exec_command_wait(command, workdir=folder)
    first, _, data = output.partition('\n')
    if status != 0 or not first.strip().isdecimal():
        raise OSError(f'`{filename}` in {folder} cannot be read: {" ".join(problem.split())[:200]}')
    return int(first), data.encode('ascii', errors='replace')


def stored_progress(node: CalcJobNode) -> Progress:
    """Return what the monitor has stored on a training; an empty one if there is nothing yet."""
    stored = node.base.extras.get(PROGRESS_KEY, None)
    return Progress.from_stored(stored if stored is not None else {})


def plan_of(node: CalcJobNode) -> TrainingPlan:
    """Return how long a training is meant to be."""
    return TrainingPlan.from_config(node.inputs['config'].get_dict())


def is_monitored(node: CalcJobNode) -> bool:
    """Tell whether a training has the monitor that keeps its progress."""
    monitors = node.base.links.get_incoming(link_label_filter='monitors\\_\\_%').all_nodes()
    return any(isinstance(monitor, Dict) and monitor.get('entry_point') == ENTRY_POINT for monitor in monitors)


def seconds_running(node: CalcJobNode, progress: Progress, *, now: float) -> float | None:
    """Return how long a job has run at least: as its scheduler said last, and since its first iteration was seen.

    ``core.direct`` reports the time of the processor as that of the clock (aiida-core 2.9), which alone is too short.
    """
    seen = [] if progress.started is None else [now - progress.started]
    info = node.get_last_job_info()
    if info is not None and info.wallclock_time_seconds is not None:
        checked = node.get_scheduler_lastchecktime()
        since = 0.0 if checked is None else max(0.0, now - checked.timestamp())
        seen.append(float(info.wallclock_time_seconds) + since)
    return max(seen, default=None)


def seconds_of_walltime_left(node: CalcJobNode, progress: Progress, *, now: float) -> float | None:
    """Return how long a job may still run, or ``None`` if it has no limit or has not begun."""
    limit = node.get_option('max_wallclock_seconds')
    running = seconds_running(node, progress, now=now)
    return None if limit is None or running is None else float(limit) - running
