"""What can be asked for, and what the travelling script is told."""

from __future__ import annotations

import json

import pytest

from aiida_autopipec.pacemaker.selection.parameters import (
    DEFAULT_BESIDE_ACTIVE_SET,
    DEFAULT_STRATEGY,
    TAKE_ACTIVE_SET,
    Budget,
    SelectParameters,
)
from aiida_autopipec.pacemaker.selection.script import script_settings


@pytest.mark.parametrize(
    ('stated', 'budget'),
    [
        ({'max_structures': 7}, Budget(7, in_atoms=False)),
        ({'max_atoms': 7}, Budget(7, in_atoms=True)),
        ({'fraction': 0.1}, Budget(30, in_atoms=True)),
        ({'fraction': 1e-9}, Budget(1, in_atoms=True)),
        ({'fraction': 1}, Budget(300, in_atoms=True)),
        ({}, Budget(None, in_atoms=False)),
    ],
)
def test_the_budget_of_a_pool(stated, budget):
    """A fraction is one of the atoms, because cost follows atoms."""
    assert SelectParameters.model_validate(stated).budget(300) == budget


def test_the_default_strategy_depends_on_the_number():
    """Without a number there is only what MaxVol touches."""
    assert SelectParameters().chosen_strategy() == 'maxvol'
    assert SelectParameters(fraction=0.5).chosen_strategy() == DEFAULT_STRATEGY
    assert SelectParameters(fraction=0.5, strategy='kmeans').chosen_strategy() == 'kmeans'


def test_the_default_strategy_looks_at_an_active_set():
    """Beside an active set it is one that can choose against it, unless another is stated."""
    assert DEFAULT_BESIDE_ACTIVE_SET in TAKE_ACTIVE_SET
    assert SelectParameters(fraction=0.5).chosen_strategy(with_active_set=True) == DEFAULT_BESIDE_ACTIVE_SET
    assert SelectParameters().chosen_strategy(with_active_set=True) == 'maxvol'
    assert SelectParameters(fraction=0.5, strategy='maxvol').chosen_strategy(with_active_set=True) == 'maxvol'


@pytest.mark.parametrize(
    ('stated', 'plain'),
    [
        ({}, True),
        ({'strategy': 'maxvol', 'max_structures': 3}, True),
        ({'strategy': 'maxvol', 'max_atoms': 3}, False),
        ({'max_structures': 3}, False),
        ({'keep': ['dimers']}, False),
        ({'strategy': 'maxvol', 'max_structures': 3, 'quota_by': 'source'}, False),
    ],
)
def test_what_pace_select_can_do_alone(stated, plain):
    """It knows MaxVol and a number of structures, and nothing else."""
    assert SelectParameters.model_validate(stated).plain is plain


@pytest.mark.parametrize(('text', 'limit'), [('auto', None), ('500MB', 500.0), ('1.5GB', 1536.0)])
def test_the_memory_limit(text, limit):
    """It is stated with a unit, of 1024."""
    assert SelectParameters(memory_limit=text).memory_limit_mb == limit


def test_the_settings_of_the_script():
    """They are plain JSON: the smaller of the stated and the requested memory, and no history unless it is given."""
    parameters = SelectParameters(max_atoms=9, memory_limit='2GB', keep=('dimers', 'lowest_energy'), batch_size=5)
    settings = script_settings(
        parameters, potential='p.yaml', n_atoms=90, shares=(), with_active_set=False, requested_kb=1024**2
    )
    assert json.loads(json.dumps(settings)) == settings
    assert settings['memory_limit_mb'] == 1024
    assert settings['active_set'] is None
    assert settings['keep'] == ['dimers']
    assert (settings['amount'], settings['in_atoms'], settings['chunk_structures']) == (9, True, 5)
    with_history = script_settings(parameters, potential='p.yaml', n_atoms=90, shares=(1, 2), with_active_set=True)
    assert with_history['active_set'] == 'known.asi'
    assert with_history['shares'] == [1, 2]
    assert with_history['memory_limit_mb'] == 2048
