"""Values of a reference potential for chosen structures of a dataset that is read part by part."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential


def evaluate_rows(
    potential: ReferencePotential, parts: Iterable[LabelledStructures], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return energies and forces of chosen structures.

    :param parts: the dataset, one part in memory at a time.
    :param rows: ``(n,)`` different rows of structures in the dataset, in any order.
    :return: ``(n,)`` energies in eV, and ``(a, 3)`` forces in eV/Å, both in the order of ``rows``.
    :raises DatasetError: if the potential is not defined for a structure.
    """
    energy = np.zeros(len(rows))
    forces: list[NDArray[np.float64]] = [np.zeros((0, 3))] * len(rows)
    begin = 0
    for part in parts:
        chosen = np.flatnonzero((rows >= begin) & (rows < begin + len(part)))
        local = rows[chosen] - begin
        begin += len(part)
        if not chosen.size:
            continue
        taken = part.take(local)
        values = potential.evaluate(taken)
        energy[chosen] = values.energy
        for place, of_structure in zip(chosen.tolist(), np.split(values.forces, taken.offsets[1:-1]), strict=True):
            forces[place] = of_structure
    return energy, np.concatenate([np.zeros((0, 3)), *forces])
