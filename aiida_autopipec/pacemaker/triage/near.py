"""Structures that are the same within a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.compare import Rows
from aiida_autopipec.pacemaker.dataset.pool import Pool
from aiida_autopipec.pacemaker.triage.distinct import ranks_of
from aiida_autopipec.pacemaker.triage.traits import Traits

if TYPE_CHECKING:
    from scipy.spatial import KDTree

Array = NDArray[np.float64]
MARGIN = 1e-9
"""Å. What rounding of the arithmetic may add to a displacement."""
N_FIRST = 6
"""Coordinates in which many structures are compared first."""
SAMPLE = 1000
"""Structures by which these are chosen."""
BLOCK = 4096
"""Structures whose coordinates fit into the processor's cache. More than these are many."""


def near_copies(pool: Pool, traits: Traits, rows: Rows, tolerance: float) -> Iterator[tuple[int, int, float]]:
    """Yield copies within a tolerance: row, the earlier row that it is a copy of, and the largest displacement in Å.

    Two structures are copies if they have the same atoms in the same order, the same periodic directions, cell vectors
    that differ by at most the tolerance in every component, and atoms that are displaced by at most the tolerance
    after a common shift and lattice translations. Rotated structures, other orders of atoms and other choices of cell
    are not recognised. A structure is compared with the first of its kind, so that small steps do not add up.

    Candidates come from a k-d tree over coordinates of which none can differ by more than the tolerance between copies,
    so that none is missed and not all pairs are compared.

    :param rows: rows to look at.
    """
    for members in _same_atoms(traits, rows[~traits.flat[rows]]):
        yield from _copies_among(pool, traits, members, tolerance)


def _same_atoms(traits: Traits, rows: Rows) -> Iterator[Rows]:
    """Yield the rows of structures with the same elements in the same order and the same boundary conditions."""
    _, first, group = np.unique(traits.kinds[rows], return_index=True, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind='stable')
    members = np.split(rows[order], np.cumsum(np.bincount(group.reshape(-1)))[:-1])
    yield from (members[number] for number in np.argsort(first) if len(members[number]) > 1)


def _copies_among(pool: Pool, traits: Traits, rows: Rows, tolerance: float) -> Iterator[tuple[int, int, float]]:
    reach = tolerance + MARGIN
    heights: Array = traits.heights[rows].min(axis=0)
    if len(rows) > BLOCK:  # nearly all have no company already where a few coordinates are looked at
        rows = rows[_with_company(_first_coordinates(traits, rows, heights, reach), reach)[1]]
        if rows.size < 2:
            return
    coordinates = _coordinates(traits, rows, heights)
    tree, with_company = _with_company(coordinates, reach)
    assigned = np.zeros(len(rows), dtype=bool)
    for place in np.flatnonzero(with_company).tolist():
        if assigned[place]:
            continue
        near = np.array(tree.query_ball_point(coordinates[place], reach, p=np.inf), dtype=np.int64)
        near = np.sort(near[(near > place) & ~assigned[near]])
        if near.size == 0:
            continue
        displacements = _displacements(pool, traits, int(rows[place]), rows[near])
        for other, displacement in zip(near.tolist(), displacements.tolist(), strict=True):
            if displacement <= reach:
                assigned[other] = True
                yield int(rows[other]), int(rows[place]), displacement


def _with_company(coordinates: Array, reach: float) -> tuple[KDTree, NDArray[np.bool_]]:
    """Return a tree of points, and which of them have another one within reach."""
    from scipy.spatial import KDTree

    # a better tree takes longer to build than it saves
    tree = KDTree(coordinates, balanced_tree=False, compact_nodes=False)
    order = tree.indices  # what follows each other is in the same part of the tree, and of the memory
    nearest = tree.query(coordinates[order], k=2, p=np.inf, distance_upper_bound=reach * (1 + 1e-6))[0][:, 1]
    with_company = np.empty(len(order), dtype=bool)
    with_company[order] = np.isfinite(nearest)
    return tree, with_company


def _first_coordinates(traits: Traits, rows: Rows, heights: Array, reach: float) -> Array:
    """Return ``(m, N_FIRST)`` of the coordinates: a few that tell structures apart."""
    drawn = np.random.default_rng(0).choice(len(rows), min(SAMPLE, len(rows)), replace=False, shuffle=False)
    columns = telling_columns(_coordinates(traits, rows[drawn], heights), reach)
    result = np.empty((len(rows), len(columns)))
    for begin in range(0, len(rows), BLOCK):
        result[begin : begin + BLOCK] = _coordinates(traits, rows[begin : begin + BLOCK], heights)[:, columns]
    return result


def telling_columns(sample: Array, reach: float) -> list[int]:
    """Return the few columns that together, one after the other, tell most points apart.

    Not those that spread most: six components of cells with five volumes are five points, on which a tree is no help.

    :param sample: ``(m, k)`` some of the points.
    :param reach: points that differ by less are the same.
    """
    kinds = [ranks_of(column) for column in np.floor((sample - sample.min(axis=0)) / reach).astype(np.int64).T]
    left = sorted(range(len(kinds)), key=lambda column: -int(kinds[column].max()))
    chosen: list[int] = []
    joint = np.zeros(len(sample), dtype=np.int64)
    while left and len(chosen) < N_FIRST:
        best = left[0]
        if int(joint.max()) + 1 < len(sample):  # not all are told apart
            together = {column: ranks_of(joint * (int(kinds[column].max()) + 1) + kinds[column]) for column in left}
            best = max(left, key=lambda column: int(together[column].max()))
            joint = together[best]
        chosen.append(best)
        left.remove(best)
    return chosen


def _coordinates(traits: Traits, rows: Rows, heights: Array) -> Array:
    """Return ``(m, k)`` numbers in Å that differ by no more than the tolerance between copies.

    Cell vectors, and the places of two atoms relative to the first. Relative places of copies differ by up to twice the
    tolerance d, a fractional coordinate x along planes h apart thus by 2 d / h, and so do the cosine and the sine of
    2 pi x, which know no lattice translations, by 4 pi d / h.

    :param heights: ``(3,)`` smallest distances in Å between lattice planes.
    """
    size = int(traits.sizes[rows[0]])
    # of the landmarks those that are different atoms: the same coordinates twice would make the search slower
    landmarks = [min(1, size - 1), size // 2, size - 1]
    chosen = [number for number, atom in enumerate(landmarks) if atom != 0 and atom not in landmarks[:number]]
    periodic = traits.pbc[rows[0]]
    result = np.empty((len(rows), 9 + len(chosen) * int(3 + periodic.sum())))
    result[:, :9] = traits.vectors[rows].reshape(len(rows), 9)
    columns = iter(range(9, result.shape[1]))
    for axis in range(3):
        scale = float(heights[axis]) / (4 * np.pi)
        for landmark in chosen:
            along = traits.places[rows, landmark, axis]
            if periodic[axis]:
                along *= 2 * np.pi
                np.multiply(scale, np.cos(along), out=result[:, next(columns)])
                np.multiply(scale, np.sin(along), out=result[:, next(columns)])
            else:
                np.multiply(0.5, along, out=result[:, next(columns)])
    return result


def _displacements(pool: Pool, traits: Traits, row: int, others: Rows) -> Array:
    """Return ``(m,)`` the largest displacement of an atom or a cell vector's component, in Å."""
    size = int(traits.sizes[row])
    reference = _fractional(pool, traits, np.array([row]))
    result = np.empty(len(others))
    step = max(100_000 // size, 1)
    for begin in range(0, len(others), step):
        part = others[begin : begin + step]
        moved = _fractional(pool, traits, part) - reference
        moved -= np.rint(moved) * traits.pbc[row]
        cartesian = moved @ traits.vectors[row]
        # the middle of the range in each direction: the common shift that makes the largest component smallest
        cartesian -= (cartesian.max(axis=1, keepdims=True) + cartesian.min(axis=1, keepdims=True)) / 2
        atoms = np.linalg.norm(cartesian, axis=2).max(axis=1)
        cells = np.abs(traits.vectors[part] - traits.vectors[row]).max(axis=(1, 2))
        result[begin : begin + step] = np.maximum(atoms, cells)
    return result


def _fractional(pool: Pool, traits: Traits, rows: Rows) -> Array:
    """Return ``(m, size, 3)`` fractional coordinates relative to the first atom; Å along open directions."""
    positions = pool.positions(rows)
    return np.asarray((positions - positions[:, :1]) @ np.linalg.inv(traits.vectors[rows]))
