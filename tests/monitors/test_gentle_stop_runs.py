"""Real trainings that the monitor stops: nothing that they have reached is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Log

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.monitors.follow import PROGRESS_KEY
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

pytestmark = pytest.mark.pacemaker

Train = Callable[..., CalcJobNode]


@pytest.fixture(scope='module')
def train(programs: dict[str, Any], make_atoms: Any, make_config: Callable[[], dict[str, Any]]) -> Train:
    """Return a function that trains, with a look each second."""

    def run(iterations: int, thresholds: dict[str, Any], **inputs: Any) -> CalcJobNode:
        structures = LabelledStructures.from_atoms(make_atoms(16))
        config = make_config()
        config['fit']['maxiter'] = iterations
        # a converged fit would end before it is stopped
        config['fit']['options'] = {'gtol': 1e-14}
        monitor = {'entry_point': 'autopipec.pace_train', 'minimum_poll_interval': 1, 'kwargs': thresholds}
        return run_get_node(
            PaceTrainCalculation,
            code=programs['pacemaker'],
            dataset=PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)),
            config=config,
            monitors={'autopipec': monitor},
            **inputs,
        )[1]

    return run


@pytest.fixture(scope='module')
def stalled(train: Train) -> CalcJobNode:
    """Return a training that was stopped because its loss did not fall by nine tenths in ten iterations."""
    return train(5000, {'stall_iterations': 10, 'stall_improvement': 0.9})


def test_the_exit_code_says_why(stalled: CalcJobNode) -> None:
    """The reason is the exit code, and the report has the numbers of the moment."""
    assert stalled.exit_status == 410, (stalled.exit_status, stalled.exit_message)
    assert stalled.exit_code is not None
    report = stalled.outputs['stop_report'].get_dict()
    assert report['concern'] == 'stalled'
    assert 10 <= report['iterations'] < 5000
    assert report['detail'] in stalled.exit_message


def test_what_was_reached_is_kept(stalled: CalcJobNode, train: Train) -> None:
    """Another training goes on from the interim potential with the loss at which the first was stopped."""
    curve = stalled.outputs['learning_curve'].get_array('loss')
    assert curve[-1] < curve[0]
    after = train(2, {}, initial_potential=stalled.outputs['interim_potential'])
    assert after.is_finished_ok, after.exit_message
    first = after.outputs['learning_curve'].get_array('loss')[0]
    # the last iteration may have been saved before its row was read, or the other way round
    assert first == pytest.approx(curve[-1], rel=0.05)


def test_the_curve_so_far_is_on_the_node(stalled: CalcJobNode) -> None:
    """The progress that the monitor kept holds errors, curve and the concern."""
    stored = stalled.base.extras.get(PROGRESS_KEY)
    assert stored['concern'] == 'stalled'
    assert stored['rmse_energy_ev_per_atom'] > 0
    assert len(stored['curve']['points']) > 10


def test_a_training_that_cannot_end_in_time_is_stopped_if_asked(train: Train) -> None:
    """With `walltime: stop` a fit whose remaining iterations take longer than the job may run is stopped early."""
    metadata = {'options': {'max_wallclock_seconds': 60, 'resources': {'num_machines': 1}}}
    node = train(100_000, {'walltime': 'stop'}, metadata=metadata)
    assert node.exit_status == 411, (node.exit_status, node.exit_message)
    assert 'interim_potential' in node.outputs


def test_a_walltime_that_is_too_short_is_reported_once(train: Train) -> None:
    """By default such a fit goes on, and its report warns of it one time."""
    metadata = {'options': {'max_wallclock_seconds': 1, 'resources': {'num_machines': 1}}}
    node = train(40, {}, metadata=metadata)
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    warnings = [log.message for log in Log.collection.get_logs_for(node) if log.message.startswith('walltime:')]
    assert len(warnings) == 1
