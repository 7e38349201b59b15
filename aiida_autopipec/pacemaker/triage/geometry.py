"""Positions, cells and elements that are improbable whatever the labels are."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from aiida_autopipec.pacemaker.triage.inspection import Inspection
from aiida_autopipec.pacemaker.triage.rules import FindingKind


def check_contacts(inspection: Inspection) -> None:
    """Find atoms that are nearer to each other, or to images, than chemistry allows."""
    fraction, traits = inspection.rules.min_distance_fraction, inspection.traits
    if fraction is None:
        return
    for row in np.flatnonzero(np.isfinite(traits.contact_ratios)).tolist():
        first, second = traits.contact_atoms[row].tolist()
        numbers = traits.contact_numbers[row]
        a, b = (chemical_symbols[number] for number in numbers.tolist())
        ratio = traits.contact_ratios[row]
        pair = f'atom {first} ({a}) and its own image' if first == second else f'atoms {first} ({a}) and {second} ({b})'
        inspection.add(
            FindingKind.TOO_CLOSE,
            row,
            ratio,
            fraction,
            f'{pair} are {traits.contact_distances[row]:.3f} Å apart, {ratio:.2f} of the sum of their covalent '
            f'radii ({covalent_radii[numbers].sum():.2f} Å); less than {fraction:g} is suspicious',
        )


def check_volumes(inspection: Inspection) -> None:
    """Find cells that are flat, or too small for their atoms."""
    fraction, traits = inspection.rules.min_volume_fraction, inspection.traits
    if fraction is None:
        return
    flat, volumes, spheres = traits.flat, traits.volumes, traits.spheres
    small = traits.pbc.all(axis=1) & (volumes < fraction * spheres)
    for row in np.flatnonzero(small | flat).tolist():
        sentence = (
            f'the cell has {volumes[row] / traits.sizes[row]:.2f} Å³/atom, {volumes[row] / spheres[row]:.2f} of '
            f'the volume of the covalent spheres in it; less than {fraction:g} is suspicious'
        )
        if flat[row]:
            sentence = (
                'the periodic cell vectors are linearly dependent or nearly, so the cell has no volume; periodic '
                'images were not looked at'
            )
        inspection.add(FindingKind.TINY_VOLUME, row, volumes[row] / spheres[row], fraction, sentence)


def check_isolation(inspection: Inspection) -> None:
    """Find structures that tell nothing about any bond."""
    if not inspection.rules.report_without_neighbours:
        return
    traits, cutoff = inspection.traits, inspection.rules.cutoff_angstrom
    for row in np.flatnonzero(traits.isolated).tolist():
        alone = traits.sizes[row] == 1
        inspection.add(
            FindingKind.NO_NEIGHBOURS,
            row,
            0,
            1,
            f'no atom has a neighbour within the cutoff of {cutoff:g} Å, so that nothing but '
            f'{"a reference energy" if alone else "reference energies"} can be learnt from it',
        )


def check_elements(inspection: Inspection) -> None:
    """Find elements that only few structures contain."""
    smallest, composition = inspection.rules.min_structures_per_element, inspection.traits.composition
    if smallest is None:
        return
    present = composition.counts > 0
    occurrences = present.sum(axis=0)
    for column in np.flatnonzero(occurrences < smallest).tolist():
        for row in np.flatnonzero(present[:, column]).tolist():
            inspection.add(
                FindingKind.RARE_ELEMENT,
                row,
                occurrences[column],
                smallest,
                f'{composition.symbols[column]} occurs in {occurrences[column]} of {len(present)} structures; fewer '
                f'than {smallest} teach little about it',
            )
