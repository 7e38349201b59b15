"""The first density of an untrained potential, by linear algebra.

Part of ``accelerate.py``. With energies E = X c and forces F = Y c, Pacemaker's loss

    (1 - kappa) sum_s w_s (E_s / n_s - e_s)^2 + kappa sum_i w_i |F_i - f_i|^2 + L1 sum |c| + L2 sum c^2

is a quadratic form in c, but for L1. What other densities and a core repulsion add is taken from the labels first.
Sums run over structures, so that memory holds one structure and one matrix of functions times functions.
"""

import numpy as np

STEPS = 8  # of the reweighting for L1: more change nothing in the sixth digit
FLOOR = 1e-6  # below this, a coefficient counts as zero for L1


class Evaluator:
    """Energies and forces of a potential, as Pacemaker's evaluator `pyace` gives them."""

    def __init__(self, basis):
        from pyace.calculator import ACECalculator
        from pyace.evaluator import ACECTildeEvaluator

        # pyace does not keep what it is given alive: without these names it reads freed memory
        self.basis = basis.to_ACECTildeBasisSet()
        self.evaluator = ACECTildeEvaluator(self.basis)
        self.calculator = ACECalculator(self.evaluator)

    def __call__(self, environment):
        """Return the energy per atom, and the ``(n, 3)`` forces."""
        self.calculator.compute(environment)
        n_atoms = environment.n_atoms_real
        return self.calculator.energy / n_atoms, np.array(self.calculator.forces)[:n_atoms]


class Design:
    """Derivatives of energies and forces by the coefficients of the first density."""

    def __init__(self, basis, layout, factors):
        from pyace.calculator import ACECalculator
        from pyace.evaluator import ACEBEvaluator

        self.layout = layout
        self.factors = factors[layout.elements]
        self.basis = basis
        self.evaluator = ACEBEvaluator(basis)
        self.calculator = ACECalculator(self.evaluator)

    def __call__(self, environment, with_forces=True):
        """Return the ``(f,)`` derivatives of the energy per atom, and the ``(3 n, f)`` ones of the forces or none."""
        self.calculator.compute(environment, compute_projections=True, compute_b_grad=with_forces)
        n_atoms = environment.n_atoms_real
        energy = np.zeros(len(self.layout))
        for species, projections in zip(environment.species_type, self.calculator.projections):
            start = self.layout.shifts[species]
            energy[start : start + len(projections)] += projections
        energy *= self.factors / n_atoms
        if not with_forces:
            return energy, None
        forces = np.array(self.calculator.forces_bfuncs)[:n_atoms]
        return energy, forces.transpose(0, 2, 1).reshape(-1, len(self.layout)) * self.factors


class NormalEquations:
    """The quadratic form of the loss, for several starts of the other densities at once.

    :param n_functions: of the first density.
    :param n_starts: of the other densities.
    """

    def __init__(self, n_functions, n_starts):
        self.matrix = np.zeros((n_functions, n_functions))
        self.vectors = np.zeros((n_starts, n_functions))
        self.constants = np.zeros(n_starts)
        self.plain = 0.0  # loss of the labels themselves: that of a potential that is zero

    def add(self, structure, derivatives, offsets, kappa):
        """Add one structure.

        :param derivatives: of energy and forces.
        :param offsets: energy and forces of the other densities for each start.
        """
        by_energy, by_forces = derivatives
        weight = (1 - kappa) * structure.energy_weight
        weights = kappa * np.repeat(structure.force_weights, 3)
        self.matrix += weight * np.outer(by_energy, by_energy)
        self.plain += weight * structure.energy**2 + weights @ structure.forces.ravel() ** 2
        if by_forces is not None:
            weighted = by_forces * weights[:, None]
            self.matrix += by_forces.T @ weighted
        for index, (energy, forces) in enumerate(offsets):
            left = structure.energy - energy
            self.vectors[index] += weight * left * by_energy
            self.constants[index] += weight * left**2
            if by_forces is not None:
                rest = (structure.forces - forces).ravel()
                self.vectors[index] += rest @ weighted
                self.constants[index] += weights @ rest**2

    def merge(self, other):
        """Add what was summed up elsewhere."""
        self.matrix += other.matrix
        self.vectors += other.vectors
        self.constants += other.constants
        self.plain += other.plain

    def loss(self, coefficients, index):
        """Return the loss without regularisation."""
        quadratic = coefficients @ self.matrix @ coefficients
        return float(self.constants[index] - 2 * coefficients @ self.vectors[index] + quadratic)

    def solve(self, index, free, l1, l2):
        """Return the coefficients with the smallest loss; those that are not free stay zero.

        L1 is met by reweighting: |c| has the value and slope of (c^2 / |c0| + |c0|) / 2 at c0.
        """
        matrix, vector = self.matrix[np.ix_(free, free)], self.vectors[index][free]
        found = solve_symmetric(matrix, np.full(len(vector), l2), vector)
        for _ in range(STEPS if l1 > 0 else 0):
            found = solve_symmetric(matrix, l2 + l1 / (2 * np.maximum(np.abs(found), FLOOR)), vector)
        coefficients = np.zeros(len(free))
        coefficients[free] = found
        return coefficients


def solve_symmetric(matrix, diagonal, vector):
    """Return the solution of (matrix + diag(diagonal)) x = vector; the smallest one if it has many."""
    full = matrix + np.diag(diagonal)
    scale = 1 / np.sqrt(np.maximum(np.diag(full), np.finfo(float).tiny))
    scaled = full * np.outer(scale, scale)
    try:
        if diagonal.any():
            return scale * np.linalg.solve(scaled, scale * vector)
    except np.linalg.LinAlgError:
        pass
    return scale * np.linalg.lstsq(scaled, scale * vector, rcond=1e-13)[0]


def regularisation(coefficients, spec):
    """Return the loss that coefficients of functions make by themselves."""
    return float(spec.L1_coeffs * np.abs(coefficients).sum() + spec.L2_coeffs * (coefficients**2).sum())
