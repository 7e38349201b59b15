"""The curvature of the loss at a start: the Gauss-Newton matrix of some structures stands for that of all.

Part of ``accelerate.py``. H = 2 J'WJ over the derivatives J of energies and forces by all coefficients that may
change. Columns of the first density come from the design matrix. A density that is still zero has columns in a fixed
ratio to those, since its embedding is its slope there. All others are central differences.
"""

import numpy as np
from accelerate_linear import Design, Evaluator, regularisation
from accelerate_workers import spread

STEP = 1e-5  # of the differences: coefficients are of the order of one
RATIO_ERROR = 1e-4  # relative: beyond it, columns are not in a fixed ratio
MOST_BYTES = 2**29  # of the derivatives; fewer structures are taken beyond
LENGTHS = tuple(2.0**-power for power in range(11))  # of the first step, which the optimiser shortens, too
FLOOR = 2e-8  # curvature of a coefficient that nothing depends on, besides a part of the largest one
FLOOR_RELATIVE = 1e-12


class Curvature:
    """The Gauss-Newton matrix at a start.

    :param problem: the fit.
    :param coefficients: of all functions, at the start.
    :param rows: of the structures that stand for all.
    """

    def __init__(self, problem, coefficients, rows):
        self.problem = problem
        self.layout = problem.layout
        self.basis = problem.basis
        self.start = np.concatenate([np.asarray(problem.basis.all_coeffs)[: self.layout.n_radial], coefficients])
        self.structures = self.that_fit([problem.structures[row] for row in rows])
        self.weights = self.scaled_weights()
        self.evaluations = 0  # of the subset

    def that_fit(self, structures):
        """Return as many structures as derivatives may be kept of, one at least."""
        rows = np.cumsum([1 + structure.forces.size for structure in structures])
        return structures[: max(1, int(np.searchsorted(8 * len(self.start) * rows, MOST_BYTES, side='right')))]

    def scaled_weights(self):
        """Return the weight of each row: energies, then forces, so that the sums are those of all structures."""
        kappa, every = self.problem.kappa, self.problem.structures
        energies = np.array([structure.energy_weight for structure in self.structures])
        forces = np.concatenate([np.repeat(structure.force_weights, 3) for structure in self.structures])
        all_energies = sum(structure.energy_weight for structure in every)
        all_forces = 3 * sum(structure.force_weights.sum() for structure in every)
        return np.concatenate(
            [
                (1 - kappa) * energies * (all_energies / max(energies.sum(), np.finfo(float).tiny)),
                kappa * forces * (all_forces / max(forces.sum(), np.finfo(float).tiny)),
            ]
        )

    def rows_of(self, evaluate):
        """Return energies per atom and forces of the structures in one vector or matrix."""
        pairs = [evaluate(structure.environment) for structure in self.structures]
        return np.concatenate([np.array([pair[0] for pair in pairs])] + [by_forces for _, by_forces in pairs])

    def values(self, coefficients):
        """Return energies per atom and force components at some coefficients."""
        self.basis.all_coeffs = coefficients
        evaluator = Evaluator(self.basis)

        def flat(environment):
            energy, forces = evaluator(environment)
            return energy, forces.ravel()

        return self.rows_of(flat)

    def jacobian(self, processes):
        """Return the derivatives by all coefficients; columns of frozen ones are zero."""
        trainable, n_radial = self.problem.trainable, self.layout.n_radial
        columns = np.zeros((len(self.weights), len(self.start)))
        todo = set(np.flatnonzero(trainable).tolist())
        linear = self.problem.factors is not None
        design = self.rows_of(Design(self.basis, self.layout, self.problem.factors)) if linear else None
        for density in range(int(self.layout.densities.max()) if linear else 0):
            functions, places = self.layout.columns(density)
            places = places + n_radial
            ratios = self.ratios(density, functions, places, design)
            for function, place in zip(functions.tolist(), places.tolist()):
                ratio = ratios[self.layout.elements[function]]
                if ratio is not None and trainable[place]:
                    columns[:, place] = ratio * design[:, function]
                    todo.discard(place)
        todo = sorted(todo)
        for place, column in zip(todo, spread(difference, self, todo, processes)):
            columns[:, place] = column
        self.evaluations += 2 * len(todo)
        self.basis.all_coeffs = self.start
        return columns

    def ratios(self, density, functions, places, design):
        """Return for each element the ratio of columns of a density to those of the first one; none if there is none.

        :param functions: that have this density; ``places`` of its coefficients.
        """
        n_elements = len(self.problem.factors)
        if density == 0:
            return [1.0] * n_elements
        ratios = [None] * n_elements
        for element in range(n_elements):
            of_element = self.layout.elements[functions] == element
            if not of_element.any() or np.any(self.start[places[of_element]]):
                continue
            sizes = np.linalg.norm(design[:, functions[of_element]], axis=0)
            largest = int(np.argmax(sizes))
            column = difference(self, int(places[of_element][largest]))
            self.evaluations += 2
            known = design[:, functions[of_element][largest]]
            ratio = float(column @ known / max(known @ known, np.finfo(float).tiny))
            if np.linalg.norm(column - ratio * known) <= RATIO_ERROR * np.linalg.norm(column):
                ratios[element] = ratio
        return ratios

    def inverse(self, damping, processes):
        """Return the damped inverse, of all coefficients that the optimiser sees, and what a step with it does.

        :param damping: part of the diagonal that is added to it.
        """
        jacobian = self.jacobian(processes)
        trainable = self.problem.trainable
        matrix = 2 * jacobian.T @ (jacobian * self.weights[:, None])
        n_radial = self.layout.n_radial
        matrix[np.arange(n_radial, len(matrix)), np.arange(n_radial, len(matrix))] += 2 * self.problem.loss.L2_coeffs
        diagonal = np.diag(matrix)[trainable]
        part = matrix[np.ix_(trainable, trainable)]
        part = part + np.diag(damping * diagonal + FLOOR + FLOOR_RELATIVE * diagonal.max())
        scale = 1 / np.sqrt(np.diag(part))
        factor = np.linalg.inv(np.linalg.cholesky(part * np.outer(scale, scale)))
        found = factor.T @ factor * np.outer(scale, scale)
        found = (found + found.T) / 2
        return found, self.first_step(found, jacobian)

    def first_step(self, inverse, jacobian):
        """Return how long a step with the inverse may be, and what it makes of the loss of these structures.

        :returns: length and relative loss; the length is zero if no step lowers the loss.
        """
        trainable, spec = self.problem.trainable, self.problem.loss
        rest = self.values(self.start) - self.labels()
        gradient = 2 * jacobian.T @ (self.weights * rest)
        functions = self.start[self.layout.n_radial :]
        gradient[self.layout.n_radial :] += 2 * spec.L2_coeffs * functions + spec.L1_coeffs * np.sign(functions)
        step = np.zeros(len(self.start))
        step[trainable] = -inverse @ gradient[trainable]
        before = self.loss(self.start, rest)
        for length in LENGTHS:
            there = self.start + length * step
            after = self.loss(there, self.values(there) - self.labels())
            self.evaluations += 1
            if after < before:
                self.basis.all_coeffs = self.start
                return {'length': length, 'loss': after / before}
        self.basis.all_coeffs = self.start
        return {'length': 0.0, 'loss': 1.0}

    def labels(self):
        """Return the labels in the order of the rows."""
        return np.concatenate(
            [np.array([structure.energy for structure in self.structures])]
            + [structure.forces.ravel() for structure in self.structures]
        )

    def loss(self, coefficients, rest):
        """Return the loss of these structures, without that of the radial functions."""
        return self.weights @ rest**2 + regularisation(coefficients[self.layout.n_radial :], self.problem.loss)


def difference(curvature, place):
    """Return the derivatives by one coefficient, as a central difference."""
    step = np.zeros(len(curvature.start))
    step[place] = STEP
    return (curvature.values(curvature.start + step) - curvature.values(curvature.start - step)) / (2 * STEP)
