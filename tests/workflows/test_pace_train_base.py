"""What is done when a training is cut off or goes wrong, which results are taken, and when it is given up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from aiida.common import AttributeDict, LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager
from aiida.orm import ArrayData, CalcJobNode, Computer, Dict, Int, SinglefileData
from aiida.schedulers.datastructures import JobInfo
from plumpy import ProcessState

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.outputs import Position
from aiida_autopipec.pacemaker.restart import EXPORT_GTOL
from aiida_autopipec.workflows.healing import remedies
from aiida_autopipec.workflows.healing.course import way_to
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain

TEXT = (Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml').read_text()
LADDER = {'ladder_step': 5, 'ladder_type': 'power_order'}
OURS = PaceTrainBaseWorkChain.exit_codes
RESOURCES = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}


def potential():
    """Return a potential of aluminium."""
    return SinglefileData.from_string(TEXT.replace('Cu', 'Al'), filename='potential.yaml')


def curve(first, last, iterations, functions=9):
    """Return a learning curve from one loss to another."""
    rows = {
        'ladder_step': np.zeros(iterations + 1),
        'cycle_step': np.zeros(iterations + 1),
        'iter_num': np.arange(iterations + 1.0),
        'loss': np.linspace(first, last, iterations + 1),
        'nfuncs': np.full(iterations + 1, float(functions)),
    }
    return ArrayData(rows)


def status_of(label):
    """Return the status of an exit code of the job."""
    return PaceTrainCalculation.exit_codes[label].status


class Course:
    """A work chain whose jobs end as the test says, without being run."""

    def __init__(self, workchain, computer):
        self.workchain = workchain
        self.computer = computer
        workchain.setup()
        workchain.ctx.children = []

    def job(self, status, *, state=None, trained=False, outputs=None, report=None, place=None):
        """Start the next job and end it; return what the work chain decides: an exit code, or nothing.

        :param state: how far the interim potential is that it left: keywords of a position.
        :param trained: it wrote its potential, with predictions.
        """
        workchain = self.workchain
        workchain.submit = lambda process, **inputs: self._node(process, inputs, status, place)
        workchain.run_process()
        node = workchain.ctx.children[-1]
        iterations = (state or {}).get('iterations', 0)
        made = {'output_parameters': Dict({'iterations': iterations, 'state': None, **(report or {})})}
        if state is not None:
            stated = {'n_functions': 9, 'cycle': 0, 'iteration': iterations, 'finished': False, **state}
            made['interim_potential'] = potential()
            stated = {'filename': 'interim_potential_0.yaml', **Position(**stated).as_dict()}
            made['output_parameters'] = Dict({'iterations': iterations, 'state': stated, **(report or {})})
            made['learning_curve'] = curve(2.0, 1.0, iterations)
        if trained:
            made |= {'potential': potential(), 'predictions': ArrayData({'train_rows': np.arange(3)})}
        for label, output in {**made, **(outputs or {})}.items():
            output.base.links.add_incoming(node, LinkType.CREATE, label)
            output.store()
        return workchain.inspect_process()

    def _node(self, process, inputs, status, place):
        inputs['metadata'].setdefault('options', {})
        assert process.spec().inputs.validate(AttributeDict(inputs)) is None
        node = CalcJobNode(computer=self.computer, process_type='aiida.calculations:autopipec.pace_train')
        node.set_process_label('PaceTrainCalculation')
        node.set_option('resources', {'num_machines': 1})
        if place is not None:
            info = JobInfo()
            info.job_id = '7'
            info.allocated_machines_raw = place
            node.set_last_job_info(info)
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(status)
        node.set_exit_message(f'the job ended with {status}')
        node.store()
        self.workchain.ctx.children.append(node)
        self.inputs = SimpleNamespace(**inputs)
        return node

    def next_inputs(self):
        """Return the inputs of the job that comes next."""
        self.workchain.submit = lambda process, **inputs: self._node(process, inputs, 0, None)
        self.workchain.run_process()
        return self.inputs

    def outputs(self):
        """Return the outputs by label."""
        return self.workchain.outputs


@pytest.fixture
def course(aiida_code_installed, make_atoms, config, aiida_localhost):
    """Return a function that begins a training of 20 iterations."""
    structures = LabelledStructures.from_atoms(make_atoms(6))
    dataset = PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()
    code = aiida_code_installed(label='no-pacemaker', filepath_executable='/nowhere/pacemaker')

    def begin(fit=None, backend=None, computer=None, training=None, **inputs):
        settings = {**config, 'fit': {**config['fit'], 'maxiter': 20, **(fit or {})}}
        settings['backend'] = {**config['backend'], **(backend or {})}
        given = {'code': code, 'dataset': dataset, 'config': Dict(settings).store(), **(training or {})}
        runner = get_manager().get_runner()
        workchain = instantiate_process(runner, PaceTrainBaseWorkChain, pace_train=given, **inputs)
        return Course(workchain, computer or aiida_localhost)

    return begin


@pytest.fixture
def held_out(make_atoms):
    """Return structures that are not trained on."""
    structures = LabelledStructures.from_atoms(make_atoms(3, seed=9))
    return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()


# Cut off


@pytest.mark.parametrize(
    'label',
    [
        'ERROR_SCHEDULER_OUT_OF_WALLTIME',
        'ERROR_SCHEDULER_NODE_FAILURE',
        'ERROR_CANCELLED',
        'ERROR_PREEMPTED',
        'ERROR_INTERRUPTED',
    ],
)
def test_a_job_that_was_cut_off_goes_on_for_the_rest(course, label):
    """The next job starts from the last state, for the iterations that remain."""
    training = course()
    assert training.job(status_of(label), state={'iterations': 8}).status == 0
    inputs = training.next_inputs()
    assert inputs.config['fit']['maxiter'] == 12
    assert inputs.initial_potential.uuid == training.workchain.ctx.children[0].outputs.interim_potential.uuid


def test_changed_settings_come_from_those_of_the_user(course):
    """A calculation function makes them, so the graph says what was changed."""
    training = course()
    training.job(120, state={'iterations': 8})
    creator = training.next_inputs().config.creator
    assert creator.process_label == 'change_config'
    assert creator.inputs.changes.get_dict() == {'fit': {'maxiter': 12}, 'potential': None}


def test_ten_walltimes_with_progress_go_on(course):
    """A training that gets further each time is not given up, however often it is cut off."""
    training = course(fit={'maxiter': 100})
    for _ in range(10):
        assert training.job(120, state={'iterations': 8}).status == 0
    assert training.next_inputs().config['fit']['maxiter'] == 20


def test_attempts_without_progress_are_limited(course):
    """Jobs in a row that get no further end the work chain, with the cause of the last one."""
    training = course(max_attempts_without_progress=Int(2))
    assert training.job(140).status == 0
    outcome = training.job(140)
    assert outcome.status == OURS.ERROR_NO_PROGRESS.status
    assert 'ended with 140' in outcome.message


def test_progress_starts_the_count_again(course):
    """Only attempts in a row count."""
    training = course(max_attempts_without_progress=Int(2))
    for state in (None, {'iterations': 3}, None, {'iterations': 3}):
        assert training.job(140, state=state).status == 0


def test_walltime_before_the_first_iteration_is_the_end(course):
    """Without a single iteration the same walltime would only be met again."""
    assert course().job(120).status == OURS.ERROR_NO_PROGRESS.status


def test_a_lost_state_leaves_the_one_before(course):
    """A job that left no whole state is repeated from the state that it started from itself."""
    training = course()
    training.job(120, state={'iterations': 8})
    training.job(120, report={'iterations': 5})
    inputs = training.next_inputs()
    assert inputs.initial_potential.uuid == training.workchain.ctx.children[0].outputs.interim_potential.uuid
    assert inputs.config['fit']['maxiter'] == 12


def test_a_job_that_vanished_starts_again(course):
    """Without any state the training begins anew, as it was asked for."""
    training = course()
    assert training.job(status_of('ERROR_VANISHED')).status == 0
    inputs = training.next_inputs()
    assert inputs.config.uuid == training.workchain.inputs.pace_train.config.uuid
    assert not hasattr(inputs, 'initial_potential')


def test_a_ladder_finishes_its_step_and_climbs_on(course):
    """The step that was cut off is finished without the ladder, and then the ladder goes on from there."""
    training = course(fit=LADDER)
    state = {'iterations': 25, 'iteration': 5, 'n_functions': 5, 'n_target_functions': 12}
    training.job(120, state=state)
    first = training.next_inputs().config['fit']
    assert (first['maxiter'], 'ladder_step' in first) == (15, False)
    training.workchain.ctx.children.pop()
    training.workchain.ctx.iteration -= 1
    training.workchain.ctx.story.pop()
    training.job(0, trained=True)
    second = training.next_inputs()
    assert second.config['fit']['ladder_step'] == 5
    assert second.initial_potential.uuid == training.workchain.ctx.children[1].outputs.potential.uuid


# Exports


@pytest.fixture
def exported(aiida_code_installed):
    """Return inputs that ask for a potential for LAMMPS."""
    code = aiida_code_installed(label='no-yaml2yace', filepath_executable='/nowhere/pace_yaml2yace')
    return {'codes': {'yaml2yace': code}}


def test_walltime_after_everything_was_written_is_a_success(course):
    """A job that was cut off after its last file has done what it was for."""
    training = course()
    assert training.job(120, trained=True).status == 0
    assert not training.workchain.should_run_process()
    assert training.workchain.results() is None
    assert {'potential', 'predictions'} <= set(training.outputs())


def test_walltime_before_the_export_exports_alone(course, exported):
    """What is missing beside the potential is made by a job that fits nothing."""
    training = course(training=exported)
    assert training.job(120, trained=True).status == 0
    inputs = training.next_inputs()
    assert inputs.config['fit']['options'] == {'gtol': EXPORT_GTOL}
    assert inputs.initial_potential.uuid == training.workchain.ctx.children[0].outputs.potential.uuid
    assert 'yaml2yace' in inputs.codes


def test_an_export_that_fails_twice_is_the_end(course, exported):
    """The cause is named, and the potential is kept."""
    training = course(training=exported)
    assert training.job(status_of('ERROR_EXPORT_FAILED'), trained=True).status == 0
    outcome = training.job(status_of('ERROR_EXPORT_FAILED'), trained=True)
    assert outcome.status == OURS.ERROR_EXPORT_FAILED.status
    assert 'potential' in training.outputs()


def test_jobs_in_between_do_not_export(course, exported):
    """An active set or a potential for LAMMPS of an unfinished fit would be a waste."""
    training = course(fit=LADDER, training=exported)
    training.job(120, state={'iterations': 5, 'n_functions': 5, 'n_target_functions': 12})
    assert 'yaml2yace' not in training.next_inputs().codes


# Memory


def test_more_memory_where_it_is_allowed(course):
    """Memory is doubled up to the limit of the input."""
    options = {'metadata': {'options': {'max_memory_kb': 3000, 'resources': RESOURCES}}}
    training = course(training=options, max_memory_kb=Int(10000))
    asked = []
    for _ in range(2):
        assert training.job(110, state={'iterations': 2}).status == 0
        asked.append(training.workchain.ctx.inputs.metadata.options.max_memory_kb)
    assert asked == [6000, 10000]
    assert training.workchain.inputs.pace_train.metadata.options.max_memory_kb == 3000


def test_smaller_batches_where_more_memory_is_not_allowed(course):
    """With evaluator tensorpot fewer structures at a time need less memory."""
    training = course(backend={'evaluator': 'tensorpot', 'batch_size': 100})
    assert training.job(status_of('ERROR_HOST_OUT_OF_MEMORY')).status == 0
    assert training.next_inputs().config['backend']['batch_size'] == 25


def test_memory_that_cannot_be_changed_is_tried_on_another_node_once(course):
    """With evaluator pyace nothing but another node is left."""
    training = course()
    assert training.job(110).status == 0
    assert training.job(110).status == OURS.ERROR_OUT_OF_MEMORY.status


def test_the_memory_of_the_gpu(course):
    """Batches get smaller until a single structure does not fit either."""
    training = course(backend={'evaluator': 'tensorpot', 'batch_size': 10})
    sizes = []
    for _ in range(2):
        assert training.job(402).status == 0
        sizes.append(training.workchain.ctx.todo[0]['backend']['batch_size'])
    assert sizes == [2, 1]
    assert training.job(402).status == OURS.ERROR_OUT_OF_MEMORY.status


def test_batches_get_smaller_as_often_as_it_takes(course):
    """Each job with smaller batches is another one, so the limit on attempts without progress does not end it."""
    training = course(backend={'evaluator': 'tensorpot', 'batch_size': 100})
    sizes = []
    while training.job(402).status == 0:
        sizes.append(training.workchain.ctx.todo[0]['backend']['batch_size'])
    assert sizes == [25, 6, 1]


def test_smaller_batches_hold_for_everything_that_is_left(course):
    """The rest of a ladder does not run out of memory again."""
    training = course(fit=LADDER, backend={'evaluator': 'tensorpot', 'batch_size': 40})
    training.job(120, state={'iterations': 5, 'n_functions': 5, 'n_target_functions': 12})
    training.job(402)
    assert [left['backend']['batch_size'] for left in training.workchain.ctx.todo] == [10, 10]


# Diverged, not moved, stopped


def test_divergence_after_progress_forgets_the_curvature(course):
    """The last finite state is a start for the optimizer, once."""
    training = course()
    lost = {'state': {'iterations': 6}, 'report': {'initial_loss': 2.0, 'final_loss': 1.0}}
    assert training.job(331, **lost).status == 0
    assert training.next_inputs().config['fit']['maxiter'] == 14


def test_divergence_from_a_potential_starts_from_scratch(course):
    """Coefficients that overflow are left, the shape is kept; if that does not help, the cause is named."""
    training = course(training={'initial_potential': potential().store()})
    assert training.job(331).status == 0
    assert not hasattr(training.next_inputs(), 'initial_potential')


def test_divergence_of_a_given_shape_resets_it(course, config):
    """Without a shape in the settings the potential gives it, and its coefficients are not used."""
    settings = {key: value for key, value in config.items() if key != 'potential'}
    training = course(training={'initial_potential': potential().store(), 'config': Dict(settings).store()})
    assert training.job(331).status == 0
    inputs = training.next_inputs()
    assert inputs.config['potential'] == {'reset': True}
    assert hasattr(inputs, 'initial_potential')


def test_divergence_from_scratch_is_the_end(course):
    """Then the data are to blame."""
    outcome = course().job(331)
    assert outcome.status == OURS.ERROR_DIVERGED.status
    assert 'ended with 331' in outcome.message


def test_growing_loss_takes_bfgs(course):
    """Another optimizer is replaced by the one whose line search cannot go up."""
    training = course(fit={'optimizer': 'CG'})
    assert training.job(status_of('ERROR_LOSS_DIVERGING')).status == 0
    assert training.next_inputs().config['fit']['optimizer'] == 'BFGS'
    training = course()
    assert training.job(status_of('ERROR_LOSS_DIVERGING')).status == OURS.ERROR_DIVERGED.status


def test_a_loss_that_does_not_move_is_shaken_once(course):
    """Noise leaves a point where no gradient acts."""
    training = course()
    assert training.job(330).status == 0
    assert training.workchain.ctx.todo[0]['fit']['noise_absolute_sigma'] == remedies.NOISE
    assert training.job(330).status == OURS.ERROR_NOT_TRAINED.status


def test_a_continuation_that_finds_nothing_better_is_finished(course):
    """At a minimum the next job cannot move either: the state is the result, and is exported."""
    training = course()
    training.job(120, state={'iterations': 19})
    assert training.job(330).status == 0
    inputs = training.next_inputs()
    assert inputs.config['fit']['options'] == {'gtol': EXPORT_GTOL}
    assert inputs.initial_potential.uuid == training.workchain.ctx.children[0].outputs.interim_potential.uuid


def test_a_stalled_fit_gets_a_new_start_and_is_then_taken(course):
    """What the monitor stopped goes on once with a new curvature; the second time it is as good as it gets."""
    training = course()
    stalled = status_of('ERROR_LOSS_STALLED')
    assert training.job(stalled, state={'iterations': 5}).status == 0
    assert training.workchain.ctx.todo[0]['fit']['maxiter'] == 15
    assert training.job(stalled, state={'iterations': 5}).status == 0
    assert training.workchain.ctx.todo[0]['fit']['options'] == {'gtol': EXPORT_GTOL}


def test_what_is_left_follows_on_a_continuation_that_finds_nothing_better(course):
    """The cycles after one that is at its end are not given up with it."""
    training = course(fit={'fit_cycles': 3})
    training.job(120, state={'iterations': 15})
    assert [left['fit'].get('fit_cycles', 1) for left in training.workchain.ctx.todo] == [1, 2]
    training.job(330)
    assert [left['fit'].get('fit_cycles', 1) for left in training.workchain.ctx.todo] == [2]
    assert training.workchain.ctx.state_from == 1


def test_a_ladder_climbs_on_from_a_step_that_hardly_moves(course):
    """Only the minimisation that stalls is taken for finished, not the ladder."""
    training = course(fit=LADDER)
    for _ in range(2):
        training.job(410, state={'iterations': 6, 'n_functions': 5, 'n_target_functions': 12})
    assert [left['fit'].get('ladder_step') for left in training.workchain.ctx.todo] == [5]


@pytest.mark.parametrize('label', ['ERROR_OVERFITTING', 'ERROR_WALLTIME_TOO_SHORT'])
def test_a_stop_that_was_asked_for_is_the_end_and_keeps_the_state(course, label):
    """The monitor's reason is the cause, and the state is an output; the same walltime would be too short again."""
    training = course()
    outcome = training.job(status_of(label), state={'iterations': 5})
    assert outcome.status == OURS.ERROR_STOPPED.status
    assert 'interim_potential' in training.outputs()


def test_the_crash_of_early_stopping_is_no_loss(course):
    """The fit was complete: its state is exported, or the ladder goes on from it."""
    training = course()
    training.job(403, state={'iterations': 20, 'finished': True})
    assert training.workchain.ctx.todo[0]['fit']['options'] == {'gtol': EXPORT_GTOL}
    training = course(fit=LADDER)
    training.job(403, state={'iterations': 20, 'finished': True, 'n_functions': 5, 'n_target_functions': 12})
    assert [left['fit'].get('ladder_step') for left in training.workchain.ctx.todo] == [5]


@pytest.mark.parametrize('label', ['ERROR_DIVERGED', 'ERROR_NOT_TRAINED'])
def test_what_began_accelerated_is_tried_in_the_plain_way_first(course, label):
    """A fit that goes wrong from a better start than zero begins once from zero."""
    training = course(training={'acceleration': Dict({'mode': 'full'})})
    report = {'acceleration': {'used': True}}
    assert training.job(status_of(label), report=report).status == 0
    assert not hasattr(training.next_inputs(), 'acceleration')
    assert 'noise_absolute_sigma' not in training.inputs.config['fit']


# Early stopping


def best(loss, iteration):
    """Return outputs of a job that kept its best potential, and its report."""
    node = potential()
    node.base.attributes.set_many({'test_loss': loss, 'iteration': iteration})
    state = {'test_loss': loss, 'iteration': iteration}
    return {'outputs': {'best_potential': node}, 'report': {'early_stopping': {'used': True, 'best': state}}}


@pytest.mark.parametrize(('losses', 'attempt'), [((0.2, 0.3), 1), ((0.3, 0.2), 2)])
def test_the_best_potential_is_that_of_all_jobs(course, held_out, losses, attempt):
    """A training that was cut off keeps the lowest test loss of all its jobs, whichever made it."""
    training = course(training={'early_stopping': Dict({'stop': False}), 'test_dataset': held_out})
    training.job(120, state={'iterations': 5}, **best(losses[0], 4))
    found = best(losses[1], 3)
    found['report'] |= {'stop_reason': 'early_stopping', 'iterations': 4}
    training.job(0, trained=True, **found)
    training.workchain.results()
    assert training.outputs()['best_potential'].base.attributes.get('test_loss') == 0.2
    assert training.outputs()['output_parameters']['early_stopping']['best']['attempt'] == attempt


def test_a_fit_that_ended_early_is_not_gone_on_with(course):
    """Extra rounds are for fits that reached `maxiter`."""
    training = course(extra_rounds=Int(3))
    assert training.job(0, trained=True, report={'stop_reason': 'early_stopping'}) is None
    assert not training.workchain.should_run_process()


# The end of the iterations


def test_there_is_no_pause_after_which_jobs_are_counted_anew():
    """aiida-core would look at the first job again instead of the newest one."""
    assert 'pause_on_max_iterations' not in PaceTrainBaseWorkChain.spec().inputs


def test_maxiter_is_a_normal_end(course):
    """Without a wish for convergence nothing follows."""
    training = course()
    assert training.job(0, trained=True, report={'stop_reason': 'max_iterations'}) is None
    assert not training.workchain.should_run_process()


def test_extra_rounds_until_a_warning(course):
    """The fit goes on as often as was asked for, and then finishes with a warning and its outputs."""
    training = course(extra_rounds=Int(1))
    ended = {'trained': True, 'report': {'stop_reason': 'max_iterations', 'iterations': 20}}
    assert training.job(0, **ended).status == 0
    assert training.workchain.should_run_process()
    assert training.workchain.ctx.todo[0]['fit']['maxiter'] == 20
    assert training.job(0, **ended).status == 0
    assert not training.workchain.should_run_process()
    assert training.workchain.results().status == OURS.WARNING_NOT_CONVERGED.status
    assert 'potential' in training.outputs()


@pytest.mark.parametrize('status', [700, 701, 702])
def test_a_warning_is_taken(course, status):
    """A result with a warning is a result, and the work chain finishes with the same warning."""
    training = course()
    assert training.job(status, trained=True).status == 0
    assert not training.workchain.should_run_process()
    assert training.workchain.results() == (status, f'the job ended with {status}', False)
    assert status in {code.status for code in OURS.values()}
    assert {'output_parameters', 'potential', 'predictions'} <= set(training.outputs())


def test_extra_rounds_after_a_warning(course):
    """A training on the CPU goes on to converge all the same, and says in the end that it ran there."""
    training = course(extra_rounds=Int(1))
    training.job(702, trained=True, report={'stop_reason': 'max_iterations', 'iterations': 20})
    assert training.workchain.should_run_process()
    training.job(702, trained=True, report={'stop_reason': 'gtol', 'iterations': 3})
    assert training.workchain.results().status == 702


def test_an_extra_round_is_one_fit_with_what_was_changed(course):
    """It has neither the cycles nor the optimizer that was replaced because the loss grew."""
    training = course(fit={'optimizer': 'CG', 'fit_cycles': 3, 'noise_absolute_sigma': 0.1}, extra_rounds=Int(1))
    training.job(334)
    training.job(0, trained=True, report={'stop_reason': 'max_iterations', 'iterations': 60})
    fit = training.workchain.ctx.todo[0]['fit']
    assert fit['optimizer'] == 'BFGS'
    assert fit['maxiter'] == 20
    assert not {'fit_cycles', 'noise_absolute_sigma'} & set(fit)


def test_an_exported_state_is_not_called_converged(course):
    """A job that only exports finds every gradient small enough; how the fit ended is what the job before said."""
    training = course()
    unfinished = {'stop_reason': 'max_iterations', 'converged': False, 'iterations': 20}
    training.job(120, state={'iterations': 20, 'finished': True}, report=unfinished)
    training.job(0, trained=True, report={'stop_reason': 'gtol', 'converged': True, 'iterations': 0})
    training.workchain.results()
    report = training.outputs()['output_parameters'].get_dict()
    assert (report['converged'], report['stop_reason']) == (False, 'max_iterations')


def test_an_exported_state_that_has_not_converged_gets_its_extra_rounds(course):
    """That the job was cut off after the fit does not make it converged."""
    training = course(extra_rounds=Int(1))
    training.job(120, state={'iterations': 20, 'finished': True}, report={'stop_reason': 'max_iterations'})
    training.job(0, trained=True, report={'stop_reason': 'gtol'})
    assert training.workchain.should_run_process()


# The computer


@pytest.fixture
def slurm(tmp_path):
    """Return a computer with SLURM."""
    return Computer(
        label=f'slurm-{tmp_path.name}',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.slurm',
        workdir=str(tmp_path),
    ).store()


@pytest.mark.parametrize(
    ('label', 'end'),
    [
        ('ERROR_DISK_FULL', 'ERROR_STORAGE'),
        ('ERROR_OUTPUT_UNREADABLE', 'ERROR_STORAGE'),
        ('ERROR_OUTPUT_MISSING', 'ERROR_STORAGE'),
        ('ERROR_GPU_NOT_FOUND', 'ERROR_ENVIRONMENT'),
    ],
)
def test_once_on_another_node(course, slurm, label, end):
    """What may lie with the node is tried on another one; the second time the cause is named."""
    training = course(computer=slurm)
    assert training.job(status_of(label), place='c1', outputs={'environment': Dict({'other_nodes': 1})}).status == 0
    commands = training.workchain.ctx.inputs.metadata.options.custom_scheduler_commands
    assert commands.strip() == '#SBATCH --exclude=c1'
    assert training.job(status_of(label), place='c2').status == OURS[end].status


@pytest.mark.parametrize(
    ('others', 'stated'), [(0, ''), (None, ''), (3, '#SBATCH --nodelist=c1'), (3, '#SBATCH --hold\n#SBATCH -x c2')]
)
def test_the_last_node_is_not_excluded(course, slurm, others, stated):
    """Where no other node is known, or the user names nodes, SLURM would refuse the job, so none is excluded."""
    options = {'resources': RESOURCES, 'custom_scheduler_commands': stated}
    training = course(computer=slurm, training={'metadata': {'options': options}})
    environment = {'environment': Dict({'other_nodes': others})}
    assert training.job(status_of('ERROR_DISK_FULL'), place='c1', outputs=environment).status == 0
    assert training.workchain.ctx.inputs.metadata.options.custom_scheduler_commands == stated


def test_other_commands_stay():
    """A node is excluded beside what the user tells SLURM."""
    commands = remedies.without_nodes('#SBATCH --hold', 'c[3-4]')
    assert commands.splitlines() == ['#SBATCH --hold', '#SBATCH --exclude=c[3-4]']


@pytest.mark.parametrize('label', ['ERROR_EVALUATOR_NOT_AVAILABLE', 'ERROR_UNSUITABLE_ENVIRONMENT'])
def test_a_wrong_environment_is_the_end_at_once(course, label):
    """No repetition installs what is missing."""
    assert course().job(status_of(label)).status == OURS.ERROR_ENVIRONMENT.status


@pytest.mark.parametrize('status', [215, 300])
def test_other_failures_are_not_repeated(course, status):
    """What another run would not mend ends the work chain."""
    assert course().job(status).status == OURS.ERROR_UNHANDLED_FAILURE.status


# What comes out


def test_the_outputs_of_a_failure(course):
    """State, curve and numbers of all attempts are kept when the training is given up."""
    training = course(max_attempts_without_progress=Int(1))
    training.job(120, state={'iterations': 8})
    assert training.job(140).status == OURS.ERROR_NO_PROGRESS.status
    outputs = training.outputs()
    first = training.workchain.ctx.children[0]
    assert outputs['interim_potential'].uuid == first.outputs.interim_potential.uuid
    parameters = outputs['output_parameters'].get_dict()
    assert parameters['iterations'] == 8
    assert [attempt['exit_status'] for attempt in parameters['attempts']] == [120, 140]
    assert [attempt['goes_on_from'] for attempt in parameters['attempts']] == [None, 1]
    assert set(outputs['learning_curve'].get_array('attempt')) == {1.0}


def test_what_led_to_a_result():
    """Jobs that led nowhere are not on the way."""
    assert way_to(4, [None, 1, 1, 3]) == [1, 3, 4]
    assert way_to(2, [None, None]) == [2]
