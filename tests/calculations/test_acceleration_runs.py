"""Trainings that begin with more than zero."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import SinglefileData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.outputs import parse_potential

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def inputs(programs, make_dataset, make_config) -> dict[str, Any]:
    """Return the inputs of a small training."""
    config = make_config()
    config['fit']['maxiter'] = 2
    return {'code': programs['pacemaker'], 'dataset': make_dataset(12).store(), 'config': config}


@pytest.fixture(scope='module')
def plain(train) -> Any:
    """Return the training from zero."""
    return train()


@pytest.fixture(scope='module')
def full(train, programs) -> Any:
    """Return the training with everything, and what else one job does."""
    codes = {'yaml2yace': programs['pace_yaml2yace'], 'activeset': programs['pace_activeset']}
    return train(acceleration='full', codes=codes)


def test_it_begins_where_it_was_predicted(full):
    """The report says what was done, and that Pacemaker's first loss is the predicted one."""
    report = full.outputs.output_parameters['acceleration']
    assert report['used'], report
    assert report['as_predicted']
    assert report['first_loss'] == pytest.approx(report['predicted_loss'], rel=1e-8)
    curvature = report['curvature']
    step, evaluations = curvature.pop('first_step'), curvature.pop('evaluations')
    assert curvature == {'used': True, 'by_file': True, 'structures': 12, 'damping': 1e-3}
    assert evaluations > 56  # two for each column, and those of the step
    assert 0 < step['length'] <= 1
    assert step['loss'] < 1
    assert full.outputs.output_parameters['parser_warnings'] == []


def test_it_needs_fewer_iterations(plain, full):
    """The first loss is already below the last one of the same training from zero."""
    curve, other = plain.outputs.learning_curve, full.outputs.learning_curve
    assert other.get_array('loss')[0] < curve.get_array('loss')[-1]
    assert other.get_array('loss')[-1] < other.get_array('loss')[0]
    assert 'acceleration' not in plain.outputs.output_parameters.get_dict()


def test_a_matrix_is_a_file_and_not_a_line_of_the_log(full):
    """The curvature comes from a file: neither the input nor the log has all its numbers."""
    assert full.outputs.retrieved.base.repository.get_object_size('log.txt') < 50_000
    assert full.outputs.retrieved.base.repository.get_object_content('hess_inv0.delivered').strip().isdigit()


def test_the_potential_is_a_normal_one(full, plain, train, make_atoms):
    """Export, active set, calculator and another training take the potential, whose shape is that of a plain one."""
    from pyace import PyACECalculator

    assert {'lammps_potential', 'active_set'} <= set(full.outputs)
    info = parse_potential(full.outputs.potential.get_content())
    assert info.n_functions == parse_potential(plain.outputs.potential.get_content()).n_functions
    with full.outputs.potential.as_path() as path:
        atoms = make_atoms(1, labelled=False)[0]
        atoms.calc = PyACECalculator(str(path))
        assert abs(atoms.get_potential_energy()) < 100
    config = {key: value for key, value in full.inputs.config.get_dict().items() if key != 'potential'}
    again = train(config=config, initial_potential=full.outputs.potential, acceleration='full')
    first = again.outputs.learning_curve.get_array('loss')[0]
    assert first == pytest.approx(full.outputs.learning_curve.get_array('loss')[-1], rel=1e-8)
    report = again.outputs.output_parameters['acceleration']
    assert report['as_predicted']
    assert report['curvature']['used'], report
    plain = train(config=config, initial_potential=full.outputs.potential, acceleration='prefit')
    assert plain.outputs.output_parameters['acceleration'] == {
        'used': False,
        'reason': 'the fit goes on from a potential',
    }


def test_a_shape_of_another_potential_begins_better(full, train, inputs):
    """A potential that is reset gives its basis only, so the fit begins with the prefit."""
    config = {**inputs['config'], 'potential': {'reset': True}}
    node = train(config=config, initial_potential=full.outputs.potential, acceleration='prefit')
    report = node.outputs.output_parameters['acceleration']
    assert report['used'], report
    assert report['as_predicted']


def test_what_cannot_be_accelerated_is_trained_from_zero(inputs, train):
    """A first density that is not linear is reported, and the training is the plain one."""
    config = {**inputs['config'], 'potential': {**inputs['config']['potential']}}
    config['potential']['embeddings'] = {
        'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 0.5], 'ndensity': 1}
    }
    node = train(config=config, acceleration='prefit')
    parameters = node.outputs.output_parameters
    assert not parameters['acceleration']['used']
    assert parameters['parser_warnings'] == [
        'acceleration: not used, trained as without it: the first density of Al is not linear '
        '(FinnisSinclairShiftedScaled, fs_parameters [1.0, 0.5])'
    ]
    assert node.outputs.learning_curve.get_array('loss')[0] > 0.1


def test_a_script_that_cannot_run_stops_nothing(train, localhost, plain):
    """Where the Python that is stated has no Pacemaker, the training is the plain one, and that is reported."""
    from aiida.orm import InstalledCode

    path = Path(sys.executable).parent / 'no-python-here'
    python = InstalledCode(label='no-python', computer=localhost, filepath_executable=str(path)).store()
    node = train_with_pickles(train, python)
    report = node.outputs.output_parameters['acceleration']
    assert not report['used']
    assert 'the script did not end' in report['reason']
    first = node.outputs.learning_curve.get_array('loss')[0]
    assert first == pytest.approx(plain.outputs.learning_curve.get_array('loss')[0], rel=1e-12)


def train_with_pickles(train: Callable[..., Any], python: Any) -> Any:
    """Run a training whose other travelling scripts cannot run either."""
    return train(acceleration='prefit', codes={'python': python})


@pytest.mark.parametrize(
    ('value', 'said'),
    [('fast', 'mode'), ({'mode': 'full', 'damping': 0}, 'damping'), ({'speed': 1}, '`speed` is no parameter')],
)
def test_wrong_settings_are_refused(inputs, value, said):
    """What is wrong is named before anything is submitted."""
    with pytest.raises(ValueError, match=said):
        run_get_node(PaceTrainCalculation, **inputs, acceleration=value)


def test_a_restart_begins_where_it_was(inputs, elsewhere, written):
    """A job that goes on from a potential has no script, and runs the plain input."""
    potential = SinglefileData.from_string(
        (Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml')
        .read_text()
        .replace('Cu', 'Al'),
        filename='al.yaml',
    )
    changed = {**inputs, 'code': elsewhere('pacemaker')}
    folder = written(PaceTrainCalculation, **changed, initial_potential=potential, acceleration='prefit')
    assert 'accelerate' not in (folder / '_aiidasubmit.sh').read_text()
    assert not (folder / 'accelerated.yaml').exists()
