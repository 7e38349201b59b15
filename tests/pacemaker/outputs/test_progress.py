"""What a training has reached while it runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiida_autopipec.pacemaker.outputs import parse_metrics
from aiida_autopipec.pacemaker.outputs.progress import CURVE_POINTS, Progress, TrainingPlan
from aiida_autopipec.pacemaker.outputs.tail import LONGEST_LINE

FIXTURES = Path(__file__).parents[2] / 'fixtures' / 'pacemaker'
HEADER = b'ladder_step cycle_step iter_num loss rmse_epa rmse_f_comp\n'


def lines(*losses: float, step: int = 0, cycle: int = 0) -> bytes:
    """Return the rows of a minimisation."""
    return b''.join(f'{step} {cycle} {number} {loss} 0.1 0.2\n'.encode() for number, loss in enumerate(losses))


def after(*chunks: bytes, test: bytes = b'', start: Progress | None = None) -> Progress:
    """Return what is known after looks, one second apart, at chunks of a table."""
    progress = start or Progress()
    for number, chunk in enumerate(chunks):
        progress = progress.look(chunk, test, now=1000.0 + number)
        test = b''
    return progress


@pytest.mark.parametrize('case', ['ok', 'ok_fit_cycles', 'ok_ladder', 'ok_tensorpot', 'ok_early_stopping', 'sigterm'])
@pytest.mark.parametrize('size', [101, 1000, 10**9])
def test_real_metrics_while_they_are_written(case: str, size: int) -> None:
    """However much of the file is there at each look, the end is that of the whole file."""
    data = (FIXTURES / case / 'metrics.txt').read_bytes()
    progress = Progress()
    for written in range(size, len(data) + size, size):
        progress = progress.look(data[progress.position.offset : written], b'', now=0.0)
    table = parse_metrics(data.decode())
    assert progress.rows == len(table)
    assert progress.iterations == table.n_iterations
    assert progress.loss == table.final_loss
    assert progress.rmse_forces_ev_per_angstrom == table['rmse_f_comp'][-1]


@given(st.lists(st.binary(max_size=400), max_size=5))
def test_no_content_is_an_error(chunks: list[bytes]) -> None:
    """Whatever stands in the file, a look ends well, and the result can be stored and read again."""
    progress = after(HEADER + lines(3, 2), *chunks, test=b''.join(chunks))
    stored = json.loads(json.dumps(progress.to_storable(), allow_nan=False))
    assert Progress.from_stored(stored) == progress
    assert progress.rows >= 2


@given(st.binary(max_size=300))
def test_damage_does_not_hide_what_follows(garbage: bytes) -> None:
    """After damaged lines the next whole row counts again, unless the damage itself looks like a header."""
    if b'iter_num' in garbage:
        return
    progress = after(HEADER + lines(3, 2) + garbage + b'\n' + b'0 0 2 1.5 0.1 0.2\n')
    assert progress.loss == 1.5


def test_a_line_without_end_is_passed_over() -> None:
    """A file that has lost its line breaks, as zeros after a crash of the disk, does not stop the reader for ever."""
    progress = after(HEADER + lines(3), b'\x00' * LONGEST_LINE, b'\n0 0 1 2 0.1 0.2\n')
    assert progress.position.damaged == 1
    assert progress.loss == 2.0


@pytest.mark.parametrize('word', ['1e300', '-1', '0.5', 'nan', 'inf', 'two', '9' * 400])
def test_an_iteration_that_is_none_is_damage(word: str) -> None:
    """Counts are whole numbers in their range."""
    progress = after(HEADER + f'0 0 {word} 1 0.1 0.2\n'.encode())
    assert (progress.rows, progress.position.damaged) == (0, 1)


def test_a_minimisation_begins_anew() -> None:
    """With the next cycle or ladder step, and where the GPU ran out of memory, the best loss is that of the new one."""
    progress = after(HEADER + lines(8, 1) + lines(5, 4, cycle=1))
    assert (progress.best_loss, progress.first_row, progress.iterations) == (4.0, 2, 2)
    assert after(HEADER + lines(8, 1) + lines(5, 4)).best_loss == 4.0


def test_the_curve_is_thinned_evenly() -> None:
    """A long curve keeps its first point and an even distance, and stays within its bound."""
    progress = after(HEADER + lines(*(1000 / (number + 1) for number in range(3000))))
    numbers = [point[0] for point in progress.curve.points]
    assert len(numbers) <= CURVE_POINTS
    assert numbers == list(range(0, 3000, progress.curve.stride))
    assert len(numbers) > CURVE_POINTS / 2 - 1


def test_the_time_left_follows_the_speed() -> None:
    """Ten iterations in the second since the first look, and eighty to go: eight seconds, less those since."""
    progress = after(HEADER + lines(*range(30, 19, -1)), lines(*range(30, 9, -1))[len(lines(*range(30, 19, -1))) :])
    plan = TrainingPlan(max_iterations=100)
    assert progress.iteration == 20
    assert progress.seconds_left(plan, now=1001.0) == pytest.approx(8.0)
    assert progress.seconds_left(plan, now=1003.0) == pytest.approx(6.0)


def test_cycles_to_come_count_in_full() -> None:
    """The time left includes the fit cycles that have not begun."""
    progress = after(HEADER + lines(*range(30, 19, -1)), lines(*range(30, 9, -1))[len(lines(*range(30, 19, -1))) :])
    assert progress.seconds_left(TrainingPlan(max_iterations=100, fit_cycles=2), now=1001.0) == pytest.approx(18.0)


def test_one_look_knows_no_speed() -> None:
    """A single look does not tell how fast it goes."""
    assert after(HEADER + lines(3, 2, 1)).seconds_left(TrainingPlan(max_iterations=9), now=1e4) is None


def test_the_plan_has_the_defaults_of_pacemaker() -> None:
    """What the settings leave out is what Pacemaker would do."""
    assert TrainingPlan.from_config({}) == TrainingPlan(max_iterations=100, fit_cycles=1, ladder=False)
    stated = {'fit': {'maxiter': 7, 'fit_cycles': 3, 'ladder_step': [10, 0.02]}}
    assert TrainingPlan.from_config(stated) == TrainingPlan(max_iterations=7, fit_cycles=3, ladder=True)


@pytest.mark.parametrize('stored', [None, 7, {}, {'version': 2}, {'rows': -1}, {'curve': {'points': [[1]] * 10}}])
def test_nonsense_is_a_new_start(stored: object) -> None:
    """What is no stored progress is replaced by a new one."""
    assert Progress.from_stored(stored) == Progress()


def test_the_test_loss_remembers_its_best() -> None:
    """Rows of the test set since the best one are counted, and anew in each minimisation."""
    rows = b''.join(f'0 0 {number} {loss} 0.1 0.2\n'.encode() for number, loss in ((0, 9), (5, 4), (10, 5), (15, 6)))
    progress = after(HEADER + lines(3), test=HEADER + rows)
    assert (progress.test.loss, progress.test.best_loss, progress.test.rows_since_best) == (6.0, 4.0, 2)
    again = progress.look(b'', b'1 0 0 7 0.1 0.2\n', now=0.0)
    assert (again.test.best_loss, again.test.rows_since_best) == (7.0, 0)
