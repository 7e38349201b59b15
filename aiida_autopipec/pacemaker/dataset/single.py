"""Structures that come one by one, each with its own labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.atoms import voigt
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


@dataclasses.dataclass(frozen=True)
class SingleStructure:
    """One structure as plain arrays.

    :param name: unique name.
    :param symbols: chemical symbol of each of the ``m`` atoms.
    :param positions: ``(m, 3)`` in Å.
    :param cell: ``(3, 3)`` in Å.
    :param pbc: periodic boundary conditions.
    :param labels: ``energy`` in eV, ``forces`` ``(m, 3)`` in eV/Å, optionally ``stress`` in eV/Å³ with the sign of ASE;
        ``None`` where the structure is not labelled.
    :param source: UUID of the node that the structure comes from.
    """

    name: str
    symbols: Sequence[str]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: tuple[bool, bool, bool]
    labels: Mapping[str, NDArray[Any]] | None
    source: str = ''


def structures_from_singles(singles: Sequence[SingleStructure]) -> LabelledStructures:
    """Put structures that come one by one into flat arrays.

    :raises DatasetError: if there are none, only some of them have labels, or a label is missing or of the wrong shape.
    """
    if not singles:
        raise DatasetError('the dataset is empty: there is no structure in it')
    for single in singles:
        unknown = [symbol for symbol in single.symbols if atomic_numbers.get(symbol, 0) == 0]
        if unknown:
            raise DatasetError(f'structure `{single.name}`: `{unknown[0]}` is not the symbol of a chemical element')
    labelled = any(single.labels is not None for single in singles)
    fields: dict[str, Any] = {}
    if labelled:
        fields = {
            'energy': np.array([_energy(single) for single in singles]),
            'forces': np.concatenate([_forces(single) for single in singles]),
        }
        stresses = [_stress(single) for single in singles]
        if any(np.isfinite(stress).any() for stress in stresses):
            fields['stress'] = np.array(stresses)
    return LabelledStructures(
        numbers=np.array([atomic_numbers[symbol] for single in singles for symbol in single.symbols], dtype=np.int32),
        positions=np.concatenate([single.positions for single in singles]),
        cells=np.array([single.cell for single in singles]),
        pbc=np.array([single.pbc for single in singles]),
        offsets=np.concatenate([[0], np.cumsum([len(single.symbols) for single in singles])]),
        names=np.array([single.name for single in singles]),
        sources=np.array([single.source for single in singles]),
        **fields,
    )


def _label(single: SingleStructure, name: str) -> NDArray[Any]:
    if single.labels is None or name not in single.labels:
        held = ', '.join(sorted(single.labels or {})) or 'none'
        raise DatasetError(f'structure `{single.name}` has no label `{name}`; the labels that it has: {held}')
    try:
        return np.asarray(single.labels[name], dtype=np.float64)
    except (TypeError, ValueError) as exception:
        raise DatasetError(f'the label `{name}` of structure `{single.name}` does not hold numbers') from exception


def _energy(single: SingleStructure) -> float:
    energy = _label(single, 'energy')
    if energy.size != 1:
        raise DatasetError(f'the energy of structure `{single.name}` has shape {energy.shape}, but is one number')
    return float(energy.reshape(()))


def _forces(single: SingleStructure) -> NDArray[np.float64]:
    forces = _label(single, 'forces')
    if forces.shape != (len(single.symbols), 3):
        raise DatasetError(
            f'the forces of structure `{single.name}` have shape {forces.shape}, but its {len(single.symbols)} atoms '
            f'need {(len(single.symbols), 3)}'
        )
    return forces


def _stress(single: SingleStructure) -> NDArray[np.float64]:
    if single.labels is None or 'stress' not in single.labels:
        return np.full(6, np.nan)
    try:
        return voigt(_label(single, 'stress'))
    except ValueError as exception:
        raise DatasetError(f'structure `{single.name}`: {exception}') from exception
