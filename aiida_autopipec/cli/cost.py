"""What a training will cost, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_autopipec.cli.launch import TrainingRequest, training_inputs

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.config import TrainingConfig
    from aiida_autopipec.pacemaker.cost import CostEstimate, DataFacts


def cost_lines(request: TrainingRequest) -> list[str]:
    """Return what is trained on, the size of the potential, and what it will cost, one line each.

    :raises InputError: if the data cannot be read.
    """
    from aiida_autopipec.pacemaker.config import TrainingConfig
    from aiida_autopipec.pacemaker.cost import estimate_cost
    from aiida_autopipec.workflows.protocols.facts import facts_of

    config = TrainingConfig.model_validate(dict(request.config))
    facts = _trained_on(facts_of(training_inputs(request)), request)
    reasons = [f'chosen      {reason}' for reason in request.description.split('; ') if reason]
    data = f'{facts.n_structures} structures with {facts.n_atoms} atoms of {", ".join(facts.elements)}'
    estimate = estimate_cost(config, facts)
    if estimate is None:
        return [
            *reasons,
            f'data        {data} to train on',
            'cost        not known: the potential is given from outside',
        ]
    return [
        *reasons,
        f'data        {data} to train on, {estimate.neighbours:.0f} neighbours within {config.cutoff:g} Å',
        *_size(estimate),
        *_cost(estimate, config),
    ]


def _trained_on(facts: DataFacts, request: TrainingRequest) -> DataFacts:
    """Return the facts of what is left for training by test set and selection."""
    if request.split is not None:
        facts = facts.part(1 - float(request.split['test_fraction']))
    if request.max_structures is not None:
        facts = facts.part(min(1.0, request.max_structures / facts.n_structures))
    return facts


def _size(estimate: CostEstimate) -> list[str]:
    """Return the size of the potential, and of the part of each element where there are several."""
    lines = [f'potential   {estimate.n_functions} functions, at most {estimate.n_parameters} parameters']
    if len(estimate.functions_per_element) > 1:
        parts = estimate.parameters_per_element
        each = [
            f'{key}: {count} functions, {parts[key]} parameters'
            for key, count in estimate.functions_per_element.items()
        ]
        lines.append(f'            {"; ".join(each)}')
    return lines


def _cost(estimate: CostEstimate, config: TrainingConfig) -> list[str]:
    from aiida_autopipec.pacemaker.cost.remarks import duration

    evaluator = config.backend.evaluator
    lines = [
        f'time        {duration(estimate.seconds_per_iteration)} per iteration, {duration(estimate.seconds)} for '
        f'{estimate.iterations} iterations: {evaluator} on one core that is free, give or take a factor of 2',
        f'memory      {estimate.memory_mb:.0f} MB',
    ]
    if evaluator == 'tensorpot':
        lines.append('            a GPU is faster by a factor that was not measured')
    return lines
