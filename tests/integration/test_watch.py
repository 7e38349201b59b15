"""Looking on while a real daemon trains with the real Pacemaker."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from aiida.engine import submit
from aiida.engine.daemon.client import DaemonClient
from aiida.orm import CalcJobNode
from click.testing import CliRunner

from aiida_autopipec.cli.root import cmd_root
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

pytestmark = [pytest.mark.daemon, pytest.mark.pacemaker]


def test_the_terminal_shows_what_the_daemon_trains(
    started: DaemonClient, programs: dict[str, Any], make_atoms: Any, config: dict[str, Any]
) -> None:
    """While it runs, one look shows the iteration; watched to the end, the loss falls and the errors come last."""
    builder = TrainPotentialWorkChain.get_builder()
    builder.datasets = {'a': PaceDatasetData.from_atoms(make_atoms(16))}
    builder.config = {**config, 'fit': {**config['fit'], 'maxiter': 60, 'options': {'gtol': 1e-14}}}
    builder.reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0}}
    builder.pace_train.code = programs['pacemaker']
    monitor = {'entry_point': 'autopipec.pace_train', 'minimum_poll_interval': 1}
    builder.pace_train.monitors = {'autopipec': monitor}
    node = submit(builder)
    _wait_for_iterations(node)
    once = CliRunner().invoke(cmd_root, ['watch', str(node.pk), '--once'])
    assert once.exit_code == 0, once.output
    assert re.search(r'running  localhost job \d+ .*iteration \d+/60  loss \d', once.output), once.output
    whole = CliRunner().invoke(cmd_root, ['watch', str(node.uuid), '--interval', '0.5'])
    assert whole.exit_code == 0, whole.output
    shown = [int(number) for number in re.findall(r'iteration (\d+)/60', whole.output)]
    assert shown == sorted(shown)
    assert shown[-1] == 60
    assert re.search(rf'TrainPotentialWorkChain<{node.pk}>  train +\d+\.\d\d +\d+\.\d\d +60  ', whole.output)


def _wait_for_iterations(node: Any, seconds: float = 120) -> None:
    """Wait until the monitor has seen an iteration."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        jobs = [child for child in node.called_descendants if isinstance(child, CalcJobNode)]
        if jobs and jobs[-1].base.extras.get('autopipec_progress', {}).get('iteration', 0) > 0:
            return
        time.sleep(0.3)
    pytest.fail(f'no iteration was seen within {seconds} s')
