"""Division of structures into training and test set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.fingerprint import split_positions
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


def mask_of_test_set(structures: LabelledStructures, test_fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which structures belong to the test set; see :func:`mask_by_fingerprints`."""
    return mask_by_fingerprints(structures.fingerprints, test_fraction, seed)


def mask_by_fingerprints(fingerprints: NDArray[np.bytes_], test_fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which structures belong to the test set.

    The geometry of a structure and the seed alone decide, so a structure never changes sides when data are added or
    the order changes, and copies of one structure are always on the same side. The fraction is therefore met on
    average, not exactly.

    :param fingerprints: ``(n,)`` hashes of the geometries.
    :param test_fraction: between 0 and 1, both excluded.
    :return: ``(n,)``.
    :raises DatasetError: if the fraction is out of range, or one side would be empty.
    """
    if not 0 < test_fraction < 1:
        raise DatasetError(f'test_fraction is {test_fraction}, but has to lie between 0 and 1, both excluded')
    mask = split_positions(fingerprints, seed) < test_fraction
    if mask.all():
        raise DatasetError(
            f'a test_fraction of {test_fraction} puts all {len(mask)} structures into the test set and leaves nothing '
            'to train on; choose a smaller fraction or another seed'
        )
    if not mask.any():
        raise DatasetError(
            f'a test_fraction of {test_fraction} puts none of the {len(mask)} structures into the test set; choose a '
            'larger fraction or another seed'
        )
    return mask


def split_structures(
    structures: LabelledStructures, test_fraction: float, seed: int
) -> tuple[LabelledStructures, LabelledStructures]:
    """Divide into training and test set; see :func:`mask_of_test_set`.

    :return: training set, test set.
    """
    mask = mask_of_test_set(structures, test_fraction, seed)
    return structures.take(~mask), structures.take(mask)


def check_disjoint(training: LabelledStructures, test: LabelledStructures) -> None:
    """Check that no structure stands on both sides.

    :raises DatasetError: if one does; the message names it.
    """
    common = np.flatnonzero(np.isin(training.fingerprints, test.fingerprints))
    if common.size == 0:
        return
    if common.size == len(training):
        raise DatasetError('the test set holds every structure of the training set: nothing is left to train on')
    raise DatasetError(
        f'{common.size} structures of the training set are also in the test set, the first is '
        f'`{training.names[common[0]]}`; test errors would be too good: remove them from one of the two'
    )
