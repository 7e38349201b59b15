"""Metrics files of real runs."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import COLUMN_UNITS, parse_metrics


@pytest.mark.parametrize(
    ('run', 'iterations', 'rows'),
    [
        ('ok', 5, 6),
        ('ok_fit_cycles', 6, 8),
        ('ok_ladder', 9, 12),
        ('ok_early_stopping', 11, 12),
        ('ok_tensorpot', 5, 6),
        ('wrong_npot', 0, 1),
        ('skipped', 0, 0),
    ],
)
def test_iterations_are_counted_over_cycles_and_ladder_steps(read, run, iterations, rows):
    """Iteration 0 is not counted, and cycles and ladder steps add up."""
    metrics = parse_metrics(read(run, 'metrics.txt'))
    assert (metrics.n_iterations, len(metrics), metrics.truncated) == (iterations, rows, False)


def test_columns_are_float_arrays_by_name(read):
    """Columns come under the names of the header, one value per row."""
    metrics = parse_metrics(read('ok', 'metrics.txt'))
    assert list(metrics.columns)[:4] == ['ladder_step', 'cycle_step', 'iter_num', 'loss']
    assert metrics['loss'].dtype == np.float64
    assert metrics['iter_num'].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.all(np.diff(metrics['loss']) < 0)


def test_every_column_with_a_unit_exists(read):
    """The table of units names columns that real files have."""
    assert set(COLUMN_UNITS) <= set(parse_metrics(read('ok', 'metrics.txt')).columns)


def test_last_row_and_final_loss(read):
    """The last row gives the errors at the end, in eV/atom and eV/Å as the log shows in meV."""
    metrics = parse_metrics(read('ok', 'metrics.txt'))
    assert metrics.final_loss == metrics.last['loss'] == metrics['loss'][-1]
    assert f'Forces(low): {1e3 * metrics["rmse_f_comp"][1]:.2f}' in read('ok', 'log.txt')
    assert f'RMSE Energy(low): {1e3 * metrics["rmse_epa"][1]:.2f}' in read('ok', 'log.txt')


def test_stretches_follow_the_ladder(read):
    """Each minimisation of a ladder is one stretch that starts at iteration 0."""
    stretches = list(parse_metrics(read('ok_ladder', 'metrics.txt')).stretches())
    assert [stretch['ladder_step'][0] for stretch in stretches] == [0, 1, 2]
    assert all(stretch['iter_num'].tolist() == [0, 1, 2, 3] for stretch in stretches)


def test_a_restart_within_a_cycle_is_a_new_stretch(read):
    """A restart with smaller batches starts at 0 again, and its iterations are added."""
    text = read('ok', 'metrics.txt')
    again = text + ''.join(text.splitlines(keepends=True)[1:4])
    metrics = parse_metrics(again)
    assert [len(stretch) for stretch in metrics.stretches()] == [6, 3]
    assert metrics.n_iterations == 5 + 2


@pytest.mark.parametrize('name', ['cycle_metrics.txt', 'ladder_metrics.txt'])
def test_tables_per_cycle_and_step_have_rows_but_no_iterations(read, name):
    """Tables without ``iter_num`` parse, and refuse to count iterations."""
    metrics = parse_metrics(read('ok_ladder', name))
    assert len(metrics) == 3
    assert metrics.final_loss == parse_metrics(read('ok_ladder', 'metrics.txt')).final_loss
    with pytest.raises(OutputError, match='no column `iter_num`'):
        _ = metrics.n_iterations


def test_test_metrics_of_tensorpot_skip_iterations(read):
    """Test metrics are written at the start, every display step and at the end, which is numbered one too high."""
    assert parse_metrics(read('ok_tensorpot', 'test_metrics.txt'))['iter_num'].tolist() == [0, 2, 4, 6]
    assert parse_metrics(read('ok_tensorpot', 'metrics.txt')).n_iterations == 5


def test_header_only_is_an_empty_table(read):
    """With the evaluator pyace the test metrics hold a header only."""
    metrics = parse_metrics(read('ok', 'test_metrics.txt'))
    assert (len(metrics), metrics.last, metrics.final_loss, metrics.truncated) == (0, {}, None, False)
    assert 'loss' in metrics.columns


def test_every_cut_of_a_file_parses(read):
    """Whatever was written when the job was killed, complete lines are read and the rest is reported."""
    text = read('ok', 'metrics.txt')
    whole = parse_metrics(text)
    ends = [index for index, letter in enumerate(text) if letter == '\n']
    for length in range(len(text)):
        metrics = parse_metrics(text[:length])
        complete = sum(end < length for end in ends)
        assert len(metrics) == max(0, complete - 1)
        if len(metrics):
            assert metrics['loss'].tolist() == whole['loss'][: len(metrics)].tolist()
        assert metrics.truncated == bool(text[:length].rpartition('\n')[2].strip() or not complete)


def test_overflow_is_a_number(read):
    """``inf`` in the table is read as infinity."""
    assert parse_metrics(read('nan', 'metrics.txt')).final_loss == float('inf')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('Traceback (most recent call last):\n', 'line 1 of the metrics is not a header'),
        ('garbage', 'line 1 of the metrics is not a header'),
        ('loss loss\n1 2\n', 'line 1 of the metrics is not a header'),
        ('ladder_step loss\n0 1\n0\n0 2\n', 'line 3 of the metrics has 1 values for 2 columns'),
        ('ladder_step loss\n0 one\n', 'line 2 of the metrics: could not convert'),
    ],
)
def test_garbage_is_refused(text, message):
    """What Pacemaker cannot have written is an error that names the line."""
    with pytest.raises(OutputError, match=message):
        parse_metrics(text)
