"""Keys that stand for elements: ``ALL``, ``UNARY``, ``BINARY``, …, ``Al``, ``AlNi``, ``Al Ni``, ``(Al, Ni)``.

Pacemaker finds the elements of such a key with the pattern ``[A-Z][a-z]?`` and drops whatever else stands there
(``pyace/multispecies_basisextension.py``, python-ace 0.4.0rc1): here the rest may only be separators.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import Annotated, Any

from ase.data import chemical_symbols
from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

SYMBOLS = frozenset(chemical_symbols[1:])
ALL = 'ALL'
#: keyword -> number of different elements that it stands for
NARY = {'UNARY': 1, 'BINARY': 2, 'TERNARY': 3, 'QUATERNARY': 4, 'QUINARY': 5}
KEYWORDS = (ALL, *NARY)

_SYMBOL = re.compile(r'[A-Z][a-z]?')
_SEPARATORS = re.compile(r"""[\s,;:()\[\]'"_-]+""")


def split_species(key: str) -> tuple[str, ...]:
    """Return the elements of a key, as ``('Al', 'Ni')`` for ``AlNi``.

    :raises ValueError: if anything in the key is not a chemical symbol.
    """
    text = _SEPARATORS.sub('', key)
    symbols = tuple(_SYMBOL.findall(text))
    if ''.join(symbols) != text or not symbols or not SYMBOLS.issuperset(symbols):
        raise ValueError(f'{key!r} is not made of chemical symbols')
    return symbols


def normal_key(key: object) -> str:
    """Return a key in the one spelling used inside: a keyword, or symbols without separators (``AlNi``).

    A key that cannot be understood is returned as text, for :func:`check_species_key` to refuse.
    """
    if isinstance(key, tuple | list):
        key = ' '.join(str(item) for item in key)
    text = str(key)
    if text in KEYWORDS:
        return text
    try:
        return ''.join(split_species(text))
    except ValueError:
        return text


def sort_key(key: str) -> tuple[int, int, str]:
    """Return what sorts keywords from the general to the specific, and then elements."""
    if key in KEYWORDS:
        return (0, KEYWORDS.index(key), '')
    return (1, len(_SYMBOL.findall(key)), key)


def normal_species_mapping(value: dict[Any, Any]) -> dict[str, Any]:
    """Return a mapping with its species keys in one spelling and one order.

    :raises ValueError: if two keys stand for the same elements, of which Pacemaker would take the last.
    """
    seen: dict[str, object] = {}
    for key in value:
        normal = normal_key(key)
        if normal in seen:
            raise ValueError(f'must name {normal} once, not as {seen[normal]!r} and as {key!r}')
        seen[normal] = key
    return {normal: value[seen[normal]] for normal in sorted(seen, key=sort_key)}


def _read_species_mapping(value: Any) -> Any:
    return normal_species_mapping(value) if isinstance(value, dict) else value


def check_species_key(key: str, keywords: Sequence[str], largest: int) -> str:
    """Refuse a key that is neither one of the keywords nor one to ``largest`` chemical symbols.

    :raises PydanticCustomError: of type ``species_key``, with the names that are allowed.
    """
    try:
        size = 0 if key in keywords else len(split_species(key))
    except ValueError:
        size = -1
    if size < 0 or size > largest:
        raise PydanticCustomError('species_key', 'unknown key', {'keywords': list(keywords), 'largest': largest})
    return key


def read_elements(value: object) -> tuple[str, ...]:
    """Return chemical symbols in alphabetic order, which is the order that Pacemaker works in.

    :raises ValueError: for anything but a list of different chemical symbols.
    """
    items = list(value) if isinstance(value, list | tuple) else []
    if not items:
        raise ValueError(f'must be a list of chemical symbols, such as [Al, Ni], not {value!r}')
    for item in items:
        if isinstance(item, bool):
            raise ValueError(f'must hold chemical symbols, not {item!r}: YAML reads an unquoted No as false')
        if not isinstance(item, str) or item not in SYMBOLS:
            raise ValueError(f'must hold chemical symbols, not {item!r}')
    if len(set(items)) < len(items):
        twice = sorted({item for item in items if items.count(item) > 1})
        raise ValueError(f'must name each element once, not {", ".join(twice)} several times')
    return tuple(sorted(items))


def blocks(elements: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every species block: a central element, and the other elements around it in alphabetic order.

    One to five elements, as the keywords reach; ``ALL`` reaches as far as there are elements.
    """
    return [
        (central, *others)
        for size in range(1, len(elements) + 1)
        for central in sorted(elements)
        for others in combinations(sorted(set(elements) - {central}), size - 1)
    ]


def pairs(elements: Sequence[str]) -> list[tuple[str, str]]:
    """Return every ordered pair of elements, equal ones included."""
    return [(first, second) for first in sorted(elements) for second in sorted(elements)]


Elements = Annotated[tuple[str, ...], BeforeValidator(read_elements)]
SpeciesMapping = BeforeValidator(_read_species_mapping)
EmbeddingKey = Annotated[str, AfterValidator(partial(check_species_key, keywords=KEYWORDS[:2], largest=1))]
BondKey = Annotated[str, AfterValidator(partial(check_species_key, keywords=KEYWORDS[:3], largest=2))]
FunctionKey = Annotated[str, AfterValidator(partial(check_species_key, keywords=KEYWORDS, largest=118))]
