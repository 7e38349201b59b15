"""The page about faults names a test for each."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_fault_has_its_test() -> None:
    """Each row of the table names a test that is there, and each test that provokes a fault has a row."""
    page = (ROOT / 'docs' / 'topics' / 'faults.md').read_text()
    rows = [line for line in page.splitlines() if line.startswith('| ')]
    named = [re.findall(r'`(test_\w+)`', row) for row in rows if not row.startswith('| fault |')]
    assert [tests for tests in named if not tests] == []
    files = [ROOT / path for path in set(re.findall(r'^`(tests/\S+\.py)`', page, re.MULTILINE))]
    there = {name for path in files for name in re.findall(r'^def (test_\w+)', path.read_text(), re.MULTILINE)}
    assert there - {'test_an_undisturbed_training_is_one_job'} == {test for tests in named for test in tests}
