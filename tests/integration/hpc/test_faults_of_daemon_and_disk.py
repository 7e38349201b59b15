"""What happens between AiiDA and the computer while a potential is trained: connections, daemon, disk, monitor.

Each fault is a scene that several tests look at. Scenes in which only one part fails have a training for each way in
which it can be hit, all at the same time.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from aiida.engine.daemon.client import DaemonClient
from aiida.orm import CalcJobNode, Log, ProcessNode, SinglefileData
from click.testing import CliRunner

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.cli.root import cmd_root
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.outputs import newest_state, parse_log, salvage_metrics
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain

pytestmark = [pytest.mark.hpc, pytest.mark.daemon]

MAXITER = 20
AS_GOOD = 2.0
"""By which factor the loss may be larger where the optimiser has forgotten its curvature: this fit is nonlinear and far
from its end, where ways part. Up to the interruption the losses have to be equal."""

CODES = PaceTrainCalculation.exit_codes
RETRIEVAL = 'Waiting for transport task: retrieve'
VERDI = Path(sys.executable).parent / 'verdi'


# Tools


@pytest.fixture(scope='module')
def profile(profile, aiida_config):
    """Return the profile; a process that cannot reach the computer is paused after 1 + 2 + 4 + 8 seconds."""
    profile.set_option('transport.task_retry_initial_interval', 1)
    aiida_config.store()
    return profile


@pytest.fixture(scope='module')
def room(computer_room) -> Iterator[Any]:
    """Return the computer, which a scene may break: it is put in order after the last one."""
    yield computer_room
    computer_room.heal()


@pytest.fixture(scope='module')
def dataset(profile, make_atoms):
    """Return a training set of aluminium."""
    structures = LabelledStructures.from_atoms(make_atoms(12))
    return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()


@pytest.fixture(scope='module')
def train(programs, dataset, make_config, submit_to_daemon) -> Callable[..., ProcessNode]:
    """Return a function that submits a training that heals itself."""

    def submit(*, maxiter: int = MAXITER, options: dict[str, Any] | None = None, **inputs: Any) -> ProcessNode:
        builder = PaceTrainBaseWorkChain.get_builder()
        config = make_config()
        config['fit'] |= {'maxiter': maxiter, 'options': {'gtol': 1e-14}}
        builder.pace_train.code = programs['pacemaker']
        builder.pace_train.codes.yaml2yace = programs['pace_yaml2yace']
        builder.pace_train.dataset = dataset
        builder.pace_train.config = config
        for name, value in (options or {}).items():
            builder.pace_train.metadata.options[name] = value
        for name, value in inputs.items():
            builder.pace_train[name] = value
        return submit_to_daemon(builder)

    return submit


@pytest.fixture(scope='module')
def verdi(profile) -> Callable[..., str]:
    """Return a function that runs verdi and returns what it prints."""

    def run(*arguments: str) -> str:
        command = [str(VERDI), '-p', profile.name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run


def jobs_of(node: ProcessNode) -> list[CalcJobNode]:
    """Return the trainings of a work chain in their order."""
    jobs = [job for job in node.called if job.process_label == 'PaceTrainCalculation']
    return sorted(jobs, key=lambda job: job.pk)


def messages(node: ProcessNode) -> str:
    """Return all that was reported about a process and those it called."""
    nodes = [node, *node.called_descendants]
    return '\n'.join(log.message for one in nodes for log in Log.collection.get_logs_for(one))


def check_whole(node: ProcessNode, reference: ProcessNode, jobs: int) -> None:
    """Check that a training lacks nothing: every iteration is there once, and every file."""
    assert node.exit_status == 0, (node.exit_status, node.exit_message, messages(node))
    assert set(node.outputs) == set(reference.outputs)
    assert [job.exit_status for job in jobs_of(node)][-1] == 0
    assert len(jobs_of(node)) == jobs
    assert node.outputs.output_parameters['iterations'] == MAXITER
    assert curve(node, 'iter_num').tolist() == list(range(MAXITER + 1))
    predicted, expected = (one.outputs.predictions.get_array('train_energy_predicted') for one in (node, reference))
    assert predicted.shape == expected.shape


def check_same(node: ProcessNode, reference: ProcessNode) -> None:
    """Check that a training which nobody interrupted on the computer is that of the undisturbed run, bit by bit."""
    check_whole(node, reference, 1)
    assert curve(node, 'loss').tolist() == curve(reference, 'loss').tolist()
    lammps = [one.outputs.lammps_potential.get_content(mode='rb') for one in (node, reference)]
    assert lammps[0] == lammps[1]


def check_as_good(node: ProcessNode, reference: ProcessNode, jobs: int) -> None:
    """Check that a training which went on from its last state ends as low as the undisturbed run."""
    check_whole(node, reference, jobs)
    attempts = curve(node, 'attempt')
    first = attempts == attempts[0]
    np.testing.assert_allclose(curve(node, 'loss')[first], curve(reference, 'loss')[first], rtol=1e-9)
    assert np.all(np.diff(curve(node, 'loss')) <= 0)
    assert curve(node, 'loss')[-1] < AS_GOOD * curve(reference, 'loss')[-1]


def curve(node: ProcessNode, name: str) -> Any:
    """Return a column of the learning curve."""
    return node.outputs.learning_curve.get_array(name)


def folder_of(room: Any, job: CalcJobNode) -> Path:
    """Return the folder of a job; the disk of the computer is in this machine."""
    return Path(room.scratch / 'aiida' / job.uuid[:2] / job.uuid[2:4] / job.uuid[4:])


def cut_connections(room: Any) -> None:
    """End the SSH server in the middle of what it does: nothing moves from this moment on."""
    sessions = sessions_of(room)
    freeze(sessions)
    room.stop_ssh()
    for process in sessions:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def freeze(processes: list[psutil.Process]) -> None:
    """Stop processes that may be about to end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()


def sessions_of(room: Any) -> list[psutil.Process]:
    """Return the processes that serve the open connections."""
    return processes_of(room, 'sshd', 'sftp-server')


def processes_of(room: Any, *names: str) -> list[psutil.Process]:
    """Return what runs under the account on the computer, by the names of the programs."""
    found = psutil.process_iter(['name', 'username'])
    return [one for one in found if one.info['username'] == room.account and one.info['name'] in names]


@pytest.fixture(scope='module')
def wait_for_message(started) -> Callable[..., None]:
    """Return a function `(node, pattern)` that waits until AiiDA has reported something about a process."""

    def wait(node: ProcessNode, pattern: str, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not re.search(pattern, messages(node)):
            if time.monotonic() > end:
                log = Path(started.daemon_log_file).read_text()
                pytest.fail(f'nothing said {pattern!r}, but:\n{messages(node)}\nand the daemon:\n{log[-3000:]}')
            time.sleep(0.1)

    return wait


def watch_closely(condition: Callable[[], Any], seconds: float = 300) -> None:
    """Wait for something that lasts for milliseconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'what the test waits for did not happen'
        time.sleep(0.001)


# Nobody disturbs it, and somebody looks on


@pytest.fixture(scope='module')
def undisturbed(room, train, training_job, wait_for_end):
    """Return a training that nothing disturbs, and what a look at it showed while it ran."""
    monitor = {'entry_point': 'autopipec.pace_train', 'minimum_poll_interval': 1}
    node = train(monitors={'autopipec': monitor})
    job = training_job(node, iterations=2, seconds=300)
    watch_closely(lambda: (job.base.extras.get('autopipec_progress', None) or {}).get('iteration', 0) > 0)
    shown = CliRunner().invoke(cmd_root, ['watch', str(node.pk), '--once'])
    return wait_for_end(node, seconds=900), shown


@pytest.fixture(scope='module')
def reference(undisturbed):
    """Return a training that nothing disturbs."""
    node, _ = undisturbed
    check_whole(node, node, 1)
    return node


def test_watch_shows_a_job_of_the_computer(undisturbed):
    """A look at a running job shows the computer, the number of the job and the iteration."""
    node, shown = undisturbed
    assert shown.exit_code == 0, shown.output
    number = jobs_of(node)[0].get_job_id()
    assert re.search(rf'running  cluster job {number} .*iteration \d+/{MAXITER}  loss \d', shown.output), shown.output


def test_the_monitor_followed_it_to_the_end(reference):
    """What the monitor stored is that of the last looks, and it had no concern."""
    stored = jobs_of(reference)[0].base.extras.get('autopipec_progress')
    assert 0 < stored['iteration'] <= MAXITER
    assert stored['concern'] in (None, 'walltime')
    assert 'could not look' not in messages(reference)


def test_the_monitor_does_not_delay_the_end(reference, room):
    """A few seconds after the end of the job on the computer its files have come."""
    (job,) = jobs_of(reference)
    ended = datetime.fromisoformat(room.record(job.get_job_id(), 'End'))
    assert job.outputs.retrieved.ctime.timestamp() - ended.timestamp() < 15


# The connection fails, and is back before AiiDA gives it up


@pytest.fixture(scope='module')
def cut_three_times(reference, room, train, training_job, wait_for_end, wait_for_message, wait_until):
    """Return a training during which the connection ended in the upload, in the run and while files came back."""
    node = train()
    wait_until(lambda: jobs_of(node), 300, 'the job')
    job = jobs_of(node)[0]
    watch_closely(folder_of(room, job).exists)
    cut_connections(room)
    wait_for_message(job, 'do_upload')
    room.start_ssh()
    training_job(node, iterations=2, seconds=300)
    cut_connections(room)
    wait_for_message(job, 'do_(update|monitor)')
    room.start_ssh()
    watch_closely(lambda: job.process_status == RETRIEVAL)
    time.sleep(0.15)
    cut_connections(room)
    wait_for_message(job, 'do_retrieve')
    room.start_ssh()
    return wait_for_end(node, seconds=900)


def test_connections_that_end_change_nothing(cut_three_times, reference):
    """The job is neither repeated nor changed by what happened to the connections."""
    check_same(cut_three_times, reference)


def test_half_an_upload_is_put_aside(cut_three_times, room):
    """What had been uploaded when the connection ended is not mixed with what comes later."""
    (job,) = jobs_of(cut_three_times)
    assert (room.scratch / 'aiida' / 'lost+found' / job.uuid).is_dir()


# The connection fails for longer than AiiDA tries


OUTAGE = ('waits', 'cancelled', 'purged', 'truncated')


@pytest.fixture(scope='module')
def paused(reference, room, train, training_job, verdi, wait_for_end, wait_until):
    """Return trainings of which the computer was out of reach until AiiDA had paused them, by what happened meanwhile.

    One went on, one was cancelled, the folder of one was removed, and a file of one was cut off.
    """
    nodes = {name: train() for name in OUTAGE}
    jobs = {name: training_job(node, iterations=3, seconds=300) for name, node in nodes.items()}
    room.stop_ssh()
    numbers = {name: job.get_job_id() for name, job in jobs.items()}
    for name in ('cancelled', 'purged'):
        room.scancel(numbers[name])
    wait_until(lambda: not room.jobs(), 300, 'the end of the jobs')
    shutil.rmtree(folder_of(room, jobs['purged']))
    cut_off(folder_of(room, jobs['truncated']) / 'output_potential.yaml')
    wait_until(lambda: all(job.paused for job in jobs.values()), 300, 'the pause')
    room.start_ssh()
    verdi('process', 'play', *(str(job.pk) for job in jobs.values()))
    return {name: wait_for_end(node, seconds=900) for name, node in nodes.items()}


def cut_off(path: Path) -> None:
    """Leave the first half of a file."""
    os.truncate(path, path.stat().st_size // 2)


def test_a_paused_training_is_resumed(paused, reference):
    """`verdi process play` resumes a training that was paused, and nothing of it is lost."""
    check_same(paused['waits'], reference)


def test_a_job_cancelled_during_the_outage_goes_on(paused, reference):
    """A job that somebody cancelled while it could not be seen is gone on with from its last state."""
    check_as_good(paused['cancelled'], reference, 2)
    assert jobs_of(paused['cancelled'])[0].exit_status == CODES.ERROR_CANCELLED.status
    assert 'was lost' in messages(paused['cancelled'])


def test_a_job_without_its_folder_begins_again(paused, reference):
    """A job of which nothing is left is repeated, and its iterations are not counted."""
    node = paused['purged']
    check_whole(node, reference, 2)
    assert set(curve(node, 'attempt')) == {2.0}
    assert curve(node, 'loss').tolist() == curve(reference, 'loss').tolist()


def test_half_a_potential_is_made_again(paused, reference):
    """A potential that was cut off is recognised, and made from the last state, elsewhere."""
    node = paused['truncated']
    first, second = jobs_of(node)
    check_whole(node, reference, 2)
    assert first.exit_status == CODES.ERROR_OUTPUT_UNREADABLE.status
    assert 'output_potential.yaml' in messages(node)
    assert '#SBATCH --exclude=node' in second.get_option('custom_scheduler_commands')
    assert curve(node, 'loss')[-1] == pytest.approx(curve(reference, 'loss')[-1], rel=1e-6)


# The connection fails between a submission and the answer to it


@pytest.fixture(scope='module')
def submitted_twice(reference, room, train, wait_for_end, wait_for_message, wait_until):
    """Return a training whose submission succeeded, but the connection ended before AiiDA knew."""
    node = train()
    wait_until(lambda: jobs_of(node), 300, 'the job')
    job = jobs_of(node)[0]
    before = set(room.jobs())
    watch_closely(folder_of(room, job).exists)
    controller = psutil.Process(int((room.folder / 'run' / 'slurmctld' / 'pid').read_text()))
    controller.suspend()  # until its answer, `sbatch` waits
    try:
        watch_closely(lambda: processes_of(room, 'sbatch'))
        freeze(sessions_of(room))
    finally:
        controller.resume()
    wait_until(lambda: set(room.jobs()) - before, 300, 'the submission')
    cut_connections(room)
    wait_for_message(job, 'do_submit')
    room.start_ssh()
    wait_until(lambda: len(set(room.jobs()) - before) > 1, 300, 'the second submission')
    return wait_for_end(node, seconds=900)


def test_a_job_that_was_submitted_twice_trains_once(submitted_twice, reference):
    """Of two jobs in the same folder one trains, and the other one leaves its files alone."""
    check_same(submitted_twice, reference)


# The disk is full


@pytest.fixture(scope='module')
def disk_full(reference, room, train, training_job, wait_for_end, wait_until):
    """Return trainings whose disk was full, from an early iteration on and from the last one on; both jobs then ended.

    Each is stopped where it is to be hit, so both are hit there.
    """
    nodes = {'in_run': train(), 'at_end': train()}
    rows = {'in_run': 5, 'at_end': MAXITER + 1}
    fits = {name: hold_at(room, training_job(node, seconds=300), rows[name]) for name, node in nodes.items()}
    with room.scratch_full():
        for process in fits.values():
            process.resume()
        wait_until(lambda: not room.jobs(), 300, 'the end of the jobs')
    return {name: wait_for_end(node, seconds=900) for name, node in nodes.items()}


def hold_at(room: Any, job: CalcJobNode, rows: int) -> psutil.Process:
    """Stop the fit of a job as soon as its metrics have so many rows."""
    folder = folder_of(room, job)
    path = folder / 'metrics.txt'
    watch_closely(lambda: path.is_file() and len(path.read_text().splitlines()) > rows)
    (process,) = [one for one in processes_of(room, 'pacemaker') if one.cwd() == str(folder)]
    process.suspend()
    return process


def test_a_disk_that_is_full_in_the_run(disk_full, reference):
    """The training goes on when there is room again, and the reason is reported."""
    node = disk_full['in_run']
    check_as_good(node, reference, 2)
    assert jobs_of(node)[0].exit_status == CODES.ERROR_DISK_FULL.status
    assert 'is full' in messages(node)


def test_a_disk_that_is_full_at_the_end(disk_full, reference):
    """What was fitted is not lost when the result cannot be written."""
    node = disk_full['at_end']
    check_whole(node, reference, 2)
    assert curve(node, 'loss')[-1] <= curve(reference, 'loss')[-1] * (1 + 1e-6)


# The work chain is killed


@pytest.fixture(scope='module')
def killed(reference, room, train, training_job, verdi, wait_for_end):
    """Return a work chain that was killed."""
    node = train()
    job = training_job(node, seconds=300)
    hold_at(room, job, 8)  # or it could come to its end before verdi has started
    verdi('process', 'kill', str(node.pk))
    wait_for_end(node, seconds=900)
    wait_for_end(job, seconds=900)
    return node


@pytest.fixture(scope='module')
def continued(killed, reference, room, train, wait_for_end):
    """Return two trainings that go on where the killed one was: one from its folder, and one from its potential."""
    (job,) = jobs_of(killed)
    folder = folder_of(room, job)
    name = 'interim_potential_0.yaml'
    metrics, log = salvage_metrics((folder / 'metrics.txt').read_text()), parse_log((folder / 'log.txt').read_text())
    state, _ = newest_state({name: (folder / name).read_bytes()}, metrics, log)
    made = state.position.iterations
    from_folder = train(parent_folder=job.outputs.remote_folder)
    from_state = train(initial_potential=SinglefileData(folder / name), maxiter=MAXITER - made)
    return wait_for_end(from_folder, seconds=900), wait_for_end(from_state, seconds=900), made


def test_a_killed_work_chain_ends_its_job(killed, room):
    """With the work chain its job ends, too."""
    (job,) = jobs_of(killed)
    assert killed.is_killed
    assert room.record(job.get_job_id(), 'State').startswith('CANCELLED')


def test_the_folder_of_a_killed_work_chain_is_gone_on_with(continued, reference):
    """What the job of a killed work chain had done is counted, and stands in the learning curve."""
    node, _, _ = continued
    check_as_good(node, reference, 1)
    assert set(curve(node, 'attempt')) == {0.0, 1.0}


def test_the_state_of_a_killed_work_chain_is_gone_on_with(continued, reference):
    """From the interim potential, the iterations that are left lead to a potential as good."""
    _, node, made = continued
    assert node.exit_status == 0, node.exit_message
    assert node.outputs.output_parameters['iterations'] == MAXITER - made
    assert curve(node, 'loss')[0] == pytest.approx(curve(reference, 'loss')[made], rel=1e-6)
    assert curve(node, 'loss')[-1] < AS_GOOD * curve(reference, 'loss')[-1]


# The monitor stops it


@pytest.fixture(scope='module')
def stopped(reference, train, wait_for_end):
    """Return trainings that the monitor stopped, by the reason."""

    def monitor(**kwargs):
        return {'autopipec': {'entry_point': 'autopipec.pace_train', 'minimum_poll_interval': 1, 'kwargs': kwargs}}

    nodes = {
        'walltime': train(maxiter=5000, options={'max_wallclock_seconds': 60}, monitors=monitor(walltime='stop')),
        'stalled': train(maxiter=5000, monitors=monitor(stall_iterations=6, stall_improvement=0.5)),
    }
    return {name: wait_for_end(node, seconds=900) for name, node in nodes.items()}


def test_a_walltime_that_is_too_short_is_asked_for_anew(stopped):
    """Where it was asked for, a job that cannot finish in its time ends the work chain, with its state."""
    node = stopped['walltime']
    assert node.exit_status == PaceTrainBaseWorkChain.exit_codes.ERROR_STOPPED.status, node.exit_message
    assert 'of the walltime are left' in node.exit_message
    (job,) = jobs_of(node)
    assert job.exit_status == CODES.ERROR_WALLTIME_TOO_SHORT.status
    assert job.outputs.stop_report['iterations'] > 0
    assert 'interim_potential' in node.outputs


def test_a_loss_that_hardly_falls_gets_one_new_start(stopped):
    """The first stop starts the optimiser anew; after the second one the state is written and exported."""
    node = stopped['stalled']
    assert node.exit_status == 0, node.exit_message
    first, second, third = jobs_of(node)
    assert [first.exit_status, second.exit_status, third.exit_status] == [CODES.ERROR_LOSS_STALLED.status] * 2 + [0]
    assert {'potential', 'lammps_potential', 'predictions'} <= set(node.outputs)
    attempts = curve(node, 'attempt')
    assert set(attempts) == {1.0, 2.0}
    assert node.outputs.output_parameters['iterations'] == curve(node, 'iter_num').max()


# The daemon ends: the last scene, because this process would go on talking to the broker of the daemon that was stopped


@pytest.fixture(scope='module')
def without_worker(reference, room, train, training_job, started, wait_for_end, wait_until):
    """Return a training during which the worker was killed in each phase, and the daemon was stopped for a while."""
    node = train()
    wait_until(lambda: jobs_of(node), 300, 'the job')
    job = jobs_of(node)[0]
    watch_closely(folder_of(room, job).exists)
    kill_worker(started, wait_until)
    training_job(node, iterations=2, seconds=300)
    kill_worker(started, wait_until)
    started.stop_daemon(wait=True)
    training_job(node, iterations=10, seconds=300)
    started.start_daemon()
    watch_closely(lambda: job.process_status == RETRIEVAL)
    kill_worker(started, wait_until)
    return wait_for_end(node, seconds=900)


def kill_worker(started: DaemonClient, wait_until: Callable[..., Any]) -> None:
    """Kill the worker of the daemon, and wait until there is another."""
    killed = workers(started)
    for number in killed:
        os.kill(number, signal.SIGKILL)
    wait_until(lambda: workers(started) - killed, 300, 'another worker')


def workers(started: DaemonClient) -> set[int]:
    """Return the processes of the workers."""
    return {int(number) for number in started.get_worker_info().get('info', {})}


def test_a_killed_worker_changes_nothing(without_worker, reference):
    """The job is taken up by the next worker, wherever the last one was."""
    check_same(without_worker, reference)
