"""Pacemaker without AiiDA: datasets, settings, files and commands.

A library of its own: nothing in it imports AiiDA.
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import (
    AutopipecError,
    ConfigError,
    DatasetError,
    FileFormatError,
    InputError,
    OutputError,
    UnsafeFileError,
)
from aiida_autopipec.pacemaker.formats import load_pacemaker_dataset, merge_datasets, save_to_pacemaker_format

__all__ = [
    'AutopipecError',
    'ConfigError',
    'DatasetError',
    'FileFormatError',
    'InputError',
    'LabelledStructures',
    'OutputError',
    'TrainingConfig',
    'UnsafeFileError',
    'load_pacemaker_dataset',
    'merge_datasets',
    'save_to_pacemaker_format',
]
