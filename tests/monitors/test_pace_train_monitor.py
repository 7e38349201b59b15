"""The monitor that follows a training and stops a hopeless one."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, InstalledCode

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.monitors.follow import PROGRESS_KEY, stored_progress
from aiida_autopipec.monitors.pace_train import monitor_pace_train
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.outputs.concerns import MonitorThresholds

HEADER = 'ladder_step cycle_step iter_num loss rmse_epa rmse_f_comp nfuncs\n'
Look = Callable[..., Any]


def rows(*losses: float | str) -> str:
    """Return metrics with these losses."""
    return HEADER + ''.join(f'0 0 {number} {loss} 0.1 0.2 9\n' for number, loss in enumerate(losses))


@pytest.fixture
def running(aiida_localhost: Any, tmp_path: Path) -> CalcJobNode:
    """Return a training that runs in a folder of the test."""
    node = CalcJobNode(computer=aiida_localhost)
    config = Dict({'fit': {'maxiter': 100}}).store()
    node.base.links.add_incoming(config, LinkType.INPUT_CALC, 'config')
    node.set_remote_workdir(str(tmp_path))
    return node.store()


@pytest.fixture
def look(running: CalcJobNode, tmp_path: Path) -> Look:
    """Return a function that lets the monitor look at the metrics of a running job."""

    def run(text: str | bytes | None, **thresholds: Any) -> Any:
        if text is not None:
            (tmp_path / 'metrics.txt').write_bytes(text if isinstance(text, bytes) else text.encode())
        with running.computer.get_transport() as transport:
            return monitor_pace_train(running, transport, **thresholds)

    return run


def test_the_signature_is_that_of_the_thresholds() -> None:
    """AiiDA takes the names of keywords from the signature of the monitor: they and their defaults are the model's."""
    parameters = list(inspect.signature(monitor_pace_train).parameters.values())[2:]
    assert {parameter.name: parameter.default for parameter in parameters} == MonitorThresholds().model_dump()


@pytest.mark.parametrize(
    'text',
    [
        None,
        '',
        HEADER,
        rows(3, 2, 1),
        rows(3, 2, 1)[:-9],
        rows(3, 2, 'nan').removesuffix('\n'),
        'no metrics at all\n',
        b'\xff\xfe\x00\n\n\xc3\x28',
        rows(3, 2, 1).encode() + b'\x00' * 5000,
        rows(3, 2) + '0 0 1e300 nan nan nan 9\n' + '0 0 inf nan nan nan 9\n' + '0 0 -1 nan nan nan 9\n',
    ],
    ids=['no-file', 'empty', 'header', 'whole', 'cut', 'cut-nan', 'other', 'binary', 'zeros', 'nonsense'],
)
def test_a_training_that_may_be_healthy_goes_on(look: Look, text: str | bytes | None) -> None:
    """As long as the last whole row has a finite loss, or nothing can be read, nothing is done, at no look."""
    assert [look(text) for _ in range(3)] == [None, None, None]


def test_only_what_is_new_is_read(look: Look, running: CalcJobNode) -> None:
    """The second look goes on where the first ended: what stood there before is not looked at again."""
    look(rows(5, 4))
    look(' ' * (len(rows(5, 4)) - 1) + '\n' + '0 0 2 3 0.1 0.2 9\n0 0 3 2')
    progress = stored_progress(running)
    assert (progress.rows, progress.iteration, progress.loss) == (3, 2, 3.0)


def test_a_requeued_job_is_followed_from_its_start(look: Look, running: CalcJobNode) -> None:
    """A file that has become shorter is that of another run in the same folder."""
    look(rows(5, 4, 3, 2))
    look(rows(5, 4))
    assert stored_progress(running).iterations == 1


def test_a_file_that_is_gone_takes_nothing_away(look: Look, running: CalcJobNode, tmp_path: Path) -> None:
    """What has been seen stays on the node when the file is not there for a moment."""
    look(rows(5, 4, 3, 2))
    (tmp_path / 'metrics.txt').unlink()
    look(None)
    assert stored_progress(running).iterations == 3


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_a_loss_that_stays_not_finite_stops_the_training(look: Look, value: str) -> None:
    """A loss that is no number at two looks stops the job, and leaves the exit code to the parser."""
    assert look(rows(3, 2, value)) is None
    result = look(None)
    assert result.override_exit_code is False
    assert result.retrieve
    assert result.parse
    assert result.outputs['stop_report']['concern'] == 'not_finite'
    assert 'after 2 iterations' in result.message


def test_a_loss_that_recovers_is_no_reason(look: Look) -> None:
    """Where the loss is finite again at the second look, the training goes on."""
    assert look(rows(3, 2, 'nan')) is None
    assert look(rows(3, 2, 'nan', 1)) is None


def test_a_loss_that_grows_stops_the_training(look: Look) -> None:
    """Three rows above ten times the best loss are enough; the report holds the numbers."""
    assert look(rows(3, 1, 12, 13)) is None
    result = look(rows(3, 1, 12, 13, 14))
    assert result.outputs['stop_report']['best_loss'] == 1.0
    assert result.outputs['stop_report']['thresholds']['divergence_factor'] == 10.0


def test_nothing_is_stopped_that_has_its_potential(look: Look, tmp_path: Path) -> None:
    """A fit that has ended is not stopped while it predicts and exports."""
    (tmp_path / 'output_potential.yaml').touch()
    assert look(rows('nan', 'nan', 'nan', 'nan')) is None


def test_a_monitor_may_only_record(look: Look, running: CalcJobNode) -> None:
    """With `stop: false` the concern is recorded, and nothing is stopped."""
    assert look(rows(3, 1, 12, 13, 14), stop=False) is None
    assert running.base.extras.get(PROGRESS_KEY)['concern'] == 'diverging'


def test_a_folder_that_is_gone_stops_nothing(look: Look, running: CalcJobNode) -> None:
    """A folder that cannot be read is a line in the report, not an exception that pauses the training."""
    running.set_remote_workdir('/nowhere/at/all')
    assert look(None) is None


def test_a_record_that_was_tampered_with_is_begun_anew(look: Look, running: CalcJobNode) -> None:
    """Extras can be changed by anybody: nonsense there is replaced."""
    running.base.extras.set(PROGRESS_KEY, {'rows': 'many', 'position': 7})
    look(rows(3, 2))
    assert stored_progress(running).rows == 2


def test_the_record_stays_small(look: Look, running: CalcJobNode) -> None:
    """However long a training is, what is stored on its node takes less than 16 kB."""
    look(rows(*(1 / number for number in range(1, 20_000))))
    stored = running.base.extras.get(PROGRESS_KEY)
    assert stored['iterations'] == 19_998
    assert len(json.dumps(stored)) < 16_000


@pytest.mark.parametrize(
    ('kwargs', 'words'),
    [
        ({'divergance_factor': 3.0}, 'divergance_factor` is no parameter'),
        ({'divergence_factor': 0.5}, 'divergence_factor` is 0.5'),
        ({'walltime': 'kill'}, "walltime` is 'kill'"),
        ({'overfitting_rows': True}, 'overfitting_rows` is True'),
        (['stop'], "kwargs` is ['stop']"),
    ],
)
def test_wrong_thresholds_are_refused_before_submission(
    localhost: Any, make_atoms: Any, config: dict[str, Any], kwargs: Any, words: str
) -> None:
    """A threshold that is unknown or not possible is one sentence when the job is launched."""
    with pytest.raises(ValueError, match='kwargs') as caught:
        launch(localhost, make_atoms, config, '/bin/true', kwargs)
    assert words in str(caught.value)


def test_a_stopped_training_says_that_it_diverged(
    localhost: Any, make_atoms: Any, config: dict[str, Any], tmp_path: Path
) -> None:
    """In a real job, the monitor that every training has ends it early; the parser says why and keeps the curve."""
    program = tmp_path / 'pacemaker'
    (tmp_path / 'nan.txt').write_text(rows(3, 2, 'nan', 'nan', 'nan'))
    program.write_text(
        f'#!/bin/sh\ncp {tmp_path}/nan.txt metrics.txt\nexec {sys.executable} -c "import time; time.sleep(60)"\n'
    )
    program.chmod(0o755)
    node = launch(localhost, make_atoms, config, str(program))
    assert node.exit_status == 331, (node.exit_status, node.exit_message)
    assert (node.mtime - node.ctime).total_seconds() < 40
    assert len(node.outputs.learning_curve.get_array('loss')) == 5


def launch(localhost: Any, make_atoms: Any, config: dict[str, Any], program: str, kwargs: Any = None) -> Any:
    """Run a program in the place of Pacemaker."""
    structures = LabelledStructures.from_atoms(make_atoms(4))
    monitor = {'entry_point': 'autopipec.pace_train', 'kwargs': kwargs}
    code = InstalledCode(label='stand-in', computer=localhost, filepath_executable=program)
    return run_get_node(
        PaceTrainCalculation,
        code=code,
        dataset=PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)),
        config=config,
        **({} if kwargs is None else {'monitors': {'autopipec': monitor}}),
    )[1]
