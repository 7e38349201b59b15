"""Random damage to real files, with a fixed budget and seed (fuzz.py, which also runs longer by hand)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiida_autopipec.pacemaker.pickles import write_frame

HERE = Path(__file__).parent
FIXTURES = HERE.parents[1] / 'fixtures' / 'pickles'
ROUNDS = 8000

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='limits of processes are a matter of POSIX systems')


def test_random_damage_ends_in_a_sentence(tmp_path: Path) -> None:
    """Whatever is changed in files of pandas, Pacemaker and this package, they are refused with a sentence or read."""
    write_frame(
        tmp_path / 'ours.pckl.gzip',
        numbers=np.array([1, 1, 8]),
        positions=np.ones((3, 3)),
        cells=np.zeros((2, 3, 3)),
        pbc=np.zeros((2, 3), dtype=bool),
        offsets=np.array([0, 2, 3]),
        columns={'energy': np.array([1.0, 2.0]), 'name': ['a', 'b']},
        atom_columns={'forces': np.zeros((3, 3))},
        vector_columns={'stress': np.array([[np.nan] * 6, [1.0] * 6])},
    )
    files = [*FIXTURES.glob('*.pckl.gzip'), *(HERE / 'real').glob('*.gz*'), *[tmp_path / 'ours.pckl.gzip'] * 8]
    command = [sys.executable, HERE / 'fuzz.py', '20261122', str(ROUNDS), *files]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = re.fullmatch(r'refused (\d+), read (\d+)\n', result.stdout)
    assert found is not None
    assert int(found[1]) > ROUNDS // 3
    assert int(found[2]) > 0
