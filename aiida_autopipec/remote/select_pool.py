"""The candidates of a selection, the basis that projects them, and what is known already.

Part of ``select_structures.py``; needs python-ace.
"""

import numpy as np
import select_report

INDEX = 'candidates.npz'


class Pool:
    """The candidates, in an order that depends on their geometry, and on their names where that is the same.

    :param atoms: in the order of the file.
    """

    def __init__(self, atoms, names, fingerprints, keep, strata):
        self.rows = np.lexsort((names, fingerprints))  # the place in the file of each candidate
        self.atoms = [atoms[row] for row in self.rows.tolist()]
        self.fingerprints = fingerprints[self.rows].tolist()
        self.keep = keep[self.rows]
        self.strata = strata[self.rows]
        self.sizes = np.array([len(one) for one in self.atoms], dtype=np.int64)

    def counts(self, elements):
        """Return by element the ``(n,)`` atoms of it in each candidate, of the elements that occur.

        :param elements: of the basis.
        """
        from ase.data import atomic_numbers, chemical_symbols

        numbers = {element: atomic_numbers[element] for element in elements}
        counted = {element: np.zeros(len(self.atoms), dtype=np.int64) for element in elements}
        for place, atoms in enumerate(self.atoms):
            lacking = set(np.unique(atoms.numbers).tolist()) - set(numbers.values())
            if lacking:
                raise KeyError(chemical_symbols[min(lacking)])
            for element, number in numbers.items():
                counted[element][place] = np.count_nonzero(atoms.numbers == number)
        return {element: counts for element, counts in counted.items() if counts.any()}


class Basis:
    """The basis of a potential, by python-ace."""

    def __init__(self, path):
        from pyace.activelearning import compute_number_of_functions
        from pyace.basis import ACEBBasisSet, BBasisConfiguration

        self.basis = ACEBBasisSet(BBasisConfiguration(path))
        self.index = dict(self.basis.elements_to_index_map)
        functions = compute_number_of_functions(self.basis)
        self.functions = {element: functions[number] for element, number in self.index.items()}

    def surroundings(self, atoms):
        """Return atoms with their neighbours."""
        from pyace.atomicenvironment import aseatoms_to_atomicenvironment

        return aseatoms_to_atomicenvironment(
            atoms, cutoff=self.basis.cutoffmax, elements_mapper_dict=self.basis.elements_to_index_map
        )

    def neighbours(self, atoms):
        """Return the number of neighbours of each atom."""
        return [len(neighbours) for neighbours in self.surroundings(atoms).neighbour_list]

    def mean_surroundings(self, atoms):
        """Return the mean number of neighbours, and of atoms with their images, for each atom."""
        seen = [self.surroundings(one) for one in atoms]
        real = sum(one.n_atoms_real for one in seen)
        neighbours = sum(len(some) for one in seen for some in one.neighbour_list)
        return neighbours / real, sum(one.n_atoms_extended for one in seen) / real

    def project(self, atoms):
        """Return the projections of the atoms of some structures, by element."""
        from pyace.activelearning import compute_B_projections

        rows = compute_B_projections(self.basis, atoms)
        return {element: rows[number] for element, number in self.index.items()}


def read_pool(settings):
    """Read the candidates, and what is known of each."""
    import pandas as pd

    frame = pd.read_pickle(settings['candidates'], compression='gzip')
    with np.load(INDEX, allow_pickle=False) as index:
        known = {name: index[name] for name in ('fingerprints', 'keep', 'strata')}
    names = np.array([str(name) for name in frame['name']])
    return Pool(list(frame['ase_atoms']), names, known['fingerprints'], known['keep'], known['strata'])


def read_active_set(path, functions):
    """Return by element the active set's inverse, and its rows."""
    if path is None:
        return {}, {}
    with np.load(path, allow_pickle=False) as content:
        inverses = {element: content[element] for element in content.files}
    for element, width in functions.items():
        if element not in inverses or inverses[element].shape != (width, width):
            raise ValueError(
                'the active set is none of this basis: it has no %d x %d matrix for %s' % (width, width, element)
            )
    inverses = {element: inverses[element] for element in functions}
    return inverses, select_report.rows_of(inverses)


def small_structures(pool, basis, kinds):
    """Return which candidates are isolated atoms or dimers, of the kinds that are asked for."""
    chosen = np.zeros(len(pool.atoms), dtype=bool)
    for place in np.flatnonzero(pool.sizes <= 2).tolist():
        neighbours = basis.neighbours(pool.atoms[place])
        isolated = not any(neighbours)
        dimer = len(neighbours) == 2 and max(neighbours) == 1
        chosen[place] = (isolated and 'isolated_atoms' in kinds) or (dimer and 'dimers' in kinds)
    return chosen
