"""What keys mean, and what an input means when it is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic.fields import FieldInfo

from aiida_autopipec.pacemaker.config import Setting, TrainingConfig, iter_settings
from aiida_autopipec.pacemaker.config.base import Section
from aiida_autopipec.pacemaker.config.dump import dump_yaml
from aiida_autopipec.pacemaker.config.names import unknown_key
from aiida_autopipec.pacemaker.config.settings import matches
from aiida_autopipec.pacemaker.describe import describe_default, describe_type
from aiida_autopipec.pacemaker.errors import ConfigError

_COMMENT_COLUMN = 44


def explain_keys(query: str | None = None) -> str:
    """Return what keys of ``input.yaml`` mean: type, range, default, meaning.

    :param query: a path (``fit.loss.kappa``, ``potential.bonds.ALL.rcut``), the end of one (``kappa``), or a section
        (``fit.loss``); by default all keys, a line each.
    :raises ConfigError: if no key is called so; the message names the nearest one.
    """
    settings = list(iter_settings(TrainingConfig))
    if query is None:
        return f'{_table(settings)}\n'
    found = _find(query, settings)
    if not found:
        text = unknown_key(tuple(query.split('.')), settings)
        raise ConfigError(f'{query}: {text}' + ('' if text.endswith('?') else '.'))
    if len(found) == 1 and found[0].is_section:
        inside = [item for item in settings if item.path[: len(found[0].path)] == found[0].path and item != found[0]]
        return f'{_paragraph(found[0])}\n\n{_table(inside)}\n'
    return '\n\n'.join(_paragraph(setting) for setting in found) + '\n'


def _find(query: str, settings: list[Setting]) -> list[Setting]:
    """Return the settings of a path; else those whose paths end like it."""
    path = tuple(query.split('.'))
    exact = [item for item in settings if matches(item.path, path) or item.name == query]
    return exact or [item for item in settings if matches(item.path[-len(path) :], path) and item.path[-1] == path[-1]]


def _table(settings: list[Setting]) -> str:
    """Return a line for each key."""
    width = max(len(item.name) for item in settings)
    return '\n'.join(f'{item.name:<{width}}  {_meaning(item.field)}{_default(item.field)}' for item in settings)


def _default(field: FieldInfo) -> str:
    text = describe_default(field)
    return '' if text == '–' else f' [{text.strip("`")}]'


def _paragraph(setting: Setting) -> str:
    """Return everything that is known about a key."""
    field = setting.field
    rows = {
        'type': 'section' if setting.is_section else describe_type(field.annotation, field.metadata).replace('`', ''),
        'unit': setting.unit,
        'default': describe_default(field).strip('`').replace('–', 'not set'),
        'source': setting.source,
    }
    lines = [setting.name, f'  {_meaning(field)}', *(f'  {key:<8} {value}' for key, value in rows.items() if value)]
    return '\n'.join(lines)


def _meaning(field: FieldInfo) -> str:
    return field.description or ''


def explain_config(config: TrainingConfig) -> str:
    """Return a configuration as ``input.yaml`` with comments: every key, what it means, and whether it is the default.

    Defaults are commented out, so that the text is read as the same configuration.

    :param config: the settings.
    """
    return '\n'.join(_section_lines(config, 0, off=False)) + '\n'


def _section_lines(section: Section, indent: int, *, off: bool, whole: bool = True) -> Iterator[str]:
    """Yield the lines of one section.

    :param off: it is not stated, so all of it is commented out.
    :param whole: list what is not set too.
    """
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        stated = name in section.model_fields_set and not off
        if name in section.SPREAD:
            yield from _mapping_lines(value, indent, off=off)
        elif isinstance(value, Section) or _holds_sections(value):
            # a stated section in which nothing is stated would be read as null
            stated = stated and _states_anything(value)
            yield _line(indent, f'{field.alias or name}:', _meaning(field), off=not stated)
            inside = _section_lines if isinstance(value, Section) else _mapping_lines
            yield from inside(value, indent + 2, off=not stated)
        elif not stated and not whole:
            continue
        elif value is None and not stated:
            yield _line(indent, f'{field.alias or name}:', f'not set. {_meaning(field)}', off=True)
        else:
            yield from _leaf_lines(section, name, indent, stated=stated)


def _mapping_lines(sections: Mapping[str, Section], indent: int, *, off: bool) -> Iterator[str]:
    """Yield the lines of sections by elements; the first shows everything that could be set."""
    for number, (key, section) in enumerate(sections.items()):
        yield _line(indent, f'{key}:', '', off=off)
        yield from _section_lines(section, indent + 2, off=off, whole=number == 0)


def _leaf_lines(section: Section, name: str, indent: int, *, stated: bool) -> Iterator[str]:
    """Yield the lines of one value."""
    field = type(section).model_fields[name]
    key = field.alias or name
    value = section.model_dump(mode='json', by_alias=True)[key]
    # a mapping of nothing but scalars would be written on one line, in braces
    first, *rest = dump_yaml({key: value, '_': [0]}).splitlines()[:-1]
    yield _line(indent, first, _meaning(field) if stated else f'default. {_meaning(field)}', off=not stated)
    yield from (_line(indent, line, '', off=not stated) for line in rest)


def _line(indent: int, text: str, comment: str, *, off: bool) -> str:
    line = ' ' * indent + ('# ' if off else '') + text
    return f'{line:<{_COMMENT_COLUMN}} # {comment}' if comment else line


def _states_anything(value: object) -> bool:
    """Say whether a section, or one inside it, has a key of its own."""
    if not isinstance(value, Section):
        return True
    return any(_states_anything(getattr(value, name)) for name in value.model_fields_set)


def _holds_sections(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, Section) for item in value.values())
