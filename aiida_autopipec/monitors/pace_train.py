"""Monitor of a running training."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from aiida.engine.processes.calcjobs.monitors import CalcJobMonitorResult
from aiida.orm import CalcJobNode
from aiida.transports import Transport

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import parse_metrics


def monitor_pace_train(node: CalcJobNode, transport: Transport) -> CalcJobMonitorResult | None:
    """Stop a training whose loss is no longer finite: nothing good can come of it.

    What it has written is retrieved and parsed, so that the exit code says what happened.

    :param node: the running calculation.
    :param transport: an open connection to its computer.
    """
    remote = Path(node.get_remote_workdir() or '') / filenames.METRICS
    if not transport.isfile(remote):
        return None
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / filenames.METRICS
        transport.getfile(remote, local)
        text = local.read_text(encoding='utf-8', errors='replace')
    try:
        metrics = parse_metrics(text)
    except OutputError:
        return None  # caught while it is being written; the next look will do
    loss = metrics.final_loss
    if loss is None or math.isfinite(loss):
        return None
    return CalcJobMonitorResult(
        message=f'the loss is {loss} after {metrics.n_iterations} iterations',
        override_exit_code=False,
    )
