"""What the user wants otherwise than the protocol: every key is known, or refused with the nearest one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine.processes.ports import PortNamespace

from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.errors import ConfigError

ARGUMENTS = ('datasets', 'structures', 'labels', 'test_datasets', 'conversion')
"""Ports that are arguments of their own: a protocol chooses by them."""

OWN = ('rules', 'acceleration', 'early_stopping')
"""Overrides that are no ports of the work chain."""

MAPPINGS = ('rules', 'config', 'split', 'reference', 'refinement')
"""Overrides that are merged key by key."""


def check_overrides(overrides: Mapping[str, Any], ports: PortNamespace) -> None:
    """Check that every key is known; what stands in ``config`` and in those of :data:`OWN` is checked where it is read.

    :param ports: the inputs of the work chain.
    :raises ConfigError: with the key and the nearest known one.
    """
    _check_mapping(overrides, 'overrides')
    for key, value in overrides.items():
        if key in ARGUMENTS:
            raise ConfigError(f'`overrides.{key}` is not possible: `{key}` is an argument of its own')
        if key in MAPPINGS:
            _check_mapping(value, f'overrides.{key}')
        if key not in OWN:
            _check_port(key, value, ports, 'overrides', [*ports, *OWN])


def check_arguments(
    ports: PortNamespace, *, codes: Mapping[str, Any] | None, options: Mapping[str, Any] | None
) -> None:
    """Check that programs and options of the job have the names of ports.

    :param ports: the inputs of the work chain.
    :raises ConfigError: with the key and the nearest known one.
    """
    training: Any = ports['pace_train']
    for name, stated, known in (
        ('codes', codes, training['codes']),
        ('options', options, training['metadata']['options']),
    ):
        _check_mapping(stated, name)
        for key, value in (stated or {}).items():
            _check_port(key, value, known, name, list(known))


def _check_port(key: str, value: Any, ports: PortNamespace, path: str, known: list[str]) -> None:
    if key not in ports:
        if ports.dynamic:
            return
        near = nearest(key, known)
        advice = f'did you mean `{path}.{near}`?' if near else f'the keys are {", ".join(sorted(known))}'
        raise ConfigError(f'`{path}.{key}` is unknown; {advice}')
    port = ports[key]
    if isinstance(port, PortNamespace):
        _check_mapping(value, f'{path}.{key}')
        for name, item in (value or {}).items():
            _check_port(name, item, port, f'{path}.{key}', list(port))


def _check_mapping(value: Any, path: str) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f'`{path}` has to be a mapping, but is {value!r}')
