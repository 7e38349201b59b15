"""Exit codes: one per cause, distinct, and cached only where the inputs are to blame."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from aiida.engine import CalcJob
from aiida.plugins import CalculationFactory

from aiida_autopipec.calculations.exit_codes import FAILURES, VERDICTS
from aiida_autopipec.pacemaker.outputs import Failure, Health

ENTRY_POINTS = ('autopipec.pace_train', 'autopipec.pace_activeset', 'autopipec.pace_select', 'autopipec.validate')


def own_codes(entry_point: str) -> Iterator[tuple[str, int, str, bool]]:
    """Yield label, status, message and whether the cache is invalidated, without the codes of every job."""
    inherited = set(CalcJob.spec().exit_codes)
    for label, code in CalculationFactory(entry_point).spec().exit_codes.items():
        if label not in inherited:
            yield label, code.status, code.message, code.invalidates_cache


@pytest.mark.parametrize('entry_point', ENTRY_POINTS)
def test_statuses_are_distinct_and_leave_those_of_the_scheduler_alone(entry_point):
    """No status is used twice, and none lies where AiiDA keeps those of scheduler and monitor."""
    statuses = [status for _, status, _, _ in own_codes(entry_point)]
    assert len(set(statuses)) == len(statuses)
    assert min(statuses) >= 200


@pytest.mark.parametrize('entry_point', ENTRY_POINTS)
def test_every_message_is_a_sentence_that_can_be_filled_in(entry_point):
    """Messages are sentences whose gaps are those that the parsers fill."""
    for label, _, message, _ in own_codes(entry_point):
        assert message[0].isupper() or message.startswith('`'), label
        assert set(re.findall(r'{(\w+)}', message)) <= {'detail', 'filename', 'reason', 'elements'}, label


def test_every_verdict_on_a_training_has_an_exit_code():
    """Whatever the metrics say, there is a status for it."""
    assert set(VERDICTS) == set(Health) - {Health.HEALTHY}


def test_every_failure_of_the_three_programs_has_an_exit_code():
    """Only the failures of other programs have none."""
    assert set(Failure) - set(FAILURES) == {Failure.NOTHING_COLLECTED, Failure.NOTHING_AUGMENTED}


@pytest.mark.parametrize('entry_point', ENTRY_POINTS)
def test_what_the_computer_did_is_not_cached(entry_point):
    """A failure that another try may not meet is never taken from the cache; one of the inputs is."""
    invalidating = {label for label, _, _, invalidates in own_codes(entry_point) if invalidates}
    assert {'ERROR_HOST_OUT_OF_MEMORY', 'ERROR_EVALUATOR_NOT_INSTALLED', 'ERROR_UNEXPECTED'} <= invalidating
    assert not {'ERROR_MISSING_FORCES', 'ERROR_UNKNOWN_ELEMENT', 'ERROR_NAN_ENERGY'} & invalidating
