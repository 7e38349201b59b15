"""Boundary conditions as Pacemaker can handle them: all three directions periodic, or none.

``pyace.atomicenvironment`` (python-ace 0.4.0rc1) refuses a slab or a wire: ``Only fully periodic or non-periodic cell
are supported``. A vacuum wider than any cutoff makes it periodic without a new neighbour.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.parts import LoadablePart
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

VACUUM = 30.0
"""Å between the images of a structure where it is not periodic: more than any cutoff of a potential."""


def without_mixed_periodicity(structures: LabelledStructures) -> LabelledStructures:
    """Return the structures with slabs and wires made periodic in all directions, their images out of sight.

    Positions and labels stay as they are, and so does every structure that is periodic in all directions or in none.
    """
    mixed = np.flatnonzero(structures.pbc.any(axis=1) & ~structures.pbc.all(axis=1))
    if mixed.size == 0:
        return structures
    cells, pbc = structures.cells.copy(), structures.pbc.copy()
    for row in mixed.tolist():
        positions = structures.positions[structures.offsets[row] : structures.offsets[row + 1]]
        cells[row] = _cell_with_vacuum(cells[row], pbc[row], positions)
    pbc[mixed] = True
    return structures.replace(cells=cells, pbc=pbc)


class PeriodicPart:
    """The same for a set of structures that is read array by array.

    :param part: the set; it is loaded as a whole only if there are slabs or wires in it.
    """

    def __init__(self, part: LoadablePart) -> None:
        self._part = part

    def __len__(self) -> int:
        return len(self._part)

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        return self._part.n_atoms

    @property
    def present(self) -> frozenset[str]:
        """Which fields there are."""
        return self._part.present

    def field(self, name: str) -> NDArray[Any]:
        """Return one array, cells and boundary conditions as Pacemaker can handle them."""
        if name in self._changed:
            return self._changed[name]
        return self._part.field(name)

    @cached_property
    def _changed(self) -> dict[str, NDArray[Any]]:
        pbc = self._part.field('pbc')
        if not np.any(pbc.any(axis=1) & ~pbc.all(axis=1)):
            return {}
        structures = without_mixed_periodicity(self._part.load())
        return {'cells': structures.cells, 'pbc': structures.pbc}


def _cell_with_vacuum(
    cell: NDArray[np.float64], pbc: NDArray[np.bool_], positions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a ``(3, 3)`` cell whose vectors along open directions are normal to the others, with vacuum.

    :param cell: ``(3, 3)`` vectors as rows in Å; those along open directions may be anything.
    :param pbc: ``(3,)``, one or two of which are true.
    :param positions: ``(a, 3)`` in Å.
    """
    result = cell.copy()
    # the right singular vectors beyond the rank span what is normal to the periodic vectors
    normals = np.linalg.svd(cell[pbc])[2][int(pbc.sum()) :]
    for axis, normal in zip(np.flatnonzero(~pbc), normals, strict=True):
        heights = positions @ normal
        result[axis] = normal * (heights.max() - heights.min() + VACUUM)
    if np.linalg.det(result) < 0:
        result[np.flatnonzero(~pbc)[0]] *= -1
    return result
