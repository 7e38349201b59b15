"""Structures that are the same within a tolerance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage.lattice import Lattices

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MARGIN = 1e-9
"""Å. What rounding of the arithmetic may add to a displacement."""


def near_copies(
    structures: LabelledStructures, lattices: Lattices, rows: Rows, tolerance: float
) -> Iterator[tuple[int, int, float]]:
    """Yield copies within a tolerance: row, the earlier row that it is a copy of, and the largest displacement in Å.

    Two structures are copies if they have the same atoms in the same order, the same periodic directions, cell vectors
    that differ by at most the tolerance in every component, and atoms that are displaced by at most the tolerance
    after a common shift and lattice translations. Rotated structures, other orders of atoms and other choices of cell
    are not recognised. A structure is compared with the first of its kind, so that small steps do not add up.

    Candidates come from a k-d tree over coordinates of which none can differ by more than the tolerance between copies,
    so that none is missed and not all pairs are compared.

    :param rows: rows to look at.
    """
    for members in _same_atoms(structures, rows[~lattices.flat[rows]]):
        yield from _copies_among(structures, lattices, members, tolerance)


def _same_atoms(structures: LabelledStructures, rows: Rows) -> Iterator[Rows]:
    """Yield the rows of structures with the same elements in the same order and the same boundary conditions."""
    groups: dict[bytes, list[int]] = {}
    numbers, pbc = structures.numbers.tobytes(), structures.pbc.tobytes()
    width = structures.numbers.itemsize
    bounds = (structures.offsets * width).tolist()
    for row in rows.tolist():
        groups.setdefault(pbc[3 * row : 3 * row + 3] + numbers[bounds[row] : bounds[row + 1]], []).append(row)
    yield from (np.array(members) for members in groups.values() if len(members) > 1)


def _copies_among(
    structures: LabelledStructures, lattices: Lattices, rows: Rows, tolerance: float
) -> Iterator[tuple[int, int, float]]:
    from scipy.spatial import KDTree

    coordinates = _coordinates(structures, lattices, rows)
    reach = tolerance + MARGIN
    tree = KDTree(coordinates)
    nearest = tree.query(coordinates, k=2, p=np.inf, distance_upper_bound=reach * (1 + 1e-6))[0][:, 1]
    assigned = np.zeros(len(rows), dtype=bool)
    for place in np.flatnonzero(np.isfinite(nearest)).tolist():
        if assigned[place]:
            continue
        near = np.array(tree.query_ball_point(coordinates[place], reach, p=np.inf), dtype=np.int64)
        near = np.sort(near[(near > place) & ~assigned[near]])
        if near.size == 0:
            continue
        displacements = _displacements(structures, lattices, int(rows[place]), rows[near])
        for other, displacement in zip(near.tolist(), displacements.tolist(), strict=True):
            if displacement <= reach:
                assigned[other] = True
                yield int(rows[other]), int(rows[place]), displacement


def _fractional(structures: LabelledStructures, lattices: Lattices, rows: Rows) -> Array:
    """Return ``(m, size, 3)`` fractional coordinates relative to the first atom; Å along open directions."""
    size = int(structures.sizes[rows[0]])
    positions = structures.positions[structures.offsets[rows, None] + np.arange(size)]
    return np.asarray((positions - positions[:, :1]) @ lattices.inverse[rows])


def _coordinates(structures: LabelledStructures, lattices: Lattices, rows: Rows) -> Array:
    """Return ``(m, k)`` numbers in Å that differ by no more than the tolerance between copies.

    Cell vectors, and the places of two atoms relative to the first. Relative places of copies differ by up to twice the
    tolerance d, a fractional coordinate x along planes h apart thus by 2 d / h, and so do the cosine and the sine of
    2 pi x, which know no lattice translations, by 4 pi d / h.
    """
    size = int(structures.sizes[rows[0]])
    chosen = sorted({min(1, size - 1), size // 2, size - 1} - {0})
    places = _fractional(structures, lattices, rows)[:, chosen]
    columns = [lattices.vectors[rows].reshape(len(rows), 9)]
    periodic = lattices.periodic[rows[0]]
    for axis in range(3):
        along = places[:, :, axis]
        if periodic[axis]:
            scale = float(lattices.heights[rows, axis].min()) / (4 * np.pi)
            columns += [scale * np.cos(2 * np.pi * along), scale * np.sin(2 * np.pi * along)]
        else:
            columns.append(along / 2)
    return np.concatenate(columns, axis=1)


def _displacements(structures: LabelledStructures, lattices: Lattices, row: int, others: Rows) -> Array:
    """Return ``(m,)`` the largest displacement of an atom or a cell vector's component, in Å."""
    size = int(structures.sizes[row])
    reference = _fractional(structures, lattices, np.array([row]))
    result = np.empty(len(others))
    step = max(100_000 // size, 1)
    for begin in range(0, len(others), step):
        part = others[begin : begin + step]
        moved = _fractional(structures, lattices, part) - reference
        moved -= np.rint(moved) * lattices.periodic[row]
        cartesian = moved @ lattices.vectors[row]
        # the middle of the range in each direction: the common shift that makes the largest component smallest
        cartesian -= (cartesian.max(axis=1, keepdims=True) + cartesian.min(axis=1, keepdims=True)) / 2
        atoms = np.linalg.norm(cartesian, axis=2).max(axis=1)
        cells = np.abs(lattices.vectors[part] - lattices.vectors[row]).max(axis=(1, 2))
        result[begin : begin + step] = np.maximum(atoms, cells)
    return result
