"""The port of the monitor of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import CalcJobProcessSpec
from aiida.engine.processes.calcjobs.calcjob import validate_monitors as validate_by_aiida
from aiida.orm import Dict

from aiida_autopipec.calculations.validation import serialize_dict
from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.outputs.concerns import MonitorThresholds

ENTRY_POINT = 'autopipec.pace_train'
SECONDS_BETWEEN_LOOKS = 20


def define_monitor(spec: CalcJobProcessSpec) -> None:
    """Give a training its monitor, and the report that it leaves behind when it stops one."""
    spec.input(
        'monitors.autopipec',
        valid_type=Dict,
        default=default_monitor,
        serializer=serialize_dict,
        help='Follows the training and stops a hopeless one; `kwargs` are those of MonitorThresholds.',
    )
    monitors: Any = spec.inputs['monitors']
    monitors.validator = validate_monitors
    spec.output(
        'stop_report', valid_type=Dict, required=False, help='Why the monitor stopped the training, with its numbers.'
    )


def default_monitor() -> Dict:
    """Return the monitor that a training has unless another one is stated."""
    return Dict({'entry_point': ENTRY_POINT, 'minimum_poll_interval': SECONDS_BETWEEN_LOOKS})


def validate_monitors(monitors: Mapping[str, Dict], port: Any) -> str | None:
    """Check the settings of all monitors; AiiDA checks names only."""
    for key, node in monitors.items():
        stated = node.get_dict()
        if stated.get('entry_point') != ENTRY_POINT:
            continue
        kwargs = stated.get('kwargs', {})
        if not isinstance(kwargs, Mapping):
            return f'`monitors.{key}.kwargs` is {kwargs!r}, but has to be a mapping of thresholds'
        try:
            parse_parameters(MonitorThresholds, kwargs)
        except ConfigError as exception:
            return f'`monitors.{key}.kwargs`: {exception}'
    problem: str | None = validate_by_aiida(monitors, port)
    return problem
