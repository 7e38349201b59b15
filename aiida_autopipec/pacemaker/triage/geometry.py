"""Positions, cells and elements that are improbable whatever the labels are."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from aiida_autopipec.pacemaker.triage.inspection import Inspection
from aiida_autopipec.pacemaker.triage.rules import FindingKind


def check_contacts(inspection: Inspection) -> None:
    """Find atoms that are nearer to each other, or to images, than chemistry allows."""
    fraction, structures, neighbours = (
        inspection.rules.min_distance_fraction,
        inspection.structures,
        inspection.neighbours,
    )
    if fraction is None:
        return
    for row in np.flatnonzero(np.isfinite(neighbours.contact_ratios)).tolist():
        first, second = neighbours.contact_atoms[row].tolist()
        numbers = structures.numbers[structures.offsets[row] + neighbours.contact_atoms[row]]
        a, b = (chemical_symbols[number] for number in numbers.tolist())
        ratio = neighbours.contact_ratios[row]
        pair = f'atom {first} ({a}) and its own image' if first == second else f'atoms {first} ({a}) and {second} ({b})'
        inspection.add(
            FindingKind.TOO_CLOSE,
            row,
            ratio,
            fraction,
            f'{pair} are {neighbours.contact_distances[row]:.3f} Å apart, {ratio:.2f} of the sum of their covalent '
            f'radii ({covalent_radii[numbers].sum():.2f} Å); less than {fraction:g} is suspicious',
        )


def check_volumes(inspection: Inspection) -> None:
    """Find cells that are flat, or too small for their atoms."""
    fraction, structures = inspection.rules.min_volume_fraction, inspection.structures
    if fraction is None:
        return
    flat = inspection.neighbours.lattices.flat
    spheres = 4 / 3 * np.pi * np.add.reduceat(covalent_radii[structures.numbers] ** 3, structures.offsets[:-1])
    volumes = np.where(flat, 0.0, np.abs(np.linalg.det(structures.cells)))
    small = structures.pbc.all(axis=1) & (volumes < fraction * spheres)
    for row in np.flatnonzero(small | flat).tolist():
        sentence = (
            f'the cell has {volumes[row] / structures.sizes[row]:.2f} Å³/atom, {volumes[row] / spheres[row]:.2f} of '
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
    structures, cutoff = inspection.structures, inspection.rules.cutoff_angstrom
    for row in np.flatnonzero(inspection.isolated).tolist():
        alone = structures.sizes[row] == 1
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
    smallest, composition = inspection.rules.min_structures_per_element, inspection.composition
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
