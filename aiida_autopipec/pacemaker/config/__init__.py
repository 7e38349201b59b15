"""The typed model of Pacemaker's ``input.yaml``: unknown keys are refused, values are checked.

::

    config = validate_config(mapping)                      # ConfigError names each key that is wrong
    text = render_input_yaml(config, train_filename='train.pckl.gzip')
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.config.basis_size import BasisSize
from aiida_autopipec.pacemaker.config.potential import GivenPotential, PotentialShape
from aiida_autopipec.pacemaker.config.remarks import config_remarks
from aiida_autopipec.pacemaker.config.render import render_input_yaml
from aiida_autopipec.pacemaker.config.settings import Setting, iter_settings
from aiida_autopipec.pacemaker.config.training import TrainingConfig, config_problems, validate_config

__all__ = [
    'BasisSize',
    'GivenPotential',
    'PotentialShape',
    'Setting',
    'TrainingConfig',
    'config_problems',
    'config_remarks',
    'iter_settings',
    'render_input_yaml',
    'validate_config',
]
