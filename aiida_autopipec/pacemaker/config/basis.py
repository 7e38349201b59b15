"""The part of a configuration that the basis depends on."""

from __future__ import annotations

from aiida_autopipec.pacemaker.config.training import TrainingConfig


def basis_config(config: TrainingConfig) -> TrainingConfig:
    """Return a configuration that builds the same basis and does nothing else.

    It names the evaluator that every installation has; weights, ladder and stops are left to Pacemaker.
    """
    settings = config.to_dict()
    return TrainingConfig.model_validate(
        {'seed': config.seed, 'potential': settings['potential'], 'backend': {'evaluator': 'pyace'}}
    )
