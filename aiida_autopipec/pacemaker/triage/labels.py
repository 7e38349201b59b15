"""Energies and forces that do not fit to those of the other structures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.triage.alike import groups_alike
from aiida_autopipec.pacemaker.triage.inspection import Inspection
from aiida_autopipec.pacemaker.triage.rules import FindingKind
from aiida_autopipec.pacemaker.triage.statistics import baseline, scores

Array = NDArray[np.float64]
MIN_FORCE_DECADES = 0.1
"""Smallest robust standard deviation of the decimal logarithm of forces: 25 % more force is no outlier."""


def check_energies(inspection: Inspection) -> None:
    """Find energies far from those of structures alike, after what the composition explains."""
    rules, composition = inspection.rules, inspection.traits.composition
    threshold, energies = rules.energy_outlier_score, inspection.traits.energies
    if threshold is None:
        return
    if energies is None:
        inspection.skip(FindingKind.ENERGY_OUTLIER, 'the dataset has no energies')
        return
    part = ~inspection.traits.isolated
    residuals = energies.copy()
    if part.any():
        residuals[part] -= baseline(composition.fractions[part], energies[part])
    found = _scores(inspection, FindingKind.ENERGY_OUTLIER, residuals, part, rules.energy_scale_floor_ev_per_atom)
    for row in np.flatnonzero(np.abs(found) > threshold).tolist():
        inspection.add(
            FindingKind.ENERGY_OUTLIER,
            row,
            found[row],
            threshold,
            f'the energy of {energies[row]:.4f} eV/atom lies {abs(found[row]):.1f} robust standard deviations '
            f'{"above" if found[row] > 0 else "below"} the median of structures alike ({composition.formula(row)}); '
            f'more than {threshold:g} is suspicious',
        )


def check_forces(inspection: Inspection) -> None:
    """Find structures whose largest force is far larger than in structures alike, or than is allowed at all."""
    rules, forces = inspection.rules, inspection.traits.forces
    if forces is None:
        inspection.skip(FindingKind.FORCE_OUTLIER, 'the dataset has no forces')
        return
    threshold, limit = rules.force_outlier_score, rules.max_force_ev_per_angstrom
    if threshold is not None:
        formula = inspection.traits.composition.formula
        part = ~inspection.traits.isolated & (forces > rules.force_floor_ev_per_angstrom)
        # sizes of forces spread over decades: their logarithms are nearly normal, the forces themselves are not
        logarithms = np.log10(np.maximum(forces, rules.force_floor_ev_per_angstrom))
        found = _scores(inspection, FindingKind.FORCE_OUTLIER, logarithms, part, MIN_FORCE_DECADES)
        for row in np.flatnonzero(found > threshold).tolist():
            inspection.add(
                FindingKind.FORCE_OUTLIER,
                row,
                found[row],
                threshold,
                f'the logarithm of the largest force, {forces[row]:.3f} eV/Å, lies {found[row]:.1f} robust standard '
                f'deviations above the median of structures alike ({formula(row)}); more than '
                f'{threshold:g} is suspicious',
            )
    if limit is not None:
        for row in np.flatnonzero(forces > limit).tolist():
            inspection.add(
                FindingKind.LARGE_FORCE,
                row,
                forces[row],
                limit,
                f'the largest force is {forces[row]:.3f} eV/Å, above the limit of {limit:g} eV/Å',
            )


def _scores(inspection: Inspection, kind: FindingKind, values: Array, part: NDArray[np.bool_], floor: float) -> Array:
    """Compare values of structures alike; NaN where there are too few of them, which is written down."""
    min_size = inspection.rules.min_group_size
    groups = groups_alike(inspection.traits.pbc, inspection.traits.composition, part, min_size)
    found = scores(values, groups, floor=floor, min_size=min_size)
    unjudged = int((part & np.isnan(found)).sum())
    if unjudged:
        inspection.skip(kind, f'{unjudged} structures have fewer than {min_size} others alike to be compared with')
    return found
