"""Arrays given whole or in shards, checked once and then written piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Blocks:
    """C-contiguous arrays of one little-endian type whose concatenation along the first axis is meant."""

    arrays: tuple[NDArray[Any], ...]
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of_array(cls, array: NDArray[Any]) -> Blocks:
        """Return the one block that ``array`` is."""
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<'))
        return cls((array,), array.shape, array.dtype.str)

    def rows_with_numbers(self) -> NDArray[np.bool_]:
        """Return for each row whether it has any entry that is not NaN."""
        given = [~np.isnan(array).all(axis=tuple(range(1, array.ndim))) for array in self.arrays]
        return np.concatenate(given) if given else np.zeros(0, dtype=bool)

    def select(self, rows: NDArray[np.bool_]) -> Blocks:
        """Return the rows where ``rows`` is true, as one block."""
        whole = np.concatenate(self.arrays)[rows]
        return Blocks((whole,), whole.shape, self.dtype)


def as_blocks(
    name: str,
    values: NDArray[Any] | Sequence[NDArray[Any]],
    dtype: str,
    shape: tuple[int | EllipsisType, ...],
) -> Blocks:
    """Check and return ``values`` as blocks.

    :param name: what to call the array in a complaint.
    :param values: the array, or its shards; a shard that has the right type and layout already is not copied.
    :param dtype: numpy's spelling of the little-endian type to write.
    :param shape: the shape of the whole; a final ``...`` stands for any axes.
    :raises DatasetError: if the shapes differ.
    """
    shards = [values] if isinstance(values, np.ndarray) else [np.asarray(shard) for shard in values]
    arrays = tuple(np.ascontiguousarray(shard, dtype=dtype) for shard in shards)
    tails = {array.shape[1:] for array in arrays}
    length = sum(array.shape[0] if array.ndim else 0 for array in arrays)
    wanted, free = (shape[:-1], True) if shape[-1] is ... else (shape, False)
    if len(tails) == 1:
        whole = (length, *tails.pop())
        if whole == wanted or (free and whole[: len(wanted)] == wanted):
            return Blocks(arrays, whole, dtype)
    found = ' + '.join(str(shard.shape) for shard in shards) or 'nothing'
    expected = str(shape).replace('Ellipsis', '...')
    raise DatasetError(f'`{name}` has shape {found}; {expected} is needed for these structures.')
