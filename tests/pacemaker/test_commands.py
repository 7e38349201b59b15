"""Command lines of Pacemaker's programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.commands import (
    ActiveSetParameters,
    SelectParameters,
    activeset_arguments,
    parse_parameters,
    select_arguments,
    train_arguments,
    yaml2yace_arguments,
)
from aiida_autopipec.pacemaker.errors import ConfigError

SELECT = {'potential': 'p.yaml', 'candidates': ['a.pckl.gzip', 'b.pckl.gzip'], 'output': 'selected.pkl.gz'}


def value_of(arguments: list[str], flag: str) -> str:
    """Return what follows a flag, which must be there once."""
    assert arguments.count(flag) == 1
    return arguments[arguments.index(flag) + 1]


def test_selection_without_history_says_so() -> None:
    """Without an active set the program is told to use none, so that none is found by accident."""
    arguments = select_arguments(**SELECT, parameters=SelectParameters())
    assert value_of(arguments, '-a') == 'NONE'
    assert value_of(arguments, '-p') == 'p.yaml'
    assert value_of(arguments, '-o') == 'selected.pkl.gz'
    assert arguments[-2:] == ['a.pckl.gzip', 'b.pckl.gzip']


def test_selection_without_limit_has_no_limit() -> None:
    """The program takes 0 and -1 for all, so a limit is given only where there is one."""
    assert '-m' not in select_arguments(**SELECT, parameters=SelectParameters())
    limited = select_arguments(**SELECT, parameters=SelectParameters(max_structures=7), active_set='p.asi')
    assert value_of(limited, '-m') == '7'
    assert value_of(limited, '-a') == 'p.asi'


def test_settings_of_a_selection_reach_the_command() -> None:
    """Every setting stands behind its flag."""
    parameters = SelectParameters(
        gamma_tolerance=1.05, maxvol_iters=20, batch_size=100, memory_limit='2.5GB', maxvol_refinement=3
    )
    arguments = select_arguments(**SELECT, parameters=parameters)
    flags = {'-g': '1.05', '-i': '20', '-b': '100', '-mem': '2.5GB', '-r': '3'}
    assert {flag: value_of(arguments, flag) for flag in flags} == flags


def test_settings_of_an_active_set_reach_the_command() -> None:
    """Every setting stands behind its flag, each dataset behind its own, and the potential at the end."""
    arguments = activeset_arguments(
        potential='p.yaml',
        datasets=['a', 'b'],
        parameters=ActiveSetParameters(memory_limit='8GB', batch_size='none', force_error_threshold=0.25),
    )
    flags = {'-m': '8GB', '-b': 'none', '-r': '5', '-e': '0.25', '-g': '1.01', '-i': '300'}
    assert {flag: value_of(arguments, flag) for flag in flags} == flags
    assert arguments[-5:] == ['-d', 'a', '-d', 'b', 'p.yaml']


def test_all_atoms_need_no_threshold() -> None:
    """Where all atoms are taken, no threshold of force errors is given."""
    parameters = ActiveSetParameters(all_atoms=True, force_error_threshold=0.25)
    arguments = activeset_arguments(potential='p.yaml', datasets=['a'], parameters=parameters)
    assert '-a' in arguments
    assert '-e' not in arguments


def test_training_and_export() -> None:
    """Training takes its input only, or stops after the basis; the export names both files."""
    assert train_arguments(input_filename='input.yaml') == ['input.yaml']
    assert train_arguments(input_filename='input.yaml', dry_run=True) == ['input.yaml', '--dry-run']
    assert yaml2yace_arguments(potential='p.yaml', output='p.yace') == ['-o', 'p.yace', 'p.yaml']


@pytest.mark.parametrize(
    ('mapping', 'sentence'),
    [
        ({'memory_limit': '__import__("os").getcwd()'}, '`memory_limit` is'),
        ({'memory_limit': '8GB\n'}, '`memory_limit` is'),
        ({'memory_limit': '8 GB'}, '`memory_limit` is'),
        ({'batch_size': 0}, '`batch_size` is 0'),
        ({'batch_size': 'all'}, '`batch_size` is'),
        ({'gamma_tolerance': 1.0}, '`gamma_tolerance` is 1.0'),
        ({'max_structures': 0}, '`max_structures` is 0'),
        ({'strategy': 'magic'}, '`strategy` is'),
        ({'strategy': 'random'}, 'strategy `random` needs a number'),
        ({'max_structures': 5, 'fraction': 0.5}, '`max_structures` and `fraction` are both stated'),
        ({'quota_by': 'source'}, '`quota_by` divides a number'),
        ({'max_atoms': 5, 'quotas': 'equal'}, '`quotas` needs `quota_by`'),
        ({'keep_fingerprints': ['../x']}, '`keep_fingerprints` is'),
        ({'max_structure': 5}, '`max_structure` is no parameter; the parameters are gamma_tolerance'),
    ],
)
def test_wrong_settings_are_refused(mapping: dict[str, Any], sentence: str) -> None:
    """Impossible values and unknown keys are refused under their key; nothing but a size reaches Pacemaker's eval."""
    with pytest.raises(ConfigError, match=sentence):
        parse_parameters(SelectParameters, mapping)


@pytest.mark.pacemaker
@pytest.mark.parametrize(
    ('program', 'arguments'),
    [
        ('pacemaker', train_arguments(input_filename='input.yaml', dry_run=True)),
        ('pace_yaml2yace', yaml2yace_arguments(potential='p.yaml', output='p.yace')),
        (
            'pace_activeset',
            activeset_arguments(
                potential='p.yaml', datasets=['a'], parameters=ActiveSetParameters(force_error_threshold=0.1)
            ),
        ),
        ('pace_select', select_arguments(**SELECT, parameters=SelectParameters(max_structures=5))),
    ],
)
def test_every_flag_is_one_of_the_program(program: str, arguments: list[str]) -> None:
    """The installed program lists each flag that is given to it."""
    executable = Path(sys.executable).parent / program
    text = subprocess.run([str(executable), '--help'], capture_output=True, text=True, check=True).stdout
    known = {word.strip(',[]') for word in text.split() if word.startswith(('-', '[-'))}
    assert {argument for argument in arguments if argument.startswith('-')} <= known
