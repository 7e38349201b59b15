"""A training that takes longer than it should is told before it is submitted; nothing is refused."""

from __future__ import annotations

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.cost.assumed import AssumedData
from aiida_autopipec.pacemaker.cost.estimate import TrainingData, estimate_cost

#: Size of data for which the time is told when the data are not known: a small training set.
TYPICAL_STRUCTURES, TYPICAL_ATOMS = 100, 1000
#: Longer than this is no sensible time for so little data; real sets are ten times larger.
SENSIBLE_SECONDS = 6 * 3600.0

UNITS = ((86400.0, 'days'), (3600.0, 'hours'), (60.0, 'minutes'))


def cost_remarks(config: TrainingConfig, data: TrainingData | None = None) -> list[str]:
    """Return one sentence if evaluator ``pyace`` cannot fit a potential in sensible time.

    :param config: the settings.
    :param data: to train on; by default a small set.
    """
    if config.backend.evaluator != 'pyace':
        return []
    size = data or AssumedData(TYPICAL_STRUCTURES, TYPICAL_ATOMS, config.elements)
    cost = estimate_cost(config, size)
    if cost is None or cost.seconds < SENSIBLE_SECONDS:
        return []
    return [
        f'backend.evaluator: pyace computes the gradient by differences, so that {cost.n_parameters} parameters '
        f'({cost.n_functions} functions) take {cost.evaluations_per_iteration} passes over the data in each iteration, '
        f'and {cost.iterations} iterations about {duration(cost.seconds)} on one core for {size.n_atoms} atoms; use '
        'tensorpot, or fewer functions.'
    ]


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for length, unit in UNITS:
        if seconds >= 2 * length:
            return f'{seconds / length:.0f} {unit}'
    return f'{seconds:.0f} s' if seconds >= 10 else f'{seconds:.2g} s'
