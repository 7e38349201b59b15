"""Real trainings that are disturbed on the way, compared with one that is not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain

pytestmark = pytest.mark.pacemaker

SCRIPT = Path(__file__).parent / 'interrupted.py'
BIN = Path(sys.executable).parent
LADDER = {'ladder_step': 5, 'ladder_type': 'power_order'}


@pytest.fixture(scope='module')
def dataset(make_atoms):
    """Return a training set of aluminium."""
    structures = LabelledStructures.from_atoms(make_atoms(12))
    return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()


@pytest.fixture(scope='module')
def disturbed(localhost, programs, dataset, make_config, tmp_path_factory):
    """Return a function that trains with a plan of disturbances."""

    def run(plan, fit=None, process=PaceTrainBaseWorkChain, parent=None, potential=None):
        folder = tmp_path_factory.mktemp('plan')
        (folder / 'plan').write_text('\n'.join(plan))
        executable = folder / 'pacemaker'
        executable.write_text(f'#!/bin/sh\nexec {BIN}/python {SCRIPT} {folder}/plan {BIN}/pacemaker "$@"\n')
        executable.chmod(0o755)
        code = InstalledCode(
            label=f'disturbed-{folder.name}',
            computer=localhost,
            filepath_executable=str(executable),
            prepend_text='export OMP_NUM_THREADS=1',
        ).store()
        config = make_config()
        config['fit'] |= {'maxiter': 8, **(fit or {})}
        config['potential'] = potential or config['potential']
        codes = {'yaml2yace': programs['pace_yaml2yace'], 'python': programs['python']}
        training = {'code': code, 'codes': codes, 'dataset': dataset, 'config': config}
        if parent is not None:
            training['parent_folder'] = parent
        inputs = training if process is PaceTrainCalculation else {'pace_train': training}
        _, node = run_get_node(process, **inputs)
        return node

    return run


@pytest.fixture(scope='module')
def programs(programs, localhost):
    """Return the codes of all programs, and Pacemaker's own Python."""
    python = InstalledCode(label='python', computer=localhost, filepath_executable=sys.executable).store()
    return {**programs, 'python': python}


@pytest.fixture(scope='module')
def whole(disturbed):
    """Return a training without a ladder that nothing disturbs."""
    return disturbed(['go'])


@pytest.fixture(scope='module')
def whole_ladder(disturbed):
    """Return a training with a ladder that nothing disturbs."""
    return disturbed(['go'], LADDER)


def jobs_of(node):
    """Return the trainings of a work chain in their order."""
    jobs = [job for job in node.called if job.process_label == 'PaceTrainCalculation']
    return sorted(jobs, key=lambda job: job.pk)


def column(node, name):
    """Return a column of the learning curve."""
    return node.outputs.learning_curve.get_array(name)


def check_counts(node, reference, jobs):
    """Check that the training is whole: every iteration once, in the same number, and everything exported."""
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    assert {'potential', 'lammps_potential', 'predictions'} <= set(node.outputs)
    assert len(jobs_of(node)) == jobs
    parameters = node.outputs.output_parameters
    assert parameters['iterations'] == reference.outputs.output_parameters['iterations']
    for name in ('ladder_step', 'iter_num', 'nfuncs'):
        assert column(node, name).tolist() == column(reference, name).tolist()
    assert len(parameters['attempts']) == jobs


def test_an_undisturbed_training_is_one_attempt(whole):
    """Without a disturbance there is one job, whose numbers are the result."""
    check_counts(whole, whole, 1)
    assert whole.outputs.output_parameters['iterations'] == 8
    assert set(column(whole, 'attempt')) == {1.0}


def test_a_killed_fit_goes_on_from_its_last_state(disturbed, whole):
    """After SIGTERM the fit goes on where it was: no iteration is counted twice, and none is missing."""
    node = disturbed(['TERM 0 0 3', 'TERM 0 0 2', 'go'])
    check_counts(node, whole, 3)
    losses = column(node, 'loss')
    assert np.all(np.diff(losses) < 0)
    np.testing.assert_allclose(losses[:3], column(whole, 'loss')[:3], rtol=1e-9)


def test_a_killed_ladder_finishes_its_step_and_climbs_on(disturbed, whole_ladder):
    """A ladder that is killed in a step makes the iterations that are left of it, and then the steps that are left."""
    node = disturbed(['TERM 1 0 4', 'go', 'go'], LADDER)
    check_counts(node, whole_ladder, 3)
    reference = column(whole_ladder, 'loss')
    assert column(node, 'loss')[-1] == pytest.approx(reference[-1], rel=1)


def test_a_ladder_killed_in_its_last_step(disturbed, whole_ladder):
    """In the last ladder step only what is left of it is done, without the ladder."""
    check_counts(disturbed(['TERM 2 0 5', 'go'], LADDER), whole_ladder, 2)


def test_a_ladder_killed_between_two_steps_gives_the_same_potential(disturbed, whole_ladder):
    """A step that is complete needs nothing more: the steps after it are those of the undisturbed training."""
    node = disturbed(['TERM 2 0 0', 'go'], LADDER)
    check_counts(node, whole_ladder, 2)
    np.testing.assert_allclose(column(node, 'loss'), column(whole_ladder, 'loss'), rtol=1e-6)


def test_half_a_state_costs_one_attempt(disturbed, whole):
    """A state that was cut off while it was written is not used: the job is repeated from the one before."""
    node = disturbed(['TERM 0 0 3', 'TERM 0 0 2 half', 'go'])
    check_counts(node, whole, 3)
    assert [attempt['goes_on_from'] for attempt in node.outputs.output_parameters['attempts']] == [None, 1, 1]
    assert 2.0 not in set(column(node, 'attempt'))


def test_damaged_metrics_count_no_iteration_twice(disturbed, whole):
    """A line of garbage in the metrics costs that line, not the count."""
    check_counts(disturbed(['TERM 0 0 4 garble', 'go']), whole, 2)


def test_a_job_that_left_nothing_is_repeated(disturbed, whole):
    """A job whose files are gone begins again, and its iterations are not counted."""
    node = disturbed(['TERM 0 0 4 vanish', 'go'])
    check_counts(node, whole, 2)
    np.testing.assert_allclose(column(node, 'loss'), column(whole, 'loss'), rtol=1e-9)


def test_a_killed_work_chain_goes_on_from_its_folder(disturbed, whole):
    """The folder of the last job is enough: what it did is counted, and stands in the learning curve."""
    job = disturbed(['TERM 0 0 3'], process=PaceTrainCalculation)
    assert job.exit_status == PaceTrainCalculation.exit_codes.ERROR_INTERRUPTED.status
    node = disturbed(['go'], parent=job.outputs.remote_folder)
    check_counts(node, whole, 1)
    assert set(column(node, 'attempt')) == {0.0, 1.0}


def test_a_stationary_start_is_left(disturbed, make_config):
    """A start at which no gradient acts is left by noise; python-ace calls it converged."""
    potential = make_config()['potential']
    shape = {'npot': 'FinnisSinclair', 'fs_parameters': [1.0, 3.0], 'ndensity': 1}
    node = disturbed(['go', 'go'], potential={**potential, 'embeddings': {'ALL': shape}})
    assert node.exit_status == 0, node.exit_message
    first, second = jobs_of(node)
    assert first.exit_status == PaceTrainCalculation.exit_codes.ERROR_NOT_TRAINED.status
    assert second.outputs.output_parameters['final_loss'] < 0.5 * first.outputs.output_parameters['initial_loss']
