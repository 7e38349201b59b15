"""Fixtures for triage: a clean molecular-dynamics-like set that other tests spoil, and the real example data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

AL_LDA = Path(__file__).parents[3] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'


@pytest.fixture
def make_set() -> Callable[..., LabelledStructures]:
    """Return a function that makes rattled cells of aluminium with plausible random labels, and changes some fields."""

    def make(n: int = 30, *, seed: int = 0, **changes: Any) -> LabelledStructures:
        rng = np.random.default_rng(seed)
        base = bulk('Al', 'fcc', 4.05, cubic=True)
        positions = base.positions + 0.1 * rng.normal(size=(n, 4, 3))
        return LabelledStructures(
            **{
                'numbers': np.tile(base.numbers, n),
                'positions': positions.reshape(-1, 3),
                'cells': np.tile(base.cell.array, (n, 1, 1)),
                'pbc': np.ones((n, 3), dtype=bool),
                'offsets': np.arange(n + 1) * 4,
                'energy': 4 * (-3.7 + 0.02 * rng.normal(size=n)),
                'forces': rng.normal(size=(4 * n, 3)),
                'names': np.array([f'frame-{row}' for row in range(n)]),
                **changes,
            }
        )

    return make


@pytest.fixture
def append() -> Callable[..., LabelledStructures]:
    """Return a function that puts a copy of one structure with other values behind a set."""

    def copied(structures: LabelledStructures, row: int, *, name: str = 'copy', **changes: Any) -> LabelledStructures:
        part = structures.take([row]).replace(names=np.array([name]))
        return LabelledStructures.concatenate([structures, part.replace(**changes)])

    return copied


@pytest.fixture(scope='session')
def al_lda() -> LabelledStructures:
    """Return the real example data."""
    return LabelledStructures.from_atoms(read(AL_LDA, index=':', format='extxyz'))
