"""What is known about the data before a training: sizes, elements, distances, energies."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.cost.neighbours import count_neighbours
from aiida_autopipec.pacemaker.dataset.reference import isolated_atoms
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.triage.neighbours import nearest_neighbours

SAMPLE = 200
"""Structures of each part in which distances and neighbours are looked at, evenly spread over its rows."""
FARTHEST_NEIGHBOUR = 8.0
"""Å. An atom without a neighbour within this has no nearest-neighbour distance."""

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """Sizes, elements, distances and energies of labelled structures.

    :param n_structures: number of structures.
    :param atoms_by_element: number of atoms by chemical symbol, in alphabetical order.
    :param largest_structure: atoms of the largest structure.
    :param nearest: median distance in Å from an atom of an element to its nearest neighbour, by chemical symbol and
        from the sample; without the elements that occur isolated only.
    :param energy_spread: range in eV/atom of the energies after subtracting the energies per element that fit them
        best; nothing without labels.
    :param relative: whether every structure has an energy relative to a reference (``energy_corrected``).
    :param weighted: whether the structures bring their own weights.
    :param sample: structures without labels, in which neighbours are counted.
    :param single_atoms: the structures of one atom.
    """

    n_structures: int
    atoms_by_element: dict[str, int]
    largest_structure: int
    nearest: dict[str, float]
    energy_spread: float | None
    relative: bool
    weighted: bool
    sample: tuple[LabelledStructures, ...]
    single_atoms: tuple[LabelledStructures, ...]

    @classmethod
    def of(cls, parts: Iterable[LabelledStructures]) -> DataFacts:
        """Look at data in one or more parts, one in memory at a time.

        :raises DatasetError: if there are no structures.
        """
        atoms: Counter[int] = Counter()
        sizes, energies, relative, weighted = [], [], [], []
        sample, singles = [], []
        for part in parts:
            numbers, counts = np.unique(part.numbers, return_counts=True)
            atoms.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
            sizes.append(part.sizes)
            energies.append(_energies_per_atom(part))
            relative.append(part.energy_corrected is not None)
            weighted.append(part.energy_weights is not None)
            rows = np.unique(np.linspace(0, len(part) - 1, SAMPLE).astype(np.int64))
            sample.append(_without_labels(part.take(rows)))
            if np.any(part.sizes == 1):  # a set of no structures is no set
                singles.append(part.take(part.sizes == 1))
        if not sizes:
            raise DatasetError('there are no structures to look at')
        return cls(
            n_structures=sum(map(len, sizes)),
            atoms_by_element=dict(sorted((chemical_symbols[number], count) for number, count in atoms.items())),
            largest_structure=int(max(part.max() for part in sizes)),
            nearest=_nearest_by_element(sample),
            energy_spread=_spread([rows for rows in energies if rows is not None], sorted(atoms)),
            relative=all(relative),
            weighted=all(weighted),
            sample=tuple(sample),
            single_atoms=tuple(singles),
        )

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur, in alphabetical order."""
        return tuple(self.atoms_by_element)

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        return sum(self.atoms_by_element.values())

    def part(self, fraction: float) -> DataFacts:
        """Return the facts of a part of the data that is like the whole.

        :param fraction: of the structures, more than 0 and at most 1.
        """
        return dataclasses.replace(
            self,
            n_structures=max(1, round(fraction * self.n_structures)),
            atoms_by_element={key: max(1, round(fraction * count)) for key, count in self.atoms_by_element.items()},
        )

    def neighbours(self, cutoff: float) -> float:
        """Return the mean number of neighbours of an atom in the sample.

        :param cutoff: in Å.
        """
        return float(np.concatenate([count_neighbours(part, cutoff) for part in self.sample]).mean())

    def isolated_elements(self, cutoff: float) -> frozenset[str]:
        """Return the elements of which the data hold an isolated atom.

        :param cutoff: distance in Å within which a neighbour counts.
        """
        found = [part.numbers[isolated_atoms(part, cutoff)] for part in self.single_atoms]
        return frozenset(chemical_symbols[number] for numbers in found for number in numbers)


def _without_labels(part: LabelledStructures) -> LabelledStructures:
    labels = ('energy', 'energy_corrected', 'forces', 'stress', 'energy_weights', 'force_weights')
    return part.replace(**dict.fromkeys(labels))


def _energies_per_atom(part: LabelledStructures) -> tuple[Array, NDArray[np.int32], NDArray[np.int64]] | None:
    """Return ``(n,)`` energies in eV, with the ``(a,)`` atomic numbers and ``(n + 1,)`` offsets that they belong to."""
    energy = part.energy if part.energy is not None else part.energy_corrected
    return None if energy is None else (energy, part.numbers, part.offsets)


def _spread(parts: list[tuple[Array, NDArray[np.int32], NDArray[np.int64]]], numbers: list[int]) -> float | None:
    """Return the range in eV/atom of energies that no choice of energies per element can explain."""
    if not parts:
        return None
    energies = np.concatenate([energy / np.diff(offsets) for energy, _, offsets in parts])
    fractions = np.concatenate(
        [
            np.stack([np.add.reduceat(atoms == number, offsets[:-1]) for number in numbers], axis=1)
            / np.diff(offsets)[:, None]
            for _, atoms, offsets in parts
        ]
    )
    residuals = energies - fractions @ np.linalg.lstsq(fractions, energies, rcond=None)[0]
    return float(residuals.max() - residuals.min())


def _nearest_by_element(sample: list[LabelledStructures]) -> dict[str, float]:
    distances = np.concatenate([nearest_neighbours(part, FARTHEST_NEIGHBOUR).distances for part in sample])
    numbers = np.concatenate([part.numbers for part in sample])
    near = np.isfinite(distances)
    return {
        chemical_symbols[number]: float(np.median(distances[near & (numbers == number)]))
        for number in np.unique(numbers[near]).tolist()
    }
