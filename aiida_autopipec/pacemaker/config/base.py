"""What every section of Pacemaker's ``input.yaml`` has in common.

Sections are frozen pydantic models that forbid unknown keys and convert nothing silently. Python attributes are
lower case; the keys of the file are the aliases, in Pacemaker's own spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator
from pydantic.config import JsonDict

#: A number that YAML 1.2 (which Pacemaker reads) knows and YAML 1.1 (which PyYAML reads) takes for text: ``1e-8``.
YAML_1_2_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')


class SectionError(ValueError):
    """Several things wrong with one section.

    :param items: for each problem the keys that lead to it from the section, and what is wrong there.
    """

    def __init__(self, items: Iterable[tuple[tuple[str, ...], str]]) -> None:
        self.items = list(items)
        super().__init__('; '.join(f'{".".join(path)}: {text}' for path, text in self.items))

    @classmethod
    def raise_any(cls, items: Iterable[tuple[tuple[str, ...], str]]) -> None:
        """Raise if there is at least one problem.

        :raises SectionError: with all of them.
        """
        problems = cls(items)
        if problems.items:
            raise problems


def read_number(value: object) -> object:
    """Return a number for the text ``1e-8``, and anything else as it is.

    PyYAML follows YAML 1.1 and reads ``1e-8`` as text, Pacemaker's reader follows YAML 1.2 and reads a number:
    the same file must mean the same here as there.
    """
    if isinstance(value, str) and YAML_1_2_NUMBER.fullmatch(value.strip()):
        return float(value)
    return value


def as_tuple(value: object) -> object:
    """Return a list as a tuple, so that frozen models hold no mutable lists."""
    return tuple(value) if isinstance(value, list) else value


def plain(value: object) -> object:
    """Return nested mappings, tuples and numpy scalars as dictionaries, lists and Python scalars."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if type(value).__module__ == 'numpy' and hasattr(value, 'tolist'):
        return value.tolist()
    return value


def about(
    *, kind: str | None = None, unit: str | None = None, default: str | None = None, source: str | None = None
) -> JsonDict:
    """Return what the reference page says of a setting beyond its meaning, for ``json_schema_extra``.

    :param kind: type and range in words, where the annotation does not say them.
    :param unit: of the value, such as ``Å``.
    :param default: what Pacemaker does without the key, where that is not the default of the field.
    :param source: address of the documentation, where it is not that of the section.
    """
    stated = {'kind': kind, 'unit': unit, 'default': default, 'source': source}
    return {key: value for key, value in stated.items() if value is not None}


Number = Annotated[float, BeforeValidator(read_number)]
Numbers = Annotated[tuple[Number, ...], BeforeValidator(as_tuple)]
Integers = Annotated[tuple[int, ...], BeforeValidator(as_tuple)]


class Section(BaseModel):
    """One mapping of ``input.yaml``."""

    model_config = ConfigDict(frozen=True, extra='forbid', strict=True, allow_inf_nan=False)

    #: address of Pacemaker's documentation of this section
    SOURCE: ClassVar[str] = ''
    #: attributes for which ``null`` means something to Pacemaker
    NULLABLE: ClassVar[frozenset[str]] = frozenset()
    #: attributes that exist here only: their keys stand beside those of this section in the file
    SPREAD: ClassVar[frozenset[str]] = frozenset()

    @field_validator('*', mode='before')
    @classmethod
    def refuse_null(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``null``, which Pacemaker would take for a value."""
        if value is None and info.field_name not in cls.NULLABLE:
            raise ValueError('must have a value, or the key must be left out for the default')
        return value

    def to_mapping(self) -> dict[str, Any]:
        """Return the keys that were set, in Pacemaker's spelling and in the order of the documentation."""
        return self.model_dump(mode='json', by_alias=True, exclude_unset=True)
