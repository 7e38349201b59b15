"""From pydantic's errors to one sentence each: which key, what it must be, what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aiida_autopipec.pacemaker.config.base import SectionError
from aiida_autopipec.pacemaker.config.names import dotted, unknown_key, unknown_species
from aiida_autopipec.pacemaker.config.settings import Path, Setting, matches

_LONGEST_VALUE = 80
#: The mark that pydantic puts behind a key that is itself wrong.
_KEY_MARK = '[key]'

_REQUIREMENTS: dict[str, Callable[[dict[str, Any]], str]] = {
    'float_type': lambda _: 'must be a number',
    'finite_number': lambda _: 'must be a finite number',
    'int_type': lambda _: 'must be an integer',
    'bool_type': lambda _: 'must be true or false',
    'string_type': lambda _: 'must be text',
    'tuple_type': lambda _: 'must be a list',
    'dict_type': lambda _: 'must be a mapping',
    'model_type': lambda _: 'must be a mapping',
    'invalid_key': lambda _: 'must be a text key',
    'string_pattern_mismatch': lambda _: 'must be written as module.function',
    'literal_error': lambda ctx: f'must be {str(ctx["expected"]).replace(chr(39), "")}',
    'greater_than': lambda ctx: f'must be greater than {ctx["gt"]:g}',
    'greater_than_equal': lambda ctx: f'must be at least {ctx["ge"]:g}',
    'less_than': lambda ctx: f'must be less than {ctx["lt"]:g}',
    'less_than_equal': lambda ctx: f'must be at most {ctx["le"]:.10g}',
    'too_short': lambda ctx: f'must hold at least {ctx["min_length"]} values',
    'too_long': lambda ctx: f'must hold at most {ctx["max_length"]} values',
}


def sentences(error: ValidationError, settings: Sequence[Setting]) -> list[str]:
    """Return one sentence for each thing that is wrong, starting with the path of the key.

    :param error: what pydantic found.
    :param settings: all settings that exist, to name the nearest one.
    """
    details = error.errors(include_url=False)
    bad_keys = [_path(item) for item in details if item['loc'][-1:] == (_KEY_MARK,)]
    found: dict[str, None] = {}
    for item in details:
        path = _path(item)
        is_key = item['loc'][-1:] == (_KEY_MARK,)
        # what stands under a wrong key says nothing: it was checked against the wrong section
        if is_key or not any(path[: len(bad)] == bad for bad in bad_keys):
            found.update(dict.fromkeys(_sentence(where, what) for where, what in _explain(path, item, settings)))
    return list(found)


def _sentence(path: Path, text: str) -> str:
    """Return a problem as a sentence; problems of the whole have no key."""
    ending = '' if text.endswith('?') else '.'
    return f'{dotted(path)}: {text}{ending}' if path else f'The training configuration {text}{ending}'


def _path(item: ErrorDetails) -> Path:
    """Return the keys as they stand in the file: without tags of unions, marks, and attributes of ours."""
    parts = [str(part) for part in item['loc'] if part != _KEY_MARK]
    parts = [part for part in parts if not (part.startswith('<') and part.endswith('>'))]
    if parts[:3] == ['potential', 'functions', 'blocks']:
        del parts[2]
    return tuple(parts)


def _explain(path: Path, item: ErrorDetails, settings: Sequence[Setting]) -> Iterator[tuple[Path, str]]:
    kind, context = item['type'], item.get('ctx', {})
    cause = context.get('error')
    if isinstance(cause, SectionError):
        yield from ((path + extra, text) for extra, text in cause.items)
    elif kind == 'value_error':
        yield path, str(cause)
    elif kind == 'extra_forbidden':
        yield path, unknown_key(path, settings)
    elif kind == 'species_key':
        yield path, unknown_species(path, context['keywords'], context['largest'], settings)
    elif kind == 'missing':
        yield path, f'is missing ({_description(path, settings)})'
    elif kind in _REQUIREMENTS:
        yield path, f'{_REQUIREMENTS[kind](dict(context))}, not {shown(item["input"])}'
    else:
        yield path, f'{item["msg"]}, not {shown(item["input"])}'


def _description(path: Path, settings: Sequence[Setting]) -> str:
    found = next((setting.field.description for setting in settings if matches(setting.path, path)), None)
    return (found or 'required').rstrip('.')


def shown(value: object) -> str:
    """Return a value as text that fits into a sentence."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f'{text[:_LONGEST_VALUE]}…'
