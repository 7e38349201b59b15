"""What a dataset holds, in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aiida_autopipec.pacemaker.dataset.checks import check_same_fields, labels_of
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.dataset.vectors import squared_lengths

_RANGES = ('energy', 'energy_corrected')


def summarise(part: LabelledStructures) -> dict[str, Any]:
    """Return sizes, elements, labels and ranges of a set.

    :return: numbers of structures and atoms, elements, labels, ranges of energies in eV/atom, and the largest force in
        eV/Å.
    """
    summary: dict[str, Any] = {
        'n_structures': len(part),
        'n_atoms': part.n_atoms,
        'elements': list(part.elements),
        'labels': sorted(labels_of(part)),
        'has_stress': part.has_stress,
    }
    for field in _RANGES:
        if getattr(part, field) is not None:
            per_atom = getattr(part, field) / part.sizes
            summary[f'{field}_per_atom_min'] = float(per_atom.min())
            summary[f'{field}_per_atom_max'] = float(per_atom.max())
    if part.forces is not None:
        summary['force_max'] = math.sqrt(squared_lengths(part.forces).max())
    return summary


def combine_summaries(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the same for a dataset in parts, from those of its parts.

    :raises DatasetError: if a label is present in some parts only, or there are no parts.
    """
    check_same_fields([summary['labels'] for summary in summaries])
    labels = set(summaries[0]['labels'])
    combined: dict[str, Any] = {
        'n_structures': sum(summary['n_structures'] for summary in summaries),
        'n_atoms': sum(summary['n_atoms'] for summary in summaries),
        'elements': sorted({element for summary in summaries for element in summary['elements']}),
        'labelled': 'forces' in labels and bool(labels & set(_RANGES)),
        'has_energy': 'energy' in labels,
        'has_energy_corrected': 'energy_corrected' in labels,
        'has_stress': any(summary['has_stress'] for summary in summaries),
        'has_weights': {'energy_weights', 'force_weights'} <= labels,
    }
    for key, choose in (
        *((f'{field}_per_atom_min', min) for field in _RANGES),
        *((f'{field}_per_atom_max', max) for field in _RANGES),
        ('force_max', max),
    ):
        if key in summaries[0]:
            combined[key] = choose(summary[key] for summary in summaries)
    return combined
