"""Rows of whole numbers, each kind once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aiida_autopipec.pacemaker.triage.distinct import distinct_rows

numbers = st.integers(0, 3) | st.integers(0, 2**62)


@given(arrays(np.int64, st.tuples(st.integers(1, 30), st.integers(1, 5)), elements=numbers))
def test_as_numpy_does_it(rows: np.ndarray) -> None:
    """Kinds and their order are those of numpy, for small numbers and for such as no table has room for."""
    unique, which = np.unique(rows, axis=0, return_inverse=True)
    found, number = distinct_rows(rows)
    np.testing.assert_array_equal(found, unique)
    np.testing.assert_array_equal(number, which.reshape(-1))


def test_no_rows() -> None:
    """No rows are of no kind."""
    found, number = distinct_rows(np.zeros((0, 3), dtype=np.int64))
    assert found.shape == (0, 3)
    assert number.shape == (0,)
