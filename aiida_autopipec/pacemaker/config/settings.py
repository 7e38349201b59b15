"""The list of all settings, read off the models: names for messages, and rows for the reference page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import isclass
from typing import Any, get_args, get_origin

from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from aiida_autopipec.pacemaker.config.base import Section

#: Stands in a path for a keyword or elements: ``potential.bonds.*.rcut``.
ANY = '*'
Path = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """One key of ``input.yaml``.

    :param path: the keys that lead to it, with ``*`` for elements.
    :param field: its type, range, default and description.
    :param is_section: whether it holds further settings.
    :param source: address of Pacemaker's documentation of it, or of the code that reads it.
    """

    path: Path
    field: FieldInfo
    is_section: bool
    source: str

    @property
    def name(self) -> str:
        """Return the whole path as text."""
        return '.'.join('<elements>' if part == ANY else part for part in self.path)

    @property
    def unit(self) -> str | None:
        """Return the unit of the value, if it has one."""
        stated = _extra(self.field).get('unit')
        return str(stated) if stated else None

    @property
    def kind(self) -> str | None:
        """Return type and range in words, where the annotation does not say them."""
        stated = _extra(self.field).get('kind')
        return str(stated) if stated else None

    @property
    def default(self) -> str | None:
        """Return what Pacemaker does without the key, where the field itself does not say it."""
        stated = _extra(self.field).get('default')
        return str(stated) if stated else None


def iter_settings(model: type[Section], prefix: Path = ()) -> Iterator[Setting]:
    """Yield every setting of a section and of the sections inside it, in the order of definition."""
    for attribute, field in model.model_fields.items():
        own = () if attribute in model.SPREAD else (field.alias or attribute,)
        children = list(_sections(field.annotation))
        if own:
            source = str(_extra(field).get('source', model.SOURCE))
            yield Setting(prefix + own, field, bool(children), source)
        for extra, child in children:
            yield from iter_settings(child, prefix + own + extra)


def _extra(field: FieldInfo) -> JsonDict:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _sections(annotation: Any) -> Iterator[tuple[Path, type[Section]]]:
    if isclass(annotation) and issubclass(annotation, Section):
        yield (), annotation
    extra = (ANY,) if get_origin(annotation) is dict else ()
    for argument in get_args(annotation):
        for path, section in _sections(argument):
            yield extra + path, section


def matches(pattern: Path, path: Path) -> bool:
    """Say whether a path is an instance of a pattern with ``*``."""
    return len(pattern) == len(path) and all(part in (ANY, own) for part, own in zip(pattern, path, strict=True))
