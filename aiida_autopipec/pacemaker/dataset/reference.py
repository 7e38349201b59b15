"""Reference energies: what is subtracted from total energies before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError

EXTREME_ENERGIES = (-20.0, 250.0)
"""eV/atom. Outside of this Pacemaker 0.4 replaces the corrected energies by its own (``reference_energy: auto``)."""


class Reference(BaseModel):
    """How the reference energy per atom of each element is found.

    :param method: ``single_atom_energies``: they are given; ``isolated_atoms``: they are the energies of the structures
        of one atom without neighbours that the data contain; ``least_squares``: they minimise the squared corrected
        energies per atom over the data (least norm where the compositions do not determine them).
    :param single_atom_energies: eV by chemical symbol, for the first method only.
    """

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)

    method: Literal['single_atom_energies', 'isolated_atoms', 'least_squares']
    single_atom_energies: dict[str, float] | None = None

    @model_validator(mode='after')
    def _given_where_needed(self) -> Reference:
        if (self.single_atom_energies is None) == (self.method == 'single_atom_energies'):
            raise ValueError('`single_atom_energies` belong to the method of that name, and only to that one')
        return self


def parse_reference(mapping: Mapping[str, Any]) -> Reference:
    """Read a reference that the user states.

    :raises ConfigError: if it is incomplete or has unknown keys.
    """
    try:
        return Reference.model_validate(mapping)
    except ValidationError as exception:
        error = exception.errors(include_url=False)[0]
        key = '.'.join(['reference', *map(str, error['loc'])])
        raise ConfigError(f'`{key}`: {error["msg"].removeprefix("Value error, ")}') from exception


def isolated_atoms(structures: LabelledStructures, cutoff: float) -> NDArray[np.int64]:
    """Return the rows of structures that are one atom without a neighbour, its own images included.

    :param cutoff: distance in Å within which a neighbour counts.
    """
    single = np.flatnonzero(structures.sizes == 1)
    return np.array([row for row in single if not _sees_its_images(structures, int(row), cutoff)], dtype=np.int64)


def single_atom_energies(structures: LabelledStructures, reference: Reference, *, cutoff: float) -> dict[str, float]:
    """Return the reference energy of each element that occurs.

    :param cutoff: distance in Å beyond which an atom counts as isolated.
    :return: eV by chemical symbol, in alphabetical order.
    :raises DatasetError: if there are no total energies, or an element has no reference energy.
    """
    if structures.energy is None:
        raise DatasetError(
            'the dataset has no total energies that a reference could be subtracted from, only `energy_corrected`'
        )
    if reference.single_atom_energies is not None:
        energies: dict[str, float] = dict(reference.single_atom_energies)
        advice = 'add it to `single_atom_energies`'
    elif reference.method == 'isolated_atoms':
        energies = _energies_of_isolated_atoms(structures, structures.energy, cutoff)
        advice = f'add a structure of one such atom alone (no neighbour within {cutoff:g} Å), or choose another method'
    else:
        return _least_squares(structures, structures.energy)
    for element in structures.elements:
        if element not in energies:
            raise DatasetError(f'there is no reference energy for {element}: {advice}')
    return {element: float(energies[element]) for element in structures.elements}


def subtract(structures: LabelledStructures, energies: Mapping[str, float]) -> LabelledStructures:
    """Return the structures with ``energy_corrected`` = ``energy`` minus the sum of the reference energies.

    :param energies: eV by chemical symbol.
    :raises DatasetError: if total energies or a reference energy are missing, or if the result is so large that
        Pacemaker would silently replace it.
    """
    if structures.energy is None:
        raise DatasetError('the dataset has no total energies that a reference could be subtracted from')
    corrected = structures.energy - _composition(structures, structures.elements) @ _vector(structures, energies)
    result = structures.replace(energy_corrected=corrected)
    sentence = extreme_energy_problem(result)
    if sentence:
        raise DatasetError(sentence)
    return result


def extreme_energy_problem(structures: LabelledStructures) -> str | None:
    """Return what is wrong with corrected energies that Pacemaker would silently replace, if anything."""
    if structures.energy_corrected is None:
        return None
    per_atom = structures.energy_corrected / structures.sizes
    low, high = EXTREME_ENERGIES
    outside = np.flatnonzero((per_atom < low) | (per_atom > high))
    if outside.size == 0:
        return None
    return (
        f'the corrected energy of structure `{structures.names[outside[0]]}` is {per_atom[outside[0]]:.3f} eV/atom, '
        f'outside of {low:g} to {high:g} eV/atom, where Pacemaker silently replaces all corrected energies by its own; '
        'choose a reference that gives energies relative to isolated atoms'
    )


def _vector(structures: LabelledStructures, energies: Mapping[str, float]) -> NDArray[np.float64]:
    missing = [element for element in structures.elements if element not in energies]
    if missing:
        raise DatasetError(f'there is no reference energy for {", ".join(missing)}')
    return np.array([energies[element] for element in structures.elements], dtype=np.float64)


def _composition(structures: LabelledStructures, elements: tuple[str, ...]) -> NDArray[np.float64]:
    from ase.data import atomic_numbers

    columns = [
        np.add.reduceat(structures.numbers == atomic_numbers[element], structures.offsets[:-1]) for element in elements
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _least_squares(structures: LabelledStructures, energy: NDArray[np.float64]) -> dict[str, float]:
    fractions = _composition(structures, structures.elements) / structures.sizes[:, None]
    solution: Any = np.linalg.lstsq(fractions, energy / structures.sizes, rcond=None)[0]
    return {element: float(value) for element, value in zip(structures.elements, solution, strict=True)}


def _energies_of_isolated_atoms(
    structures: LabelledStructures, energy: NDArray[np.float64], cutoff: float
) -> dict[str, float]:
    from ase.data import chemical_symbols

    energies: dict[str, float] = {}
    for row in isolated_atoms(structures, cutoff).tolist():
        element = chemical_symbols[structures.numbers[structures.offsets[row]]]
        value = float(energy[row])
        if abs(energies.setdefault(element, value) - value) > 1e-3:
            raise DatasetError(
                f'the data contain isolated {element} atoms of different energies, {energies[element]:.6f} and '
                f'{value:.6f} eV; remove all but one, or give `single_atom_energies`'
            )
    return energies


def _sees_its_images(structures: LabelledStructures, row: int, cutoff: float) -> bool:
    import ase
    from ase.neighborlist import neighbor_list

    image = ase.Atoms(
        numbers=structures.numbers[structures.offsets[row] : structures.offsets[row + 1]],
        positions=structures.positions[structures.offsets[row] : structures.offsets[row + 1]],
        cell=structures.cells[row],
        pbc=structures.pbc[row],
    )
    return len(neighbor_list('i', image, cutoff)) > 0
