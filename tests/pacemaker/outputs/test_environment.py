"""What the probe of a job wrote: it comes from a computer that nobody vouches for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs.environment import LARGEST_FILE, EnvironmentVerdict, parse_environment

FILE = Path(__file__).parents[2] / 'fixtures' / 'environment' / 'gpu.json'
GOOD: dict[str, Any] = json.loads(FILE.read_text())


def content(**changes: Any) -> bytes:
    """Return a file with some values changed."""
    return json.dumps({**GOOD, **changes}).encode()


def test_everything_is_kept() -> None:
    """What the probe wrote comes back as it was."""
    facts = {**GOOD, 'other_nodes': 3}
    assert parse_environment(content(other_nodes=3)).as_dict() == facts


def test_an_earlier_probe_is_read() -> None:
    """Before it was asked for, a probe said nothing of other nodes."""
    assert 'other_nodes' not in GOOD
    assert parse_environment(content()).other_nodes is None


@pytest.mark.parametrize(
    ('changes', 'missing'),
    [
        ({}, False),
        ({'tensorflow_gpus': 0}, True),
        ({'tensorflow_gpus': None}, False),
        ({'tensorflow_gpus': 0, 'gpus_asked': 0}, False),
        ({'verdict': 'gpu_not_found'}, True),
    ],
)
def test_a_gpu_is_missing_only_for_certain(changes: dict[str, Any], missing: bool) -> None:
    """A GPU is missing if one was asked for and TensorFlow found none, not if nobody could tell."""
    assert parse_environment(content(**changes)).gpu_missing is missing


def test_the_verdict() -> None:
    """The reason for which a training was not begun is one of a few."""
    environment = parse_environment(content(verdict='unsuitable_environment'))
    assert environment.verdict is EnvironmentVerdict.UNSUITABLE_ENVIRONMENT
    with pytest.raises(OutputError, match='`verdict`'):
        parse_environment(content(verdict='whatever'))


@pytest.mark.parametrize(
    'changes',
    [
        {'cpus': -1},
        {'cpus': '8'},
        {'cpus': True},
        {'cpus': 10**40},
        {'hostname': 'x' * 2000},
        {'packages': {str(number): '1' for number in range(100)}},
        {'packages': ['numpy']},
        {'gpus': [{'name': 'x', 'memory_mb': 1, 'serial': 's'}]},
        {'gpus': [{'name': 'x', 'memory_mb': 1}] * 100},
        {'notes': ['x'] * 100},
        {'probe_seconds': float('nan')},
        {'probe_seconds': float('inf')},
        {'python': None},
        {'python': '\ud800'},
        {'extra': 1},
    ],
)
def test_what_does_not_belong_there_is_refused(changes: dict[str, Any]) -> None:
    """Wrong types, numbers without bounds, long texts and unknown keys are refused."""
    with pytest.raises(OutputError):
        parse_environment(content(**changes))


@pytest.mark.parametrize('key', list(GOOD))
def test_every_key_is_needed(key: str) -> None:
    """A file that was cut off is not taken for a whole one."""
    damaged = {name: value for name, value in GOOD.items() if name != key}
    with pytest.raises(OutputError, match=key):
        parse_environment(json.dumps(damaged).encode())


@pytest.mark.parametrize(
    'damaged', [b'', b'[1, 2]', b'{"python"', b'[' * 99_000, b'\xff\xfe', b' ' * (LARGEST_FILE + 1)]
)
def test_damaged_files_are_refused(damaged: bytes) -> None:
    """What is no JSON object, or far too long, is refused."""
    with pytest.raises(OutputError):
        parse_environment(damaged)


def test_control_characters_become_spaces() -> None:
    """Messages with what a terminal or a database would stumble over are shown without it."""
    assert parse_environment(content(detail='a\x1b[31mb\x00c\nd')).detail == 'a [31mb c d'
