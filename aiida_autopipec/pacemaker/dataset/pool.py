"""Structures that are looked up by row in a dataset whose parts are not all in memory."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.compare import Pairs, Rows
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

MAX_LOADED = 8
"""Parts in memory at a time."""


class Loadable(Protocol):
    """A set of structures that is perhaps not in memory."""

    def __len__(self) -> int: ...

    def load(self) -> LabelledStructures:
        """Return the structures."""


class Pool:
    """A dataset in parts, of which those that were looked at last stay in memory."""

    def __init__(self, parts: Sequence[Loadable]) -> None:
        self._parts = parts
        self._bounds = np.cumsum([0, *map(len, parts)])
        self._recent: OrderedDict[int, LabelledStructures] = OrderedDict()

    def parts_of(self, rows: Rows) -> Rows:
        """Return for each of some structures the number of the part that it is in."""
        return np.searchsorted(self._bounds, rows, side='right') - 1

    def part_of(self, row: int) -> int:
        """Return the number of the part that a structure is in."""
        return int(self.parts_of(np.array(row)))

    def find(self, row: int) -> tuple[LabelledStructures, int]:
        """Return the part that a structure is in, and its row there."""
        number = self.part_of(row)
        part = self._recent.get(number)
        if part is None:
            part = self._recent[number] = self._parts[number].load()
            if len(self._recent) > MAX_LOADED:
                self._recent.popitem(last=False)
        self._recent.move_to_end(number)
        return part, row - int(self._bounds[number])

    def positions(self, rows: Rows) -> NDArray[np.float64]:
        """Return the ``(m, size, 3)`` positions in Å of structures of one size."""
        found = []
        for row in rows.tolist():
            part, place = self.find(row)
            found.append(part.positions[part.offsets[place] : part.offsets[place + 1]])
        return np.stack(found)

    def pairs_with(self, row: int, others: Sequence[int]) -> Iterator[tuple[Rows, Pairs]]:
        """Yield pairs of others with one structure, those of the same part together.

        :return: which of the others, and the structures.
        """
        rows = np.array(others, dtype=np.int64)
        parts = self.parts_of(rows)
        for number in np.unique(parts).tolist():
            chosen = np.flatnonzero(parts == number)
            a, _ = self.find(int(rows[chosen[0]]))
            b, row_b = self.find(row)
            yield chosen, Pairs(a, rows[chosen] - self._bounds[number], b, np.full(len(chosen), row_b))

    def pairs(self, first: Rows, second: Rows) -> Iterator[tuple[Rows, Pairs]]:
        """Yield pairs of structures for comparison, those of the same two parts together.

        Few parts are held while all others pass by, so that each is read as seldom as can be.

        :param first: ``(m,)`` rows of one structure of each pair.
        :param second: ``(m,)`` rows of the other.
        :return: which of the pairs, and their structures.
        """
        self._recent.clear()
        width = max(1, MAX_LOADED - 1)
        parts_a, parts_b = self.parts_of(first), self.parts_of(second)
        order = np.lexsort([parts_a, parts_b, parts_a // width])
        keys = np.column_stack([parts_a, parts_b])[order]
        bounds = [0, *(np.flatnonzero((keys[1:] != keys[:-1]).any(axis=1)) + 1).tolist(), len(order)]
        held: dict[int, LabelledStructures] = {}
        for begin, end in itertools.pairwise(bounds if len(order) else []):
            chosen, (a, b) = order[begin:end], keys[begin].tolist()
            held = {number: part for number, part in held.items() if number // width == a // width or number == b}
            for number in {a, b} - set(held):
                held[number] = self._parts[number].load()
            yield chosen, Pairs(held[a], first[chosen] - self._bounds[a], held[b], second[chosen] - self._bounds[b])
