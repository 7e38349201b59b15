"""A fit that evaluator pyace cannot do in sensible time is told, by the model of the cost."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import validate_config
from aiida_autopipec.pacemaker.cost import AssumedData, CostEstimate, cost_remarks, estimate_cost

LARGE = {'nradmax_by_orders': [15, 6, 4, 3], 'lmax_by_orders': [0, 3, 3, 2]}
SMALL = AssumedData(100, 1000, ('Al',))


@pytest.fixture
def large(config: dict[str, Any]) -> dict[str, Any]:
    """Return settings with far too many functions for evaluator pyace."""
    changed = copy.deepcopy(config)
    changed['potential']['functions'] = {'ALL': LARGE}
    changed['fit']['maxiter'] = 2000
    return changed


def estimate(config: dict[str, Any], **fit: Any) -> CostEstimate:
    """Return the cost for data of a known size, with some keys of `fit` otherwise."""
    found = estimate_cost(validate_config({**config, 'fit': {**config['fit'], **fit}}), SMALL)
    assert found is not None
    return found


def test_a_small_fit_gets_no_remark(config: dict[str, Any]) -> None:
    """Nothing is said where the time is sensible."""
    assert cost_remarks(validate_config(config)) == []


def test_a_fit_that_pyace_cannot_do_gets_an_estimate(large: dict[str, Any]) -> None:
    """Parameters, passes over the data and time are named, with what to do instead."""
    (remark,) = cost_remarks(validate_config(large), AssumedData(400, 20000, ('Al',)))
    assert remark.startswith('backend.evaluator: pyace computes the gradient by differences')
    assert 'days on one core for 20000 atoms; use tensorpot' in remark


@pytest.mark.parametrize(
    ('backend', 'told'),
    [
        ({'evaluator': 'tensorpot'}, False),
        ({'evaluator': 'pyace', 'parallel_mode': 'process', 'n_workers': 8}, True),
    ],
)
def test_the_remark_is_about_pyace_only(large: dict[str, Any], backend: dict[str, Any], told: bool) -> None:
    """Tensorpot has gradients; the cores that pyace may use do not change that."""
    assert bool(cost_remarks(validate_config({**large, 'backend': backend}))) is told


@pytest.mark.parametrize(
    ('fit', 'parameters', 'evaluations'),
    [
        ({}, 40, 41),
        ({'trainable_parameters': 'func'}, 24, 25),
        ({'trainable_parameters': 'radial'}, 16, 17),
        ({'trainable_parameters': ['Al']}, 40, 41),
        ({'optimizer': 'Powell', 'options': {'ftol': 1e-3}}, 40, 1),
    ],
)
def test_evaluations_per_iteration(config: dict[str, Any], fit: Any, parameters: int, evaluations: int) -> None:
    """A gradient takes one evaluation per trained parameter and one more, a method without gradients one."""
    found = estimate(config, **fit)
    assert (found.n_parameters, found.evaluations_per_iteration) == (parameters, evaluations)


def test_a_common_solid_is_assumed() -> None:
    """Within 5 Å aluminium has 42 neighbours at rest, and 29 on average in the example data with its wide cells."""
    assert SMALL.neighbours(5.0) == pytest.approx(31, abs=1)
    assert AssumedData(1, 7, ('Al', 'Ni')).atoms_by_element == {'Al': 4, 'Ni': 4}


def test_nothing_is_said_without_a_shape() -> None:
    """The basis of a given potential is not known here."""
    assert cost_remarks(validate_config({})) == []
