"""A training that asks for GPUs: what it writes, what it refuses, and the defaults of computer and code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import Computer, InstalledCode
from aiida.plugins import WorkflowFactory

from aiida_autopipec.calculations.defaults import JobDefaults, state_for_code, state_for_computer
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.errors import ConfigError

ON_GPU = {'evaluator': 'tensorpot'}


def cluster(label: str, scheduler: str, tmp_path: Path) -> Computer:
    """Return a computer with a scheduler; nothing is submitted to it."""
    computer = Computer(
        label=f'{label}-{scheduler}',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type=scheduler,
        workdir=str(tmp_path),
    )
    computer.set_default_mpiprocs_per_machine(1)
    return computer.store().configure() and computer


@pytest.fixture
def slurm(aiida_profile: Any, tmp_path: Path, request: pytest.FixtureRequest) -> InstalledCode:
    """Return `pacemaker` on a computer with SLURM."""
    computer = cluster(request.node.name[:200], 'core.slurm', tmp_path)
    return InstalledCode(label='gpu', computer=computer, filepath_executable='/opt/pacemaker/bin/pacemaker').store()


@pytest.fixture
def inputs(slurm, make_dataset, make_config):
    """Return the inputs of a training on a GPU that is only written."""
    return {'code': slurm, 'dataset': make_dataset(), 'config': make_config() | {'backend': ON_GPU}}


def script(folder: Path) -> list[str]:
    """Return the lines of a submission script."""
    return (folder / '_aiidasubmit.sh').read_text().splitlines()


def test_a_training_asks_for_a_gpu(written, inputs):
    """The request stands before the first command; the probe is told, and TensorFlow says which device it uses."""
    lines = script(written(PaceTrainCalculation, **inputs, metadata={'options': {'gpus': 1}}))
    assert lines[:2] == ['#!/bin/bash', '#SBATCH --gres=gpu:1']
    (probe,) = (line for line in lines if 'probe.py' in line)
    assert 'probe.py --evaluator tensorpot --gpus 1 >' in probe
    assert any(line.startswith("'/opt/pacemaker/bin/pacemaker' 'input.yaml' '--verbose-tf'") for line in lines)


def test_free_text_is_kept_and_counts(written, inputs):
    """A request by hand is left as it is, and the training expects a GPU all the same."""
    options = {'custom_scheduler_commands': '#SBATCH --gpus=a100:1\n#SBATCH --exclusive'}
    lines = script(written(PaceTrainCalculation, **inputs, metadata={'options': options}))
    assert [line for line in lines if 'gpu' in line and line.startswith('#')] == ['#SBATCH --gpus=a100:1']
    assert any('--gpus 1 >' in line for line in lines)
    both = written(PaceTrainCalculation, **inputs, metadata={'options': {**options, 'gpus': {'form': 'none'}}})
    assert '#SBATCH --exclusive' in script(both)


def test_the_cpu_may_do(written, inputs):
    """`required: False` reaches the probe."""
    options = {'gpus': {'required': False, 'type': 'a100'}}
    lines = script(written(PaceTrainCalculation, **inputs, metadata={'options': options}))
    assert '#SBATCH --gres=gpu:a100:1' in lines
    assert any('--gpus 1 --cpu-will-do >' in line for line in lines)


def test_the_probe_runs_after_all_that_prepares_the_programs(written, inputs):
    """Modules that the options of the job load are loaded for the probe, too."""
    options = {'gpus': 1, 'prepend_text': 'module load cuda'}
    lines = script(written(PaceTrainCalculation, **inputs, metadata={'options': options}))
    assert lines.index('module load cuda') < next(n for n, line in enumerate(lines) if 'probe.py' in line)


@pytest.mark.parametrize(
    ('gpus', 'backend', 'sentence'),
    [
        ({'form': 'ngpus'}, ON_GPU, '`gpus.form` is `ngpus`, which SlurmScheduler does not know'),
        ({'cout': 1}, ON_GPU, r'`gpus.cout` is unknown; did you mean count\?'),
        (1, {'evaluator': 'pyace'}, '`backend.evaluator` is pyace, which runs on the CPU'),
        (1, {**ON_GPU, 'gpu_config': {'gpu_ind': -1}}, '`backend.gpu_config.gpu_ind` is -1, which means the CPU'),
    ],
)
def test_requests_that_make_no_sense_are_refused(written, inputs, gpus, backend, sentence):
    """What the scheduler does not understand, or the training would not use, is refused before it is submitted."""
    inputs['config'] = {**inputs['config'], 'backend': backend}
    with pytest.raises(ValueError, match=sentence):
        written(PaceTrainCalculation, **inputs, metadata={'options': {'gpus': gpus}})


@pytest.mark.parametrize(
    ('gpus', 'evaluator', 'sentence'),
    [
        ({'form': 'ngpus'}, 'tensorpot', 'which SlurmScheduler does not know'),
        (1, 'pyace', 'which runs on the CPU'),
        ({'cout': 1}, 'tensorpot', r'did you mean count\?'),
    ],
)
def test_the_work_chain_refuses_them_too(inputs, gpus, evaluator, sentence):
    """Nothing is converted or merged before a request that cannot be met is refused."""
    builder = WorkflowFactory('autopipec.train').get_builder()
    builder.datasets = {'a': inputs['dataset']}
    builder.config = {**inputs['config'], 'backend': {'evaluator': evaluator}}
    builder.pace_train.code = inputs['code']
    with pytest.raises(ValueError, match=sentence):  # noqa: PT012 - some are refused when they are set
        builder.pace_train.metadata.options.gpus = gpus
        run_get_node(builder)


def test_defaults_of_computer_and_code(written, inputs, slurm):
    """A job takes the options of its computer, over them those of its code, over them its own."""
    options = JobDefaults(account='project', queue_name='cpu', qos='normal')
    assert state_for_computer(slurm.computer, gpu_form='gpus', options=options)
    resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': 8}
    assert state_for_code(slurm, JobDefaults(queue_name='gpu', gpus={'type': 'a100'}, resources=resources))
    assert not state_for_code(slurm, JobDefaults(queue_name='gpu', gpus={'type': 'a100'}, resources=resources))
    lines = script(written(PaceTrainCalculation, **inputs, metadata={'options': {'qos': 'urgent'}}))
    asked = {line.removeprefix('#SBATCH --') for line in lines if line.startswith('#SBATCH')}
    assert {'account=project', 'partition=gpu', 'qos=urgent', 'gpus=a100:1', 'cpus-per-task=8'} <= asked
    without = script(written(PaceTrainCalculation, **inputs, metadata={'options': {'gpus': 0}}))
    assert not any('gpus=' in line for line in without)


def test_a_default_request_is_only_for_what_uses_it(written, inputs, slurm, make_dataset):
    """A selection and a training with `pyace` do not ask for the GPU that the code has as a default."""
    state_for_code(slurm, JobDefaults(gpus=1, queue_name='gpu'))
    inputs['config'] = {**inputs['config'], 'backend': {'evaluator': 'pyace'}}
    lines = script(written(PaceTrainCalculation, **inputs))
    select = InstalledCode(label='s', computer=slurm.computer, filepath_executable='/opt/p/bin/pace_select').store()
    state_for_code(select, JobDefaults(gpus=1, queue_name='gpu'))
    codes = {'pacemaker': slurm}
    lines += script(
        written(PaceSelectCalculation, code=select, dataset=make_dataset(), config=inputs['config'], codes=codes)
    )
    assert not any('gres' in line for line in lines)
    assert sum(line == '#SBATCH --partition=gpu' for line in lines) == 2


def test_resources_are_checked_before_submission(written, inputs):
    """What the scheduler would refuse is refused before anything is written."""
    with pytest.raises(ValueError, match=r'`metadata.options.resources` is not valid'):
        written(PaceTrainCalculation, **inputs, metadata={'options': {'resources': {'num_machines': 0}}})


@pytest.mark.parametrize('wrong', [{'gpus': {'cout': 1}}, {'queue': 'gpu'}, {'max_wallclock_seconds': 0}])
def test_wrong_defaults_are_refused(wrong):
    """Defaults are checked when they are stated."""
    with pytest.raises((ValueError, ConfigError)):
        JobDefaults(**wrong)
