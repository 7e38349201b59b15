"""``fit.trainable_parameters``: which functions and radial coefficients the fit may change.

Forms read by ``expand_trainable_parameters`` in ``pyace/multispecies_basisextension.py`` (python-ace 0.4.0rc1): a
keyword or elements, ``func`` or ``radial``, a list of keywords and elements, or a mapping of them to parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import PlainValidator

from aiida_autopipec.pacemaker.config.base import SectionError
from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.config.species import (
    KEYWORDS,
    SYMBOLS,
    normal_key,
    normal_species_mapping,
    split_species,
)

KINDS = ('func', 'radial')

TrainableParameters = str | list[str] | dict[str, str | list[str]]


def read_trainable_parameters(value: object) -> TrainableParameters:
    """Return trainable parameters with species keys in one spelling.

    :raises ValueError: for anything that Pacemaker would read as nothing at all.
    """
    if isinstance(value, str):
        return value if value in KINDS else _species(value)
    if isinstance(value, list | tuple) and value:
        keys = [_species(item) for item in value]
        if len(set(keys)) < len(keys):
            raise ValueError('must name each group of elements once')
        return keys
    if isinstance(value, dict) and value:
        SectionError.raise_any(_mapping_problems(value))
        return {_species(key): _kinds(item) for key, item in normal_species_mapping(value).items()}
    raise ValueError(
        'must be ALL, UNARY, …, elements, func, radial, a list of groups, or a mapping such as '
        f'{{AlNi: [func, radial]}}, not {value!r}'
    )


def named_elements(value: TrainableParameters) -> dict[str, tuple[str, ...]]:
    """Return the elements of each group that is not a keyword."""
    keys = [value] if isinstance(value, str) else list(value)
    return {key: split_species(key) for key in keys if key not in KEYWORDS and key not in KINDS}


def _species(value: object) -> str:
    key = normal_key(value)
    if key not in KEYWORDS:
        split_species(key)
    return key


def _mapping_problems(value: dict[Any, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, item in value.items():
        try:
            _species(key)
        except ValueError as error:
            near = nearest(str(key), [*KEYWORDS, *sorted(SYMBOLS)])
            yield (str(key),), f'unknown key; did you mean {near}?' if near else f'unknown key; {error}'
            continue
        try:
            _kinds(item)
        except ValueError as error:
            yield (str(key),), str(error)


def _kinds(value: object) -> str | list[str]:
    if isinstance(value, str) and value in (*KINDS, 'all'):
        return value
    # {func, radial} is a mapping without values to YAML, and a form that Pacemaker's documentation shows
    if isinstance(value, dict) and not any(value.values()):
        value = list(value)
    kinds = list(value) if isinstance(value, list | tuple) else []
    if not kinds or any(kind not in KINDS for kind in kinds) or len(set(kinds)) < len(kinds):
        raise ValueError(f'must be func, radial, all or [func, radial], not {value!r}')
    return [kind for kind in KINDS if kind in kinds]


Trainable = Annotated[TrainableParameters, PlainValidator(read_trainable_parameters)]
