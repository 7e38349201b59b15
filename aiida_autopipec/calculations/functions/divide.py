"""Calculation function that divides a dataset as somebody else did."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import List

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.errors import DatasetError


@calcfunction
def divide_dataset(dataset: PaceDatasetData, test_rows: List) -> dict[str, Any]:
    """Divide a dataset into a training set and a test set as somebody else did.

    For divisions of one's own, ``split_dataset`` never moves a structure to the other side.

    :param test_rows: different rows, counted from zero, of the structures in the test set.
    :return: ``training_set``, ``test_set``.
    :raises DatasetError: if a row does not exist or comes twice, or one side would be empty.
    """
    rows, n_structures = test_rows.get_list(), dataset.n_structures
    wrong = [row for row in rows if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < n_structures]
    if wrong:
        raise DatasetError(f'`test_rows` must hold rows from 0 to {n_structures - 1}, not {wrong[0]!r}')
    if len(set(rows)) < len(rows):
        raise DatasetError('`test_rows` names a structure twice: name each once')
    if not 0 < len(rows) < n_structures:
        raise DatasetError(f'`test_rows` names {len(rows)} of {n_structures} structures: leave some on both sides')
    mask = np.zeros(n_structures, dtype=bool)
    mask[rows] = True
    return {
        'training_set': PaceDatasetData.from_structures(dataset.iter_taken(~mask), reference=dataset.reference),
        'test_set': PaceDatasetData.from_structures(dataset.iter_taken(mask), reference=dataset.reference),
    }
