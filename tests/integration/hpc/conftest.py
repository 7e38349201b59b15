"""The remote computer that tests/hpc/up made: SSH, SLURM, two nodes with a GPU each, and what can go wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiida.engine import ProcessBuilder, submit
from aiida.engine.daemon.client import DaemonClient
from aiida.orm import CalcJobNode, ProcessNode

VARIABLE = 'AUTOPIPEC_HPC'
PROGRAMS = ('pacemaker', 'pace_activeset', 'pace_select', 'pace_yaml2yace')
ONE_CORE = 'export OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 TF_CPP_MIN_LOG_LEVEL=1'

T = TypeVar('T')


def description_file() -> Path | None:
    """Return the file that tests/hpc/up wrote last, and tests/hpc/down removes."""
    stated = os.environ.get(VARIABLE)
    path = Path(stated or '.').absolute() / 'computer.json'
    return path if stated and path.is_file() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the computer where there is none, and say how to get it."""
    if description_file() is not None:
        return
    reason = f'needs a remote computer: as root, tests/hpc/up DIR; export {VARIABLE}=DIR'
    for item in items:
        if 'hpc' in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


def wait_for(condition: Callable[[], T | None], seconds: float, what: str = 'what the test waits for') -> T:
    """Return what the condition returns as soon as that is true; fail the test when the time is over."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            pytest.fail(f'{what} did not happen within {seconds} s')
        time.sleep(0.2)
    return answer


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a command; return its output."""
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


@dataclass(frozen=True)
class Cluster:
    """The remote computer, as its administrator and its other users see it.

    :param folder: DIR of tests/hpc/up.
    :param host: its name in the SSH configuration.
    :param home: folder whose `.ssh` leads to it.
    :param account: name of the account on it.
    :param scratch: disk on which jobs run.
    :param scratch_is_limited: whether that is a disk of its own.
    :param memory_limited_by: `kernel` or `slurm`: a job that takes too much ends as OUT_OF_MEMORY, or as FAILED with
        `Exceeded job memory limit` in its stderr.
    :param programs: folder of Pacemaker's programs.
    :param slurm_conf: configuration of SLURM.
    :param nodes: names of the nodes.
    :param control: script that starts and stops parts of the computer.
    """

    folder: Path
    host: str
    home: Path
    account: str
    scratch: Path
    scratch_is_limited: bool
    memory_limited_by: str
    programs: Path
    slurm_conf: Path
    nodes: tuple[str, ...]
    control: Path

    @classmethod
    def from_file(cls, path: Path) -> Cluster:
        """Read what tests/hpc/up wrote."""
        content = json.loads(path.read_text())
        for key in ('home', 'scratch', 'programs', 'slurm_conf', 'control'):
            content[key] = Path(content[key])
        return cls(**{**content, 'nodes': tuple(content['nodes']), 'folder': path.parent})

    def slurm(self, *command: str) -> str:
        """Run a program of SLURM as the administrator; return its output, without white space around it."""
        environment = {**os.environ, 'SLURM_CONF': str(self.slurm_conf)}
        return run(*command, env=environment).strip()

    def ssh(self, command: str) -> str:
        """Run a command under the account, as a user who has logged in; return its output."""
        return run('ssh', '-F', str(self.home / '.ssh' / 'config'), self.host, command).strip()

    def jobs(self) -> dict[str, str]:
        """Return the state of each job in the queue, like `PENDING`, by its number."""
        lines = self.slurm('squeue', '--noheader', '--format=%A %T').splitlines()
        return dict(line.split() for line in lines)

    def record(self, job: str, field: str) -> str:
        """Return what the accounting says of a job, like its `State`, `AllocTRES` or `NodeList`; empty if nothing."""
        return self.slurm('sacct', '--noheader', '--allocations', '--parsable2', f'--jobs={job}', f'--format={field}')

    def scancel(self, job: str) -> None:
        """Cancel a job, as another person may."""
        self.slurm('scancel', job)

    def end_walltime(self, job: str) -> None:
        """Let the time limit of a running job be now; SLURM looks every 30 s, and then ends it as TIMEOUT."""
        self.slurm('scontrol', 'update', f'JobId={job}', 'EndTime=now')

    def node_of(self, job: str) -> str:
        """Return the name of the node on which a job runs."""
        return self.slurm('squeue', '--noheader', f'--jobs={job}', '--format=%N')

    def node_down(self, name: str) -> None:
        """Declare a node failed: its jobs are gone as NODE_FAIL or requeued. It is back when its slurmd reports."""
        self.slurm('scontrol', 'update', f'NodeName={name}', 'State=DOWN', 'Reason=test')

    def resume(self, name: str) -> None:
        """Take a node into service again, and wait until it is."""
        if any(word in self._state_of(name) for word in ('down', 'drain')):
            # the node may have come back by itself in between: `Invalid node state specified` says that
            with suppress(subprocess.CalledProcessError):
                self.slurm('scontrol', 'update', f'NodeName={name}', 'State=RESUME')
        usable = ('idle', 'mixed', 'allocated', 'completing')
        wait_for(lambda: self._state_of(name) in usable, 60, f'the return of {name}')

    def _state_of(self, node: str) -> str:
        return self.slurm('sinfo', '--noheader', '--partition=gpu', f'--nodes={node}', '--format=%T')

    def kill_slurmd(self, name: str) -> None:
        """Kill the daemon of a node; its jobs go on, and SLURM declares the node down after 20 s."""
        self._control('kill', name)

    def start_slurmd(self, name: str) -> None:
        """Start the daemon of a node."""
        self._control('start', name)

    def stop_ssh(self) -> None:
        """End the SSH server and all connections: the computer cannot be reached."""
        self._control('stop', 'sshd')

    def start_ssh(self) -> None:
        """Start the SSH server, and wait until it answers."""
        self._control('start', 'sshd')

    @contextmanager
    def without_ssh(self) -> Iterator[None]:
        """Keep the computer out of reach."""
        self.stop_ssh()
        try:
            yield
        finally:
            self.start_ssh()

    @contextmanager
    def scratch_full(self, *, left_kib: int = 0) -> Iterator[None]:
        """Let the disk of the jobs have no more room than stated; give it back at the end."""
        if not self.scratch_is_limited:
            pytest.skip('tests/hpc/up could not mount a disk of its own, so no disk can be full')
        status = os.statvfs(self.scratch)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        # tmpfs counts in pages, and refuses a size below what is in use
        self._resize_scratch(f'{used // 1024 + max(left_kib, 4)}k')
        try:
            yield
        finally:
            self._resize_scratch('1g')

    def _resize_scratch(self, size: str) -> None:
        run('mount', '-o', f'remount,size={size}', str(self.scratch))

    def heal(self) -> None:
        """Start what a test stopped, and end what it left."""
        for part in ('munged', 'mariadbd', 'slurmdbd', 'slurmctld', *self.nodes, 'sshd'):
            self._control('start', part)
        self.slurm('scancel', '--full', '--user', self.account)
        for node in self.nodes:
            self.resume(node)
        wait_for(lambda: not self.jobs(), 60, 'the end of the jobs')

    def _control(self, verb: str, part: str) -> None:
        # its output is not kept: a daemon that it starts would hold the pipe open
        subprocess.run([str(self.control), str(self.folder), verb, part], check=True)


@pytest.fixture(scope='session')
def computer_room() -> Cluster:
    """Return the computer; tests take `cluster`, which is put in order after each."""
    path = description_file()
    assert path is not None
    return Cluster.from_file(path)


@pytest.fixture
def cluster(computer_room: Cluster) -> Iterator[Cluster]:
    """Return the computer, which a test may break: it is put in order afterwards."""
    yield computer_room
    computer_room.heal()


@pytest.fixture(scope='module')
def wait_until() -> Callable[..., Any]:
    """Return a function `(condition, seconds, what)` that waits for a condition and returns what it returned."""
    return wait_for


@pytest.fixture(scope='module')
def profile(profile: Any, aiida_config: Any, computer_room: Cluster) -> Iterator[Any]:
    """Return the profile of the daemon; it and this process find the computer in the SSH configuration of a HOME."""
    # five attempts, each pause twice as long as the one before: a process is paused after 75 s without SSH, not 300 s
    profile.set_option('transport.task_retry_initial_interval', 5)
    aiida_config.store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(computer_room.home))
        yield profile


@pytest.fixture(scope='module')
def computer(profile: Any, computer_room: Cluster) -> Any:
    """Return the computer as AiiDA knows it."""
    from aiida.orm import Computer

    computer = Computer(
        label='cluster',
        hostname=computer_room.host,
        transport_type='core.ssh_async',
        scheduler_type='core.slurm',
        workdir=str(computer_room.scratch / 'aiida'),
    ).store()
    computer.set_minimum_job_poll_interval(0.5)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0.0)
    return computer


@pytest.fixture(scope='module')
def programs(computer: Any, computer_room: Cluster) -> dict[str, Any]:
    """Return the codes of all programs by name, on the remote computer."""
    from aiida.orm import InstalledCode

    return {
        program: InstalledCode(
            label=program,
            computer=computer,
            filepath_executable=str(computer_room.programs / program),
            prepend_text=ONE_CORE,
        ).store()
        for program in PROGRAMS
    }


@pytest.fixture(scope='module')
def submit_to_daemon(started: DaemonClient) -> Callable[[ProcessBuilder], ProcessNode]:
    """Return a function that gives a process to the daemon and does not wait."""
    return submit


@pytest.fixture(scope='module')
def wait_for_end(started: DaemonClient) -> Callable[..., ProcessNode]:
    """Return a function `(node, seconds)` that waits until a process has ended."""

    def wait(node: ProcessNode, seconds: float) -> ProcessNode:
        end = time.monotonic() + seconds
        while not node.is_terminated:
            if time.monotonic() > end:
                log = Path(started.daemon_log_file).read_text()
                pytest.fail(f'{node.process_state} after {seconds} s; the daemon said:\n{log[-5000:]}')
            time.sleep(0.2)
        return node

    return wait


@pytest.fixture(scope='module')
def training_job() -> Callable[..., CalcJobNode]:
    """Return a function `(node, number, iterations, seconds)` that waits for a training job and its first iterations.

    `number` counts the training jobs of the process from 0. The job is in SLURM then and `metrics.txt` has at least so
    many rows; :attr:`CalcJobNode.get_job_id` says which job it is.
    """

    def find(node: ProcessNode, number: int = 0) -> CalcJobNode | None:
        found = [job for job in (node, *node.called_descendants) if isinstance(job, CalcJobNode) and is_training(job)]
        return sorted(found, key=lambda job: job.pk or 0)[number] if len(found) > number else None

    def wait(node: ProcessNode, *, number: int = 0, iterations: int = 0, seconds: float = 60) -> CalcJobNode:
        job = wait_for(lambda: find(node, number), seconds, f'training number {number}')
        wait_for(job.get_job_id, seconds, 'the submission of the training')
        wait_for(lambda: iterations_of(job) >= iterations, seconds, f'iteration {iterations}')
        return job

    return wait


def is_training(job: CalcJobNode) -> bool:
    """Return whether a job is one of Pacemaker's fits."""
    return bool(job.process_label == 'PaceTrainCalculation')


def iterations_of(job: CalcJobNode) -> int:
    """Return how many rows `metrics.txt` of a job has, or -1 when there is none; its folder is on this machine."""
    path = Path(str(job.get_remote_workdir())) / 'metrics.txt'
    return len(path.read_text().splitlines()) - 1 if path.is_file() else -1
