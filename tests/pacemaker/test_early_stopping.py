"""Settings of early stopping, and what became of it."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.early_stopping import (
    EarlyStoppingParameters,
    early_stopping_problem,
    early_stopping_report,
    early_stopping_warning,
    last_is_best,
    parse_early_stopping,
)
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.outputs import Metrics, parse_metrics

STATE = {'ladder_step': 0, 'fit_cycle': 0, 'iteration': 8, 'test_loss': 0.5, 'rmse_epa': 0.01, 'rmse_f_comp': 0.2}
OUTCOME = {'used': True, 'looks': 9, 'seconds': 0.1, 'best': STATE, 'last': {**STATE, 'iteration': 9}, 'stopped': []}


def table(*rows: tuple[int, float]) -> Metrics:
    """Return metrics with iterations and losses."""
    lines = [f'0 0 {iteration} {loss} 0.02 0.3\n' for iteration, loss in rows]
    return parse_metrics('ladder_step cycle_step iter_num loss rmse_epa rmse_f_comp\n' + ''.join(lines))


def test_units_are_those_of_all_reports():
    """Errors become meV; what was found is told, and nothing is warned of."""
    report = early_stopping_report(OUTCOME)
    assert report['best']['rmse_energy_mev_per_atom'] == pytest.approx(10)
    assert report['best']['rmse_forces_mev_per_angstrom'] == pytest.approx(200)
    assert report['used']
    assert report['stopped'] is False
    assert early_stopping_warning(report) is None


def test_a_module_that_was_never_called():
    """The end of what Python said is the reason."""
    report = early_stopping_report({}, stderr='Traceback\nModuleNotFoundError: autopipec_hook\n')
    assert report == {'used': False, 'reason': 'ModuleNotFoundError: autopipec_hook'}
    assert 'trained as without it' in str(early_stopping_warning(report))
    assert early_stopping_report({})['reason'] == 'no iteration was seen'


def test_an_optimizer_that_goes_on():
    """Where nothing can be ended, that is a warning; the best potential is kept."""
    report = early_stopping_report({**OUTCOME, 'reason': 'scipy 1.10 cannot be ended from outside'})
    assert report['best'] is not None
    assert 'nothing was ended: scipy 1.10' in str(early_stopping_warning(report))


@pytest.mark.parametrize(
    'content',
    [
        {'used': 'yes', 'best': 3, 'stopped': 'x'},
        {'used': True, 'best': {}},
        {'used': True, 'best': {'test_loss': '1e-3', 'rmse_epa': 0.1}},
    ],
)
def test_a_damaged_outcome_is_no_trouble(content: dict[str, Any]):
    """What is not what the module writes is left out."""
    report = early_stopping_report(content)
    assert report['used'] is (content['used'] is True)
    assert report['stopped'] is False
    assert report['best'] is None


def test_errors_that_are_no_numbers_are_left_out():
    """A test loss without its errors still says which state is the best."""
    best = early_stopping_report({'used': True, 'best': {'test_loss': 1e-3, 'iteration': 4, 'rmse_epa': 'a'}})['best']
    assert (best['iteration'], best['rmse_energy_mev_per_atom']) == (4, None)


@pytest.mark.parametrize(('last', 'iteration'), [(0.4, 10), (0.5, None), (0.6, None), (float('nan'), None)])
def test_the_last_state_may_be_the_best(last: float, iteration: int | None):
    """Its test loss stands in the last row of the test metrics, one number too high."""
    found = last_is_best(early_stopping_report(OUTCOME), table((0, 2), (10, 1)), table((0, 2), (8, 0.5), (11, last)))
    assert (found or {}).get('iteration') == iteration
    if found:
        assert found['test_loss'] == last
        assert found['rmse_forces_mev_per_angstrom'] == pytest.approx(300)


def test_a_fit_without_test_metrics_has_no_last_row():
    """Evaluator `pyace` writes none, and the module looks at each iteration."""
    assert last_is_best(early_stopping_report(OUTCOME), table((0, 2), (10, 1)), table()) is None


@pytest.mark.parametrize(
    ('settings', 'changes', 'said'),
    [
        ({'patience': 19}, {'backend': {'evaluator': 'tensorpot', 'display_step': 20}}, 'display_step'),
        ({'patience': 20}, {'backend': {'evaluator': 'tensorpot', 'display_step': 20}}, None),
        ({'patience': 1}, {}, None),
        ({'patience': 1}, {'fit': {'optimizer': 'TNC'}}, 'the optimizer TNC'),
        ({'stop': False}, {'fit': {'optimizer': 'TNC'}}, None),
    ],
)
def test_what_cannot_work_is_said(config, settings, changes, said):
    """A patience that is shorter than what is looked at, and an optimizer that cannot be ended, are refused."""
    stated = TrainingConfig.model_validate({**config, **changes})
    problem = early_stopping_problem(EarlyStoppingParameters(**settings), stated, has_test_set=True)
    assert (problem is None) if said is None else said in str(problem)


def test_without_a_test_set_there_is_nothing_to_follow(config):
    """That is said before anything is submitted."""
    stated = TrainingConfig.model_validate(config)
    assert 'test set' in str(early_stopping_problem(EarlyStoppingParameters(), stated, has_test_set=False))


@pytest.mark.parametrize('value', [{'patience': 0}, {'least_improvement': 1.0}, {'patience': 'long'}, {'wait': 1}])
def test_wrong_settings_are_refused(value: dict[str, Any]):
    """The key is named."""
    with pytest.raises(ConfigError, match=next(iter(value))):
        parse_early_stopping(value)
