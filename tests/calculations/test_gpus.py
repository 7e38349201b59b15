"""Asking for GPUs: each scheduler in its own words, and nothing that it would not understand."""

from __future__ import annotations

import pytest
from aiida.plugins import SchedulerFactory
from aiida.schedulers.datastructures import JobTemplate, JobTemplateCodeInfo

from aiida_autopipec.calculations.gpus import (
    FORMS,
    asked_by_hand,
    directive,
    parse_request,
    with_directive,
)
from aiida_autopipec.pacemaker.errors import ConfigError

SCHEDULERS = ('core.slurm', 'core.pbspro', 'core.torque', 'core.lsf', 'core.sge', 'core.direct')


def spelled(scheduler: str, value: object, *, default_form: str | None = None) -> str:
    """Return how a scheduler is asked."""
    return directive(parse_request(value), SchedulerFactory(scheduler)(), default_form=default_form)


@pytest.mark.parametrize(
    ('scheduler', 'value', 'expected'),
    [
        ('core.slurm', 1, '#SBATCH --gres=gpu:1'),
        ('core.slurm', {'count': 2, 'type': 'a100'}, '#SBATCH --gres=gpu:a100:2'),
        ('core.slurm', {'form': 'gpus', 'type': 'h100'}, '#SBATCH --gpus=h100:1'),
        ('core.slurm', {'form': 'gpus-per-node'}, '#SBATCH --gpus-per-node=1'),
        ('core.slurm', {'form': 'gpus-per-task'}, '#SBATCH --gpus-per-task=1'),
        ('core.slurm', {'form': '#SBATCH --gres=gpu:{type}:{count} -C hbm', 'type': 'v100'},
         '#SBATCH --gres=gpu:v100:1 -C hbm'),
        ('core.pbspro', 1, ':ngpus=1'),
        ('core.pbspro', {'type': 'gpu_model=a100'}, ':ngpus=1:gpu_model=a100'),
        ('core.torque', 1, ':gpus=1'),
        ('core.torque', {'type': 'k80'}, ':gpus=1:k80'),
        ('core.lsf', 1, '#BSUB -gpu "num=1"'),
        ('core.lsf', {'type': 'TeslaV100', 'memory_gb': 32}, '#BSUB -gpu "num=1:gmodel=TeslaV100:gmem=32G"'),
        ('core.lsf', {'form': 'rusage'}, '#BSUB -R "rusage[ngpus_physical=1]"'),
        ('core.sge', 1, '#$ -l gpu=1'),
        ('core.sge', {'form': 'ngpus', 'type': 'gpu_type=V100'}, '#$ -l ngpus=1,gpu_type=V100'),
        ('core.direct', 1, ''),
        ('core.direct', {'count': 2, 'form': 'visible-devices'}, 'export CUDA_VISIBLE_DEVICES=0,1'),
        ('core.slurm', 0, ''),
        ('core.slurm', {'form': 'none'}, ''),
    ],
)  # fmt: skip
def test_each_scheduler_in_its_own_words(scheduler, value, expected):
    """A request becomes what the manual of the scheduler says."""
    assert spelled(scheduler, value) == expected


@pytest.mark.parametrize(
    ('scheduler', 'value', 'sentence'),
    [
        ('core.slurm', {'form': 'ngpus'}, r'`gpus.form` is `ngpus`, which SlurmScheduler does not know: use gres or'),
        ('core.direct', {'form': 'gres'}, 'DirectScheduler does not know: use none or visible-devices'),
        ('core.slurm', {'memory_gb': 40}, '`gpus.memory_gb` is 40, but with the form `gres`'),
        ('core.lsf', {'memory_gb': 40, 'form': 'rusage'}, 'with the form `rusage` the memory'),
        ('core.lsf', {'type': 'a100', 'form': 'rusage'}, 'the form `rusage` has no types'),
        ('core.pbspro', {'type': 'a100'}, 'it needs the name of the resource'),
    ],
)
def test_what_a_scheduler_does_not_understand_is_refused(scheduler, value, sentence):
    """A form, a kind or a memory that the scheduler cannot be asked for is refused in one sentence."""
    with pytest.raises(ConfigError, match=sentence):
        spelled(scheduler, value)


@pytest.mark.parametrize(
    ('value', 'sentence'),
    [
        (-1, r'`gpus.count` is -1'),
        (True, r'`gpus.count` is True'),
        ({'number': 1}, r'`gpus.number` is unknown; known are count'),
        ({'frm': 'gres'}, r'`gpus.frm` is unknown; did you mean form\?'),
        ({'type': 'a100 --exclusive'}, '`gpus.type`'),
        ({'type': 'a100\n#SBATCH --uid=0'}, '`gpus.type`'),
    ],
)
def test_requests_that_are_not_possible(value, sentence):
    """A request is checked before a scheduler sees it; a kind of GPU is one word."""
    with pytest.raises(ConfigError, match=sentence):
        parse_request(value)


def test_the_form_of_the_computer_is_the_default():
    """A job may still choose another form than the computer's."""
    assert spelled('core.slurm', 1, default_form='gpus') == '#SBATCH --gpus=1'
    assert spelled('core.slurm', {'form': 'gres'}, default_form='gpus') == '#SBATCH --gres=gpu:1'
    assert spelled('core.slurm', 1, default_form='#SBATCH --gpu={count}') == '#SBATCH --gpu=1'


@pytest.mark.parametrize('entry_point', SCHEDULERS)
def test_directives_stand_before_the_first_command(entry_point):
    """In the script that AiiDA writes, no command precedes the request, and the request is made once."""
    scheduler = SchedulerFactory(entry_point)()
    resource = {'tot_num_mpiprocs': 1, 'parallel_env': 'smp'} if entry_point in {'core.sge', 'core.lsf'} else {
        'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_machine': 8
    }  # fmt: skip
    template = JobTemplate()
    template.shebang = '#!/bin/bash'
    template.sched_output_path = 'out'
    template.sched_error_path = 'err'
    template.job_resource = scheduler.create_job_resource(**resource)
    template.job_environment = {'A': 'b'}
    template.import_sys_environment = True
    template.custom_scheduler_commands = '# free text'
    template.codes_info = [JobTemplateCodeInfo(cmdline_params=['pacemaker'])]
    template.codes_run_mode = 0
    script = scheduler.get_submit_script(template)
    text = spelled(entry_point, {'count': 2, **({'form': 'visible-devices'} if entry_point == 'core.direct' else {})})
    lines = with_directive(script, text, scheduler).splitlines()
    assert lines[0] == '#!/bin/bash'
    (line,) = (number for number, line in enumerate(lines) if text in line)
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith('#'))
    assert line < first_command or entry_point == 'core.direct'
    assert '# free text' in lines
    if entry_point in {'core.pbspro', 'core.torque'}:
        assert lines[line].startswith('#PBS -l ')
        assert sum('select=' in one or 'nodes=' in one for one in lines) == 1


def test_the_default_form_of_every_scheduler_works():
    """A plain number is understood by each scheduler that has forms."""
    assert len(FORMS) == len(SCHEDULERS)
    for entry_point in SCHEDULERS:
        assert isinstance(spelled(entry_point, 1), str)


@pytest.mark.parametrize(
    ('text', 'count'),
    [
        ('#SBATCH --gres=gpu:1', 1),
        ('#SBATCH --gres=gpu', 1),
        ('#SBATCH --gres gpu:a100:2', 2),
        ('#SBATCH --gres=shard:1,gpu:3', 3),
        ('#SBATCH --partition=gpu --gpus=h100:4', 4),
        ('#SBATCH --gpus-per-node=2', 2),
        ('#SBATCH -G 2', 2),
        ('#SBATCH -n 1 -G a100:1', 1),
        ('#PBS -l select=1:ncpus=8:ngpus=2', 2),
        ('#PBS -l nodes=1:ppn=4:gpus=1', 1),
        ('#BSUB -gpu "num=2:mode=shared"', 2),
        ('#BSUB -gpu -', 1),
        ('#BSUB -R "rusage[ngpus_physical=1]"', 1),
        ('#$ -l h_rt=1:0:0,gpu=1', 1),
        ('#SBATCH --gres=gpu:0', 0),
        ('#SBATCH --partition=gpu', 0),
        ('#SBATCH --qos=gpus_short', 0),
        ('#SBATCH --gres=shard:1', 0),
        ('module load gpu', 0),
        ('# SBATCH is not far, gpus=1 neither', 0),
        ('export gpus=4', 0),
        ('', 0),
    ],
)
def test_requests_by_hand_are_understood(text, count):
    """Directives that somebody wrote count, names of queues and commands do not."""
    assert asked_by_hand('#SBATCH --time=1', None, text) == count
