"""Numbers of neighbours within a cutoff, periodic images included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage.lattice import lattices

MAX_PAIRS = 200_000
"""Pairs of atoms in one array; larger structures go in blocks."""

Array = NDArray[np.float64]


def count_neighbours(structures: LabelledStructures, cutoff: float) -> NDArray[np.int64]:
    """Return the number of neighbours of every atom.

    :param cutoff: distance in Å within which an atom counts; the same atom counts once for each of its images.
    :return: ``(a,)``.
    """
    lattice = lattices(structures)
    counts = np.zeros(structures.n_atoms, dtype=np.int64)
    for row, (begin, end) in enumerate(zip(structures.offsets[:-1], structures.offsets[1:], strict=True)):
        fractional = structures.positions[begin:end] @ lattice.inverse[row]
        images = _images(lattice.heights[row], lattice.periodic[row], cutoff)
        step = max(MAX_PAIRS // int(end - begin), 1)
        for first in range(0, int(end - begin), step):
            block = fractional[first : first + step]
            wrapped = block[:, None, :] - fractional[None, :, :]
            wrapped -= np.rint(wrapped) * lattice.periodic[row]
            counts[begin + first : begin + first + len(block)] = _count(wrapped, images, lattice.vectors[row], cutoff)
    return counts


def _images(heights: Array, periodic: NDArray[np.bool_], cutoff: float) -> Array:
    """Return the ``(m, 3)`` lattice translations that can bring an atom near enough.

    After wrapping to [-1/2, 1/2] a translation s can matter along planes h apart only if ``|s| <= cutoff / h + 1/2``.
    """
    limits = np.floor(cutoff / heights + 0.5).astype(int) * periodic
    axes = [np.arange(-limit, limit + 1) for limit in limits]
    return np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3).astype(np.float64)


def _count(wrapped: Array, images: Array, vectors: Array, cutoff: float) -> NDArray[np.int64]:
    """Return how many of the ``(b, a)`` pairs are nearer than the cutoff, for each of ``b`` atoms and all images."""
    cartesian = wrapped @ vectors
    counts = np.zeros(len(wrapped), dtype=np.int64)
    for image in images:
        squares = ((cartesian + image @ vectors) ** 2).sum(axis=2)
        counts += ((squares < cutoff**2) & (squares > 0)).sum(axis=1)
    return counts
