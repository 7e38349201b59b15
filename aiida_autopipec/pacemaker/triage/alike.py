"""Which structures can be compared with each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage.distinct import distinct_rows


@dataclasses.dataclass(frozen=True)
class Compositions:
    """How many atoms of which element each structure has.

    :param elements: ``(e,)`` atomic numbers that occur, in ascending order.
    :param counts: ``(n, e)`` numbers of atoms.
    """

    elements: NDArray[np.int32]
    counts: NDArray[np.int64]

    @property
    def fractions(self) -> NDArray[np.float64]:
        """``(n, e)`` fractions of the atoms."""
        return np.asarray(self.counts / self.counts.sum(axis=1, keepdims=True), dtype=np.float64)

    @property
    def symbols(self) -> list[str]:
        """Chemical symbols of the elements."""
        return [chemical_symbols[number] for number in self.elements.tolist()]

    def formula(self, row: int) -> str:
        """Return the reduced formula of a structure, for example ``AlNi3``."""
        counts = self.counts[row] // np.gcd.reduce(self.counts[row])
        pairs = zip(self.symbols, counts.tolist(), strict=True)
        return ''.join(f'{symbol}{count if count > 1 else ""}' for symbol, count in pairs if count)


def compositions(structures: LabelledStructures) -> Compositions:
    """Count the elements in each structure."""
    elements = np.sort([atomic_numbers[symbol] for symbol in structures.elements]).astype(np.int32)
    counts = np.empty((len(structures), len(elements)), dtype=np.int64)
    counts[:, 0] = structures.sizes
    for column, element in enumerate(elements[1:].tolist(), start=1):
        counts[:, column] = np.add.reduceat(structures.numbers == element, structures.offsets[:-1], dtype=np.int64)
        counts[:, 0] -= counts[:, column]
    return Compositions(elements=elements, counts=counts)


def join_compositions(parts: Sequence[Compositions]) -> Compositions:
    """Put the numbers of several sets below each other."""
    elements = np.unique(np.concatenate([part.elements for part in parts]))
    counts = np.zeros((sum(len(part.counts) for part in parts), len(elements)), dtype=np.int64)
    begin = 0
    for part in parts:
        counts[begin : begin + len(part.counts), np.searchsorted(elements, part.elements)] = part.counts
        begin += len(part.counts)
    return Compositions(elements=elements, counts=counts)


def groups_alike(
    pbc: NDArray[np.bool_], composition: Compositions, taking_part: NDArray[np.bool_], min_size: int
) -> NDArray[np.int64]:
    """Return the number of the group that each structure belongs to: those whose values can be compared.

    Structures are alike if they have the same reduced formula and the same number of periodic directions: molecules
    and clusters lie eV/atom above the bulk and are no errors. Those of formulas with too few structures form one group
    per number of periodic directions.

    :param pbc: ``(n, 3)`` boundary conditions.
    :param taking_part: ``(n,)``: others get a negative number.
    :param min_size: number of structures below which a group is too small.
    :return: ``(n,)``.
    """
    reduced = composition.counts // np.gcd.reduce(composition.counts, axis=1)[:, None]
    directions = pbc.sum(axis=1)
    _, groups = distinct_rows(np.column_stack([directions, reduced]))
    sizes = np.bincount(groups[taking_part], minlength=int(groups.max()) + 1)
    small = sizes[groups] < min_size
    groups[small] = groups.max() + 1 + directions[small]
    groups[~taking_part] = -1
    return groups
