"""Access to what real runs left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

RUNS = Path(__file__).parents[2] / 'fixtures' / 'pacemaker'

Read = Callable[[str, str], str]


@pytest.fixture(scope='session')
def read() -> Read:
    """Return a function that reads a text of a run, carriage returns included."""

    def read_text(run: str, name: str) -> str:
        return (RUNS / run / name).read_bytes().decode()

    return read_text


@pytest.fixture(scope='session')
def read_bytes() -> Callable[[str, str], bytes]:
    """Return a function that reads a binary file of a run."""
    return lambda run, name: (RUNS / run / name).read_bytes()
