"""Monitor of a running training."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any, Literal

from aiida.engine.processes.calcjobs.monitors import CalcJobMonitorResult
from aiida.orm import CalcJobNode, Dict
from aiida.schedulers.datastructures import JobState
from aiida.transports import Transport

from aiida_autopipec.monitors.follow import PROGRESS_KEY, follow, plan_of, seconds_of_walltime_left, stored_progress
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.outputs.concerns import Concern, Finding, MonitorThresholds, find_concern
from aiida_autopipec.pacemaker.outputs.progress import Progress


def monitor_pace_train(
    node: CalcJobNode,
    transport: Transport,
    stop: bool = True,
    not_finite: bool = True,
    divergence_factor: float | None = 10.0,
    divergence_rows: int = 3,
    stall_iterations: int | None = None,
    stall_improvement: float = 1e-3,
    overfitting_rows: int | None = None,
    overfitting_tolerance: float = 0.02,
    walltime: Literal['ignore', 'warn', 'stop'] = 'warn',
) -> CalcJobMonitorResult | None:
    """Follow a training, record what it has reached, and stop it when nothing good can come of it any more.

    The record is the extra ``autopipec_progress`` of the calculation. When the job is stopped, what it has written is
    retrieved and parsed, and the parser repeats the reason as exit code. The other parameters are those of
    :class:`~aiida_autopipec.pacemaker.outputs.concerns.MonitorThresholds`; AiiDA looks at the signature.

    :param node: the running calculation.
    :param transport: an open connection to its computer.
    """
    thresholds = MonitorThresholds(
        stop=stop,
        not_finite=not_finite,
        divergence_factor=divergence_factor,
        divergence_rows=divergence_rows,
        stall_iterations=stall_iterations,
        stall_improvement=stall_improvement,
        overfitting_rows=overfitting_rows,
        overfitting_tolerance=overfitting_tolerance,
        walltime=walltime,
    )
    folder = node.get_remote_workdir()
    if folder is None or node.get_scheduler_state() in (JobState.QUEUED, JobState.QUEUED_HELD):
        return None
    before = stored_progress(node)
    now = time.time()
    try:
        progress = follow(transport, folder, before, test='test_dataset' in node.inputs, now=now)
    except OSError as exception:
        node.logger.warning(f'the monitor could not look at the training: {exception}')
        return None  # a monitor that raises again and again would make AiiDA pause a training that may be fine
    finding = _judge(node, progress, thresholds, now)
    _store(node, progress, finding, now)
    if finding is None or not _stops(finding, thresholds) or _has_ended(transport, folder):
        return None
    return CalcJobMonitorResult(
        message=f'{finding.concern.explanation} ({finding.detail})',
        override_exit_code=False,
        outputs={'stop_report': Dict(_report(progress, finding, thresholds))},
    )


def _judge(node: CalcJobNode, progress: Progress, thresholds: MonitorThresholds, now: float) -> Finding | None:
    left = seconds_of_walltime_left(node, progress, now=now)
    return find_concern(progress, thresholds, plan_of(node), now=now, seconds_of_walltime=left)


def _stops(finding: Finding, thresholds: MonitorThresholds) -> bool:
    return thresholds.stop and (finding.concern is not Concern.WALLTIME_TOO_SHORT or thresholds.walltime == 'stop')


def _has_ended(transport: Transport, folder: str) -> bool:
    """Tell whether the fit has come to its end meanwhile: what follows are predictions and exports."""
    return bool(transport.isfile(str(PurePosixPath(folder) / filenames.OUTPUT_POTENTIAL)))


def _store(node: CalcJobNode, progress: Progress, finding: Finding | None, now: float) -> None:
    """Keep the progress on the calculation, with a line in its report when a new concern turns up."""
    known = (node.base.extras.get(PROGRESS_KEY, None) or {}).get('concern')
    concern = None if finding is None else finding.concern.value
    if finding is not None and concern != known:
        node.logger.warning(f'{finding.concern.value}: {finding.detail}')
    node.base.extras.set(
        PROGRESS_KEY,
        {
            **progress.to_storable(),
            'looked_at': datetime.fromtimestamp(now, timezone.utc).isoformat(timespec='seconds'),
            'seconds_left': progress.seconds_left(plan_of(node), now=now),
            'concern': concern,
            'detail': None if finding is None else finding.detail,
        },
    )


def _report(progress: Progress, finding: Finding, thresholds: MonitorThresholds) -> dict[str, Any]:
    """Return why the training is stopped, with the numbers of that moment."""
    return {
        'concern': finding.concern.value,
        'detail': finding.detail,
        'iterations': progress.iterations,
        'ladder_step': progress.ladder_step,
        'cycle_step': progress.cycle_step,
        'loss': progress.loss,
        'best_loss': progress.best_loss,
        'test_loss': progress.test.loss,
        'best_test_loss': progress.test.best_loss,
        'thresholds': thresholds.model_dump(mode='json'),
    }
