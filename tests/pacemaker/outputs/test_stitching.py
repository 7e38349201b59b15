"""Learning curves of several runs as one."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.outputs import Attempt, Metrics, parse_metrics, stitch

NOTHING = parse_metrics('')


def rows(losses, *, first=0, functions=5, step=0, cycle=0):
    """Return metrics of one minimisation."""
    n = len(losses)
    return {
        'ladder_step': np.full(n, float(step)),
        'cycle_step': np.full(n, float(cycle)),
        'iter_num': first + np.arange(float(n)),
        'loss': np.array(losses, dtype=float),
        'nfuncs': np.full(n, float(functions)),
    }


def run(number, *parts, test=None):
    """Return an attempt of minimisations below each other."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Attempt(number, Metrics(columns), Metrics(test) if test else NOTHING)


def numbers(metrics, *names):
    """Return columns as lists of whole numbers."""
    return [metrics[name].astype(int).tolist() for name in names]


def test_one_run_is_its_own_curve():
    """Nothing but the column of the attempt is added."""
    whole = stitch([run(1, rows([3, 2, 1]))]).metrics
    assert whole['loss'].tolist() == [3, 2, 1]
    assert whole['attempt'].tolist() == [1, 1, 1]


def test_every_iteration_stands_there_once():
    """The start of a run that goes on is not repeated, and its iterations count on."""
    whole = stitch([run(1, rows([8, 7, 6])), run(2, rows([6, 5, 4])), run(3, rows([4, 3]))]).metrics
    assert whole['loss'].tolist() == [8, 7, 6, 5, 4, 3]
    assert numbers(whole, 'iter_num', 'attempt') == [[0, 1, 2, 3, 4, 5], [1, 1, 1, 2, 2, 3]]
    assert whole.n_iterations == 5


def test_what_was_lost_is_not_in_it():
    """A run that starts from an earlier state replaces what came after that."""
    whole = stitch([run(1, rows([8, 7, 6, 5])), run(2, rows([7.00000001, 6.5, 6]))]).metrics
    assert whole['loss'].tolist() == [8, 7, 6.5, 6]
    assert whole.n_iterations == 3


def test_a_ladder_goes_on_climbing():
    """A run with more functions is the next step of the ladder, with a start of its own."""
    first = run(1, rows([8, 7]), rows([7, 6, 5], functions=10, step=1))
    whole = stitch([first, run(2, rows([6, 5.5], functions=10)), run(3, rows([5.5, 4], functions=12))]).metrics
    assert whole['loss'].tolist() == [8, 7, 7, 6, 5.5, 5.5, 4]
    assert numbers(whole, 'ladder_step', 'iter_num') == [[0, 0, 1, 1, 1, 2, 2], [0, 1, 0, 1, 2, 0, 1]]


def test_a_start_that_no_row_has_follows_the_last():
    """With changed weights the loss jumps; the run before is kept as a whole."""
    whole = stitch([run(1, rows([8, 7, 6])), run(2, rows([60, 50]))]).metrics
    assert whole['loss'].tolist() == [8, 7, 6, 50]


def test_rows_of_the_test_set_go_along():
    """Test metrics are cut and counted on like those of the training set."""
    first = run(1, rows([8, 7, 6, 5]), test=rows([9, 8, 7, 6]))
    second = run(2, rows([6, 4]), test=rows([7, 5]))
    whole = stitch([first, second])
    assert whole.test_metrics['loss'].tolist() == [9, 8, 7, 5]
    assert numbers(whole.test_metrics, 'iter_num', 'attempt') == [[0, 1, 2, 3], [1, 1, 1, 2]]


@pytest.mark.parametrize('attempts', [[], [Attempt(1, NOTHING, NOTHING)]])
def test_nothing_gives_nothing(attempts):
    """Runs that left no row give an empty curve."""
    assert len(stitch(attempts).metrics) == 0
