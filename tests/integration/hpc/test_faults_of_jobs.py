"""What happens to the job of a training on a cluster, provoked for real, and what becomes of the training.

All trainings of a group run at the same time, each with a disturbance of its own: a generator that waits, by yielding,
for the moment to strike. The loss of the fit has one minimum, so a training that was interrupted has to come out where
the undisturbed one does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import CalcJobNode, InstalledCode, Int, Log, ProcessNode, SinglefileData
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain

pytestmark = [pytest.mark.hpc, pytest.mark.daemon]

MAXITER = 40
COPIES = 12
"""How often the large dataset has the structures of the small one: the loss is the same, an iteration takes longer."""

AS_GOOD = 0.02
"""How much larger the loss may be where the optimiser has lost its memory; that of the undisturbed fit has fallen to
1/260 of the first by then."""

SAME_ENERGY = 5e-3
"""How far the energies of the potential may be from those of the undisturbed one (eV/atom)."""

STRUCTURES, ATOMS = 28, 32
"""How many structures the small dataset has, and how many atoms each of them."""

LITTLE_MEMORY = 110_000
"""In kB; Pacemaker needs 200 MB."""

JOB = PaceTrainCalculation.exit_codes
TRAINING = PaceTrainBaseWorkChain.exit_codes

Disturbance = Callable[['Training'], Iterator[None]]


@dataclass
class Training:
    """A training on the cluster, as somebody sees it who watches it in order to disturb it.

    :param node: the work chain.
    :param cluster: the computer.
    :param fault: what is done to it, as far as it has not happened yet.
    :param broken: what went wrong with that.
    """

    node: ProcessNode
    cluster: Any
    fault: Iterator[None] = field(default_factory=lambda: iter(()))
    broken: BaseException | None = None

    @property
    def jobs(self) -> list[CalcJobNode]:
        """Return the trainings of the work chain in their order."""
        found = [job for job in self.node.called if job.process_label == 'PaceTrainCalculation']
        return sorted(found, key=lambda job: job.pk)

    def number(self, job: int = 0) -> str:
        """Return the number of a job in SLURM."""
        return str(self.jobs[job].get_job_id())

    def folder(self, job: int = 0) -> Path:
        """Return the folder of a job; the computer's disk is on this machine."""
        return Path(self.jobs[job].get_remote_workdir())

    def reaches(self, iteration: int, job: int = 0) -> Iterator[None]:
        """Wait until a job has made so many iterations."""
        while self._rows(job) <= iteration:
            assert not self.node.is_terminated, f'ended before iteration {iteration} of job {job}'
            yield

    def _rows(self, job: int) -> int:
        jobs = self.jobs
        if len(jobs) <= job or not jobs[job].get_remote_workdir():
            return 0
        path = self.folder(job) / 'metrics.txt'
        return len(path.read_text().splitlines()) - 1 if path.is_file() else 0

    def stops_being(self, state: str, job: int = 0) -> Iterator[None]:
        """Wait until SLURM no longer says that a job is in a state."""
        while self.cluster.jobs().get(self.number(job)) == state:
            yield

    def signal_fit(self, name: signal.Signals, job: int = 0) -> None:
        """Send a signal to the process that fits, and to no other."""
        folder = self.folder(job)
        for entry in Path('/proc').glob('[0-9]*'):
            try:
                here = entry.joinpath('cwd').readlink() == folder
                words = entry.joinpath('cmdline').read_bytes().split(b'\0')
            except OSError:  # it has ended meanwhile
                continue
            if here and b'input.yaml' in words:
                os.kill(int(entry.name), name)

    def kill_with(self, change: Callable[[bytes], bytes], filename: str, job: int = 0) -> None:
        """Stop a job in the middle of an iteration, change a file, and kill it before it can write anything more."""
        self.signal_fit(signal.SIGSTOP, job)
        path = self.folder(job) / filename
        path.write_bytes(change(path.read_bytes()))
        self.cluster.slurm('scancel', '--full', '--signal=KILL', self.number(job))

    def told(self) -> str:
        """Return what the work chain reported."""
        return '\n'.join(entry.message for entry in Log.collection.get_logs_for(self.node))


# Disturbances


def none(training: Training) -> Iterator[None]:
    """Let a training alone."""
    return iter(())


def walltime(*jobs: int) -> Disturbance:
    """Return a disturbance: some jobs have no more time after their first iteration."""

    def disturb(training: Training) -> Iterator[None]:
        for job in jobs:
            yield from training.reaches(1, job)
            training.signal_fit(signal.SIGSTOP, job)  # SLURM takes up to 30 s, in which it could come to its end
            training.cluster.end_walltime(training.number(job))

    return disturb


def terminated(training: Training) -> Iterator[None]:
    """Send SIGTERM to the fit; its job goes on without it."""
    yield from training.reaches(8)
    training.signal_fit(signal.SIGTERM)


def cancelled(training: Training) -> Iterator[None]:
    """Cancel the job, as another person may."""
    yield from training.reaches(8)
    training.cluster.scancel(training.number())


def half_a_state(training: Training) -> Iterator[None]:
    """Cancel the first job, and kill the second one while it writes its state."""
    yield from training.reaches(8)
    training.cluster.scancel(training.number())
    yield from training.reaches(5, 1)
    training.kill_with(lambda content: content[: len(content) // 2], 'interim_potential_0.yaml', 1)


def damaged_metrics(training: Training) -> Iterator[None]:
    """Put garbage into the metrics of a job that is killed."""
    yield from training.reaches(8)
    training.kill_with(with_garbage, 'metrics.txt')


def damaged_in_passing(training: Training) -> Iterator[None]:
    """Put garbage into the metrics of a job that goes on."""
    yield from training.reaches(8)
    with (training.folder() / 'metrics.txt').open('ab') as handle:
        handle.write(b'\x00\x01\xff garbage\n')


def node_down(training: Training) -> Iterator[None]:
    """Let the node fail, and be back when the job is gone."""
    yield from training.reaches(8)
    number = training.number()
    node = training.cluster.node_of(number)
    training.cluster.node_down(node)
    yield from training.stops_being('RUNNING')
    training.cluster.resume(node)


def preempted(training: Training) -> Iterator[None]:
    """Send a job of more weight to the node."""
    yield from training.reaches(8)
    node = training.cluster.node_of(training.number())
    options = f'--partition=urgent --exclusive --nodelist={node} --output=/dev/null'
    training.cluster.ssh(f'cd {training.cluster.scratch}; sbatch {options} --wrap true')


def node_falls_silent(training: Training) -> Iterator[None]:
    """Kill the daemon of the node, and leave it dead."""
    yield from training.reaches(1)
    training.cluster.kill_slurmd(training.cluster.node_of(training.number()))
    training.signal_fit(signal.SIGSTOP)  # it could come to its end before SLURM gives the node up
    yield from training.stops_being('RUNNING')
    training.signal_fit(signal.SIGCONT)


def node_falls_silent_for_a_while(training: Training) -> Iterator[None]:
    """Kill the daemon of the node, and start it when the fit has ended, before SLURM gives the node up."""
    yield from training.reaches(8)
    node = training.cluster.node_of(training.number())
    training.cluster.kill_slurmd(node)
    yield from training.reaches(MAXITER)
    training.cluster.start_slurmd(node)


def on(node: str, **options: Any) -> dict[str, Any]:
    """Return inputs of a training that runs on one node."""
    return {'options': {'custom_scheduler_commands': f'#SBATCH --nodelist={node}', **options}}


ALONE = {'options': {'custom_scheduler_commands': '#SBATCH --exclusive'}}
"""Inputs of a training that has a node for itself."""


def with_garbage(content: bytes) -> bytes:
    """Return metrics with a line of garbage, and the last line cut off."""
    lines = content.splitlines(keepends=True)
    return b''.join([*lines[:3], b'\x00\x01\xff garbage\n', *lines[3:]])[:-20]


# Trainings


@pytest.fixture(scope='module')
def room(computer_room: Any) -> Iterator[Any]:
    """Return the computer, which is put in order after the last test."""
    yield computer_room
    computer_room.heal()


@pytest.fixture(scope='module')
def images() -> list[Any]:
    """Return rattled cells of 32 atoms of aluminium, labelled by EMT."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(STRUCTURES):
        image = bulk('Al', 'fcc', 4.0 * (0.97 + 0.06 * rng.random()), cubic=True).repeat(2)
        image.rattle(0.1, rng=rng)
        image.calc = EMT()
        image.get_potential_energy()
        made.append(image)
    return made


@pytest.fixture(scope='module')
def as_dataset(profile: Any) -> Callable[[list[Any]], PaceDatasetData]:
    """Return a function that makes a dataset."""

    def make(images: list[Any]) -> PaceDatasetData:
        names = [f's{number:03d}' for number in range(len(images))]
        structures = LabelledStructures.from_atoms(images, names=names)
        return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()

    return make


@pytest.fixture(scope='module')
def small(as_dataset: Any, images: list[Any]) -> PaceDatasetData:
    """Return data with which an iteration takes about 0.1 s."""
    return as_dataset(images)


@pytest.fixture(scope='module')
def large(as_dataset: Any, images: list[Any]) -> PaceDatasetData:
    """Return data with which an iteration takes more than a second."""
    return as_dataset(images * COPIES)


@pytest.fixture(scope='module')
def convex(make_config: Any) -> dict[str, Any]:
    """Return settings of a fit that has one minimum, and is close to it after :data:`MAXITER` iterations."""
    config = make_config()
    config['potential']['embeddings']['ALL'] = {
        'npot': 'FinnisSinclairShiftedScaled',
        'fs_parameters': [1, 1],
        'ndensity': 1,
    }
    config['potential']['functions']['ALL'] = {'nradmax_by_orders': [4, 2], 'lmax_by_orders': [0, 1]}
    config['fit'] |= {'maxiter': MAXITER, 'trainable_parameters': 'func', 'options': {'gtol': 1e-14}}
    config['fit']['loss']['L2_coeffs'] = 1e-3
    return config


@pytest.fixture(scope='module')
def steep(convex: Any) -> dict[str, Any]:
    """Return settings of a potential of which the energies are too large for a number after the first step."""
    embedding = {**convex['potential']['embeddings']['ALL'], 'fs_parameters': [1e200, 1]}
    return {**convex, 'potential': {**convex['potential'], 'embeddings': {'ALL': embedding}}}


@pytest.fixture(scope='module')
def train(programs: Any, small: PaceDatasetData, convex: Any, submit_to_daemon: Any) -> Callable[..., ProcessNode]:
    """Return a function that submits a training: `inputs` go to the job, `limits` to the work chain."""

    def submit(
        *,
        options: dict[str, Any] | None = None,
        limits: dict[str, Any] | None = None,
        codes: dict[str, Any] | None = None,
        **inputs: Any,
    ) -> ProcessNode:
        builder = PaceTrainBaseWorkChain.get_builder()
        given = {'code': programs['pacemaker'], 'dataset': small, 'config': convex, **inputs}
        for name, value in given.items():
            builder.pace_train[name] = value
        for name, value in {'yaml2yace': programs['pace_yaml2yace'], **(codes or {})}.items():
            builder.pace_train.codes[name] = value
        for name, value in (options or {}).items():
            builder.pace_train.metadata.options[name] = value
        for name, value in (limits or {}).items():
            builder[name] = value
        return submit_to_daemon(builder)

    return submit


@pytest.fixture(scope='module')
def disturb(room: Any, train: Any) -> Callable[..., dict[str, Training]]:
    """Return a function that submits trainings and disturbs them all at once, until the last one has ended."""

    def run(seconds: float, **faults: tuple[Disturbance, dict[str, Any]]) -> dict[str, Training]:
        trainings = {}
        for name, (fault, inputs) in faults.items():
            trainings[name] = Training(train(**inputs), room)
            trainings[name].fault = fault(trainings[name])
            for submitted in trainings.values():  # the first could have ended when the last one is submitted
                go_on(submitted)
        end = time.monotonic() + seconds
        while not all(training.node.is_terminated for training in trainings.values()):
            running = [name for name, training in trainings.items() if not training.node.is_terminated]
            assert time.monotonic() < end, f'{", ".join(running)} did not end within {seconds} s'
            for name in running:
                go_on(trainings[name])
            time.sleep(0.1)
        return trainings

    return run


def go_on(training: Training) -> None:
    """Let a disturbance go on until it waits again; if it fails, the test that looks at its training does, too."""
    if training.broken is None:
        try:
            next(training.fault, None)
        except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as exception:
            training.broken = exception


@pytest.fixture(scope='module')
def undisturbed(disturb: Any) -> Training:
    """Return a training that nothing disturbs."""
    return disturb(300, undisturbed=(none, {}))['undisturbed']


@pytest.fixture(scope='module')
def overflowing(undisturbed: Training) -> SinglefileData:
    """Return a start potential of which the energies are too large for a number."""
    text = undisturbed.node.outputs.potential.get_content()
    return SinglefileData.from_string(re.sub(r'\bc: \[[^]]*\]', 'c: [1e300]', text), filename='potential.yaml')


@pytest.fixture(scope='module')
def tensorpot(convex: Any) -> dict[str, Any]:
    """Return settings of the same fit with TensorFlow."""
    return {**convex, 'backend': {'evaluator': 'tensorpot', 'batch_size': 8}}


@pytest.fixture(scope='module')
def python(programs: Any, room: Any) -> InstalledCode:
    """Return the Python of Pacemaker."""
    path = str(room.programs / 'python')
    return InstalledCode(label='python', computer=programs['pacemaker'].computer, filepath_executable=path).store()


@pytest.fixture(scope='module')
def small_gpu(programs: Any, room: Any) -> InstalledCode:
    """Return a Pacemaker that gets TensorFlow's own error for a full GPU, unless it starts with batches of two.

    There is no GPU here. The error goes the way through Pacemaker that it goes there, and no batch is small enough in
    the same process, as TensorFlow keeps what it has once allocated.
    """
    path = room.scratch / 'pacemaker_on_a_small_gpu'
    path.write_text(f'#!{room.programs}/python\n{SMALL_GPU}')
    path.chmod(0o755)
    code = programs['pacemaker']
    return InstalledCode(
        label='small-gpu', computer=code.computer, filepath_executable=str(path), prepend_text=code.prepend_text
    ).store()


SMALL_GPU = """
import sys

from pyace.cli.pacemaker import main
from pyace.fitadapter import FitBackendAdapter
from tensorflow.python.framework.errors_impl import ResourceExhaustedError

fit = FitBackendAdapter.run_tensorpot_fit
sizes = []


def run(self, *arguments, **keywords):
    sizes.append(self.backend_config['batch_size'])
    if sizes[0] > 2:
        what = 'tensor with shape[7168,64] and type double'
        where = '/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc'
        raise ResourceExhaustedError(None, None, f'OOM when allocating {what} on {where}')
    return fit(self, *arguments, **keywords)


FitBackendAdapter.run_tensorpot_fit = run
sys.exit(main())
"""


@pytest.fixture(scope='module')
def disturbed(
    disturb: Any,
    undisturbed: Training,
    large: PaceDatasetData,
    overflowing: Any,
    steep: Any,
    tensorpot: Any,
    small_gpu: Any,
    python: Any,
) -> dict[str, Training]:
    """Return trainings whose own job is disturbed."""
    return disturb(
        800,
        walltime_twice=(walltime(0, 1), {'dataset': large}),
        walltime=(walltime(0), {'dataset': large}),
        terminated=(terminated, {}),
        cancelled=(cancelled, {}),
        half_a_state=(half_a_state, {}),
        damaged_metrics=(damaged_metrics, {}),
        damaged_in_passing=(damaged_in_passing, {}),
        memory=(none, {'options': {'max_memory_kb': LITTLE_MEMORY}, 'limits': {'max_memory_kb': Int(1_000_000)}}),
        no_memory=(none, {'options': {'max_memory_kb': LITTLE_MEMORY}}),
        diverging=(none, {'initial_potential': overflowing}),
        hopeless=(none, {'config': steep}),
        gpu_absent=(none, {'config': tensorpot, 'options': {'gpus': {'count': 1}}}),
        gpu_memory=(none, {'config': tensorpot, 'code': small_gpu, 'codes': {'python': python}}),
    )


@pytest.fixture(scope='module')
def nodes_down(disturb: Any, undisturbed: Training) -> dict[str, Training]:
    """Return trainings of which the node fails: one may be requeued, the other not."""
    return disturb(
        400,
        lost=(node_down, on('node1')),
        requeued=(node_down, on('node2', rerunnable=True)),
    )


@pytest.fixture(scope='module')
def pushed_off(disturb: Any, undisturbed: Training) -> dict[str, Training]:
    """Return trainings that have to make room: one may be requeued, the other not."""
    return disturb(
        400,
        lost=(preempted, on('node1')),
        requeued=(preempted, on('node2', rerunnable=True)),
    )


@pytest.fixture(scope='module')
def silent(disturb: Any, undisturbed: Training, large: PaceDatasetData) -> dict[str, Training]:
    """Return trainings on nodes of which the daemon is killed: for good, and for a while."""
    return disturb(
        600,
        for_good=(node_falls_silent, {'dataset': large, **ALONE}),
        for_a_while=(node_falls_silent_for_a_while, ALONE),
    )


# What has to hold


def check(training: Training, undisturbed: Training, ends: list[int]) -> None:
    """Check that nothing is lost and nothing is counted twice, and that the potential is as good as undisturbed.

    :param ends: exit status of each job.
    """
    check_ends(training, 0, ends)
    node, reference = training.node, undisturbed.node
    assert set(node.outputs) == set(reference.outputs)
    parameters = node.outputs.output_parameters
    assert [attempt['exit_status'] for attempt in parameters['attempts']] == ends
    assert parameters['iterations'] == MAXITER
    assert column(training, 'iter_num').tolist() == list(range(MAXITER + 1))
    losses = column(training, 'loss')
    assert np.all(np.diff(losses) < 0), 'an iteration that is made twice has its loss twice'
    assert losses[0] == pytest.approx(column(undisturbed, 'loss')[0], rel=1e-6)
    assert losses[-1] <= (1 + AS_GOOD) * column(undisturbed, 'loss')[-1]
    assert energies(training) == pytest.approx(energies(undisturbed), abs=SAME_ENERGY)


def check_ends(training: Training, end: int, ends: list[int]) -> None:
    """Check how the work chain and its jobs ended, and that what the jobs wrote was kept."""
    if training.broken is not None:
        raise training.broken
    assert training.node.exit_status == end, (training.node.exit_message, training.told())
    assert [job.exit_status for job in training.jobs] == ends
    for job in training.jobs:
        kept = set(job.outputs.retrieved.list_object_names())
        assert {'environment.json', '_scheduler-stderr.txt'} <= kept
        for name in {'pacemaker.err', 'log.txt', 'metrics.txt'} - kept:
            assert not Path(job.get_remote_workdir(), name).exists(), f'{name} was left on the computer'


def column(training: Training, name: str) -> Any:
    """Return a column of the learning curve."""
    return training.node.outputs.learning_curve.get_array(name)


def energies(training: Training) -> Any:
    """Return what the potential says of the structures (eV/atom), each once."""
    predictions = training.node.outputs.predictions
    ordered = np.argsort(predictions.get_array('train_rows'))[:STRUCTURES]
    return predictions.get_array('train_energy_predicted')[ordered] / ATOMS


def same(training: Training, undisturbed: Training) -> None:
    """Check that every iteration is that of the undisturbed fit."""
    np.testing.assert_allclose(column(training, 'loss'), column(undisturbed, 'loss'), rtol=1e-9)


def warnings_of(job: CalcJobNode) -> str:
    """Return what the parser found wrong with the files of a job."""
    return '; '.join(job.outputs.output_parameters['parser_warnings'])


def test_an_undisturbed_training_is_one_job(undisturbed):
    """The reference has made all of its iterations, and is close to its minimum."""
    check(undisturbed, undisturbed, [0])
    losses = column(undisturbed, 'loss')
    assert losses[-10] < 1.01 * losses[-1] < losses[0] / 100


def test_walltime(disturbed, undisturbed):
    """A job that has no more time is gone on with for the iterations that remain."""
    check(disturbed['walltime'], undisturbed, [120, 0])
    assert 'ran into the walltime: going on from its state after' in disturbed['walltime'].told()


def test_walltime_twice(disturbed, undisturbed):
    """So is the job that goes on with it."""
    check(disturbed['walltime_twice'], undisturbed, [120, 120, 0])


def test_sigterm_of_the_fit(disturbed, undisturbed):
    """A fit that is terminated is gone on with, although its job ends as if nothing had been."""
    check(disturbed['terminated'], undisturbed, [JOB.ERROR_INTERRUPTED.status, 0])
    assert 'Pacemaker stopped before it wrote the potential' in disturbed['terminated'].told()


def test_scancel_by_someone_else(disturbed, undisturbed):
    """A cancelled job is gone on with."""
    check(disturbed['cancelled'], undisturbed, [JOB.ERROR_CANCELLED.status, 0])
    assert 'was cancelled from outside' in disturbed['cancelled'].told()


def test_half_a_state(disturbed, undisturbed):
    """Half of a state is left aside: the job is repeated from the state before, and its iterations are not counted."""
    training = disturbed['half_a_state']
    check(training, undisturbed, [JOB.ERROR_CANCELLED.status, JOB.ERROR_CANCELLED.status, 0])
    attempts = training.node.outputs.output_parameters['attempts']
    assert [attempt['goes_on_from'] for attempt in attempts] == [None, 1, 1]
    assert attempts[1]['iterations'] > 0
    assert 'interim_potential_0.yaml is not a whole potential' in warnings_of(training.jobs[1])


def test_damaged_metrics(disturbed, undisturbed):
    """Of damaged metrics the whole lines count, and the state says how far the fit was."""
    check(disturbed['damaged_metrics'], undisturbed, [JOB.ERROR_CANCELLED.status, 0])
    assert 'metrics.txt: ' in warnings_of(disturbed['damaged_metrics'].jobs[0])


def test_metrics_damaged_in_passing(disturbed, undisturbed):
    """A line of garbage does not make a good fit a bad one; it is reported."""
    training = disturbed['damaged_in_passing']
    check(training, undisturbed, [0])
    same(training, undisturbed)
    assert 'the file is damaged' in warnings_of(training.jobs[0])


def test_host_memory(disturbed, undisturbed):
    """A job that had too little memory gets twice as much, where that is allowed."""
    training = disturbed['memory']
    failed = len(training.jobs) - 1
    check(training, undisturbed, [110] * failed + [0])
    asked = [job.get_option('max_memory_kb') for job in training.jobs]
    assert failed > 0
    assert asked == [LITTLE_MEMORY * 2**number for number in range(len(asked))]


def test_host_memory_that_may_not_grow(disturbed, room):
    """Without more memory another node is tried once, and then the cause is named."""
    training = disturbed['no_memory']
    check_ends(training, TRAINING.ERROR_OUT_OF_MEMORY.status, [110, 110])
    assert 'ran out of memory' in training.node.exit_message
    assert len({room.record(training.number(job), 'NodeList') for job in (0, 1)}) == 2


def test_a_start_that_overflows(disturbed, undisturbed):
    """A start potential of which the loss is no number is left: its shape is trained from nothing."""
    training = disturbed['diverging']
    check(training, undisturbed, [JOB.ERROR_DIVERGED.status, 0])
    same(training, undisturbed)
    assert 'diverged: starting again, without the coefficients of the start potential' in training.told()


def test_a_fit_that_diverges(disturbed):
    """Where nothing is left to change the training ends, and says that the loss is not finite."""
    training = disturbed['hopeless']
    check_ends(training, TRAINING.ERROR_DIVERGED.status, [JOB.ERROR_DIVERGED.status])
    assert 'The loss is not finite' in training.node.exit_message


def test_a_gpu_that_is_not_there(disturbed, room):
    """Nothing is trained where TensorFlow finds no GPU: another node is tried once, and then the cause is named."""
    training = disturbed['gpu_absent']
    missing = JOB.ERROR_GPU_NOT_FOUND.status
    check_ends(training, TRAINING.ERROR_ENVIRONMENT.status, [missing, missing])
    assert 'TensorFlow found none' in training.node.exit_message
    assert len({room.record(training.number(job), 'NodeList') for job in (0, 1)}) == 2


def test_memory_of_the_gpu(disturbed, undisturbed):
    """A job in which Pacemaker has no smaller batch left is repeated with a quarter of the first."""
    training = disturbed['gpu_memory']
    check(training, undisturbed, [JOB.ERROR_GPU_OUT_OF_MEMORY.status, 0])
    assert training.jobs[1].inputs.config['backend']['batch_size'] == 2
    assert 'ran out of the memory of the GPU: starting again, with batches of 2 structures' in training.told()


def test_a_node_down(nodes_down, undisturbed):
    """A job that is lost with its node is gone on with."""
    check(nodes_down['lost'], undisturbed, [140, 0])


def test_a_node_down_and_the_job_requeued(nodes_down, undisturbed, room):
    """A job that SLURM itself repeats begins again in its folder: what it had written before counts for nothing."""
    training = nodes_down['requeued']
    check(training, undisturbed, [0])
    same(training, undisturbed)
    assert starts(room, training) == ['NODE_FAIL', 'COMPLETED']


def test_preemption(pushed_off, undisturbed):
    """A job that had to make room is gone on with."""
    check(pushed_off['lost'], undisturbed, [JOB.ERROR_PREEMPTED.status, 0])


def test_preemption_and_the_job_requeued(pushed_off, undisturbed, room):
    """A job that waits until it may run again begins again in the same folder."""
    training = pushed_off['requeued']
    check(training, undisturbed, [0])
    same(training, undisturbed)
    assert starts(room, training) == ['PREEMPTED', 'COMPLETED']


def starts(room: Any, training: Training) -> list[str]:
    """Return how each run of the first job ended."""
    options = ('--duplicates', '--noheader', '--allocations', '--parsable2', '--format=State')
    return room.slurm('sacct', *options, f'--jobs={training.number()}').splitlines()


def test_a_dead_slurmd(silent, undisturbed):
    """A job on a node that no longer answers is gone on with elsewhere, while it goes on writing unheard."""
    training = silent['for_good']
    check(training, undisturbed, [140, 0])
    first = training.jobs[0].outputs.output_parameters['iterations']
    assert len((training.folder() / 'metrics.txt').read_text().splitlines()) - 2 > first


def test_a_slurmd_that_comes_back(silent, undisturbed):
    """A node that does not answer for a while costs nothing."""
    check(silent['for_a_while'], undisturbed, [0])
    same(silent['for_a_while'], undisturbed)
