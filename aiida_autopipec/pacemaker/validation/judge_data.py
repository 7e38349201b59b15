"""Judges of predictions: errors on structures with labels, by source and element, and the file for LAMMPS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.plots.groups import group_structures
from aiida_autopipec.pacemaker.triage.alike import compositions
from aiida_autopipec.pacemaker.validation.criteria import Criterion, below
from aiida_autopipec.pacemaker.validation.measurements import Measurements
from aiida_autopipec.pacemaker.validation.parameters import ErrorsCheck, ExportCheck

Array = NDArray[np.float64]

MOST_SOURCES = 30
"""Sources that a report tells apart, those with the largest errors of energies first."""


def judge_errors(
    measured: Measurements, settings: ErrorsCheck, structures: LabelledStructures, energy: Array
) -> list[Criterion]:
    """Judge the errors on all structures, of each source, and of each element.

    :param structures: the structures with the forces that were to be predicted.
    :param energy: ``(n,)`` the energies that were to be predicted (eV).
    :raises OutputError: if the predictions are not those of these structures.
    """
    arrays = measured.of('errors')
    predicted, forces = arrays.get('energy'), arrays.get('forces')
    if predicted is None or forces is None or structures.forces is None:
        raise OutputError('the predictions are missing')
    if predicted.shape != energy.shape or forces.shape != structures.forces.shape:
        raise OutputError('the predictions are not those of the dataset')
    per_atom = 1e3 * (predicted - energy) / structures.sizes
    components = 1e3 * (forces - structures.forces)
    limits = settings
    return [
        below('errors', 'RMSE of energies', _rms(per_atom), limits.max_rmse_energy, 'meV/atom'),
        below('errors', 'RMSE of forces', _rms(components), limits.max_rmse_forces, 'meV/Å'),
        below('errors', 'largest error of forces', float(np.abs(components).max()), limits.max_error_forces, 'meV/Å'),
        *_by_source(structures, per_atom, components, limits),
        *_by_element(structures, components, limits),
    ]


def _by_source(
    structures: LabelledStructures, per_atom: Array, components: Array, limits: ErrorsCheck
) -> Iterator[Criterion]:
    owner = np.repeat(np.arange(len(structures)), structures.sizes)
    worst = sorted(sources_of(structures), key=lambda source: -_rms(per_atom[source[1]]))[:MOST_SOURCES]
    for name, members in worst:
        count = f'{int(members.sum())} structures'
        energy, forces = _rms(per_atom[members]), _rms(components[members[owner]])
        limit = limits.max_group_rmse_energy
        yield below('errors', f'RMSE of energies, {name}', energy, limit, 'meV/atom', count)
        yield below('errors', f'RMSE of forces, {name}', forces, None, 'meV/Å', count)


def _by_element(structures: LabelledStructures, components: Array, limits: ErrorsCheck) -> Iterator[Criterion]:
    from ase.data import atomic_numbers

    for element in structures.elements:
        atoms = structures.numbers == atomic_numbers[element]
        yield below('errors', f'RMSE of forces, {element}', _rms(components[atoms]), limits.max_element_rmse_forces,
                    'meV/Å', f'{int(atoms.sum())} atoms')  # fmt: skip


def sources_of(structures: LabelledStructures) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield where structures come from and which they are.

    By node where they come from several, else by composition or family of names.
    """
    nodes = np.unique(structures.sources)
    if len(nodes) > 1:
        for node in nodes.tolist():
            yield f'node {node}' if node else 'no node', structures.sources == node
        return
    groups = group_structures(structures, compositions(structures))
    if len(groups.labels) > 1:
        for number, label in enumerate(groups.labels):
            yield label, groups.members == number


def judge_export(measured: Measurements, settings: ExportCheck) -> list[Criterion]:
    """Judge the differences between the potential and the file that LAMMPS reads."""
    structures = measured.number('export', 'structures') or 0
    detail = f'{structures:.0f} structures'
    return [
        below('export', 'difference of energies', measured.number('export', 'energy'), settings.max_energy, 'eV/atom',
              detail),
        below('export', 'difference of forces', measured.number('export', 'forces'), settings.max_forces, 'eV/Å',
              detail),
    ]  # fmt: skip


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
