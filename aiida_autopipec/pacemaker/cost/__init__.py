"""What a training will cost, before it is submitted: sizes, seconds and memory from the settings and the data.

::

    facts = DataFacts.of([structures])
    estimate = estimate_cost(config, facts)
    print(estimate.seconds_per_iteration, estimate.memory_mb)
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.cost.estimate import CostEstimate, estimate_cost
from aiida_autopipec.pacemaker.cost.facts import DataFacts
from aiida_autopipec.pacemaker.cost.neighbours import count_neighbours

__all__ = ['CostEstimate', 'DataFacts', 'count_neighbours', 'estimate_cost']
