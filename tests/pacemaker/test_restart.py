"""What is left to do of a training that was cut off."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.outputs import Position
from aiida_autopipec.pacemaker.restart import (
    difference,
    export_only,
    is_export_only,
    merged,
    rest_of,
    with_noise,
)

LADDER = {'ladder_step': 5, 'ladder_type': 'power_order'}
MAXITER = 20


@pytest.fixture
def stated(config):
    """Return a function that states settings of 20 iterations."""

    def state(**fit):
        return {**config, 'fit': {**config['fit'], 'maxiter': MAXITER, **fit}}

    return state


def at(iteration, *, functions=5, target=12, cycle=0, finished=False):
    """Return a position."""
    return Position(functions, cycle, iteration, finished, iteration, target)


def summary(runs):
    """Return what the runs ask for: iterations, cycles, and whether they climb."""
    return [
        (run['fit']['maxiter'], run['fit'].get('fit_cycles', 1), 'ladder_step' in run['fit'], 'potential' in run)
        for run in runs
    ]


@pytest.mark.parametrize(
    ('fit', 'position', 'left'),
    [
        ({}, at(8), [(12, 1, False, False)]),
        (LADDER, at(8), [(12, 1, False, False), (20, 1, True, True)]),
        (LADDER, at(20, finished=True), [(20, 1, True, True)]),
        (LADDER, at(20), [(20, 1, True, True)]),
        (LADDER, at(8, functions=12), [(12, 1, False, False)]),
        (LADDER, at(8, target=None), [(12, 1, False, False), (20, 1, True, True)]),
        ({'fit_cycles': 3}, at(5), [(15, 1, False, False), (20, 2, False, False)]),
        ({'fit_cycles': 3}, at(5, cycle=2), [(15, 1, False, False)]),
        ({'fit_cycles': 3}, at(9, cycle=1, finished=True), [(20, 1, False, False)]),
        (
            {'fit_cycles': 2, **LADDER},
            at(5),
            [(15, 1, False, False), (20, 1, False, False), (20, 2, True, True)],
        ),
        ({'fit_cycles': 3, 'noise_absolute_sigma': 0.1}, at(5), [(20, 3, False, False)]),
        ({'fit_cycles': 3, 'noise_absolute_sigma': 0.1}, at(5, cycle=2), [(20, 1, False, False)]),
    ],
)
def test_what_is_left(stated, fit, position, left):
    """The rest of the minimisation, of the cycles and of the ladder follow each other, and Pacemaker takes each."""
    runs = rest_of(stated(**fit), position)
    assert summary(runs) == left
    for run in runs:
        TrainingConfig.model_validate(run)


@pytest.mark.parametrize('fit', [{}, LADDER, {'fit_cycles': 2, 'noise_absolute_sigma': 0.1}])
def test_nothing_is_left_but_the_export(stated, fit):
    """A fit that had come to its end is only written."""
    end = at(20, functions=12, cycle=fit.get('fit_cycles', 1) - 1, finished=True)
    (run,) = rest_of(stated(**fit), end)
    assert is_export_only(run)
    TrainingConfig.model_validate(run)


def test_an_export_fits_nothing_whatever_was_asked_for(stated):
    """Optimizer, noise, ladder and early stopping are left out."""
    config = export_only(
        stated(
            optimizer='L-BFGS-B',
            options={'maxcor': 5},
            min_relative_train_loss_per_iter=1e-3,
            early_stopping_patience=5,
            **LADDER,
        )
    )
    assert set(config['fit']) == {'loss', 'optimizer', 'maxiter', 'options'}
    assert not is_export_only(stated())


def test_noise_needs_a_second_cycle(stated):
    """Pacemaker applies it between two of them."""
    config = with_noise(stated(), 0.01)
    assert (config['fit']['fit_cycles'], config['fit']['noise_absolute_sigma']) == (2, 0.01)
    TrainingConfig.model_validate(config)


@pytest.mark.parametrize(
    ('before', 'after', 'changes'),
    [
        ({'a': 1}, {'a': 1}, {}),
        ({'a': 1, 'b': {'c': 2, 'd': 3}}, {'b': {'c': 2, 'd': 4}}, {'a': None, 'b': {'d': 4}}),
        ({'a': {'b': 1}}, {'a': {}}, {'a': {'b': None}}),
        ({'a': None, 'b': 1}, {'a': None, 'b': 2}, {'b': 2}),
        ({'a': {'b': 1}}, {'a': 2}, {'a': 2}),
        ({}, {'a': {'b': 1}}, {'a': {'b': 1}}),
    ],
)
def test_changes_lead_from_one_mapping_to_the_other(before, after, changes):
    """What differs is enough to make the second mapping of the first, and nothing more is stated."""
    assert difference(before, after) == changes
    assert merged(before, changes) == after
