"""Measure what a simulation with a potential would meet; whether that is good is decided elsewhere.

Runs on the computer, in Pacemaker's own Python, with ``validate_potential.py``, ``validate_curves.py``,
``validate_crystal.py``, ``validate_elastic.py`` and ``validate_data.py`` beside it:

    python validate.py validate.json

Writes ``validation.npz`` (arrays) and ``validation.json`` (for each check what was found, or why it could not be run).
A check that fails does not stop the others.
"""

import json
import os
import sys
import traceback

import numpy as np
from ase import Atoms


def read_crystal(settings):
    """Return the crystal, or ``None`` if there is none."""
    crystal = settings['crystal']
    if crystal is None:
        return None
    return Atoms(numbers=crystal['numbers'], positions=crystal['positions'], cell=crystal['cell'], pbc=True)


def read_dataset(settings):
    """Return the arrays of the dataset, or ``None`` if there is none."""
    if settings['dataset'] is None:
        return None
    with np.load(settings['dataset'], allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def equilibrium(crystal, facts):
    """Return the crystal at the volume that the potential prefers, or as given if it prefers none."""
    from validate_curves import scaled

    found = facts.get('volume', {})
    ratio = found.get('volume', float('nan')) / found.get('given_volume', float('nan'))
    # a fit to a curve without a sound minimum can put the volume anywhere
    return scaled(crystal, ratio ** (1 / 3)) if 0.3 < ratio < 3 else crystal


def starting_point(settings, crystal, dataset):
    """Return what the dynamics start from: the crystal, or the periodic structure of the data with most atoms."""
    from validate_data import images_of

    if crystal is not None:
        return crystal
    periodic = [image for image in images_of(dataset) if image.pbc.all()]
    return max(periodic, key=len) if periodic else None


def storable(value):
    """Return what was found with ``None`` for numbers that are not finite, which no database takes."""
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def run_checks(settings, facts, arrays):
    """Run what is asked for, in an order in which later checks can use what earlier ones found."""
    import validate_crystal
    import validate_curves
    import validate_data
    import validate_elastic
    from validate_potential import Potential

    potential = Potential(settings)
    crystal, dataset = read_crystal(settings), read_dataset(settings)

    def run(name, function, *arguments):
        try:
            found, fact = function(potential, settings, *arguments)
            arrays.update(found)
            facts[name] = fact
        except Exception as exception:
            facts[name] = {'error': (type(exception).__name__ + ': ' + str(exception))[:500]}
            traceback.print_exc()

    wanted = settings['checks']
    if 'dimer' in wanted:
        run('dimer', validate_curves.dimers)
    if 'volume' in wanted:
        run('volume', validate_curves.volumes, crystal)
    settled = None if crystal is None else equilibrium(crystal, facts)
    if 'elastic' in wanted:
        run('elastic', validate_elastic.elastic, settled)
    if 'phonons' in wanted:
        run('phonons', validate_crystal.phonons, settled)
    if 'errors' in wanted:
        run('errors', validate_data.errors, dataset)
    start = None if settled is None and dataset is None else starting_point(settings, settled, dataset)
    if 'dynamics' in wanted and start is not None:
        run('dynamics', validate_crystal.dynamics, start)
    if 'export' in wanted:
        images = [] if dataset is None else list(validate_data.images_of(dataset))
        images += [] if settled is None else [validate_curves.scaled(settled, scale) for scale in (0.95, 1.0, 1.05)]
        images += [Atoms([element] * 2, positions=[[0, 0, 0], [2.5, 0, 0]]) for element in settings['elements']]
        run('export', validate_data.export, images)


def main(filename):
    """Do what the settings say, and write what was found, also if something broke."""
    # the directory of the script is not on the path of a Python that was started in its safe mode
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    with open(filename) as handle:
        settings = json.load(handle)
    facts, arrays = {}, {}
    outcome = {'ok': True, 'facts': facts}
    try:
        run_checks(settings, facts, arrays)
    except Exception as exception:
        outcome.update(ok=False, error=(type(exception).__name__ + ': ' + str(exception))[:500])
        traceback.print_exc()
    np.savez('validation.npz', **arrays)
    with open('validation.json', 'w') as handle:
        json.dump(storable(outcome), handle, indent=2, sort_keys=True)
    return 0 if outcome['ok'] else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
