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
from aiida_autopipec.pacemaker.reference_potentials import (
    ZBL,
    AseReference,
    LennardJones,
    NamedCalculator,
    ReferencePotential,
    total_calculator,
)

__all__ = [
    'ZBL',
    'AseReference',
    'AutopipecError',
    'ConfigError',
    'DatasetError',
    'FileFormatError',
    'InputError',
    'LabelledStructures',
    'LennardJones',
    'NamedCalculator',
    'OutputError',
    'ReferencePotential',
    'TrainingConfig',
    'UnsafeFileError',
    'load_pacemaker_dataset',
    'merge_datasets',
    'save_to_pacemaker_format',
    'total_calculator',
]
