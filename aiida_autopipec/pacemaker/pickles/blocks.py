"""Arrays given whole or in shards, checked once and then written piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Deferred:
    """An array that is fetched when it is written, and not kept.

    :param shape: its shape, known beforehand.
    :param fetch: returns it.
    """

    shape: tuple[int, ...]
    fetch: Callable[[], NDArray[Any]]


AnyArray: TypeAlias = 'NDArray[Any] | Deferred'


@dataclass(frozen=True, eq=False)
class Blocks:
    """Arrays whose concatenation along the first axis is meant, C-contiguous and of one little-endian type.

    :param name: what to call the whole in a complaint.
    :param given: the arrays, perhaps of other types.
    :param shape: shape of the whole.
    :param dtype: numpy's spelling of the type.
    """

    name: str
    given: tuple[AnyArray, ...]
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of_array(cls, array: NDArray[Any]) -> Blocks:
        """Return the one block that ``array`` is."""
        return cls('', (array,), array.shape, array.dtype.newbyteorder('<').str)

    @property
    def nbytes(self) -> int:
        """Size of the whole in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def arrays(self) -> Iterator[NDArray[Any]]:
        """Yield the arrays, one in memory at a time where they are deferred.

        :raises DatasetError: if one that is fetched has not the shape that was promised, or numbers that are too
            large.
        """
        for part in self.given:
            array = part.fetch() if isinstance(part, Deferred) else part
            if array.shape != part.shape:
                raise DatasetError(f'`{self.name}` has shape {array.shape} in its file, but {part.shape} is needed.')
            converted = np.ascontiguousarray(array, dtype=self.dtype)
            if converted.dtype.kind == 'i' and converted.itemsize < array.itemsize and np.any(converted != array):
                raise DatasetError(f'`{self.name}` has numbers that do not fit into {8 * converted.itemsize} bits.')
            yield converted

    def rows_with_numbers(self) -> NDArray[np.bool_]:
        """Return for each row whether it has any entry that is not NaN."""
        given = [~np.isnan(array).all(axis=tuple(range(1, array.ndim))) for array in self.arrays()]
        return np.concatenate(given) if given else np.zeros(0, dtype=bool)

    def select(self, rows: NDArray[np.bool_]) -> Blocks:
        """Return the rows where ``rows`` is true, as one block."""
        whole = np.concatenate(list(self.arrays()))[rows]
        return Blocks(self.name, (whole,), whole.shape, self.dtype)


def as_blocks(
    name: str,
    values: AnyArray | Sequence[AnyArray],
    dtype: str,
    shape: tuple[int | EllipsisType, ...],
) -> Blocks:
    """Check and return ``values`` as blocks.

    :param name: what to call the array in a complaint.
    :param values: the array, or its shards; they are converted when they are written.
    :param dtype: numpy's spelling of the little-endian type to write.
    :param shape: the shape of the whole; a final ``...`` stands for any axes.
    :raises DatasetError: if the shapes differ.
    """
    shards = [values] if isinstance(values, np.ndarray | Deferred) else list(values)
    arrays = tuple(shard if isinstance(shard, Deferred) else _number_array(shard, dtype) for shard in shards)
    tails = {array.shape[1:] for array in arrays}
    length = sum(array.shape[0] if array.shape else 0 for array in arrays)
    wanted, free = (shape[:-1], True) if shape[-1] is ... else (shape, False)
    if len(tails) == 1:
        whole = (length, *tails.pop())
        if whole == wanted or (free and whole[: len(wanted)] == wanted):
            return Blocks(name, arrays, whole, dtype)
    found = ' + '.join(str(array.shape) for array in arrays) or 'nothing'
    expected = str(shape).replace('Ellipsis', '...')
    raise DatasetError(f'`{name}` has shape {found}; {expected} is needed for these structures.')


def _number_array(values: Any, dtype: str) -> NDArray[Any]:
    """Return an array of numbers; anything else is converted now, so that what cannot be is refused before writing."""
    array = np.asarray(values)
    return array if array.dtype.kind in 'biuf' else np.ascontiguousarray(array, dtype=dtype)
