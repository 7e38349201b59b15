"""Text or bytes that Pacemaker's programs leave behind, read into dataclasses.

``parse_x`` reads one file or stream, :func:`judge_training` says whether a training did what it was for, and
:func:`diagnose` why a program failed. Everything is treated as untrusted.
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.outputs.active_set import ActiveSetInfo, parse_active_set
from aiida_autopipec.pacemaker.outputs.failures import Diagnosis, Failure, diagnose
from aiida_autopipec.pacemaker.outputs.health import Health, Verdict, judge_training
from aiida_autopipec.pacemaker.outputs.info import PaceInfo, PaceTiming, parse_pace_info, parse_pace_timing
from aiida_autopipec.pacemaker.outputs.log import LogHint, Optimisation, StopReason, TrainingLog, parse_log
from aiida_autopipec.pacemaker.outputs.metrics import COLUMN_UNITS, Metrics, parse_metrics, salvage_metrics
from aiida_autopipec.pacemaker.outputs.potential import (
    PotentialInfo,
    canonical_potential_text,
    parse_potential,
    strip_fit_history,
)
from aiida_autopipec.pacemaker.outputs.scheduler import SchedulerEnd, accounting_fields, scheduler_end
from aiida_autopipec.pacemaker.outputs.selection import (
    ActiveSetLog,
    SelectionLog,
    parse_activeset_log,
    parse_select_log,
)
from aiida_autopipec.pacemaker.outputs.states import FitState, Position, newest_state, parse_whole_potential
from aiida_autopipec.pacemaker.outputs.stitching import Attempt, StitchedCurve, stitch
from aiida_autopipec.pacemaker.outputs.tools import (
    Augmentation,
    Collection,
    CoreRepulsion,
    parse_pace_augment,
    parse_pace_collect,
    parse_pace_corerep,
    parse_pace_yaml2yace,
)

__all__ = [
    'COLUMN_UNITS',
    'ActiveSetInfo',
    'ActiveSetLog',
    'Attempt',
    'Augmentation',
    'Collection',
    'CoreRepulsion',
    'Diagnosis',
    'Failure',
    'FitState',
    'Health',
    'LogHint',
    'Metrics',
    'Optimisation',
    'PaceInfo',
    'PaceTiming',
    'Position',
    'PotentialInfo',
    'SchedulerEnd',
    'SelectionLog',
    'StitchedCurve',
    'StopReason',
    'TrainingLog',
    'Verdict',
    'accounting_fields',
    'canonical_potential_text',
    'diagnose',
    'judge_training',
    'newest_state',
    'parse_active_set',
    'parse_activeset_log',
    'parse_log',
    'parse_metrics',
    'parse_pace_augment',
    'parse_pace_collect',
    'parse_pace_corerep',
    'parse_pace_info',
    'parse_pace_timing',
    'parse_pace_yaml2yace',
    'parse_potential',
    'parse_select_log',
    'parse_whole_potential',
    'salvage_metrics',
    'scheduler_end',
    'stitch',
    'strip_fit_history',
]
