"""Lattices of structures with any boundary conditions, in one form."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

SKEW_HEIGHT = 1.0
"""Å. Where opposite faces of a cell are nearer than this, shorter vectors of the same lattice are looked for."""
FLAT_HEIGHT = 0.3
"""Å. A cell with nearer faces than this even then is flat and holds no crystal."""


@dataclasses.dataclass(frozen=True)
class Lattices:
    """Vectors that span space for every structure.

    :param vectors: ``(n, 3, 3)`` in Å, rows; unit vectors normal to the others along open directions.
    :param inverse: ``(n, 3, 3)``: fractional coordinates are positions times this.
    :param heights: ``(n, 3)`` distances in Å between lattice planes; infinite along open directions.
    :param periodic: ``(n, 3)``; all false for flat cells.
    :param flat: ``(n,)``: whether the periodic vectors are linearly dependent, or nearly.
    """

    vectors: NDArray[np.float64]
    inverse: NDArray[np.float64]
    heights: NDArray[np.float64]
    periodic: NDArray[np.bool_]
    flat: NDArray[np.bool_]


def lattices(structures: LabelledStructures) -> Lattices:
    """Return the lattices of structures.

    What a file says about a cell vector along an open direction means nothing and is replaced.
    """
    directions = structures.pbc.sum(axis=1)
    vectors = np.where((directions == 3)[:, None, None], structures.cells, np.eye(3))
    for row in np.flatnonzero((directions == 1) | (directions == 2)).tolist():
        vectors[row] = _completed(structures.cells[row], structures.pbc[row])
    heights = _heights(vectors)
    flat = np.zeros(len(structures), dtype=bool)
    for row in np.flatnonzero(np.any(structures.pbc & (heights < SKEW_HEIGHT), axis=1)).tolist():
        vectors[row], flat[row] = _reduced(structures.cells[row], structures.pbc[row])
    periodic = structures.pbc & ~flat[:, None]
    return Lattices(
        vectors=vectors,
        inverse=np.linalg.inv(vectors),
        heights=np.where(periodic, _heights(vectors), np.inf),
        periodic=periodic,
        flat=flat,
    )


def _heights(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(n, 3)`` volume over area of each pair of faces, in Å; 0 where there is no area."""
    normals = np.stack([np.cross(vectors[:, i - 2], vectors[:, i - 1]) for i in range(3)], axis=1)
    volumes = np.abs(np.einsum('ni,ni->n', vectors[:, 0], normals[:, 0]))
    areas = np.linalg.norm(normals, axis=2)
    result: NDArray[np.float64] = volumes[:, None] / np.where(areas > 0, areas, np.inf)
    return result


def _completed(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return ``(3, 3)`` vectors with unit vectors normal to the periodic ones along open directions."""
    result = cell.copy()
    # the right singular vectors beyond the rank span what is normal to the periodic vectors
    result[~pbc] = np.linalg.svd(cell[pbc])[2][int(pbc.sum()) :]
    if np.linalg.det(result) < 0:  # always the same side of a slab
        result[np.flatnonzero(~pbc)[0]] *= -1
    return result


def _reduced(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> tuple[NDArray[np.float64], bool]:
    """Return the shortest vectors of a lattice, and whether it is flat (then Cartesian unit vectors)."""
    from ase.geometry import minkowski_reduce

    if np.linalg.matrix_rank(cell[pbc]) == int(pbc.sum()):
        shortest: NDArray[np.float64] = minkowski_reduce(_completed(cell, pbc), pbc=pbc)[0]
        if _heights(shortest[None])[0][pbc].min() >= FLAT_HEIGHT:
            return shortest, False
    return np.eye(3), True
