"""Trainings that end by their test loss, and the potential with the lowest one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode
from ase.calculators.emt import EMT

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.outputs import parse_potential

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def elongated(make_atoms) -> PaceDatasetData:
    """Return structures with larger displacements than those that are trained on."""
    images = make_atoms(6, seed=5, labelled=False)
    for number, image in enumerate(images):
        image.rattle(0.17, seed=number)
        image.calc = EMT()
        image.get_forces()
    structures = LabelledStructures.from_atoms(images)
    return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()


@pytest.fixture(scope='module')
def inputs(programs, make_dataset, make_config, elongated) -> dict[str, Any]:
    """Return the inputs of a training that learns its structures, and then too well."""
    config = make_config()
    config['fit']['maxiter'] = 14
    dataset = make_dataset(12).store()
    return {'code': programs['pacemaker'], 'dataset': dataset, 'test_dataset': elongated, 'config': config}


@pytest.fixture(scope='module')
def plain(train) -> Any:
    """Return the training that nobody looks at."""
    return train()


@pytest.fixture(scope='module')
def followed(train) -> Any:
    """Return the training that is looked at, and not ended."""
    return train(early_stopping={'stop': False})


@pytest.fixture(scope='module')
def stopped(train, programs) -> Any:
    """Return a training that is ended."""
    return train(early_stopping=3, codes={'yaml2yace': programs['pace_yaml2yace']})


def test_looking_on_changes_nothing(plain, followed):
    """A fit whose test loss is followed takes the very steps of one that is left alone."""
    curves = [node.outputs.learning_curve.get_array('loss') for node in (plain, followed)]
    np.testing.assert_array_equal(*curves)
    assert followed.outputs.output_parameters['early_stopping']['looks'] == len(curves[0])
    assert 'early_stopping' not in plain.outputs.output_parameters.get_dict()


def test_the_best_state_is_kept_exactly(followed):
    """The potential that is kept has the test errors that are reported for it, below those of the last one."""
    report = followed.outputs.output_parameters['early_stopping']
    best, last = report['best'], report['last']
    assert best['test_loss'] < last['test_loss']
    assert 0 < best['iteration'] < last['iteration']
    node = followed.outputs.best_potential
    assert {key: node.base.attributes.get(key) for key in best} == best
    assert errors_of(node, followed.inputs.test_dataset) == pytest.approx(
        (best['rmse_energy_mev_per_atom'], best['rmse_forces_mev_per_angstrom']), rel=1e-6
    )
    errors = followed.outputs.output_parameters['errors']['test']
    assert last['rmse_energy_mev_per_atom'] == pytest.approx(errors['rmse_energy_mev_per_atom'], rel=1e-6)
    assert last['rmse_forces_mev_per_angstrom'] == pytest.approx(errors['rmse_forces_mev_per_angstrom'], rel=1e-6)


def errors_of(potential: Any, dataset: PaceDatasetData) -> tuple[float, float]:
    """Return root mean square errors in meV/atom and meV/Å, by Pacemaker's calculator."""
    from pyace import PyACECalculator

    energies, forces = [], []
    with potential.as_path() as path:
        calculator = PyACECalculator(str(path))
        for image in dataset.get_structures().iter_atoms():
            reference, labels = image.get_potential_energy(), image.get_forces()
            image.calc = calculator
            energies.append((image.get_potential_energy() - reference) / len(image))
            forces.append((image.get_forces() - labels).ravel())
    return 1e3 * float(np.sqrt(np.mean(np.square(energies)))), 1e3 * float(
        np.sqrt(np.mean(np.concatenate(forces) ** 2))
    )


def test_a_training_is_ended_and_succeeds(stopped, followed):
    """It ends `patience` iterations after the best one, with everything that a finished training has."""
    report = stopped.outputs.output_parameters.get_dict()
    found = report['early_stopping']
    assert found['used']
    assert found['stopped']
    assert report['stop_reason'] == 'early_stopping'
    assert report['converged'] is False
    assert found['stops'] == [{'ladder_step': 0, 'fit_cycle': 0, 'iteration': report['iterations']}]
    best = followed.outputs.output_parameters['early_stopping']['best']
    assert report['iterations'] == best['iteration'] + 3 < 14
    assert found['best'] == pytest.approx(best)
    assert {'potential', 'lammps_potential', 'predictions', 'best_potential'} <= set(stopped.outputs)
    assert report['parser_warnings'] == []


def test_every_step_of_a_ladder_has_its_own_patience(train, inputs):
    """Steps are ended one by one, the ladder goes on, and the best potential says which step it comes from."""
    config = {**inputs['config'], 'fit': {**inputs['config']['fit'], 'ladder_step': 3, 'ladder_type': 'power_order'}}
    node = train(config=config, early_stopping={'patience': 1, 'least_improvement': 0.9})
    found = node.outputs.output_parameters['early_stopping']
    steps = [stop['ladder_step'] for stop in found['stops']]
    assert len(steps) > 1
    assert steps == sorted(set(steps))
    assert node.outputs.best_potential.base.attributes.get('ladder_step') == found['best']['ladder_step']


def test_the_best_potential_is_a_normal_one(followed, train, inputs):
    """Another training goes on from it, with the loss that it had."""
    best = followed.outputs.output_parameters['early_stopping']['best']['iteration']
    curve = followed.outputs.learning_curve.get_array('loss')
    config = {key: value for key, value in inputs['config'].items() if key != 'potential'}
    config['fit'] = {**config['fit'], 'maxiter': 1}
    again = train(config=config, initial_potential=followed.outputs.best_potential)
    assert again.outputs.learning_curve.get_array('loss')[0] == pytest.approx(curve[best], rel=1e-5)
    shape = parse_potential(followed.outputs.potential.get_content()).n_functions
    assert parse_potential(followed.outputs.best_potential.get_content()).n_functions == shape


def test_each_minimisation_is_ended_by_itself(train, inputs):
    """With fit cycles the next one begins anew, and the best potential is that of all."""
    config = {**inputs['config'], 'fit': {**inputs['config']['fit'], 'fit_cycles': 2, 'noise_absolute_sigma': 0.02}}
    node = train(config=config, early_stopping=3)
    report = node.outputs.output_parameters['early_stopping']
    assert [stop['fit_cycle'] for stop in report['stops']][:1] == [0]
    assert report['last']['fit_cycle'] == 1
    assert node.outputs.best_potential.base.attributes.get('test_loss') == report['best']['test_loss']
    assert '_fit_cycles' not in node.outputs.best_potential.get_content()


def test_with_acceleration(train):
    """A fit can begin better and end sooner; the start is a candidate for the best potential, too."""
    node = train(acceleration='full', early_stopping={'patience': 2, 'least_improvement': 0.5})
    report = node.outputs.output_parameters.get_dict()
    assert report['acceleration']['used']
    assert report['acceleration']['as_predicted']
    assert report['early_stopping']['stopped']
    assert report['early_stopping']['best']['iteration'] >= 0
    assert report['parser_warnings'] == []


def test_a_python_without_the_module_trains_to_the_end(train, localhost, plain):
    """Where Pacemaker's Python cannot be asked, nothing is ended, and that is reported."""
    path = Path(sys.executable).parent / 'no-python-there'
    python = InstalledCode(label='nowhere', computer=localhost, filepath_executable=str(path)).store()
    node = train(early_stopping=1, codes={'python': python})
    report = node.outputs.output_parameters
    assert report['early_stopping']['used'] is False
    assert 'no-python-there' in report['early_stopping']['reason']
    assert any('early_stopping: not used' in text for text in report['parser_warnings'])
    curves = [run.outputs.learning_curve.get_array('loss') for run in (plain, node)]
    np.testing.assert_array_equal(*curves)


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        ({'early_stopping': 0}, 'patience'),
        ({'early_stopping': {'patients': 3}}, '`patients` is no parameter'),
        ({'early_stopping': 3, 'test_dataset': None}, 'needs a test set'),
        ({'early_stopping': 3, 'backend': {'evaluator': 'tensorpot'}}, 'only each 20 iterations'),
        ({'early_stopping': 3, 'fit': {'optimizer': 'TNC'}}, 'cannot end the optimizer TNC'),
    ],
)
def test_what_cannot_be_is_refused(inputs, changes, said):
    """What is wrong is named before anything is submitted."""
    config = {**inputs['config'], **{key: value for key, value in changes.items() if key in ('backend', 'fit')}}
    given = {**inputs, **{key: value for key, value in changes.items() if key not in config}, 'config': config}
    with pytest.raises(ValueError, match=said):
        run_get_node(PaceTrainCalculation, **{key: value for key, value in given.items() if value is not None})
