"""What a training will cost, before it is submitted: sizes, seconds and memory from the settings and the data.

::

    facts = DataFacts.of([structures])
    estimate = estimate_cost(config, facts)
    print(estimate.seconds_per_iteration, estimate.memory_mb)
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.cost.assumed import AssumedData
from aiida_autopipec.pacemaker.cost.estimate import CostEstimate, TrainingData, estimate_cost
from aiida_autopipec.pacemaker.cost.facts import DataFacts
from aiida_autopipec.pacemaker.cost.neighbours import count_neighbours
from aiida_autopipec.pacemaker.cost.remarks import cost_remarks

__all__ = [
    'AssumedData',
    'CostEstimate',
    'DataFacts',
    'TrainingData',
    'cost_remarks',
    'count_neighbours',
    'estimate_cost',
]
