"""Lengths and volumes of many vectors."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset.fingerprint import BLOCK_ATOMS
from aiida_autopipec.pacemaker.dataset.vectors import determinants, squared_lengths


@pytest.mark.parametrize('count', [0, 1, BLOCK_ATOMS, 2 * BLOCK_ATOMS + 1])
def test_lengths(count: int) -> None:
    """Lengths are those of numpy, also beyond one block, and what was given stays."""
    vectors = np.random.default_rng(count).normal(size=(count, 3))
    before = vectors.copy()
    np.testing.assert_allclose(squared_lengths(vectors), np.linalg.norm(vectors, axis=1) ** 2, rtol=1e-14)
    np.testing.assert_array_equal(vectors, before)


def test_volumes() -> None:
    """Volumes are those of numpy, signs included; flat cells have none."""
    cells = np.random.default_rng(0).normal(size=(200, 3, 3))
    cells[7, 2] = cells[7, 0] - cells[7, 1]
    cells[8] = 0.0
    np.testing.assert_allclose(determinants(cells), np.linalg.det(cells), rtol=1e-11, atol=1e-14)
    assert determinants(np.zeros((0, 3, 3))).shape == (0,)
