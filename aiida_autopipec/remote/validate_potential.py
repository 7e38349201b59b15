"""The potential as a simulation uses it: ACE, and the reference potential that was subtracted before training.

Part of ``validate.py``; needs numpy, ase and python-ace.
"""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes, get_calculator_class
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress

# Ziegler, Biersack, Littmark, with the digits and the switching of LAMMPS (https://docs.lammps.org/pair_zbl.html)
COULOMB = 14.399645
LENGTH = 0.46850
EXPONENT = 0.23
TERMS = ((0.02817, 0.20162), (0.28022, 0.40290), (0.50986, 0.94229), (0.18175, 3.19980))


class Zbl:
    """ZBL repulsion, switched off between two distances (Å)."""

    def __init__(self, inner, outer):
        self.inner, self.cutoff = inner, outer

    def pair(self, distance, first, second):
        """Return energies (eV) and derivatives (eV/Å) of pairs; ``first`` and ``second`` are atomic numbers."""
        energy, slope, _ = self._bare(distance, first, second)
        value, steep, curved = self._bare(np.full(len(distance), self.cutoff), first, second)
        width = self.cutoff - self.inner
        cubic = (-3 * steep + width * curved) / width**2
        quartic = (2 * steep - width * curved) / width**3
        constant = -value + width / 2 * steep - width**2 / 12 * curved
        beyond = np.maximum(distance - self.inner, 0)
        energy = energy + constant + cubic / 3 * beyond**3 + quartic / 4 * beyond**4
        return energy, slope + cubic * beyond**2 + quartic * beyond**3

    @staticmethod
    def _bare(distance, first, second):
        """Return energies with their first and second derivatives, without the switching."""
        inverse_length = (first**EXPONENT + second**EXPONENT) / LENGTH
        screening = np.zeros((3, len(distance)))
        for amplitude, decay in TERMS:
            rate = decay * inverse_length
            part = amplitude * np.exp(-rate * distance)
            screening += np.array([part, -rate * part, rate**2 * part])
        charge = COULOMB * first * second / distance
        value, slope, curvature = screening
        return (
            charge * value,
            charge * (slope - value / distance),
            charge * (curvature - 2 * slope / distance + 2 * value / distance**2),
        )


class LennardJones:
    """Lennard-Jones by pairs of elements; every pair is stated."""

    def __init__(self, pairs, shift):
        self.shift = shift
        self.terms = {tuple(sorted(pair['numbers'])): pair for pair in pairs}
        self.cutoff = max(pair['cutoff'] for pair in pairs)

    def pair(self, distance, first, second):
        """Return energies (eV) and derivatives (eV/Å) of pairs; ``first`` and ``second`` are atomic numbers."""
        terms = [self.terms[tuple(sorted(map(int, numbers)))] for numbers in zip(first, second)]
        epsilon, sigma, cutoff = (
            np.array([term[key] for term in terms]).reshape(-1) for key in ('epsilon', 'sigma', 'cutoff')
        )
        six = (sigma / distance) ** 6
        energy = 4 * epsilon * six * (six - 1)
        slope = -24 * epsilon * six * (2 * six - 1) / distance
        if self.shift:
            edge = (sigma / cutoff) ** 6
            energy = energy - 4 * epsilon * edge * (edge - 1)
        near = distance < cutoff
        return np.where(near, energy, 0), np.where(near, slope, 0)


class PairCalculator(Calculator):
    """A sum over pairs as a calculator of ASE."""

    implemented_properties = ('energy', 'free_energy', 'forces', 'stress')

    def __init__(self, function):
        super().__init__()
        self.function = function

    def calculate(self, atoms=None, properties=('energy',), system_changes=tuple(all_changes)):
        """Compute energy, forces and stress; each pair is listed twice, once from either atom."""
        super().calculate(atoms, properties, system_changes)
        first, second, distance, vector = neighbor_list('ijdD', self.atoms, self.function.cutoff)
        numbers = self.atoms.numbers.astype(float)
        energy, slope = self.function.pair(distance, numbers[first], numbers[second])
        pulls = (slope / distance)[:, None] * vector
        forces = [np.bincount(first, pulls[:, axis], minlength=len(self.atoms)) for axis in range(3)]
        total = float(np.sum(energy)) / 2
        self.results = {'energy': total, 'free_energy': total, 'forces': np.array(forces).T}
        if self.atoms.cell.rank == 3:
            stress = pulls.T @ vector / (2 * self.atoms.get_volume())
            self.results['stress'] = full_3x3_to_voigt_6_stress(stress)


class Potential:
    """What a simulation with the potential computes.

    :param settings: ``potential``, ``active_set`` (or ``None``) and ``reference`` (or ``None``).
    """

    def __init__(self, settings):
        from pyace import PyACECalculator

        self.ace = PyACECalculator(settings['potential'])
        self.has_grades = settings['active_set'] is not None
        if self.has_grades:
            self.ace.set_active_set(settings['active_set'])
        self.reference = None if settings['reference'] is None else reference_calculator(settings['reference'])

    @property
    def cutoff(self):
        """Largest distance (Å) at which two atoms interact."""
        function = getattr(self.reference, 'function', None)
        return max(float(self.ace.cutoff), function.cutoff if function else 0.0)

    def calculator(self):
        """Return a calculator of the whole potential."""
        if self.reference is None:
            return self.ace
        from ase.calculators.mixing import SumCalculator

        return SumCalculator([self.ace, self.reference])

    def compute(self, atoms, with_reference=True):
        """Return energy (eV), forces (eV/Å), and the largest extrapolation grade, NaN without an active set."""
        image = atoms.copy()
        image.calc = self.ace
        energy, forces = image.get_potential_energy(), image.get_forces()
        grade = self.grade()
        if with_reference and self.reference is not None:
            image.calc = self.reference
            energy, forces = energy + image.get_potential_energy(), forces + image.get_forces()
        return energy, forces, grade

    def grade(self):
        """Return the largest extrapolation grade of what was computed last, NaN without an active set."""
        return float(np.max(self.ace.results['gamma'])) if self.has_grades else float('nan')


def reference_calculator(settings):
    """Return the reference potential as a calculator of ASE."""
    name = settings['name']
    if name == 'zbl':
        return PairCalculator(Zbl(settings['inner'], settings['outer']))
    if name == 'lennard_jones':
        return PairCalculator(LennardJones(settings['pairs'], settings['shift']))
    if name == 'ase':
        return get_calculator_class(settings['calculator'])(**settings['parameters'])
    raise ValueError('unknown reference potential ' + repr(name))
