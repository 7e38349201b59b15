"""Seconds and memory of a training, from its settings and facts about the data.

The model is a sum of terms that follow from what Pacemaker does; the factors were fitted to runs of python-ace 0.4.0rc1
and tensorpotential 0.6.2.1 on one core of 2026 (``tests/benchmarks/cost.py``; docs/topics/cost.md has the accuracy).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Protocol

from aiida_autopipec.pacemaker.config import BasisSize, TrainingConfig
from aiida_autopipec.pacemaker.config.basis_size import needed_shapes
from aiida_autopipec.pacemaker.config.inheritance import keys_by_block
from aiida_autopipec.pacemaker.config.potential import PotentialShape

#: Evaluations of the loss: so many more than iterations, of which each takes so many (line searches of BFGS).
FIRST_EVALUATIONS, EVALUATIONS_PER_ITERATION = 8, 1.05
#: Seconds by evaluator ``pyace``. Splines are made anew in each evaluation, for each ordered pair of elements: a point
#: of one radial function; a structure; a neighbour; the same for each angular channel; a function of an atom.
PYACE_SPLINE_POINT, PYACE_STRUCTURE = 8.7e-8, 1.0e-5
PYACE_PAIR, PYACE_PAIR_CHANNEL, PYACE_FUNCTION = 1.27e-7, 7.1e-9, 3.6e-8
#: Seconds by evaluator ``tensorpot`` on the CPU, gradient included: a batch, a neighbour, a channel, a function.
TENSORPOT_BATCH = 4.8e-3
TENSORPOT_PAIR, TENSORPOT_PAIR_CHANNEL, TENSORPOT_FUNCTION = 9.2e-7, 1.4e-8, 1.06e-6
#: Seconds for each cube of the number of parameters: the products of matrices in an iteration of scipy's BFGS.
BFGS_CUBE = 8e-11
#: MB of the libraries, and of the graph of TensorFlow for each function and element; bytes of a neighbour.
PYACE_MB, TENSORPOT_MB, TENSORPOT_MB_PER_FUNCTION = 212.0, 820.0, 1.0
PYACE_BYTES_PER_PAIR, TENSORPOT_BYTES_PER_PAIR, TENSORPOT_BYTES_PER_PAIR_OF_A_BATCH = 25.0, 100.0, 2000.0
#: Matrices of the size of the Hessian that BFGS holds at a time, in double precision.
HESSIANS = 5
#: Methods that need no gradient, which evaluator ``pyace`` computes by one evaluation per parameter.
WITHOUT_GRADIENT = ('Nelder-Mead', 'Powell')


class TrainingData(Protocol):
    """What the cost depends on: :class:`DataFacts` of structures, or :class:`AssumedData` before they are known."""

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        ...

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        ...

    @property
    def atoms_by_element(self) -> Mapping[str, int]:
        """Number of atoms by chemical symbol."""
        ...

    def neighbours(self, cutoff: float) -> float:
        """Return the mean number of neighbours within a cutoff in Å."""
        ...


@dataclasses.dataclass(frozen=True)
class CostEstimate:
    """What a training is expected to cost on one core of a CPU.

    :param functions_per_element: basis functions around each element.
    :param parameters_per_element: coefficients that the energy of an atom of each element depends on.
    :param n_functions: of the whole potential.
    :param n_parameters: that the fit changes; an upper bound with ``number_of_functions_per_element``.
    :param evaluations_per_iteration: of the loss, line searches apart: with ``pyace`` one for each parameter and one
        more, unless the method needs no gradient.
    :param neighbours: mean number of neighbours within the cutoff.
    :param iterations: largest number of iterations, of all cycles and ladder steps.
    :param seconds_per_evaluation: of the loss, with its gradient for ``tensorpot``.
    :param seconds_per_iteration: of the minimiser, in the last step of a ladder.
    :param seconds: of all iterations, if none of the limits stops them before; a ladder is counted as half of that.
    :param memory_mb: at the peak.
    """

    functions_per_element: Mapping[str, int]
    parameters_per_element: Mapping[str, int]
    n_functions: int
    n_parameters: int
    evaluations_per_iteration: int
    neighbours: float
    iterations: int
    seconds_per_evaluation: float
    seconds_per_iteration: float
    seconds: float
    memory_mb: float


def estimate_cost(config: TrainingConfig, facts: TrainingData) -> CostEstimate | None:
    """Return what a training is expected to cost, or nothing if its potential is given from outside.

    :param config: the settings.
    :param facts: of the training data.
    """
    size, potential = config.basis_size, config.potential
    if size is None or not isinstance(potential, PotentialShape):
        return None
    neighbours = facts.neighbours(potential.cutoff)
    evaluator = config.backend.evaluator
    one = _evaluation(config, potential, size, facts, facts.n_atoms * neighbours)
    trained = _trained_parameters(config, size)
    by_differences = evaluator == 'pyace' and config.fit.optimizer not in WITHOUT_GRADIENT
    evaluations = trained + 1 if by_differences else 1
    per_gradient = one * evaluations
    per_iteration = EVALUATIONS_PER_ITERATION * per_gradient + BFGS_CUBE * trained**3
    steps = config.fit.fit_cycles * _ladder_steps(config, size)
    grown = 0.5 if steps > config.fit.fit_cycles else 1.0
    return CostEstimate(
        functions_per_element=size.functions_per_element,
        parameters_per_element={element: size.parameters_of(element) for element in config.elements},
        n_functions=size.n_functions,
        n_parameters=trained,
        evaluations_per_iteration=evaluations,
        neighbours=neighbours,
        iterations=steps * config.fit.maxiter,
        seconds_per_evaluation=one,
        seconds_per_iteration=per_iteration,
        seconds=grown * steps * (config.fit.maxiter * per_iteration + FIRST_EVALUATIONS * per_gradient),
        memory_mb=_memory_mb(config, size, facts, facts.n_atoms * neighbours),
    )


def _trained_parameters(config: TrainingConfig, size: BasisSize) -> int:
    """Return how many parameters the fit changes; a choice by elements counts as all."""
    radial = sum(size.radial.values())
    choice = config.fit.trainable_parameters
    trained = {'func': size.n_parameters - radial, 'radial': radial}
    return trained.get(choice, size.n_parameters) if isinstance(choice, str) else size.n_parameters


def _evaluation(
    config: TrainingConfig, potential: PotentialShape, size: BasisSize, facts: TrainingData, n_pairs: float
) -> float:
    """Return the seconds of one evaluation of the loss over all data."""
    blocks = {
        block: potential.functions.blocks[key]
        for block, key in keys_by_block(config.elements, potential.functions.blocks).items()
    }
    shapes = needed_shapes(blocks)
    # ordered pairs: both orders of different elements have splines of their own
    radial = sum(
        (1 if pair[0] == pair[1] else 2) * (shape.nradbase + shape.nradmax * (shape.lmax + 1))
        for pair, shape in shapes.items()
    )
    channels = max(shape.nradmax * (shape.lmax + 1) ** 2 for shape in shapes.values())
    around, densities = size.functions_per_element, max(size.densities.values())
    products = sum(count * around.get(element, 0) for element, count in facts.atoms_by_element.items())
    if config.backend.evaluator == 'pyace':
        splines = PYACE_SPLINE_POINT * radial * potential.cutoff / potential.delta_spline_bins
        pairs = n_pairs * (PYACE_PAIR + PYACE_PAIR_CHANNEL * channels)
        return splines + PYACE_STRUCTURE * facts.n_structures + pairs + PYACE_FUNCTION * products * densities
    batches = math.ceil(facts.n_structures / config.backend.batch_size)
    per_pair = TENSORPOT_PAIR + TENSORPOT_PAIR_CHANNEL * channels
    return TENSORPOT_BATCH * batches + n_pairs * per_pair + TENSORPOT_FUNCTION * products


def _ladder_steps(config: TrainingConfig, size: BasisSize) -> int:
    """Return how many steps a ladder has.

    A step is a number of functions, a fraction of those that the whole potential has, or the larger of both, and every
    block of elements grows by it (``ladder_fitting`` in ``pyace/generalfit.py``, python-ace 0.4.0rc1).
    """
    stated = config.fit.ladder_step
    if stated is None:
        return 1
    steps = stated if isinstance(stated, list) else [stated]
    grown, count = dict.fromkeys(size.functions, 0), 0
    while grown != dict(size.functions):
        total = sum(grown.values())
        wanted = max(1, *(step if isinstance(step, int) else round(step * total) for step in steps))
        step = min(wanted, size.n_functions - total)
        grown = {block: min(grown[block] + step, final) for block, final in size.functions.items()}
        count += 1
    return count


def _memory_mb(config: TrainingConfig, size: BasisSize, facts: TrainingData, n_pairs: float) -> float:
    hessians = HESSIANS * 8 * _trained_parameters(config, size) ** 2
    if config.backend.evaluator == 'pyace':
        return PYACE_MB + (n_pairs * PYACE_BYTES_PER_PAIR + hessians) / 1e6
    in_a_batch = n_pairs * min(1.0, config.backend.batch_size / facts.n_structures)
    pairs = n_pairs * TENSORPOT_BYTES_PER_PAIR + in_a_batch * TENSORPOT_BYTES_PER_PAIR_OF_A_BATCH
    graph = TENSORPOT_MB_PER_FUNCTION * size.n_functions * len(config.elements)
    return TENSORPOT_MB + graph + (pairs + hessians) / 1e6
