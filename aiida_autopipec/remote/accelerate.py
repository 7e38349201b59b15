"""Give a fit a better start than zero, and tell the optimiser how the loss is curved where it begins.

Runs on the computer, in Pacemaker's own Python, before ``pacemaker``:

    python accelerate.py input.yaml accelerated.yaml --mode prefit|full [--damping D] [--structures N] [--seed N]

Writes ``prefit.yaml`` and, over the plain input that stands there already, the input that uses it. Whatever goes wrong,
the plain input stays, and ``acceleration.json`` says why. Needs what python-ace brings.

All that Pacemaker does then is documented: it goes on from a potential (``potential: FILE``), a ladder begins with one
(``potential: {initial_potential: FILE}``), and scipy's BFGS takes a first inverse Hessian (``fit.options.hess_inv0``).
A fit that goes on from a potential keeps that, and is told the curvature there.
"""

import argparse
import json
import sys
import time
import traceback

import numpy as np
from accelerate_checks import N_STRUCTURES, check
from accelerate_curvature import Curvature
from accelerate_input import POTENTIAL, as_seen_by, can_hand_over, why_no_curvature, write_input
from accelerate_linear import Design, Evaluator, NormalEquations, regularisation
from accelerate_problem import NotPossibleError, Problem
from accelerate_workers import allowed, spread

OUTCOME = 'acceleration.json'
FOLDER = 'accelerate_files'  # what Pacemaker's dry run leaves
SEEDS = (0.0, -0.5, -1.0, -2.0, -4.0, -8.0, 0.5, 1.0, 2.0)
CHUNKS = 32  # fixed, so that sums do not depend on the number of processes


class Start:
    """Coefficients to begin with, and what is known of them."""

    def __init__(self, problem, other, coefficients, loss):
        self.other = other  # (n,) coefficients of all functions without the first density
        self.linear = coefficients  # (f,) of the first density
        self.full = other.copy()
        self.full[problem.layout.starts] += coefficients
        self.loss = loss


def linear_start(problem, seeds, processes):
    """Return the best start over the seeds of the second density, and the loss of a potential that is zero."""
    others = [seeded(problem, seed) for seed in seeds]
    equations = accumulate(problem, others, processes)
    spec, radial = problem.loss, problem.radial_loss()
    starts = []
    for index, other in enumerate(others):
        found = equations.solve(index, problem.free, spec.L1_coeffs, spec.L2_coeffs)
        loss = equations.loss(found, index)
        start = Start(problem, other, found, 0.0)
        start.loss = loss + regularisation(start.full, spec) + radial
        starts.append(start)
    best = min(range(len(starts)), key=lambda index: (not np.isfinite(starts[index].loss), starts[index].loss))
    return starts[best], seeds[best], equations.plain + radial


def seeded(problem, seed):
    """Return coefficients of all functions that are zero but for the first pair functions of the second density."""
    coefficients = np.zeros(problem.layout.n_coefficients)
    coefficients[problem.seeds()] = seed
    return coefficients


def accumulate(problem, others, processes):
    """Sum up the normal equations over all structures, in several processes."""
    chunks = np.array_split(np.arange(len(problem.structures)), min(CHUNKS, len(problem.structures)))
    total = NormalEquations(len(problem.layout), len(others))
    for part in spread(sum_chunk, (problem, others), chunks, processes):
        total.merge(part)
    return total


def sum_chunk(shared, rows):
    """Sum up the normal equations over some structures."""
    problem, others = shared
    evaluators = []
    for other in others:
        problem.basis.basis_coeffs = other
        evaluators.append(Evaluator(problem.basis))
    design = Design(problem.basis, problem.layout, problem.factors)
    part = NormalEquations(len(problem.layout), len(others))
    for row in rows:
        structure = problem.structures[row]
        derivatives = design(structure.environment, with_forces=problem.kappa > 0)
        part.add(structure, derivatives, [evaluate(structure.environment) for evaluate in evaluators], problem.kappa)
    return part


def write_potential(problem, coefficients):
    """Write the start as a potential; what it remembers of earlier fit cycles would let Pacemaker skip the fit."""
    problem.basis.basis_coeffs = coefficients
    config = problem.basis.to_BBasisConfiguration()
    known = dict(problem.config.metadata)
    for key in list(config.metadata.keys()):
        del config.metadata[key]
    for key, value in known.items():
        if not key.startswith('_'):
            config.metadata[key] = value
    config.save(POTENTIAL)


def predict(problem, start, rows):
    """Return what the linear algebra says of some structures, and what the coefficients cost by themselves."""
    problem.basis.basis_coeffs = start.other
    offset = Evaluator(problem.basis)
    design = Design(problem.basis, problem.layout, problem.factors)
    values = []
    for row in rows:
        environment = problem.structures[row].environment
        by_energy, by_forces = design(environment)
        energy, forces = offset(environment)
        values.append((energy + by_energy @ start.linear, forces + (by_forces @ start.linear).reshape(-1, 3)))
    return values, regularisation(start.full, problem.loss) + problem.radial_loss()


def choose(problem, number, seed):
    """Return the rows of a random choice of structures, in their order."""
    count = len(problem.structures)
    return np.sort(np.random.RandomState(seed).permutation(count)[: min(number, count)])


def accelerate(arguments, outcome):
    """Write potential and input of a better start, and say what was done."""
    import ruamel.yaml

    clock = Clock(outcome['seconds'])
    with open(arguments.input) as handle:
        settings = ruamel.yaml.YAML(typ='safe', pure=True).load(handle)
    problem = Problem(settings, FOLDER)
    clock.stop('prepare')
    outcome.update(
        functions=len(problem.layout),
        coefficients=len(problem.trainable),
        kappa=problem.kappa,
        structures=len(problem.structures),
    )
    if problem.goes_on:
        begun = go_on(problem, settings, arguments, outcome)
    else:
        begun = begin(problem, arguments, outcome, clock)
    matrix = None
    if arguments.mode == 'full':
        matrix = curvature(problem, settings, begun, arguments, outcome)
        clock.stop('curvature')
    if problem.goes_on and matrix is None:
        raise NotPossibleError('the fit goes on from a potential, and %s' % outcome['curvature']['reason'])
    write_input(settings, arguments.output, problem, matrix)
    clock.stop('write')


def begin(problem, arguments, outcome, clock):
    """Write the best start, and return its coefficients of all functions."""
    seeds = SEEDS if arguments.mode == 'full' and len(problem.seeds()) else SEEDS[:1]
    start, seed, plain = linear_start(problem, seeds, arguments.processes)
    outcome.update(predicted_loss=start.loss, loss_of_zero=plain, second_density=seed)
    if seed == 0 and not problem.trainable[: problem.layout.n_radial].any():
        # gradients of all densities are in a fixed ratio where they are zero, and that of the first one vanishes
        raise NotPossibleError('with frozen radial functions, the fit would stand still at the start')
    if not start.loss < plain:
        raise NotPossibleError('the loss of the start, %.6g, is not below that of zero, %.6g' % (start.loss, plain))
    write_potential(problem, start.full)
    clock.stop('prefit')
    rows = choose(problem, N_STRUCTURES, arguments.seed)
    outcome['self_test'] = check(problem, POTENTIAL, predict(problem, start, rows), rows)
    clock.stop('self_test')
    return start.full


def go_on(problem, settings, arguments, outcome):
    """Return the coefficients of all functions of the potential that the fit goes on from, as they are."""
    if arguments.mode != 'full':
        raise NotPossibleError('the fit goes on from a potential')
    coefficients = np.array(problem.basis.basis_coeffs)
    outcome['predicted_loss'] = loss_there(problem, arguments.processes) + (
        regularisation(coefficients, problem.loss) + problem.radial_loss()
    )
    return coefficients


def loss_there(problem, processes):
    """Return the loss of the potential as it is, without regularisation."""
    chunks = np.array_split(np.arange(len(problem.structures)), min(CHUNKS, len(problem.structures)))
    return float(sum(spread(loss_of_chunk, problem, chunks, processes)))


def loss_of_chunk(problem, rows):
    """Sum up the loss of some structures."""
    evaluate, total = Evaluator(problem.basis), 0.0
    for row in rows:
        structure = problem.structures[row]
        energy, forces = evaluate(structure.environment)
        total += (1 - problem.kappa) * structure.energy_weight * (energy - structure.energy) ** 2
        total += problem.kappa * float(structure.force_weights @ ((forces - structure.forces) ** 2).sum(axis=1))
    return total


def curvature(problem, settings, coefficients, arguments, outcome):
    """Return the inverse Hessian for the optimiser at some coefficients, or nothing with the reason in the outcome."""
    reason = why_no_curvature(problem, settings)
    if reason is not None:
        outcome['curvature'] = {'used': False, 'reason': reason}
        return None
    found = Curvature(problem, coefficients, choose(problem, arguments.structures, arguments.seed))
    matrix, step = found.inverse(arguments.damping, arguments.processes)
    if not np.isfinite(matrix).all() or np.linalg.eigvalsh(matrix)[0] <= 0:
        outcome['curvature'] = {'used': False, 'reason': 'the inverse of the curvature is not positive'}
        return None
    if not step['length']:
        outcome['curvature'] = {'used': False, 'reason': 'no step with the curvature lowers the loss'}
        return None
    outcome['curvature'] = {
        'used': True,
        'structures': len(found.structures),
        'evaluations': found.evaluations,
        'damping': arguments.damping,
        'first_step': step,
        'by_file': can_hand_over(),
    }
    return as_seen_by(settings, problem, matrix)


class Clock:
    """Seconds of each step."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.last = time.time()

    def stop(self, name):
        """Note how long a step took."""
        now = time.time()
        self.seconds[name] = round(now - self.last, 3)
        self.last = now


def parse(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument('input')
    parser.add_argument('output')
    parser.add_argument('--mode', choices=('prefit', 'full'), default='prefit')
    parser.add_argument('--damping', type=float, default=1e-3)
    parser.add_argument('--structures', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--processes', type=int, default=allowed())
    return parser.parse_args(arguments)


def main(arguments):
    """Do what can be done, and say how it went; a fit is never stopped from here."""
    parsed = parse(arguments)
    outcome = {'mode': parsed.mode, 'used': False, 'reason': None, 'seconds': {}}
    try:
        accelerate(parsed, outcome)
        outcome['used'] = True
    except NotPossibleError as error:
        outcome['reason'] = str(error)
    except Exception as error:
        outcome['reason'] = '%s: %s' % (type(error).__name__, str(error)[:300])
        outcome['traceback'] = traceback.format_exc()[-3000:]
    with open(OUTCOME, 'w') as handle:
        json.dump(outcome, handle, indent=2, sort_keys=True)


if __name__ == '__main__':
    main(sys.argv[1:])
