"""What is said of a better start than zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker.acceleration import (
    acceleration_problem,
    acceleration_report,
    keeps_its_start,
    parse_acceleration,
    script_arguments,
)
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.outputs.metrics import Metrics, parse_metrics

USED: dict[str, Any] = {'mode': 'prefit', 'used': True, 'reason': None, 'predicted_loss': 0.25}


def metrics(loss: float) -> Metrics:
    """Return a table of two iterations that begins with a loss."""
    return parse_metrics(f'ladder_step cycle_step iter_num loss\n0 0 0 {loss!r}\n0 0 1 {loss / 2!r}\n')


def test_a_start_as_predicted_is_no_problem():
    """The report has both losses, and there is nothing to say."""
    report = acceleration_report(USED, metrics(0.25 * (1 + 1e-5)))
    assert report['as_predicted']
    assert report['first_loss'] == pytest.approx(0.25, rel=1e-4)
    assert acceleration_problem(report) is None


@pytest.mark.parametrize('loss', [0.26, 0.2499])
def test_another_first_loss_is_reported(loss):
    """A start that is better or worse than predicted is a bug that is to be seen."""
    report = acceleration_report(USED, metrics(loss))
    assert not report['as_predicted']
    assert f'the first loss is {loss}, but 0.25 was predicted' in acceleration_problem(report)


def test_a_fit_without_rows_is_not_compared():
    """A job that was cut off before the first row has no first loss."""
    report = acceleration_report(USED, parse_metrics('ladder_step cycle_step iter_num loss\n'))
    assert report['first_loss'] is None
    assert 'as_predicted' not in report
    assert acceleration_problem(report) is None


def test_a_script_that_did_not_end_is_named_by_its_last_line():
    """Without an outcome the end of what it printed is the reason."""
    report = acceleration_report({}, metrics(1.0), stderr='Loading\nKilled\n')
    assert report == {'used': False, 'reason': 'the script did not end: Killed'}
    assert 'trained as without it' in acceleration_problem(report)


def test_a_silent_script():
    """Nothing printed is said, too."""
    assert 'it says nothing' in acceleration_report({}, metrics(1.0))['reason']


def test_missing_curvature_is_a_warning():
    """A start without the curvature that was asked for is used, and the reason is named."""
    outcome = {**USED, 'curvature': {'used': False, 'reason': 'the potential has 900 coefficients'}}
    assert '900 coefficients' in acceleration_problem(acceleration_report(outcome, metrics(0.25)))


def test_no_database_refuses_the_report():
    """Numbers that are not finite are left out, and a traceback is not kept."""
    outcome = {**USED, 'used': False, 'loss_of_zero': np.inf, 'traceback': 'long'}
    report = acceleration_report(outcome, metrics(0.25))
    assert report['loss_of_zero'] is None
    assert 'traceback' not in report


@pytest.mark.parametrize('value', [{'mode': 'fast'}, {'damping': 0.0}, {'damping': float('nan')}, {'structures': 0}])
def test_impossible_settings_are_refused(value):
    """The message names the key."""
    with pytest.raises(ConfigError, match=next(iter(value))):
        parse_acceleration(value)


def test_all_settings_reach_the_script():
    """The command line states every setting, so that defaults are in one place."""
    parameters = parse_acceleration({'mode': 'full', 'damping': 0.5, 'structures': 7, 'seed': 3})
    assert script_arguments(parameters, source='a.yaml', target='b.yaml') == [
        'a.yaml', 'b.yaml', '--mode', 'full', '--damping', '0.5', '--structures', '7', '--seed', '3',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('config', 'has_potential', 'expected'),
    [
        ({}, True, True),
        ({'potential': {'elements': ['Al']}}, True, True),
        ({'potential': {'reset': True}}, True, False),
        ({'potential': {'elements': ['Al']}}, False, False),
    ],
)
def test_a_shape_without_coefficients_is_no_start(config, has_potential, expected):
    """A potential that is only taken for its basis leaves the fit to begin with zero, or better."""
    assert keeps_its_start(config, has_potential=has_potential) is expected


@pytest.mark.parametrize('delivered', [True, False])
def test_a_curvature_that_did_not_arrive_is_not_reported_as_used(delivered):
    """Where it lies in a file, Pacemaker has to have taken it."""
    outcome = {**USED, 'curvature': {'used': True, 'by_file': True}}
    report = acceleration_report(outcome, metrics(0.25), delivered=delivered)
    assert report['curvature']['used'] is delivered
    assert (acceleration_problem(report) is None) is delivered
