"""The whole way through SSH and SLURM, with a GPU asked for, by both evaluators."""

from __future__ import annotations

import pytest
from aiida.orm import CalcJobNode

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

pytestmark = [pytest.mark.hpc, pytest.mark.daemon]

EVALUATORS = ('pyace', 'tensorpot')
SELECTION, TRAINING, ACTIVE_SET = 'PaceSelectCalculation', 'PaceTrainCalculation', 'PaceActivesetCalculation'


@pytest.fixture(scope='module')
def trained(programs, make_atoms, make_config, submit_to_daemon, wait_for_end):
    """Return a finished work chain for each evaluator; both have run at the same time, where the training had a GPU."""
    nodes = {}
    for evaluator in EVALUATORS:
        builder = TrainPotentialWorkChain.get_builder()
        builder.datasets = {'a': PaceDatasetData.from_atoms(make_atoms(16))}
        builder.config = {**make_config(), 'backend': {'evaluator': evaluator, 'batch_size': 4, 'display_step': 2}}
        builder.split = {'test_fraction': 0.25, 'seed': 1}
        builder.selection = {'max_structures': 8}
        builder.reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0}}
        builder.pace_train.code = programs['pacemaker']
        builder.pace_train.codes.yaml2yace = programs['pace_yaml2yace']
        builder.pace_train.early_stopping = {'stop': False}
        if evaluator == 'tensorpot':
            # SLURM gives a GPU, but there is no device: the CPU has to do
            builder.pace_train.metadata.options.gpus = {'count': 1, 'required': False}
        else:
            builder.pace_train.metadata.options.custom_scheduler_commands = '#SBATCH --gres=gpu:1'
        builder.pace_select.code = programs['pace_select']
        builder.pace_activeset.code = programs['pace_activeset']
        nodes[evaluator] = submit_to_daemon(builder)
    return {evaluator: wait_for_end(node, seconds=300) for evaluator, node in nodes.items()}


@pytest.fixture(params=EVALUATORS)
def node(request, trained):
    """Return the work chain of one evaluator."""
    return trained[request.param]


@pytest.fixture
def jobs(node):
    """Return the jobs of the work chain by what they do."""
    return {job.process_label: job for job in node.called_descendants if isinstance(job, CalcJobNode)}


def test_a_potential_comes_out(node):
    """The work chain ends well, with potential, export, active set and predictions, and says where the GPU was none."""
    on_cpu = PaceTrainCalculation.exit_codes.WARNING_TRAINED_ON_CPU.status
    expected = {'pyace': 0, 'tensorpot': on_cpu}[node.inputs.config['backend']['evaluator']]
    assert node.exit_status == expected, (node.exit_status, node.exit_message)
    assert {'potential', 'lammps_potential', 'active_set', 'predictions', 'test_set'} <= set(node.outputs)
    assert node.outputs.output_parameters['evaluator'] == node.inputs.config['backend']['evaluator']
    assert node.outputs.selected.n_structures == 8


def test_every_step_is_a_job_of_slurm(jobs, computer_room):
    """SLURM's accounting knows selection, training and active set as completed jobs of the account."""
    found = {label: computer_room.record(job.get_job_id(), 'State,User') for label, job in jobs.items()}
    assert found == dict.fromkeys((SELECTION, TRAINING, ACTIVE_SET), f'COMPLETED|{computer_room.account}')


def test_the_training_alone_holds_a_gpu(jobs, computer_room):
    """What a job asked for is what SLURM gave it: one GPU to the training, none to the others."""
    held = {label: computer_room.record(job.get_job_id(), 'AllocTRES') for label, job in jobs.items()}
    assert {label for label, resources in held.items() if 'gres/gpu=1' in resources} == {TRAINING}


def test_both_evaluators_fit_the_same_potential(trained):
    """Both evaluators start at the same loss; their gradients differ by Pacemaker's splines, so the ends are close."""
    found = [node.outputs.output_parameters for node in trained.values()]
    assert found[0]['initial_loss'] == pytest.approx(found[1]['initial_loss'], rel=1e-9)
    assert found[0]['final_loss'] == pytest.approx(found[1]['final_loss'], rel=0.02)


def test_both_evaluators_keep_the_potential_of_the_lowest_test_loss(trained):
    """With `pyace` each iteration is looked at, with `tensorpot` each `display_step`, the start and the end."""
    for evaluator, node in trained.items():
        report, best = node.outputs.output_parameters['early_stopping'], node.outputs.best_potential
        assert report['used'], report
        assert best.base.attributes.get('test_loss') == report['best']['test_loss']
        if evaluator == 'tensorpot':
            curve = node.outputs.learning_curve
            lowest = curve.get_array('test_loss').min()
            assert report['best']['test_loss'] == pytest.approx(lowest, rel=1e-9)
            assert report['looks'] == 3
