"""Whether a training that runs is worth going on with."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.outputs.concerns import Concern, MonitorThresholds, find_concern
from aiida_autopipec.pacemaker.outputs.progress import Progress, TrainingPlan

HEADER = b'ladder_step cycle_step iter_num loss rmse_epa rmse_f_comp\n'
PLAN = TrainingPlan(max_iterations=100)
NAN, INF = float('nan'), float('inf')


def rows(*losses: float, cycle: int = 0, first: int = 0) -> bytes:
    """Return the rows of a minimisation."""
    numbered = enumerate(losses, first)
    return b''.join(f'0 {cycle} {number} {loss} 0.1 0.2\n'.encode() for number, loss in numbered)


def concern(
    data: bytes, *, test: bytes = b'', plan: TrainingPlan = PLAN, left: float | None = None, **thresholds: Any
) -> Concern | None:
    """Return the concern after one look at a table."""
    progress = Progress().look(HEADER + data, HEADER + test, now=0.0)
    found = find_concern(progress, MonitorThresholds(**thresholds), plan, now=0.0, seconds_of_walltime=left)
    return None if found is None else found.concern


def test_nothing_is_said_of_nothing() -> None:
    """Before the first row there is no concern."""
    assert concern(b'') is None


@pytest.mark.parametrize('bad', [NAN, INF])
def test_three_rows_that_are_not_finite(bad: float) -> None:
    """One look at three such rows is enough, at two it is not."""
    assert concern(rows(3, bad, bad)) is None
    assert concern(rows(3, bad, bad, bad)) is Concern.NOT_FINITE
    assert concern(rows(3, bad, bad, bad), not_finite=False) is None


def test_a_later_cycle_may_recover_from_infinity_but_not_from_nan() -> None:
    """Pacemaker goes on from the lowest loss of all cycles, for which it takes NaN; infinity has ten rows' time."""
    cycles = TrainingPlan(max_iterations=100, fit_cycles=2)
    assert concern(rows(3, NAN, NAN, NAN), plan=cycles) is Concern.NOT_FINITE
    assert concern(rows(3, *[INF] * 9), plan=cycles) is None
    assert concern(rows(3, *[INF] * 10), plan=cycles) is Concern.NOT_FINITE
    assert concern(rows(3) + rows(*[INF] * 3, cycle=1), plan=cycles) is Concern.NOT_FINITE


def test_divergence_is_measured_from_the_best_of_the_minimisation() -> None:
    """A new cycle may start high; within one, a row below the limit begins the count anew."""
    assert concern(rows(1, 11, 12, 13)) is Concern.LOSS_DIVERGING
    assert concern(rows(1, 11, 9, 12, 13)) is None
    assert concern(rows(1) + rows(11, 12, 13, cycle=1)) is None
    assert concern(rows(1, 11, 12, 13), divergence_factor=20.0) is None
    assert concern(rows(1, 11, 12, 13), divergence_factor=None) is None
    assert concern(rows(1, 11), divergence_rows=1) is Concern.LOSS_DIVERGING


def test_a_stall_is_off_unless_asked_for() -> None:
    """A loss that falls by less than the stated part over the stated iterations has stalled."""
    flat = rows(8, 4, *[2.0] * 20)
    assert concern(flat) is None
    assert concern(flat, stall_iterations=10) is Concern.LOSS_STALLED
    assert concern(flat, stall_iterations=20) is None
    assert concern(rows(8, 4, *[2 * 0.99**n for n in range(20)]), stall_iterations=10) is None


def test_a_new_minimisation_has_not_stalled() -> None:
    """Iterations of the cycle before do not count."""
    assert concern(rows(*[2.0] * 50) + rows(2.0, 2.0, cycle=1), stall_iterations=10) is None


def test_overfitting_is_a_test_loss_above_its_best() -> None:
    """So many rows since the best one, and clearly above it."""
    test = rows(9, 4, 5, 6)
    assert concern(rows(3, 2), test=test) is None
    assert concern(rows(3, 2), test=test, overfitting_rows=2) is Concern.OVERFITTING
    assert concern(rows(3, 2), test=test, overfitting_rows=3) is None
    assert concern(rows(3, 2), test=rows(9, 4, 4.01, 4.02), overfitting_rows=2) is None


@pytest.mark.parametrize(('left', 'expected'), [(None, None), (30.0, Concern.WALLTIME_TOO_SHORT), (90.0, None)])
def test_the_walltime_has_to_suffice(left: float | None, expected: Concern | None) -> None:
    """Ten iterations took ten seconds, eighty are left: that takes eighty seconds."""
    progress = Progress().look(HEADER + rows(*range(30, 19, -1)), b'', now=0.0)
    progress = progress.look(rows(*range(19, 9, -1), first=11), b'', now=10.0)
    for setting, found in (('warn', expected), ('stop', expected), ('ignore', None)):
        thresholds = MonitorThresholds(walltime=setting)
        finding = find_concern(progress, thresholds, PLAN, now=10.0, seconds_of_walltime=left)
        assert (None if finding is None else finding.concern) is found


def test_every_concern_is_explained() -> None:
    """Each reason to stop has a sentence."""
    assert all(each.explanation.endswith('.') for each in Concern)


@pytest.mark.parametrize(
    'wrong',
    [
        {'stall_improvement': 1.0},
        {'divergence_rows': 11},
        {'divergence_rows': 0},
        {'overfitting_tolerance': -0.1},
        {'stop': 'no'},
        {'stall_iterations': 2.5},
        {'walltime': 'maybe'},
        {'patience': 3},
    ],
)
def test_wrong_thresholds_are_refused(wrong: dict[str, Any]) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        parse_parameters(MonitorThresholds, wrong)
