"""What the parser of a validation makes of answers from the computer, honest and hostile."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict, SinglefileData

ENTRY_POINT = 'autopipec.validate'
POTENTIAL = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
DISTANCES = np.arange(0.5, 4.5, 0.02)


def answer(core: float = 2000.0, **changes: Any) -> dict[str, Any]:
    """Return the arrays of a good dimer check of copper after changes."""
    energy = core * np.exp(-2.2 * DISTANCES) - 2.0 * np.exp(-0.8 * DISTANCES)
    force = 2.2 * core * np.exp(-2.2 * DISTANCES) - 1.6 * np.exp(-0.8 * DISTANCES)
    arrays = {'dimer_distances': DISTANCES, 'dimer_Cu_Cu_energy': energy, 'dimer_Cu_Cu_force': force}
    return arrays | changes


def archive(arrays: dict[str, Any]) -> bytes:
    """Return arrays as the script writes them."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture
def parse_answer(parse: Any, tmp_path: Path) -> Any:
    """Return a function that parses files of a job that checked dimers."""

    def run(
        written: Any, arrays: bytes | None = None, *, stderr: str = '', parameters: Any = None, status: Any = None
    ) -> Any:
        files = {'validate.err': stderr.encode(), 'validate.out': b''}
        if written is not None:
            files['validation.json'] = written if isinstance(written, bytes) else json.dumps(written).encode()
        inputs = {'potential': SinglefileData(POTENTIAL), 'parameters': Dict(parameters or {})}
        if arrays is not None:
            (tmp_path / 'validation.npz').write_bytes(arrays)
        return parse(ENTRY_POINT, files, inputs, temporary=tmp_path, exit_status=status)

    return run


GOOD = {'ok': True, 'facts': {'dimer': {}}}


def test_a_good_answer(parse_answer: Any) -> None:
    """Report and curves are attached, and the job is fine."""
    parsed = parse_answer(GOOD, archive(answer()))
    assert parsed.exit_code.status == 0, parsed.exit_code
    assert parsed.outputs['report'].store()['passed']
    assert set(parsed.outputs['curves'].get_arraynames()) == set(answer())


def test_a_potential_that_does_not_repel(parse_answer: Any) -> None:
    """The message names what is wrong, and the evidence is kept."""
    parsed = parse_answer(GOOD, archive(answer(core=3.0)))
    assert parsed.exit_code.status == 350
    assert 'Cu-Cu energy at 0.50 Å' in parsed.exit_code.message
    assert 'curves' in parsed.outputs
    assert not parsed.outputs['report']['passed']


def test_the_scheduler_has_the_last_word(parse_answer: Any) -> None:
    """A job that ran out of time keeps that verdict, with or without an answer."""
    assert parse_answer(GOOD, archive(answer()), status=120).exit_code.status == 120
    assert parse_answer(None, status=120).exit_code.status == 120


def test_no_python(parse_answer: Any) -> None:
    """Where Pacemaker's Python was not found, the message says how to give it."""
    parsed = parse_answer(None, stderr='no Python with pyace was found for /opt/pacemaker\n')
    assert parsed.exit_code.status == 306
    assert '`codes.python`' in parsed.exit_code.message


def test_a_script_that_broke(parse_answer: Any) -> None:
    """An error of the script as a whole is no verdict on the potential."""
    parsed = parse_answer({'ok': False, 'facts': {}, 'error': 'ImportError: no pyace\n' + 'x' * 10_000})
    assert parsed.exit_code.status == 300
    assert 'ImportError' in parsed.exit_code.message
    assert len(parsed.exit_code.message) < 1000
    assert 'report' not in parsed.outputs


def test_no_arrays(parse_answer: Any) -> None:
    """Without its arrays a check is failed, not passed."""
    parsed = parse_answer(GOOD)
    assert parsed.exit_code.status == 350
    assert 'lack' in parsed.exit_code.message


@pytest.mark.parametrize(
    ('written', 'arrays', 'status'),
    [
        (b'', None, 310),
        (b'not json', None, 310),
        (b'[1]', None, 310),
        (b'{"facts": {"dimer": {"x": NaN}}}', None, 310),
        (b'[' * 100_000, None, 310),
        ({'facts': {'dimer': {'x': {'y': []}}}}, None, 311),
        ({'facts': {'rm -rf': {}}}, None, 311),
        (GOOD, b'not a zip', 311),
        (GOOD, archive({'dimer_energy': np.array([{}], dtype=object)}), 311),
        (GOOD, archive({'../../evil': np.zeros(2)}), 311),
        (GOOD, archive(answer(dimer_Cu_Cu_energy=np.full(len(DISTANCES), np.nan))), 350),
        (GOOD, archive(answer(dimer_Cu_Cu_energy=np.zeros(3))), 350),
        (GOOD, archive(answer(dimer_distances=np.zeros((3, 3)))), 350),
    ],
    ids=[
        'empty',
        'text',
        'list',
        'nan',
        'deep',
        'nested',
        'shell',
        'no zip',
        'pickle',
        'path',
        'not finite',
        'other lengths',
        'other dimensions',
    ],
)
def test_answers_that_no_script_of_ours_gives(parse_answer: Any, written: Any, arrays: Any, status: int) -> None:
    """Nothing that a computer can send makes the parser fail, or a potential pass."""
    parsed = parse_answer(written, arrays)
    assert parsed.exit_code.status == status, parsed.exit_code
    for node in parsed.outputs.values():
        node.store()
