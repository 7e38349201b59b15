"""The protocols as they stand in the file, and mappings merged into each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.errors import ConfigError

FILE = 'train.yaml'
_VARIANTS = ('evaluators', 'two_stages')


def protocol_names() -> dict[str, str]:
    """Return what each protocol is for, by its name."""
    content = _content()
    default = content['default']['description']
    return {name: changes.get('description', default) for name, changes in content['protocols'].items()}


def default_protocol() -> str:
    """Return the name of the protocol that is used where none is named."""
    return str(_content()['default_protocol'])


def protocol_settings(name: str | None, evaluator: str, *, two_stages: bool = False) -> dict[str, Any]:
    """Return the settings of a protocol, before anything is chosen from the data.

    :param name: of the protocol; by default :func:`default_protocol`.
    :param evaluator: ``tensorpot`` or ``pyace``.
    :param two_stages: whether a second stage weights energies more.
    :return: ``description``, ``rules``, ``config``, ``split``, and ``refinement`` with two stages.
    :raises ConfigError: if there is no such protocol or evaluator.
    """
    content = _content()
    name = default_protocol() if name is None else name
    if name not in content['protocols']:
        raise ConfigError(f'there is no protocol `{name}`; {_advice(name, content["protocols"])}')
    layers = []
    for layer in (content['default'], content['protocols'][name]):
        evaluators = layer.get('evaluators', {})
        layers += [layer, evaluators.get(evaluator, {}), layer.get('two_stages', {}) if two_stages else {}]
    known = content['default']['evaluators']
    if evaluator not in known:
        raise ConfigError(f'there is no evaluator `{evaluator}`; {_advice(evaluator, known)}')
    settings: dict[str, Any] = {}
    for layer in layers:
        settings = merged(settings, {key: value for key, value in layer.items() if key not in _VARIANTS})
    return settings


def merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with what another one says otherwise, key by key; ``None`` takes a key away."""
    result = dict(first)
    for key, value in second.items():
        if isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def _advice(name: str, candidates: Mapping[str, Any]) -> str:
    near = nearest(name, candidates)
    return f'there are {", ".join(candidates)}' if near is None else f'did you mean `{near}`?'


@lru_cache(maxsize=1)
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(resources.files(__package__).joinpath(FILE).read_text())
    return content
