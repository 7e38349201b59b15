"""Reference energies and potentials: what is subtracted from the labels before training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError
from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential, stress_of
from aiida_autopipec.pacemaker.reference_potentials.choose import parse_reference_potential

EXTREME_ENERGIES = (-20.0, 250.0)
"""eV/atom. Outside of this Pacemaker 0.4 replaces the corrected energies by its own (``reference_energy: auto``)."""


def _potential(value: Any) -> ReferencePotential:
    return value if isinstance(value, ReferencePotential) else parse_reference_potential(value)


class Reference(BaseModel):
    """What is subtracted: a reference potential, if there is one, and then an energy per atom of each element.

    :param method: ``single_atom_energies``: they are given; ``isolated_atoms``: they are the energies of the structures
        of one atom without neighbours that the data contain; ``least_squares``: they minimise the squared corrected
        energies per atom over the data (least norm where the compositions do not determine them);
        ``already_corrected``: the data have corrected energies, and only the potential is subtracted.
    :param single_atom_energies: eV by chemical symbol, for the first method only.
    :param potential: energies and forces of this are subtracted, so that the fit learns the difference:
        ``{'name': 'zbl', 'inner': 3.0, 'outer': 4.0}``, see
        :func:`~aiida_autopipec.pacemaker.reference_potentials.choose.parse_reference_potential`.
    """

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True)

    method: Literal['single_atom_energies', 'isolated_atoms', 'least_squares', 'already_corrected']
    single_atom_energies: dict[str, float] | None = None
    potential: Annotated[ReferencePotential, BeforeValidator(_potential)] | None = None

    @model_validator(mode='after')
    def _given_where_needed(self) -> Reference:
        if (self.single_atom_energies is None) == (self.method == 'single_atom_energies'):
            raise ValueError('`single_atom_energies` belong to the method of that name, and only to that one')
        if self.method == 'already_corrected' and self.potential is None:
            raise ValueError('the method `already_corrected` subtracts nothing without a `potential`: state one')
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


def single_atom_energies(
    structures: LabelledStructures | Iterable[LabelledStructures], reference: Reference, *, cutoff: float
) -> dict[str, float]:
    """Return the reference energy of each element that occurs.

    :param structures: a set, or several that are looked at one after the other.
    :param cutoff: distance in Å beyond which an atom counts as isolated.
    :return: eV by chemical symbol, in alphabetical order.
    :raises DatasetError: if there are no total energies, or an element has no reference energy.
    """
    parts = [structures] if isinstance(structures, LabelledStructures) else structures
    if reference.method == 'least_squares':
        return _least_squares(parts)
    energies: dict[str, float] = dict(reference.single_atom_energies or {})
    elements: set[str] = set()
    for part in parts:
        energy = _total_energy(part)
        elements |= set(part.elements)
        if reference.method == 'isolated_atoms':
            _add_isolated_atoms(energies, part, energy, cutoff)
    advice = 'add it to `single_atom_energies`'
    if reference.method == 'isolated_atoms':
        advice = f'add a structure of one such atom alone (no neighbour within {cutoff:g} Å), or choose another method'
    for element in sorted(elements):
        if element not in energies:
            raise DatasetError(f'there is no reference energy for {element}: {advice}')
    return {element: float(energies[element]) for element in sorted(elements)}


def subtract(structures: LabelledStructures, energies: Mapping[str, float]) -> LabelledStructures:
    """Return the structures with ``energy_corrected`` = ``energy`` minus the sum of the reference energies.

    :param energies: eV by chemical symbol.
    :raises DatasetError: if total energies or a reference energy are missing, or if the result is so large that
        Pacemaker would silently replace it.
    """
    corrected = _total_energy(structures) - _composition(structures, structures.elements) @ _vector(
        structures, energies
    )
    result = structures.replace(energy_corrected=corrected)
    sentence = extreme_energy_problem(result)
    if sentence:
        raise DatasetError(sentence)
    return result


def subtract_potential(structures: LabelledStructures, potential: ReferencePotential) -> LabelledStructures:
    """Return the structures with all labels relative to a potential, as if they came from what it does not describe.

    Energies (total and corrected, where there are), forces and stresses remain those of one another.

    :raises DatasetError: if the potential is not defined for a structure.
    """
    values = potential.evaluate(structures)
    changes: dict[str, NDArray[np.float64]] = {
        name: structures.field(name) - values.energy
        for name in ('energy', 'energy_corrected')
        if name in structures.present
    }
    if structures.forces is not None:
        changes['forces'] = structures.forces - values.forces
    if structures.stress is not None:
        changes['stress'] = structures.stress - stress_of(values.virial, structures.cells)
    return structures.replace(**changes)


def subtract_all(
    parts: Callable[[], Iterable[LabelledStructures]], reference: Reference, *, cutoff: float, reduced: bool = False
) -> tuple[dict[str, Any], Iterator[LabelledStructures]]:
    """Subtract a reference from several sets, looked at one after the other.

    The energies of single atoms are found in what the reference potential leaves.

    :param parts: returns the sets, each time from the beginning.
    :param cutoff: distance in Å beyond which an atom counts as isolated.
    :param reduced: the reference potential was subtracted before.
    :return: what is subtracted, as nodes and potentials record it; and the sets with ``energy_corrected``.
    :raises DatasetError: as :func:`single_atom_energies` and :func:`subtract`.
    """

    def remaining() -> Iterator[LabelledStructures]:
        for part in parts():
            yield part if reference.potential is None or reduced else subtract_potential(part, reference.potential)

    recorded: dict[str, Any] = {'method': reference.method, 'single_atom_energies': {}}
    if reference.potential is not None:
        recorded['potential'] = reference.potential.as_dict()
    if reference.method == 'already_corrected':
        return recorded, (_corrected_before(part) for part in remaining())
    # energies that are given need no look at what the potential leaves
    looked_at = parts() if reference.method == 'single_atom_energies' else remaining()
    energies = recorded['single_atom_energies'] = single_atom_energies(looked_at, reference, cutoff=cutoff)
    return recorded, (subtract(part, energies) for part in remaining())


def _corrected_before(structures: LabelledStructures) -> LabelledStructures:
    if structures.energy_corrected is None:
        raise DatasetError(
            'the dataset has no `energy_corrected`, which the method `already_corrected` is about: choose another one'
        )
    sentence = extreme_energy_problem(structures)
    if sentence:
        raise DatasetError(sentence)
    return structures


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


def _total_energy(structures: LabelledStructures) -> NDArray[np.float64]:
    if structures.energy is None:
        raise DatasetError(
            'the dataset has no total energies that a reference could be subtracted from, only `energy_corrected`'
        )
    return structures.energy


def _least_squares(parts: Iterable[LabelledStructures]) -> dict[str, float]:
    """Fit the energies per atom by the fractions of elements, of which nothing but these is kept."""
    fractions: list[tuple[tuple[str, ...], NDArray[np.float64]]] = []
    energies = []
    for part in parts:
        fractions.append((part.elements, _composition(part, part.elements) / part.sizes[:, None]))
        energies.append(_total_energy(part) / part.sizes)
    elements = sorted({element for present, _ in fractions for element in present})
    table = np.zeros((sum(map(len, energies)), len(elements)))
    begin = 0
    for present, rows in fractions:
        table[begin : begin + len(rows), [elements.index(element) for element in present]] = rows
        begin += len(rows)
    solution: Any = np.linalg.lstsq(table, np.concatenate(energies), rcond=None)[0]
    return {element: float(value) for element, value in zip(elements, solution, strict=True)}


def _add_isolated_atoms(
    energies: dict[str, float], structures: LabelledStructures, energy: NDArray[np.float64], cutoff: float
) -> None:
    """Add the energies of isolated atoms.

    :raises DatasetError: if two of an element differ.
    """
    from ase.data import chemical_symbols

    for row in isolated_atoms(structures, cutoff).tolist():
        element = chemical_symbols[structures.numbers[structures.offsets[row]]]
        value = float(energy[row])
        if abs(energies.setdefault(element, value) - value) > 1e-3:
            raise DatasetError(
                f'the data contain isolated {element} atoms of different energies, {energies[element]:.6f} and '
                f'{value:.6f} eV; remove all but one, or give `single_atom_energies`'
            )


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
