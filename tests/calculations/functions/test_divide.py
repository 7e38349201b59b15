"""Datasets are divided as somebody else did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from aiida.orm import List

from aiida_autopipec.calculations.functions.divide import divide_dataset
from aiida_autopipec.pacemaker.errors import DatasetError


@pytest.mark.usefixtures('aiida_profile')
def test_stated_rows_are_tested_on(make_dataset: Callable[..., Any]) -> None:
    """The test set has the stated rows, the training set all others, both in the order of the dataset."""
    dataset = make_dataset(6)
    sides = divide_dataset(dataset=dataset.store(), test_rows=List([4, 1]))
    names = dataset.get_structures().names
    assert sides['test_set'].get_structures().names.tolist() == names[[1, 4]].tolist()
    assert sides['training_set'].get_structures().names.tolist() == np.delete(names, [1, 4]).tolist()


@pytest.mark.usefixtures('aiida_profile')
@pytest.mark.parametrize(
    ('rows', 'words'),
    [([6], '0 to 5'), ([-1], '0 to 5'), (['1'], '0 to 5'), ([True], '0 to 5'), ([1, 1], 'twice'), ([], 'both sides'),
     (list(range(6)), 'both sides')],
)  # fmt: skip
def test_impossible_rows_are_refused(make_dataset: Callable[..., Any], rows: list[Any], words: str) -> None:
    """Rows that are not there, that come twice, or that leave one side empty are named."""
    with pytest.raises(DatasetError, match=words):
        divide_dataset(dataset=make_dataset(6), test_rows=List(rows), metadata={'store_provenance': False})
