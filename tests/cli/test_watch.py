"""Looking on while potentials are trained."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida.common import LinkType
from aiida.common.datastructures import CalcJobState
from aiida.engine import ProcessState
from aiida.orm import AuthInfo, CalcJobNode, Dict, FolderData, WorkChainNode
from aiida.schedulers.datastructures import JobInfo, JobState

from aiida_autopipec.cli.watch_trainings import Snapshot, Trainings
from aiida_autopipec.cli.watch_view import BLOCKS, Screen, duration, reached, sparkline
from aiida_autopipec.monitors.follow import PROGRESS_KEY
from aiida_autopipec.pacemaker.outputs.progress import Progress, TrainingPlan

METRICS = b"""ladder_step cycle_step iter_num loss rmse_epa rmse_f_comp nfuncs
0 0 0 8.0 3.0 0.7 9
0 0 1 4.0 2.0 0.6 9
0 0 2 0.0625 0.012 0.034 9
"""
SHOWN = 'iteration 2/50  loss 6.250e-02 █▇▁  12.00 meV/atom  34.00 meV/Å'
Make = Callable[..., CalcJobNode]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = 'utf-8'

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.fixture
def training(aiida_localhost: Any, tmp_path: Path) -> Make:
    """Return a function that makes a training job which runs, as the database sees it."""

    def make(
        *,
        metrics: bytes = METRICS,
        monitored: bool = False,
        workdir: Path | None = None,
        caller: WorkChainNode | None = None,
    ) -> CalcJobNode:
        folder = workdir or tmp_path / f'job-{len(list(tmp_path.iterdir()))}'
        if workdir is None:
            folder.mkdir()
            (folder / 'metrics.txt').write_bytes(metrics)
        node = CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:autopipec.pace_train')
        node.set_process_label('PaceTrainCalculation')
        config = Dict({'fit': {'maxiter': 50}}).store()
        node.base.links.add_incoming(config, LinkType.INPUT_CALC, 'config')
        if monitored:
            monitor = Dict({'entry_point': 'autopipec.pace_train'}).store()
            node.base.links.add_incoming(monitor, LinkType.INPUT_CALC, 'monitors__autopipec')
        if caller is not None:
            node.base.links.add_incoming(caller, LinkType.CALL_CALC, f'iteration_{len(caller.called) + 1:02d}')
        node.set_process_state(ProcessState.WAITING)
        node.set_option('max_wallclock_seconds', 3600)
        node.store()
        node.set_state(CalcJobState.WITHSCHEDULER)
        node.set_scheduler_state(JobState.RUNNING)
        node.set_job_id('4711')
        info = JobInfo({'job_id': '4711', 'wallclock_time_seconds': 65})
        info['allocated_machines_raw'] = 'gpu01'
        node.set_last_job_info(info)
        node.set_remote_workdir(str(folder))
        return node

    return make


def end(node: CalcJobNode, *, status: int = 0, message: str = '') -> None:
    """Let a training end."""
    retrieved = FolderData()
    retrieved.base.repository.put_object_from_bytes(METRICS, 'metrics.txt')
    errors = {'train': {'rmse_energy_mev_per_atom': 11.5, 'rmse_forces_mev_per_angstrom': 33.5}}
    for label, output in (('retrieved', retrieved), ('output_parameters', Dict({'errors': errors}))):
        output.base.links.add_incoming(node, LinkType.CREATE, label)
        output.store()
    node.set_exit_status(status)
    node.set_exit_message(message)
    node.set_process_state(ProcessState.FINISHED)
    node.seal()


# What is shown


def test_a_curve_in_one_line() -> None:
    """The logarithm of the loss falls from the highest block to the lowest, in so many characters at most."""
    line = sparkline([10.0 ** -(number / 100) for number in range(800)], width=8)
    assert line == BLOCKS[::-1]
    assert sparkline([3.0]) == BLOCKS[0]
    assert sparkline([]) == ''


def test_a_loss_that_is_not_finite_leaves_a_gap() -> None:
    """`None` is a blank, and a curve of nothing else is empty."""
    assert sparkline([10.0, None, 1.0]) == '█ ▁'
    assert sparkline([None, None]) == ''


@pytest.mark.parametrize(
    ('seconds', 'text'), [(None, '-'), (0, '0:00:00'), (3725.4, '1:02:05'), (-3, '0:00:00'), (360000, '100:00:00')]
)
def test_durations(seconds: float | None, text: str) -> None:
    """Times are hours, minutes and seconds."""
    assert duration(seconds) == text


def test_ladder_and_cycle_are_shown_where_there_are_several() -> None:
    """The iteration counts within a minimisation, so its ladder step and cycle stand beside it."""
    progress = Progress().look(METRICS, b'', now=1.0)
    plan = TrainingPlan(max_iterations=50, fit_cycles=3, ladder=True)
    text = reached(Snapshot('t', 'running', ended=False, ok=False, progress=progress, plan=plan))
    assert text.startswith('iteration 2/50 of ladder step 1 of cycle 1/3')


def test_a_file_gets_whole_lines_and_no_repetition() -> None:
    """Into a file goes one line for each change, in ASCII where the encoding is not known, without control codes."""
    stream = io.StringIO()
    screen = Screen(stream)
    snapshot = Snapshot('A<1>', 'running', ended=False, ok=False)
    for shown in (snapshot, snapshot, Snapshot('A<1>', 'finished', ended=True, ok=True)):
        screen.show([shown])
    assert stream.getvalue() == 'A<1>  running\nA<1>  finished\n'


def test_a_terminal_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second picture starts where the first did, and no line is wider or higher than the terminal."""
    monkeypatch.setenv('COLUMNS', '20')
    monkeypatch.setenv('LINES', '5')
    stream = Terminal()
    screen = Screen(stream)
    snapshots = [Snapshot(f'Training<{number}>', 'x' * 30, ended=False, ok=False) for number in range(9)]
    screen.show(snapshots)
    screen.show(snapshots)
    first, second = stream.getvalue().split('\x1b[3F')
    assert first == second
    assert max(len(line.replace('\x1b[K', '').replace('\x1b[J', '')) for line in first.split('\n')) <= 19
    assert '… and 7 more' in first


# Where it comes from


def test_a_running_job_is_read_from_its_folder(training: Make, run_cli: Any) -> None:
    """Without a monitor, loss and errors come from the file; where the job runs, and how long, from the scheduler."""
    node = training()
    result = run_cli('watch', node.pk, '--once')
    assert SHOWN in result.output
    assert f'PaceTrainCalculation<{node.pk}>  running  localhost job 4711 on gpu01  for 0:01:0' in result.output
    assert 'walltime left 0:58:5' in result.output


def test_a_monitored_job_is_read_from_the_database(training: Make, run_cli: Any, tmp_path: Path) -> None:
    """With a monitor nothing is asked of the computer: its folder does not even have to be there."""
    node = training(monitored=True, workdir=tmp_path / 'gone')
    stored = {**Progress().look(METRICS, b'', now=1.0).to_storable(), 'detail': 'the loss grows'}
    node.base.extras.set(PROGRESS_KEY, stored)
    result = run_cli('watch', node.pk, '--once')
    assert SHOWN in result.output
    assert 'the loss grows' in result.output
    assert 'cannot be read' not in result.output


def test_a_work_chain_stands_for_its_newest_job(training: Make, run_cli: Any) -> None:
    """Of a work chain the job that runs is shown, and how many there were; before the first, its step."""
    chain = WorkChainNode()
    chain.set_process_label('PaceTrainBaseWorkChain')
    chain.set_process_state(ProcessState.WAITING)
    chain.store()
    assert 'waiting' in run_cli('watch', chain.pk, '--once').output
    training(metrics=b'no metrics\n', caller=chain)
    training(caller=chain)
    output = run_cli('watch', chain.pk, '--once').output
    assert f'PaceTrainBaseWorkChain<{chain.pk}>  running  run 2' in output
    assert SHOWN in output


def test_one_connection_for_each_computer(training: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many jobs there are, a computer is connected to once per interval."""
    opened = []
    original = AuthInfo.get_transport
    monkeypatch.setattr(AuthInfo, 'get_transport', lambda self: opened.append(self) or original(self))
    trainings = Trainings([training() for _ in range(3)], interval=60)
    for _ in range(3):
        assert [snapshot.progress is not None for snapshot in trainings.look()] == [True] * 3
    assert len(opened) == 1


def test_a_folder_that_cannot_be_read_is_said(training: Make, run_cli: Any, tmp_path: Path) -> None:
    """What goes wrong on the computer stands in the line of the job."""
    node = training(workdir=tmp_path / 'gone')
    assert 'gone' in run_cli('watch', node.pk, '--once').output


def test_damaged_metrics_are_shown_as_far_as_they_go(training: Make, run_cli: Any) -> None:
    """Lines that nobody can read are left out."""
    node = training(metrics=METRICS + b'\x00\xff garbage\n0 0 3 0.')
    assert SHOWN in run_cli('watch', node.pk, '--once').output


# The end


def test_it_ends_with_the_errors(training: Make, run_cli: Any) -> None:
    """When all have ended, the errors of each are shown."""
    nodes = [training(), training()]
    for node in nodes:
        end(node)
    output = run_cli('watch', *(node.pk for node in nodes)).output
    assert 'Errors: energies in meV/atom, force components in meV/Å' in output
    for node in nodes:
        assert f'PaceTrainCalculation<{node.pk}>  train' in output
    assert output.count('11.50       33.50           2  6.250e-02') == 2


def test_a_failure_is_an_exit_code(training: Make, run_cli: Any) -> None:
    """A training that failed is named with its reason, and the command fails."""
    node = training()
    end(node, status=410, message='The loss hardly falls any more.')
    output = run_cli('watch', node.pk, fails=True).output
    assert 'failed: The loss hardly falls any more.' in output
    assert f'PaceTrainCalculation<{node.pk}> failed' in output


def test_something_else_is_refused(run_cli: Any, aiida_profile_clean: Any) -> None:
    """Data cannot be watched, and the message says so."""
    node = Dict({}).store()
    assert 'not a process' in run_cli('watch', node.pk, fails=True).output
