"""What holds for an element, a pair or a species block once general and specific keys are merged.

Rules of ``generate_embeddings_ext``, ``generate_bonds_ext`` and ``generate_functions_ext`` in
``pyace/multispecies_basisextension.py`` (python-ace 0.4.0rc1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from aiida_autopipec.pacemaker.config.base import Section
from aiida_autopipec.pacemaker.config.blocks import Bond, Embedding, FunctionBlock
from aiida_autopipec.pacemaker.config.species import ALL, NARY, blocks

AnySection = TypeVar('AnySection', bound=Section)


def merged(sections: Iterable[AnySection]) -> AnySection:
    """Return the settings of several sections as one, the later overriding the earlier key by key."""
    first, *others = sections
    for other in others:
        first = first.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})
    return first


def embedding_keys(element: str, embeddings: Mapping[str, Embedding]) -> list[str]:
    """Return the keys that state the embedding of an element, the most specific last."""
    return [key for key in (ALL, 'UNARY', element) if key in embeddings]


def embedding_of(element: str, embeddings: Mapping[str, Embedding]) -> Embedding:
    """Return the embedding of an element."""
    return merged([Embedding(), *(embeddings[key] for key in embedding_keys(element, embeddings))])


def bond_of(pair: tuple[str, str], bonds: Mapping[str, Bond]) -> Bond:
    """Return the bond of a pair of elements, whose order does not matter."""
    first, second = pair
    names = [first, first + first] if first == second else [first + second, second + first]
    keys = (ALL, 'UNARY' if first == second else 'BINARY', *names)
    return merged([Bond(), *(bonds[key] for key in keys if key in bonds)])


def keys_by_block(elements: Sequence[str], functions: Mapping[str, FunctionBlock]) -> dict[tuple[str, ...], str]:
    """Return for each species block that gets functions the most specific key that states them."""
    names = {size: name for name, size in NARY.items()}
    keys = {block: (ALL, names.get(len(block), ALL), ''.join(block)) for block in blocks(elements)}
    stated = {block: [key for key in choices if key in functions] for block, choices in keys.items()}
    return {block: found[-1] for block, found in stated.items() if found}
