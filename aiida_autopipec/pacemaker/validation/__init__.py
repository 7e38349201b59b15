"""Is a potential safe to simulate with? What is measured on a computer, judged against thresholds."""

from __future__ import annotations

from aiida_autopipec.pacemaker.validation.criteria import Criterion
from aiida_autopipec.pacemaker.validation.judge import Subject, Verdict, judge, verdict_table
from aiida_autopipec.pacemaker.validation.labels import Labels, relate_labels
from aiida_autopipec.pacemaker.validation.measurements import Measurements, error_of, read_arrays, read_facts
from aiida_autopipec.pacemaker.validation.parameters import CHECKS, ValidationParameters, parse_validation_parameters
from aiida_autopipec.pacemaker.validation.request import possible_checks, reference_settings, script_settings

__all__ = [
    'CHECKS',
    'Criterion',
    'Labels',
    'Measurements',
    'Subject',
    'ValidationParameters',
    'Verdict',
    'error_of',
    'judge',
    'parse_validation_parameters',
    'possible_checks',
    'read_arrays',
    'read_facts',
    'reference_settings',
    'relate_labels',
    'script_settings',
    'verdict_table',
]
