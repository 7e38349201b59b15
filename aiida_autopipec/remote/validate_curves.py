"""Energies along simple paths: two atoms that approach each other, and a crystal that is compressed.

Part of ``validate.py``; needs numpy and ase.
"""

import itertools

import numpy as np
from ase import Atoms

GPA = 160.21766208  # eV/Å³ in GPa


def dimers(potential, settings):
    """Return energies relative to separate atoms, and the force that drives two atoms apart, for every pair.

    :param settings: ``elements``; ``dimer`` with ``shortest`` and ``step`` (Å).
    """
    begin, step = settings['dimer']['shortest'], settings['dimer']['step']
    distances = np.arange(begin, potential.cutoff + step, step)
    arrays = {'dimer_distances': distances}
    alone = {element: potential.compute(Atoms(element))[0] for element in settings['elements']}
    for pair in itertools.combinations_with_replacement(settings['elements'], 2):
        energies, forces, grades = [], [], []
        for distance in distances:
            atoms = Atoms(pair, positions=[[0, 0, 0], [distance, 0, 0]])
            energy, force, grade = potential.compute(atoms)
            energies.append(energy - alone[pair[0]] - alone[pair[1]])
            forces.append(force[1, 0])
            grades.append(grade)
        name = 'dimer_' + '_'.join(pair)
        arrays[name + '_energy'] = np.array(energies)
        arrays[name + '_force'] = np.array(forces)
        if potential.has_grades:
            arrays[name + '_gamma'] = np.array(grades)
    return arrays, {}


def volumes(potential, settings, crystal):
    """Return energies of a crystal that is scaled alike in all directions, and its equation of state.

    :param settings: ``volume`` with ``smallest``, ``largest`` (of the lengths, 1 is as given) and ``points``.
    """
    from ase.eos import EquationOfState

    low, high, points = (settings['volume'][key] for key in ('smallest', 'largest', 'points'))
    scales = np.linspace(low, high, points)
    images = [scaled(crystal, scale) for scale in scales]
    results = [potential.compute(image) for image in images]
    volume = np.array([image.get_volume() for image in images]) / len(crystal)
    energy = np.array([result[0] for result in results]) / len(crystal)
    arrays = {'volume_scales': scales, 'volume_volumes': volume, 'volume_energy': energy}
    if potential.has_grades:
        arrays['volume_gamma'] = np.array([result[2] for result in results])
    minimum = _minimum(energy, scales)
    facts = {'given_volume': float(crystal.get_volume() / len(crystal))}
    if minimum is not None:
        near = [scaled(crystal, scale) for scale in minimum * np.linspace(0.98, 1.02, 9)]
        fit = EquationOfState(
            [image.get_volume() / len(crystal) for image in near],
            [potential.compute(image)[0] / len(crystal) for image in near],
            eos='birchmurnaghan',
        )
        volume_0, energy_0, modulus = fit.fit()
        facts.update(volume=float(volume_0), energy=float(energy_0), bulk_modulus=float(modulus * GPA))
    return arrays, facts


def scaled(crystal, scale):
    """Return a crystal with all lengths multiplied."""
    image = crystal.copy()
    image.set_cell(crystal.cell * scale, scale_atoms=True)
    return image


def _minimum(energy, scales):
    """Return the scale of the minimum that is nearest to the crystal as given, or ``None`` if there is none."""
    inner = np.flatnonzero((energy[1:-1] < energy[:-2]) & (energy[1:-1] <= energy[2:])) + 1
    return None if len(inner) == 0 else float(scales[inner[np.argmin(np.abs(scales[inner] - 1))]])
