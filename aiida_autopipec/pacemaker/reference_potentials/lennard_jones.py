"""The potential of Lennard-Jones, as ``pair_style lj/cut`` computes it (https://docs.lammps.org/pair_lj.html)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.reference_potentials.base import finite_number, positive_number
from aiida_autopipec.pacemaker.reference_potentials.elements import atomic_number, pair_key
from aiida_autopipec.pacemaker.reference_potentials.mixing import MIXING, PairTerms
from aiida_autopipec.pacemaker.reference_potentials.pair_potential import Array, Numbers, PairPotential

KEYS = ('epsilon', 'sigma', 'cutoff')


@dataclasses.dataclass(frozen=True)
class LennardJones(PairPotential):
    """``4 ε ((σ/r)¹² - (σ/r)⁶)`` below the cutoff of each pair, and nothing beyond.

    :param pairs: ``epsilon`` (eV), ``sigma`` (Å) and ``cutoff`` (Å) by pair: ``{'Al': {...}, 'AlNi': {...}}``.
    :param shift: add a constant to each pair that makes its energy zero at the cutoff. Without, the energy jumps there;
        the force jumps either way.
    :param mixing: how pairs of unlike elements that are not stated follow from the like ones: ``arithmetic``,
        ``geometric`` or ``sixthpower``, as LAMMPS's ``pair_modify mix``, cutoffs included; without, all must be stated.
    :raises ConfigError: if a parameter is missing, unknown or impossible.
    """

    pairs: Mapping[str, Mapping[str, float]]
    shift: bool = False
    mixing: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pairs, Mapping) or not self.pairs:
            raise ConfigError('`pairs` has to be a mapping such as {Al: {epsilon: 0.4, sigma: 2.6, cutoff: 6}}')
        if not isinstance(self.shift, bool):
            raise ConfigError(f'`shift` is {self.shift!r}, but has to be true or false')
        if self.mixing is not None and self.mixing not in MIXING:
            raise ConfigError(f'`mixing` is {self.mixing!r}; possible are {", ".join(MIXING)}')
        stated: dict[str, dict[str, float]] = {}
        for key, terms in self.pairs.items():
            name = ''.join(pair_key(str(key)))
            if name in stated:
                raise ConfigError(f'`pairs` states {name} twice')
            stated[name] = _checked(f'pairs.{key}', terms)
        object.__setattr__(self, 'pairs', {name: stated[name] for name in sorted(stated)})

    @property
    def cutoff(self) -> float:
        """Distance in Å beyond which no pair interacts; mixed cutoffs are never larger than those they come from."""
        return max(terms['cutoff'] for terms in self.pairs.values())

    def terms(self, first: str, second: str) -> PairTerms:
        """Return the parameters of a pair of elements.

        :raises ConfigError: if they are neither stated nor mixed.
        """
        stated = self.pairs.get(''.join(sorted((first, second))))
        if stated is not None:
            return PairTerms(**stated)
        like = [self.pairs.get(element * 2) for element in (first, second)]
        missing = [element for element, terms in zip((first, second), like, strict=True) if terms is None]
        if self.mixing is None or first == second or missing:
            pair = missing[0] * 2 if self.mixing is not None and missing else first + second
            advice = '' if self.mixing is not None or first == second else ', or state `mixing`'
            raise ConfigError(f'the Lennard-Jones potential has no parameters for {pair}: add them to `pairs`{advice}')
        return MIXING[self.mixing](PairTerms(**like[0]), PairTerms(**like[1]))  # type: ignore[arg-type]

    def pair(self, distances: Array, first: Numbers, second: Numbers) -> tuple[Array, Array]:
        """Return energies in eV and their derivatives in eV/Å; see :meth:`PairPotential.pair`."""
        from ase.data import chemical_symbols

        codes, kinds = np.unique(first.astype(np.int64) * 1000 + second, return_inverse=True)
        table = [self.terms(chemical_symbols[code // 1000], chemical_symbols[code % 1000]) for code in codes.tolist()]
        epsilon, sigma, cutoff = (np.array([getattr(terms, key) for terms in table])[kinds] for key in KEYS)
        attraction = (sigma / distances) ** 6
        energies = 4 * epsilon * attraction * (attraction - 1)
        slopes = -24 * epsilon * attraction * (2 * attraction - 1) / distances
        if self.shift:
            edge = (sigma / cutoff) ** 6
            energies = energies - 4 * epsilon * edge * (edge - 1)
        near = distances < cutoff
        return np.where(near, energies, 0), np.where(near, slopes, 0)

    @property
    def lammps_style(self) -> str:
        """Name and arguments for ``pair_style``."""
        return f'lj/cut {self.cutoff!r}'

    def lammps_modifiers(self) -> list[str]:
        """Return arguments for ``pair_modify``; mixed parameters are stated pair by pair."""
        return [f'shift {"yes" if self.shift else "no"}']

    def lammps_coefficients(self, elements: Sequence[str]) -> Iterator[tuple[int, int, str]]:
        """Yield atom types and their epsilon, sigma and cutoff."""
        for element in elements:
            atomic_number(element)
        for i, first in enumerate(elements, 1):
            for j, second in enumerate(elements[i - 1 :], i):
                terms = self.terms(first, second)
                yield i, j, f'{terms.epsilon!r} {terms.sigma!r} {terms.cutoff!r}'

    def as_dict(self) -> dict[str, Any]:
        """Return the settings; see :meth:`ReferencePotential.as_dict`."""
        pairs = {name: dict(terms) for name, terms in self.pairs.items()}
        return {'name': 'lennard_jones', 'pairs': pairs, 'shift': self.shift, 'mixing': self.mixing}


def _checked(key: str, terms: object) -> dict[str, float]:
    if not isinstance(terms, Mapping) or set(terms) != set(KEYS):
        raise ConfigError(f'`{key}` has to be a mapping of {", ".join(KEYS)} to numbers, not {terms!r}')
    numbers = {'epsilon': finite_number(f'{key}.epsilon', terms['epsilon'])}
    return numbers | {name: positive_number(f'{key}.{name}', terms[name]) for name in KEYS[1:]}
