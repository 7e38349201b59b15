"""What a training will cost: sizes exactly, time and memory in the right order."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ase.build import bulk

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.config import validate_config
from aiida_autopipec.pacemaker.cost import CostEstimate, DataFacts, estimate_cost


@pytest.fixture
def facts() -> DataFacts:
    """Return the facts of 20 cells of aluminium."""
    images = [bulk('Al', 'fcc', 4.0 + 0.01 * n, cubic=True) for n in range(20)]
    return DataFacts.of([LabelledStructures.from_atoms(images, require_labels=False)])


def estimate(config: dict[str, Any], facts: DataFacts, **fit: Any) -> CostEstimate:
    """Estimate the cost of settings with some keys of `fit` otherwise."""
    changed = copy.deepcopy(config)
    changed['fit'].update(fit)
    result = estimate_cost(validate_config(changed), facts)
    assert result is not None
    return result


def test_sizes_are_those_of_pacemaker(config: dict[str, Any], facts: DataFacts) -> None:
    """Functions and parameters are those that Pacemaker's log names for these settings: 12 and 40."""
    found = estimate(config, facts)
    assert (found.n_functions, found.n_parameters) == (12, 40)
    assert (found.functions_per_element, found.parameters_per_element) == ({'Al': 12}, {'Al': 40})
    assert found.neighbours == 18


def test_pyace_takes_one_evaluation_for_each_parameter(config: dict[str, Any], facts: DataFacts) -> None:
    """An iteration with finite differences costs as many evaluations as there are parameters, and a few more."""
    found = estimate(config, facts)
    assert 41 < found.seconds_per_iteration / found.seconds_per_evaluation < 1.1 * 41


def test_tensorpot_has_derivatives_at_the_price_of_one(config: dict[str, Any], facts: DataFacts) -> None:
    """With evaluator tensorpot an iteration costs little more than one evaluation."""
    found = estimate({**config, 'backend': {'evaluator': 'tensorpot'}}, facts)
    assert found.seconds_per_iteration == pytest.approx(1.05 * found.seconds_per_evaluation, rel=0.01)
    assert found.memory_mb > estimate(config, facts).memory_mb


@pytest.mark.parametrize('evaluator', ['pyace', 'tensorpot'])
def test_more_data_cost_more(config: dict[str, Any], facts: DataFacts, evaluator: str) -> None:
    """Time and memory grow with the data, less than in proportion."""
    settings = {**config, 'backend': {'evaluator': evaluator}}
    part, whole = estimate(settings, facts.part(0.5)), estimate(settings, facts)
    assert part.seconds < whole.seconds < 2 * part.seconds
    assert part.memory_mb < whole.memory_mb


def test_cycles_and_iterations_multiply(config: dict[str, Any], facts: DataFacts) -> None:
    """Each cycle runs all iterations."""
    once, thrice = estimate(config, facts), estimate(config, facts, fit_cycles=3)
    assert (once.iterations, thrice.iterations) == (5, 15)
    assert thrice.seconds == pytest.approx(3 * once.seconds)


@pytest.mark.parametrize(('step', 'steps'), [(5, 3), (12, 1), ([4, 0.5], 3), ([2, 0.9], 4), (0.5, 7)])
def test_steps_of_a_ladder(config: dict[str, Any], facts: DataFacts, step: Any, steps: int) -> None:
    """A ladder runs all iterations on each step: 12 functions by a number, a fraction, or the larger of both."""
    assert estimate(config, facts, ladder_step=step).iterations == 5 * steps


def test_a_given_potential_is_not_estimated(facts: DataFacts) -> None:
    """Without a shape there is no basis to count."""
    assert estimate_cost(validate_config({'fit': {'maxiter': 3}}), facts) is None
