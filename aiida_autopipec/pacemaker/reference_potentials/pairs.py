"""All pairs of atoms within a cutoff, in many structures at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

MAX_PAIRS = 500_000
"""Pairs in one block of arrays, some 30 MB; a structure that has more is a block of its own."""
FLAT = 1e-2
"""Å³, Å² or Å: periodic vectors that span less than this are no crystal. Where two are parallel vesin 0.6.2 ends the
process (SIGFPE), and where they nearly are its search does not end."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of atoms of consecutive structures, each pair once, an atom and its own images included.

    :param first: number of the first atom among those of all structures; ``second`` is that of the other one.
    :param vectors: ``(p, 3)`` from the first to the second, in Å.
    :param distances: ``(p,)`` their lengths in Å.
    :param rows: number of the structure of each pair.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]
    distances: NDArray[np.float64]
    rows: NDArray[np.int64]


def iter_pairs(structures: LabelledStructures, cutoff: float) -> Iterator[Pairs]:
    """Yield the pairs of all structures in blocks.

    vesin 0.6 finds them: it was right for every kind of cell and the fastest of three libraries (measured by
    ``tests/benchmarks/neighbours.py``).

    :param cutoff: in Å.
    :raises DatasetError: if two atoms are at the same place, or periodic cell vectors span next to nothing.
    """
    from vesin import NeighborList

    _refuse_flat(structures)
    search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
    found: list[Pairs] = []
    count = 0
    for row in range(len(structures)):
        found.append(_pairs_of(search, structures, row))
        count += len(found[-1].rows)
        if count >= MAX_PAIRS:
            yield _joined(found)
            found, count = [], 0
    if count:
        yield _joined(found)


def _refuse_flat(structures: LabelledStructures) -> None:
    periodic = structures.pbc[:, :, None] & structures.pbc[:, None, :]
    products = structures.cells @ structures.cells.transpose(0, 2, 1)
    spanned = np.sqrt(np.maximum(np.linalg.det(np.where(periodic, products, np.eye(3))), 0))
    flat = np.flatnonzero(spanned < FLAT)
    if flat.size:
        raise DatasetError(
            f'structure `{structures.names[flat[0]]}` has periodic cell vectors that span next to nothing: give its '
            'cell, or no periodic boundary conditions'
        )


def _pairs_of(search: Any, structures: LabelledStructures, row: int) -> Pairs:
    begin, end = int(structures.offsets[row]), int(structures.offsets[row + 1])
    first, second, distances, vectors = search.compute(
        structures.positions[begin:end], structures.cells[row], structures.pbc[row], quantities='ijdD'
    )
    if distances.size and distances.min() == 0:
        raise DatasetError(f'structure `{structures.names[row]}` has two atoms at the same place: remove it')
    return Pairs(
        first=first.astype(np.int64) + begin,
        second=second.astype(np.int64) + begin,
        vectors=vectors,
        distances=distances,
        rows=np.full(len(first), row),
    )


def _joined(found: list[Pairs]) -> Pairs:
    return Pairs(
        **{
            field.name: np.concatenate([getattr(pairs, field.name) for pairs in found])
            for field in dataclasses.fields(Pairs)
        }
    )
