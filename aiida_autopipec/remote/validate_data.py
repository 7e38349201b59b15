"""Predictions for structures with known energies and forces, and the agreement of ``.yaml`` and ``.yace``.

Part of ``validate.py``; needs numpy, ase and python-ace.
"""

import numpy as np
from ase import Atoms

COMPARED = 20  # structures on which two files are compared


def errors(potential, settings, arrays):
    """Return predicted energies (eV) and forces (eV/Å) of all structures of a dataset.

    :param settings: ``labels_are_totals``: whether the reference potential is part of the labels.
    :param arrays: ``numbers``, ``positions``, ``cells``, ``pbc``, ``offsets``.
    """
    totals = settings['labels_are_totals']
    results = [potential.compute(image, with_reference=totals) for image in images_of(arrays)]
    found = {
        'errors_energy': np.array([result[0] for result in results]),
        'errors_forces': np.concatenate([result[1] for result in results]),
    }
    if potential.has_grades:
        found['errors_gamma'] = np.array([result[2] for result in results])
    return found, {}


def images_of(arrays):
    """Yield the structures of a dataset."""
    offsets = arrays['offsets']
    for row in range(len(offsets) - 1):
        atoms = slice(offsets[row], offsets[row + 1])
        yield Atoms(
            numbers=arrays['numbers'][atoms],
            positions=arrays['positions'][atoms],
            cell=arrays['cells'][row],
            pbc=arrays['pbc'][row],
        )


def export(potential, settings, images):
    """Return the largest differences between the potential and the file that LAMMPS reads.

    :param settings: ``lammps_potential``, the name of that file.
    :param images: structures to compare on.
    """
    from pyace import PyACECalculator

    other = PyACECalculator(settings['lammps_potential'])
    energies, forces = [0.0], [0.0]
    for image in images[:COMPARED]:
        energy, force, _ = potential.compute(image, with_reference=False)
        compared = image.copy()
        compared.calc = other
        energies.append(abs(compared.get_potential_energy() - energy) / len(compared))
        forces.append(float(np.max(np.abs(compared.get_forces() - force))))
    return {}, {'energy': float(np.max(energies)), 'forces': float(np.max(forces)), 'structures': len(energies) - 1}
