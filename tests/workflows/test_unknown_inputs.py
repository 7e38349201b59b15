"""A misspelt input of the work chains is refused, wherever it stands."""

from __future__ import annotations

import pytest
from aiida.orm import Int

from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain
from aiida_autopipec.workflows.train import TrainPotentialWorkChain


@pytest.mark.parametrize(
    ('process', 'namespace'),
    [
        (TrainPotentialWorkChain, 'restart'),
        (TrainPotentialWorkChain, 'pace_train'),
        (TrainPotentialWorkChain, 'pace_select'),
        (TrainPotentialWorkChain, 'pace_activeset'),
        (TrainPotentialWorkChain, 'validate'),
        (PaceTrainBaseWorkChain, 'pace_train'),
    ],
)
def test_a_misspelt_input_is_refused(aiida_profile, process, namespace):
    """A namespace that exposes another process takes what that has, and nothing else."""
    builder = getattr(process.get_builder(), namespace)
    with pytest.raises(AttributeError, match='max_attemts'):
        builder.max_attemts = Int(1)
