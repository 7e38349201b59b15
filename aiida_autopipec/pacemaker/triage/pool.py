"""Structures that are looked up by row in a dataset whose parts are not all in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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

    def part_of(self, row: int) -> int:
        """Return the number of the part that a structure is in."""
        return int(np.searchsorted(self._bounds, row, side='right')) - 1

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

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the ``(m, size, 3)`` positions in Å of structures of one size."""
        found = []
        for row in rows.tolist():
            part, place = self.find(row)
            found.append(part.positions[part.offsets[place] : part.offsets[place + 1]])
        return np.stack(found)
