"""Real trainings."""

from __future__ import annotations

import sys
import time
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import InstalledCode, RemoteData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.outputs import canonical_potential_text, parse_potential

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def inputs(programs, make_dataset, make_config):
    """Return the inputs of a small training with a test set."""
    return {
        'code': programs['pacemaker'],
        'dataset': make_dataset().store(),
        'test_dataset': make_dataset(6, seed=1).store(),
        'config': make_config(),
    }


@pytest.fixture(scope='module')
def trained(inputs, programs):
    """Return a training with export and active set in one job."""
    codes = {'yaml2yace': programs['pace_yaml2yace'], 'activeset': programs['pace_activeset']}
    _, node = run_get_node(PaceTrainCalculation, **inputs, codes=codes)
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


def test_one_job_gives_everything(trained):
    """Potential, export, active set, curve, predictions and report come from one stay in the queue."""
    assert set(trained.outputs) == {
        'active_set',
        'environment',
        'lammps_potential',
        'learning_curve',
        'output_parameters',
        'potential',
        'predictions',
        'remote_folder',
        'retrieved',
    }
    info = parse_potential(trained.outputs.potential.get_content())
    assert info.elements == ('Al',)
    assert trained.outputs.active_set.filename == 'potential.asi'
    parameters = trained.outputs.output_parameters.get_dict()
    assert parameters['active_set']['n_functions'] == dict(info.n_functions)
    assert parameters['parser_warnings'] == []


def test_the_report(trained, inputs):
    """The report states iterations, sizes, versions and place of the run."""
    parameters = trained.outputs.output_parameters.get_dict()
    assert parameters['health'] == 'healthy'
    assert parameters['iterations'] == 5
    assert parameters['final_loss'] < parameters['initial_loss']
    assert parameters['training_structures'] == inputs['dataset'].n_structures
    assert parameters['test_atoms'] == inputs['test_dataset'].n_atoms
    assert parameters['evaluator'] == 'pyace'
    assert parameters['versions']['pacemaker'] == parameters['environment']['packages']['python-ace']
    # the same Python may have several names in one folder
    assert Path(parameters['environment']['executable']).parent == Path(sys.executable).parent


def test_the_environment(trained):
    """Where the job ran and what was installed there is a node of its own."""
    environment = trained.outputs.environment.get_dict()
    assert environment == trained.outputs.output_parameters['environment']
    assert environment['packages']['numpy'] == np.__version__
    assert environment['hostname'] == trained.outputs.output_parameters['hostname']
    assert environment['evaluator'] == 'pyace'
    assert environment['notes'] == []
    assert environment['probe_seconds'] < 5


def test_a_missing_evaluator_is_named_before_the_training(inputs):
    """Without `tensorpotential` beside Pacemaker nothing is begun, and the message says what to install where."""
    if util.find_spec('tensorpotential') is not None:
        pytest.skip('tensorpotential is installed here')
    config = {**inputs['config'], 'backend': {'evaluator': 'tensorpot'}}
    _, node = run_get_node(PaceTrainCalculation, **{**inputs, 'config': config})
    assert node.exit_status == PaceTrainCalculation.exit_codes.ERROR_EVALUATOR_NOT_AVAILABLE.status
    assert sys.prefix in node.exit_message
    assert 'install `tensorpotential==0.6.2.1`' in node.exit_message
    assert 'pacemaker.err' not in node.outputs.retrieved.list_object_names()
    assert node.outputs.environment['verdict'] == 'evaluator_not_available'


def test_the_learning_curve(trained):
    """There is one value per iteration and column, from the start on."""
    curve = trained.outputs.learning_curve
    assert curve.get_array('iter_num').tolist() == [0, 1, 2, 3, 4, 5]
    assert curve.get_array('loss')[-1] == pytest.approx(trained.outputs.output_parameters['final_loss'], rel=1e-12)


@pytest.mark.parametrize(('part', 'port'), [('train', 'dataset'), ('test', 'test_dataset')])
def test_predictions_belong_to_the_rows_of_the_datasets(trained, part, port):
    """The reference labels that Pacemaker used are those of the rows that the predictions name."""
    predictions = trained.outputs.predictions
    structures = trained.inputs[port].get_structures()
    rows = predictions.get_array(f'{part}_rows')
    assert sorted(rows.tolist()) == list(range(len(structures)))
    taken = structures.take(rows)
    assert predictions.get_array(f'{part}_sizes').tolist() == taken.sizes.tolist()
    np.testing.assert_allclose(predictions.get_array(f'{part}_energy'), taken.energy_corrected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(predictions.get_array(f'{part}_forces'), taken.forces, rtol=0, atol=1e-12)


@pytest.mark.parametrize('part', ['train', 'test'])
def test_errors_follow_from_the_predictions(trained, part):
    """The errors in the report are those of the predictions, in meV/atom and meV/Å."""
    get = trained.outputs.predictions.get_array
    errors = trained.outputs.output_parameters['errors'][part]
    energy = (get(f'{part}_energy_predicted') - get(f'{part}_energy')) / get(f'{part}_sizes')
    forces = get(f'{part}_forces_predicted') - get(f'{part}_forces')
    assert errors['rmse_energy_mev_per_atom'] == pytest.approx(1e3 * np.sqrt(np.mean(energy**2)))
    assert errors['max_error_energy_mev_per_atom'] == pytest.approx(1e3 * np.abs(energy).max())
    assert errors['rmse_forces_mev_per_angstrom'] == pytest.approx(1e3 * np.sqrt(np.mean(forces**2)))
    assert errors['mae_forces_mev_per_angstrom'] == pytest.approx(1e3 * np.abs(forces).mean())


def test_errors_of_the_training_set_are_those_of_the_last_iteration(trained):
    """What we compute from the predictions is what Pacemaker says of its last iteration."""
    curve, errors = trained.outputs.learning_curve, trained.outputs.output_parameters['errors']['train']
    assert errors['rmse_energy_mev_per_atom'] == pytest.approx(1e3 * curve.get_array('rmse_epa')[-1], rel=1e-6)
    assert errors['rmse_forces_mev_per_angstrom'] == pytest.approx(1e3 * curve.get_array('rmse_f_comp')[-1], rel=1e-6)


@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.parametrize('output', ['potential', 'lammps_potential'])
def test_the_exported_potential_predicts_what_the_predictions_hold(trained, tmp_path, part, output):
    """Pacemaker's own ASE calculator gives the energies and forces of `predictions`, from both files."""
    from pyace.asecalc import PyACECalculator

    node = trained.outputs[output]
    path = tmp_path / node.filename
    path.write_bytes(node.get_content(mode='rb'))
    calculator = PyACECalculator(str(path))
    structures = trained.inputs['dataset' if part == 'train' else 'test_dataset'].get_structures()
    get = trained.outputs.predictions.get_array
    ends = np.cumsum(get(f'{part}_sizes'))
    tolerance = 1e-7  # the files hold the coefficients of the radial splines with fewer digits than the fit
    for number, row in enumerate(get(f'{part}_rows')[:6]):
        atoms = structures.take([row]).to_atoms()[0]
        atoms.calc = calculator
        forces = get(f'{part}_forces_predicted')[ends[number] - len(atoms) : ends[number]]
        assert atoms.get_potential_energy() == pytest.approx(get(f'{part}_energy_predicted')[number], abs=tolerance)
        np.testing.assert_allclose(atoms.get_forces(), forces, rtol=0, atol=tolerance)


def test_no_pickle_is_kept(trained):
    """What comes back are arrays: no pickle is stored, and the travelling scripts are not either."""
    names = {*trained.outputs.retrieved.base.repository.list_object_names()}
    names |= {*trained.base.repository.list_object_names()}
    assert not [name for name in names if 'pckl' in name or name.endswith(('.npz', '.py', 'python.sh'))]


def test_the_same_training_is_taken_from_the_cache(trained, inputs, programs, make_dataset):
    """Equal inputs, made anew, hit the cache, and the potential is the same to the last byte."""
    codes = {'yaml2yace': programs['pace_yaml2yace'], 'activeset': programs['pace_activeset']}
    again = {'dataset': make_dataset(), 'test_dataset': make_dataset(6, seed=1)}
    start = time.monotonic()
    with enable_caching(identifier='aiida.calculations:autopipec.pace_train'):
        _, node = run_get_node(PaceTrainCalculation, **{**inputs, **again}, codes=codes)
    assert node.base.caching.get_cache_source() == trained.uuid
    assert node.outputs.potential.get_content() == trained.outputs.potential.get_content()
    assert time.monotonic() - start < 5


@pytest.fixture(scope='module')
def without_python(inputs, localhost, tmp_path_factory):
    """Return the same training by a wrapper around Pacemaker, where no Python with Pacemaker can be found."""
    wrapper = tmp_path_factory.mktemp('bin') / 'pacemaker'
    program = Path(sys.executable).parent / 'pacemaker'
    wrapper.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    wrapper.chmod(0o755)
    hidden = 'export OMP_NUM_THREADS=1\nexport PATH=/usr/bin:/bin\nexport PYTHONPATH='
    code = InstalledCode(
        label='wrapped', computer=localhost, filepath_executable=str(wrapper), prepend_text=hidden
    ).store()
    _, node = run_get_node(PaceTrainCalculation, **{**inputs, 'code': code})
    return node


def test_the_same_training_again_gives_the_same_potential(trained, without_python):
    """Apart from times, user and versions two trainings with equal inputs differ in no byte."""
    first, second = (
        canonical_potential_text(node.outputs.potential.get_content()) for node in (trained, without_python)
    )
    assert first == second


def test_predictions_come_without_the_travelling_script_too(trained, without_python):
    """Where no script can run, the safe reader takes the same predictions from Pacemaker's pickles."""
    assert without_python.exit_status == 0
    assert without_python.outputs.output_parameters['environment'] == {}
    assert 'environment' not in without_python.outputs
    (said,) = without_python.outputs.output_parameters['parser_warnings']
    assert said.startswith('probe.py: no Python with pyace was found')
    assert 'no Python with pyace' in without_python.outputs.retrieved.get_object_content('collect.err')
    first, second = trained.outputs.predictions, without_python.outputs.predictions
    assert first.get_arraynames() == second.get_arraynames()
    for name in first.get_arraynames():
        np.testing.assert_array_equal(first.get_array(name), second.get_array(name))


def test_a_restart_goes_on_in_the_folder_of_the_earlier_job(trained, inputs, programs, localhost):
    """From the last state the loss starts where it ended, with the Python that is stated."""
    python = InstalledCode(label='python', computer=localhost, filepath_executable=sys.executable).store()
    parent = trained.outputs.remote_folder
    assert isinstance(parent, RemoteData)
    _, node = run_get_node(PaceTrainCalculation, **inputs, parent_folder=parent, codes={'python': python})
    assert node.exit_status == 0
    before, after = (n.outputs.learning_curve.get_array('loss') for n in (trained, node))
    assert after[0] == pytest.approx(before[-1], rel=1e-7)
    assert after[-1] < after[0]
    assert node.outputs.output_parameters['environment']['executable'] == sys.executable
