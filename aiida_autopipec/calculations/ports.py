"""Ports that several jobs and work chains have, each defined once."""

from __future__ import annotations

from typing import Any

from aiida.engine.processes.process_spec import ProcessSpec
from aiida.orm import AbstractCode, Dict, Int, SinglefileData, to_aiida_type

from aiida_autopipec.calculations import validation

CONFIG_HELP = "Pacemaker's `input.yaml` without names of files; see TrainingConfig."


def add_dict(spec: ProcessSpec, name: str, *, purpose: str, validator: Any = None, required: bool = False) -> None:
    """Define an input that takes a mapping, plain or as a node.

    :param purpose: what it is for, shown as help.
    :param validator: checks it; ``None`` if other ports are needed for that.
    """
    settings: dict[str, Any] = {} if validator is None else {'validator': validator}
    spec.input(name, valid_type=Dict, required=required, serializer=validation.serialize_dict, help=purpose, **settings)


def add_config(spec: ProcessSpec, *, purpose: str = CONFIG_HELP, required: bool = True) -> None:
    """Define the input ``config``: the settings of a training."""
    add_dict(spec, 'config', purpose=purpose, validator=validation.validate_config, required=required)


def add_potential(spec: ProcessSpec, name: str, *, purpose: str, required: bool = False) -> None:
    """Define an input that takes a potential (`.yaml`)."""
    spec.input(
        name,
        valid_type=SinglefileData,
        required=required,
        validator=validation.validate_potential,
        help=purpose,
    )


def add_active_set(spec: ProcessSpec, *, purpose: str) -> None:
    """Define the input ``active_set``: what is known already."""
    spec.input('active_set', valid_type=SinglefileData, required=False, help=purpose)


def add_active_set_parameters(spec: ProcessSpec, name: str, *, purpose: str) -> None:
    """Define an input that takes the settings of ``pace_activeset``."""
    add_dict(spec, name, purpose=purpose, validator=validation.validate_active_set_parameters)


def add_select_parameters(spec: ProcessSpec, name: str, *, purpose: str) -> None:
    """Define an input that takes the settings of a selection."""
    add_dict(spec, name, purpose=purpose, validator=validation.validate_select_parameters)


def add_parts(spec: ProcessSpec, name: str) -> None:
    """Define an input that says into how many parts a pool is divided."""
    spec.input(
        name,
        valid_type=Int,
        default=lambda: Int(1),
        serializer=to_aiida_type,
        validator=_validate_parts,
        help='Parts of the pool that are selected from as jobs of their own, side by side, before one job selects out '
        'of what they offer.',
    )


def _validate_parts(value: Int, _: Any) -> str | None:
    return None if value.value >= 1 else f'it is {value.value}, but has to be at least 1'


def add_codes(spec: ProcessSpec, **others: str) -> None:
    """Define the namespace ``codes``: the Python of Pacemaker, and other programs.

    :param others: what each further program is, by the name of its port.
    """
    spec.input_namespace('codes', help='Other programs on the same computer.')
    for name, purpose in others.items():
        spec.input(f'codes.{name}', valid_type=AbstractCode, required=False, help=purpose)
    spec.input(
        'codes.python',
        valid_type=AbstractCode,
        required=False,
        help="Pacemaker's own Python; by default it is found from the executable of `code`.",
    )


def refuse_unknown(spec: Any, *namespaces: str) -> None:
    """Let namespaces that expose those of another process refuse keys that it does not have.

    aiida-core 2.9 makes them take any node by any name, so that a misspelt key would be stored and have no effect.
    """
    for name in namespaces:
        spec.inputs[name].dynamic = False
