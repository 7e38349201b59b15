"""Names that are made."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aiida_autopipec.pacemaker.dataset.naming import numbered_names


@given(begin=st.integers(0, 10**7) | st.sampled_from([0, 9, 99, 10**6 - 1]), count=st.integers(0, 150), stem=st.text())
def test_numbers_are_those_of_python(begin: int, count: int, stem: str) -> None:
    """Names made all at once are those made one by one, whatever comes before the number."""
    names = numbered_names(f'{stem}-', begin, begin + count)
    assert names.tolist() == [f'{stem}-{number}' for number in range(begin, begin + count)]
    if count:
        assert names.dtype == np.array([f'{stem}-{begin + count - 1}']).dtype
