"""What a dataset holds, in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aiida_autopipec.pacemaker.dataset.checks import check_same_labels
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


def summarise(parts: Sequence[LabelledStructures]) -> dict[str, Any]:
    """Return sizes, elements and ranges of a dataset in parts.

    :return: numbers of structures and atoms, elements, which labels there are, ranges of energies in eV/atom, and the
        largest force in eV/Å.
    :raises DatasetError: if a label is present in some parts only, or there are no parts.
    """
    check_same_labels(parts)
    first = parts[0]
    summary: dict[str, Any] = {
        'n_structures': sum(len(part) for part in parts),
        'n_atoms': sum(part.n_atoms for part in parts),
        'elements': sorted({element for part in parts for element in part.elements}),
        'labelled': first.is_labelled,
        'has_energy': first.energy is not None,
        'has_energy_corrected': first.energy_corrected is not None,
        'has_stress': any(part.has_stress for part in parts),
        'has_weights': first.energy_weights is not None and first.force_weights is not None,
    }
    for field in ('energy', 'energy_corrected'):
        if getattr(first, field) is not None:
            per_atom = [getattr(part, field) / part.sizes for part in parts]
            summary[f'{field}_per_atom_min'] = float(min(values.min() for values in per_atom))
            summary[f'{field}_per_atom_max'] = float(max(values.max() for values in per_atom))
    forces = [part.forces for part in parts if part.forces is not None]
    if forces:
        squares = [np.einsum('ai,ai->a', array, array) for array in forces]
        summary['force_max'] = float(np.sqrt(max(values.max() for values in squares)))
    return summary
