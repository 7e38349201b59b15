"""Structures of predictions are found in their dataset."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs.predictions import rows_among


def test_structures_are_found_by_name() -> None:
    """Names give rows, in whatever order they come."""
    assert rows_among(np.array(['c', 'a']), np.array(['a', 'b', 'c'])).tolist() == [2, 0]


def test_names_that_pacemaker_made_are_found_without_the_folder_of_the_file() -> None:
    """Pacemaker names structures after their file with its folders, which differ from where the file lies now."""
    known = np.array(['x.pckl.gzip:0', 'x.pckl.gzip:1'])
    assert rows_among(np.array(['../data/x.pckl.gzip:1']), known).tolist() == [1]


@pytest.mark.parametrize('names', [['d'], ['a', 'd'], ['x/a', 'a'], ['other.pckl.gzip:0']])
def test_a_foreign_name_is_refused(names: list[str]) -> None:
    """A name that the dataset does not have is named; folders are dropped only where no name is known."""
    with pytest.raises(OutputError, match='that the dataset does not have'):
        rows_among(np.array(names), np.array(['a', 'b', 'c']))
