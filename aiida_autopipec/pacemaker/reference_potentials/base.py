"""What every reference potential can do, and what it says of structures."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator


@dataclasses.dataclass(frozen=True, eq=False)
class ReferenceValues:
    """Energies, forces and virials of ``n`` structures with ``a`` atoms in total.

    :param energy: ``(n,)`` in eV.
    :param forces: ``(a, 3)`` in eV/Å.
    :param virial: ``(n, 6)`` in eV (xx, yy, zz, yz, xz, xy): minus the derivative of the energy with respect to strain,
        so that the stress of ASE is minus this over the volume. NaN where it is not known.
    """

    energy: NDArray[np.float64]
    forces: NDArray[np.float64]
    virial: NDArray[np.float64]


class ReferencePotential(ABC):
    """A potential with few parameters that is subtracted before training, and added again in a simulation."""

    @abstractmethod
    def evaluate(self, structures: LabelledStructures) -> ReferenceValues:
        """Return energies, forces and virials of all structures.

        :raises DatasetError: if it is not defined for a structure; the message names the first one.
        """

    @abstractmethod
    def calculator(self) -> BaseCalculator:
        """Return a new calculator of ASE."""

    @abstractmethod
    def lammps_commands(self, elements: Sequence[str], potential: str | None = None) -> list[str]:
        """Return the lines that give this potential to LAMMPS (``units metal``).

        :param elements: chemical symbols in the order of the atom types.
        :param potential: name of a trained ``.yace`` file: then the lines are those of both together, in the style
            ``hybrid/overlay``, with the same elements.
        :raises ConfigError: if LAMMPS has no such potential, or a pair of elements has no parameters.
        """

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Return what :func:`~.choose.parse_reference_potential` makes the same potential of, in JSON's types."""


def finite_number(key: str, value: object) -> float:
    """Return a number that a user states.

    :raises ConfigError: if it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f'`{key}` is {value!r}, but has to be a finite number')
    return float(value)


def positive_number(key: str, value: object) -> float:
    """Return a positive number that a user states.

    :raises ConfigError: if it is none.
    """
    number = finite_number(key, value)
    if number <= 0:
        raise ConfigError(f'`{key}` is {value!r}, but has to be positive')
    return number


def stress_of(virial: NDArray[np.float64], cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stress with the sign of ASE.

    :param virial: ``(n, 6)`` in eV.
    :param cells: ``(n, 3, 3)`` in Å.
    :return: ``(n, 6)`` in eV/Å³; NaN where there is no volume.
    """
    volumes = np.abs(np.linalg.det(cells))
    volumes = np.where(volumes > 0, volumes, np.nan)
    result: NDArray[np.float64] = -virial / volumes[:, None]
    return result
