"""The second of two stages of a training: what it does otherwise than the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import Dict

from aiida_autopipec.pacemaker.config import TrainingConfig, config_problems
from aiida_autopipec.pacemaker.config.potential import GivenPotential
from aiida_autopipec.workflows.protocols.loading import merged

FIRST_STAGE_ONLY = (
    'ladder_step',
    'ladder_type',
    'fit_cycles',
    'noise_relative_sigma',
    'noise_absolute_sigma',
    'randomize_func_coeffs',
)
"""Keys of ``fit`` that build up or shake a potential, and that the second stage takes over from nobody."""


def refined_config(config: Mapping[str, Any], refinement: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the second stage.

    :param config: settings of the first, in Pacemaker's spelling.
    :param refinement: keys of ``fit`` that the second has otherwise; ``None`` takes a key away.
    """
    fit = {key: value for key, value in (config.get('fit') or {}).items() if key not in FIRST_STAGE_ONLY}
    refined = {**config, 'fit': merged(fit, refinement)}
    if isinstance(TrainingConfig.model_validate(dict(config)).potential, GivenPotential):
        del refined['potential']  # `reset` would throw away what the first stage has reached
    return refined


def refinement_problem(config: Dict, refinement: Dict) -> str | None:
    """Return what is wrong with a second stage, if anything."""
    stated = refinement.get_dict()
    if not stated:
        return '`refinement` is empty: say what the second stage does otherwise, such as `loss: {kappa: 0.05}`'
    known = config_problems(config.get_dict())
    problems = [text for text in config_problems(refined_config(config.get_dict(), stated)) if text not in known]
    return f'`refinement`: {" ".join(problems)}' if problems else None
