"""Screened nuclear repulsion of Ziegler, Biersack and Littmark, as LAMMPS computes it.

J. F. Ziegler, J. P. Biersack, U. Littmark, *The Stopping and Range of Ions in Matter*, Pergamon, New York 1985:
``E(r) = Z_i Z_j e² / (4 π ε₀ r) φ(r / a)`` with ``a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23)``. Digits, charge and switching
function are those of https://docs.lammps.org/pair_zbl.html (``units metal``), so that a simulation adds what training
subtracted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.reference_potentials.base import positive_number
from aiida_autopipec.pacemaker.reference_potentials.elements import atomic_number
from aiida_autopipec.pacemaker.reference_potentials.pair_potential import Array, Numbers, PairPotential

COULOMB = 14.399645
"""e² / (4 π ε₀) in eV Å, with the digits that LAMMPS has for ``units metal``."""
SCREENING_LENGTH = 0.46850
SCREENING_EXPONENT = 0.23
AMPLITUDES = np.array([0.02817, 0.28022, 0.50986, 0.18175])
DECAYS = np.array([0.20162, 0.40290, 0.94229, 3.19980])


@dataclasses.dataclass(frozen=True)
class ZBL(PairPotential):
    """Repulsion of the nuclei of any two elements, screened by their electrons.

    Beyond ``inner`` a polynomial is added that brings energy, force and curvature to zero at ``outer``. Below, a
    constant of the pair is, so that energies below ``inner`` are not those of the bare formula, but forces are.

    :param inner: distance in Å at which switching begins.
    :param outer: distance in Å from which on there is nothing.
    :raises ConfigError: unless ``0 < inner < outer``.
    """

    inner: float
    outer: float

    def __post_init__(self) -> None:
        for name in ('inner', 'outer'):
            object.__setattr__(self, name, positive_number(name, getattr(self, name)))
        if self.inner >= self.outer:
            raise ConfigError(f'`inner` is {self.inner:g} Å, but has to be smaller than `outer`, {self.outer:g} Å')

    @property
    def cutoff(self) -> float:
        """Distance in Å beyond which no pair interacts."""
        return self.outer

    def pair(self, distances: Array, first: Numbers, second: Numbers) -> tuple[Array, Array]:
        """Return energies in eV and their derivatives in eV/Å; see :meth:`PairPotential.pair`."""
        energies, slopes, _ = bare(distances, first, second)
        value, slope, curvature = bare(np.full_like(distances, self.outer), first, second)
        width = self.outer - self.inner
        a = (-3 * slope + width * curvature) / width**2
        b = (2 * slope - width * curvature) / width**3
        constant = -value + width / 2 * slope - width**2 / 12 * curvature
        beyond = np.maximum(distances - self.inner, 0)
        near = distances < self.outer
        return (
            np.where(near, energies + constant + a / 3 * beyond**3 + b / 4 * beyond**4, 0),
            np.where(near, slopes + a * beyond**2 + b * beyond**3, 0),
        )

    @property
    def lammps_style(self) -> str:
        """Name and arguments for ``pair_style``."""
        return f'zbl {self.inner!r} {self.outer!r}'

    def lammps_coefficients(self, elements: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """Yield atom types and nuclear charges, of which LAMMPS wants every pair."""
        charges = [atomic_number(element) for element in elements]
        for i, first in enumerate(charges, 1):
            for j, second in enumerate(charges[i - 1 :], i):
                yield i, j, f'{first} {second}'

    def as_dict(self) -> dict[str, Any]:
        """Return the settings; see :meth:`ReferencePotential.as_dict`."""
        return {'name': 'zbl', 'inner': self.inner, 'outer': self.outer}


def bare(distances: Array, first: Numbers, second: Numbers) -> tuple[Array, Array, Array]:
    """Return energies in eV, first (eV/Å) and second (eV/Å²) derivatives without switching.

    :param distances: ``(p,)`` in Å.
    :param first: ``(p,)`` atomic numbers of the first atoms, ``second`` those of the others.
    """
    z_first, z_second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    inverse_length = (z_first**SCREENING_EXPONENT + z_second**SCREENING_EXPONENT) / SCREENING_LENGTH
    screening = np.zeros((3, *distances.shape))
    for amplitude, decay in zip(AMPLITUDES, DECAYS, strict=True):
        rate = decay * inverse_length
        term = amplitude * np.exp(-rate * distances)
        screening += [term, -rate * term, rate**2 * term]
    charge = COULOMB * z_first * z_second
    phi, slope, curvature = screening
    inverse = 1 / distances
    return (
        charge * inverse * phi,
        charge * inverse * (slope - phi * inverse),
        charge * inverse * (curvature - 2 * slope * inverse + 2 * phi * inverse**2),
    )
