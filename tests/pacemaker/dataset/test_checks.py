"""Texts that are, or only seem to be, the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset.checks import all_different


@pytest.mark.parametrize(
    'texts',
    [
        np.array(['a']),
        np.array(['a', 'b', 'ab', 'ba', '']),
        np.array([f'frame-{row}' for row in range(5000)]),
        np.array([f'{row:032x}' for row in range(5000)], dtype='S32'),
        np.array(['é', 'è', 'e']),
    ],
)
def test_different_texts(texts: np.ndarray[Any, Any]) -> None:
    """Texts are all different until one is there twice."""
    assert all_different(texts)
    assert not all_different(np.concatenate([texts, texts[-1:]]))


def test_no_text_is_not_there_twice() -> None:
    """Where there is nothing, nothing is repeated."""
    assert all_different(np.array([], dtype=np.str_))


def test_texts_that_seem_the_same() -> None:
    """Two texts whose numbers are equal, made on purpose, are told apart all the same."""
    a, b = (int(factor) for factor in np.random.default_rng(0).integers(1, 2**63, 2, dtype=np.uint64))
    pair = [(1, 2), ((1 + b) % 2**64, (2 - a) % 2**64)]
    texts = np.frombuffer(b''.join(word.to_bytes(8, 'little') for words in pair for word in words), dtype='S16')
    assert len(set(texts.tolist())) == 2
    assert len({(a * x + b * y) % 2**64 for x, y in pair}) == 1
    assert all_different(texts)
