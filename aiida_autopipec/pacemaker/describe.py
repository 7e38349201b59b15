"""Types and defaults of pydantic fields in words, for messages and for the documentation."""

from __future__ import annotations

import types
from inspect import isclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

PLAIN = {int: 'integer', float: 'number', str: 'text', bool: 'true or false', type(None): 'null'}
PLURAL = {'integer': 'integers', 'number': 'numbers', 'text': 'texts'}
BOUNDS = (('gt', '> '), ('ge', '≥ '), ('lt', '< '), ('le', '≤ '))


def describe_type(annotation: Any, metadata: Any = ()) -> str:
    """Return a type as a person would say it, with its bounds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        return describe_type(inner, [*extra, *metadata])
    return ''.join([_name(annotation, origin), *_bounds(metadata)])


def _name(annotation: Any, origin: Any) -> str:
    arguments = get_args(annotation)
    if origin is Literal:
        return ', '.join(f'`{value}`' for value in arguments)
    if origin in (Union, types.UnionType):
        known = [describe_type(item) for item in arguments if item is not type(None)]
        return ' or '.join(dict.fromkeys(known))
    if origin in (tuple, list):
        inner = dict.fromkeys(describe_type(item) for item in arguments if item is not Ellipsis)
        return f'list of {" or ".join(PLURAL.get(name, name) for name in inner)}'
    if origin is dict:
        return f'mapping of {describe_type(arguments[0])} to {describe_type(arguments[1])}'
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return f'`{annotation.__name__}`'
    return PLAIN.get(annotation, getattr(annotation, '__name__', str(annotation)))


def _bounds(metadata: Any) -> list[str]:
    found = []
    for item in metadata:
        nested = getattr(item, 'metadata', None)  # a FieldInfo inside Annotated carries its bounds one level down
        found += _bounds(nested) if nested else []
        found += [f', {sign}{getattr(item, name)}' for name, sign in BOUNDS if getattr(item, name, None) is not None]
    return list(dict.fromkeys(found))


def describe_default(field: Any) -> str:
    """Return the default of a field, or that it is required."""
    if field.is_required():
        return 'required'
    value = field.default
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel):
        return '–'
    return f'`{str(value).lower() if isinstance(value, bool) else value}`'
