"""What real runs of pace_select and pace_activeset printed."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import parse_activeset_log, parse_select_log


@pytest.mark.parametrize(
    ('run', 'candidates', 'chosen', 'selected'),
    [('select', 30, 6, 3), ('select_more_than_pool', 30, 6, 6), ('select_two_files', 48, 6, 6)],
)
def test_numbers_of_structures(read, run, candidates, chosen, selected):
    """MaxVol's choice is an upper bound: asking for more gives no more."""
    log = parse_select_log(read(run, 'stderr.txt'), read(run, 'stdout.txt'))
    assert (log.n_candidates, log.n_chosen, log.n_selected) == (candidates, chosen, selected)
    assert log.zero_columns == {}


def test_atoms_and_functions_of_the_pool(read):
    """Cost follows atoms, so they are reported."""
    log = parse_select_log(read('select', 'stderr.txt'))
    assert (log.n_atoms, log.n_functions) == ({'Cu': 60}, {'Cu': 9})


def test_batches_and_earlier_active_set(read):
    """The log tells whether history competed and whether batches were used."""
    alone, after = (
        parse_select_log(read('select', 'stderr.txt')),
        parse_select_log(read('select_two_files', 'stderr.txt')),
    )
    assert (alone.used_active_set, alone.batches) == (False, None)
    assert (after.used_active_set, after.batches) == (True, 4)


@pytest.mark.parametrize('run', ['select_unknown_element', 'select_empty', 'select_few'])
def test_failed_selections_have_no_result(read, run):
    """A selection that did not finish is an error."""
    with pytest.raises(OutputError, match='pace_select did not finish'):
        parse_select_log(read(run, 'stderr.txt'))


def test_active_set_with_a_force_filter(read):
    """The filter on force errors drops atoms; its threshold is given in eV/Å."""
    log = parse_activeset_log(read('activeset', 'stderr.txt'), read('activeset', 'stdout.txt'))
    assert (log.n_structures, log.n_atoms, log.n_functions) == (18, {'Cu': 36}, {'Cu': 9})
    assert log.n_used['Cu'] < 36
    assert 0.1 < log.force_threshold['Cu'] < 10
    assert log.gamma_max['Cu'] == pytest.approx(1.0, abs=0.02)
    assert (log.nonlinear, log.batches, log.zero_columns) == (False, None, {})


def test_active_set_of_all_atoms_of_two_elements(read):
    """Without a filter every atom is used, element by element."""
    log = parse_activeset_log(read('activeset_binary', 'stderr.txt'), read('activeset_binary', 'stdout.txt'))
    assert set(log.n_atoms) == set(log.gamma_max) == {'Al', 'Cu'}
    assert log.n_used == log.n_atoms
    assert log.force_threshold == {}


def test_active_set_in_batches(read):
    """Batches are counted."""
    assert parse_activeset_log(read('activeset_batch', 'stderr.txt')).batches == 3


def test_atoms_that_cannot_be_told_apart_are_reported(read):
    """The only sign of a useless active set is a line on stdout."""
    log = parse_activeset_log(
        read('activeset_zero_columns', 'stderr.txt'), read('activeset_zero_columns', 'stdout.txt')
    )
    assert log.zero_columns == {0: 9}


@pytest.mark.parametrize(
    'run', ['activeset_few', 'activeset_no_forces', 'activeset_batch_with_filter', 'activeset_empty']
)
def test_failed_active_sets_have_no_result(read, run):
    """A program that made no active set is an error."""
    with pytest.raises(OutputError, match='pace_activeset did not finish'):
        parse_activeset_log(read(run, 'stderr.txt'))
