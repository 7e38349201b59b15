"""Vibrations and hot dynamics of a crystal.

Part of ``validate.py``; needs numpy and ase.
"""

import os

import numpy as np
from ase import units

DISPLACEMENT = 0.02  # Å
RUNAWAY = 20.0  # times the temperature of the thermostat: nothing is learned by going on
TOUCHING = 0.3  # Å: nuclei do not come closer


def phonons(potential, settings, crystal):
    """Return frequencies (meV, imaginary ones negative) on the wave vectors that the supercell resolves.

    :param settings: ``phonons`` with ``max_atoms`` of the supercell.
    """
    from ase.phonons import Phonons

    relaxed = relax(potential, crystal)
    repeats = supercell(relaxed, 2 * potential.cutoff, settings['phonons']['max_atoms'])
    calculation = Phonons(relaxed, potential.calculator(), supercell=repeats, delta=DISPLACEMENT, name='phonons')
    calculation.run()
    calculation.read(acoustic=True)
    # multiples of 1/N are what a supercell of N cells resolves exactly; in between ASE interpolates
    vectors = np.array(list(np.ndindex(*repeats))) / repeats
    frequencies = 1e3 * np.asarray(calculation.band_structure(vectors, verbose=False)).real
    calculation.clean()
    return {'phonons_vectors': vectors, 'phonons_frequencies': frequencies}, {'supercell': [int(n) for n in repeats]}


def relax(potential, crystal, fmax=1e-3):
    """Return the crystal with its atoms where no force (eV/Å) acts; the cell stays as it is."""
    from ase.optimize import BFGS

    image = crystal.copy()
    image.calc = potential.calculator()
    BFGS(image, logfile=os.devnull).run(fmax=fmax, steps=100)
    image.calc = None
    return image


def supercell(crystal, size, max_atoms):
    """Return how often to repeat a cell so that it is so wide (Å) in all directions, or as wide as is allowed."""
    heights = np.abs(np.linalg.det(crystal.cell)) / np.linalg.norm(
        np.cross(np.roll(crystal.cell, -1, axis=0), np.roll(crystal.cell, -2, axis=0)), axis=1
    )
    repeats = np.ones(3, dtype=int)
    while np.any(repeats * heights < size):
        wider = repeats + (repeats * heights == np.min(repeats * heights))
        if np.prod(wider) * len(crystal) > max_atoms:
            break
        repeats = wider
    return repeats


def dynamics(potential, settings, start):
    """Return temperature, energy, shortest distance and extrapolation grade along a hot trajectory.

    :param settings: ``dynamics`` with ``temperature`` (K), ``timestep`` (fs), ``steps``, ``every``, ``min_atoms``,
        ``seed``.
    """
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary

    stated = settings['dynamics']
    atoms = start.copy()
    while len(atoms) < stated['min_atoms']:
        # the shortest direction grows first
        axis = int(np.argmin(atoms.cell.lengths()))
        atoms = atoms.repeat([2 if axis == direction else 1 for direction in range(3)])
    rng = np.random.RandomState(stated['seed'])  # what every ase takes
    atoms.rattle(0.02, rng=rng)
    atoms.calc = potential.calculator()
    MaxwellBoltzmannDistribution(atoms, temperature_K=stated['temperature'], rng=rng)
    Stationary(atoms)
    integrator = Langevin(
        atoms,
        stated['timestep'] * units.fs,
        temperature_K=stated['temperature'],
        friction=0.02 / units.fs,
        rng=rng,
        fixcm=False,  # holding the centre of mass disturbs the temperature, says ase 3.28
    )
    rows, last_positions = [], atoms.positions.copy()
    stopped = ''
    for step in range(0, stated['steps'] + 1, stated['every']):
        if step:
            try:
                integrator.run(stated['every'])
            except Exception as exception:  # atoms that fly apart or into each other break the neighbour lists
                stopped = 'the simulation broke: ' + str(exception)[:200]
                break
        temperature, energy = atoms.get_temperature(), atoms.get_potential_energy() / len(atoms)
        distance = shortest_distance(atoms, potential.cutoff) if np.all(np.isfinite(atoms.positions)) else 0.0
        values = (step * stated['timestep'], temperature, energy, distance, potential.grade())
        if not np.all(np.isfinite(values[:4])):
            stopped = 'a quantity was not finite'
            break
        rows.append(values)
        last_positions = atoms.positions.copy()
        if temperature > RUNAWAY * stated['temperature'] or distance < TOUCHING:
            stopped = 'the temperature ran away' if temperature > RUNAWAY * stated['temperature'] else 'atoms touched'
            break
    table = np.array(rows).reshape(-1, 5)
    names = ('time', 'temperature', 'energy', 'distance', 'gamma')
    arrays = {'dynamics_' + name: table[:, column] for column, name in enumerate(names)}
    if not potential.has_grades:
        del arrays['dynamics_gamma']
    arrays['dynamics_positions'] = last_positions
    return arrays, {'atoms': len(atoms), 'stopped': stopped}


def shortest_distance(atoms, cutoff):
    """Return the smallest distance (Å) between two atoms, at most the cutoff."""
    from ase.neighborlist import neighbor_list

    distances = neighbor_list('d', atoms, cutoff)
    return float(np.min(distances)) if len(distances) else float(cutoff)
