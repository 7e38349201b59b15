"""The version of Pacemaker that a code states decides what its input file must hold, and remarks reach the user."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from aiida.engine import run
from aiida.orm import SinglefileData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.errors import ConfigWarning

POTENTIAL = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'


@pytest.fixture
def al_potential(aiida_profile) -> SinglefileData:
    """Return a potential of aluminium."""
    return SinglefileData.from_string(POTENTIAL.read_text().replace('Cu', 'Al'), filename='al.yaml')


@pytest.fixture
def inputs(make_dataset, elsewhere, config):
    """Return the inputs of a training that is only written, with a code that can state its version."""
    code = elsewhere('pacemaker')
    yield {'code': code, 'dataset': make_dataset(), 'config': config}
    code.base.extras.clear()


@pytest.fixture
def refused(aiida_profile):
    """Return a function that tries to run a training and returns the sentence that refuses it."""

    def attempt(**inputs):
        with pytest.raises(ValueError, match='Error occurred validating port') as caught:
            run(PaceTrainCalculation, **inputs)
        return str(caught.value)

    return attempt


def test_an_old_pacemaker_is_told_the_cutoff(written, inputs, config):
    """Before 0.4 the cutoff is compulsory: it is the largest of the bonds (Å)."""
    inputs['code'].base.extras.set('pacemaker_version', '0.3.0')
    settings = yaml.safe_load((written(PaceTrainCalculation, **inputs) / 'input.yaml').read_text())
    assert settings['cutoff'] == config['potential']['bonds']['ALL']['rcut']


def test_the_current_pacemaker_is_not(written, inputs):
    """Without a statement the code is taken for the current one, which warns of the key."""
    settings = yaml.safe_load((written(PaceTrainCalculation, **inputs) / 'input.yaml').read_text())
    assert 'cutoff' not in settings


def test_an_old_pacemaker_gets_the_cutoff_of_the_potential_that_it_goes_on_from(written, inputs, al_potential):
    """Without a shape the cutoff (Å) is that of the initial potential."""
    inputs['code'].base.extras.set('pacemaker_version', '0.3')
    folder = written(
        PaceTrainCalculation, **{**inputs, 'config': {'fit': {'maxiter': 2}}}, initial_potential=al_potential
    )
    assert yaml.safe_load((folder / 'input.yaml').read_text())['cutoff'] == 4.5


@pytest.mark.parametrize('version', ['new', '0.1.3'])
def test_an_impossible_version_is_refused(refused, inputs, version):
    """The sentence names the extra that states it."""
    inputs['code'].base.extras.set('pacemaker_version', version)
    assert 'the extra `pacemaker_version`' in refused(**inputs)


def test_stopping_on_a_test_error_needs_test_structures(refused, inputs, config):
    """A criterion that could never act is refused before submission, with what to do."""
    config['backend'] = {'evaluator': 'tensorpot'}
    config['fit']['min_relative_test_loss_per_iter'] = 1e-5
    assert 'never stops a fit without test structures' in refused(**{**inputs, 'config': config})


def test_a_fit_that_would_take_forever_is_warned_of(written, inputs, config):
    """The remark names the evaluator and the time."""
    config['potential']['functions'] = {'ALL': {'nradmax_by_orders': [15, 6, 4], 'lmax_by_orders': [0, 3, 3]}}
    config['fit']['maxiter'] = 100000
    with pytest.warns(ConfigWarning, match='pyace computes the gradient by differences.* on one core for'):
        written(PaceTrainCalculation, **{**inputs, 'config': config})
