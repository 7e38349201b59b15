"""Checks that a potential section states all that its elements need, and nothing for other elements.

Rules read from ``pyace/multispecies_basisextension.py`` (python-ace 0.4.0rc1) and tried with ``pacemaker --dry-run``:
a missing ``npot`` or ``rcut`` is accepted and nothing can be fitted, missing ``radparameters`` crash the interpreter,
and functions for ``AlNi`` without ``NiAl`` end in a RuntimeError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from aiida_autopipec.pacemaker.config.base import Section
from aiida_autopipec.pacemaker.config.blocks import Bond, Embedding, FunctionBlock
from aiida_autopipec.pacemaker.config.species import ALL, KEYWORDS, NARY, blocks, pairs, split_species

Problem = tuple[tuple[str, ...], str]
AnySection = TypeVar('AnySection', bound=Section)
#: From this order on Pacemaker's table knows at most two different (element, n) in one function.
FIRST_INCOMPLETE_ORDER = 6


def shape_problems(
    elements: Sequence[str],
    embeddings: Mapping[str, Embedding],
    bonds: Mapping[str, Bond],
    functions: Mapping[str, FunctionBlock],
    functions_per_element: int | None,
) -> Iterator[Problem]:
    """Yield what is wrong between the parts of a potential section."""
    foreign = [
        *foreign_elements('embeddings', embeddings, elements),
        *foreign_elements('bonds', bonds, elements),
        *foreign_elements('functions', functions, elements),
        *_function_key_problems(functions),
        *_bond_key_problems(bonds),
    ]
    yield from foreign
    if not foreign:
        keys = _keys_by_block(elements, functions)
        yield from _embedding_problems(elements, embeddings)
        yield from _bond_problems(elements, bonds)
        yield from _function_problems(elements, functions, keys)
        yield from _limit_problems(elements, len(keys), functions_per_element)


def foreign_elements(section: str, keys: Mapping[str, object], elements: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each key of a section that names an element outside ``elements``."""
    for key in keys:
        names = () if key in KEYWORDS else split_species(key)
        unknown = sorted(set(names) - set(elements))
        if unknown:
            yield (section, key), f'names {", ".join(unknown)}, which potential.elements {list(elements)} does not list'


def _function_key_problems(functions: Mapping[str, FunctionBlock]) -> Iterator[Problem]:
    for key in functions:
        if key in KEYWORDS:
            continue
        central, *others = split_species(key)
        wanted = ''.join([central, *sorted(set(others) - {central})])
        if key != wanted:
            yield ('functions', key), f'must be written {wanted}: central element first, then the others, each once'


def _bond_key_problems(bonds: Mapping[str, Bond]) -> Iterator[Problem]:
    for key in bonds:
        names = () if key in KEYWORDS else split_species(key)
        if len(names) == 2 and names[0] != names[1] and names[1] + names[0] in bonds and names[0] < names[1]:
            yield ('bonds', names[1] + names[0]), f'is the same bond as {key}; state it once'
        if len(names) == 2 and names[0] == names[1] and names[0] in bonds:
            yield ('bonds', key), f'is the same bond as {names[0]}; state it once'


def merged(sections: Iterable[AnySection]) -> AnySection:
    """Return the settings of several sections as one, the later overriding the earlier key by key."""
    first, *others = sections
    for other in others:
        first = first.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})
    return first


def _embedding_problems(elements: Sequence[str], embeddings: Mapping[str, Embedding]) -> Iterator[Problem]:
    for element in elements:
        keys = [key for key in (ALL, 'UNARY', element) if key in embeddings]
        embedding = merged([Embedding(), *(embeddings[key] for key in keys)])
        missing = [key for key in ('npot', 'fs_parameters', 'ndensity') if getattr(embedding, key) is None]
        if missing:
            yield ('embeddings',), f'must state {", ".join(missing)} for {element} (under {element} or ALL)'
        elif embedding.fs_parameters and embedding.ndensity:
            wanted, length = 2 * embedding.ndensity, len(embedding.fs_parameters)
            if wanted != length:
                text = f'must hold {wanted} numbers for {element} (ndensity = {embedding.ndensity}), not {length}'
                yield ('embeddings', keys[-1], 'fs_parameters'), text


def _bond_problems(elements: Sequence[str], bonds: Mapping[str, Bond]) -> Iterator[Problem]:
    inner_types = set()
    for first, second in pairs(elements):
        if first <= second:
            names = [first, first + first] if first == second else [first + second, second + first]
            keys = [ALL, 'UNARY' if first == second else 'BINARY', *names]
            bond = merged([Bond(), *(bonds[key] for key in keys if key in bonds)])
            inner_types.add(bond.inner_cutoff_type or 'distance')
            yield from _one_bond_problems(names[0], bond)
    if len(inner_types) > 1:
        yield ('bonds',), f'must have one inner_cutoff_type for all bonds, not {", ".join(sorted(inner_types))}'


def _one_bond_problems(name: str, bond: Bond) -> Iterator[Problem]:
    missing = [key for key in ('radbase', 'radparameters', 'rcut') if getattr(bond, key) is None]
    if missing:
        yield ('bonds',), f'must state {", ".join(missing)} for {name} (under {name} or ALL)'
        return
    if (bond.r_in is None) != (bond.delta_in is None):
        yield ('bonds',), f'must state both r_in and delta_in for {name}, or neither'
    elif bond.core_repulsion is not None and bond.r_in is None:
        yield ('bonds',), f'must state r_in and delta_in for {name}, without which core-repulsion never acts'
    for (key,), text in bond.problems():
        yield ('bonds',), f'{key} of {name} {text}'


def _keys_by_block(elements: Sequence[str], functions: Mapping[str, FunctionBlock]) -> dict[tuple[str, ...], str]:
    """Return for each species block that gets functions the most specific key that states them."""
    names = {size: name for name, size in NARY.items()}
    keys = {block: (ALL, names.get(len(block), ALL), ''.join(block)) for block in blocks(elements)}
    stated = {block: [key for key in choices if key in functions] for block, choices in keys.items()}
    return {block: found[-1] for block, found in stated.items() if found}


def _function_problems(
    elements: Sequence[str], functions: Mapping[str, FunctionBlock], keys: Mapping[tuple[str, ...], str]
) -> Iterator[Problem]:
    for element in elements:
        if (element,) not in keys:
            yield ('functions',), f'must give functions to {element} (under {element}, UNARY or ALL)'
    for pair in pairs(elements):
        if pair[0] != pair[1] and pair not in keys:
            name = ''.join(pair)
            yield ('functions',), f'must give functions to {name} ({pair[1]} around {pair[0]}; under BINARY or ALL)'
    # the largest block of each key decides, so that each key is named once
    for key, size in {key: len(block) for block, key in sorted(keys.items(), key=lambda item: len(item[0]))}.items():
        for order, radial in enumerate(functions[key].nradmax_by_orders, start=1):
            if order >= FIRST_INCOMPLETE_ORDER and radial * size > 2:
                text = f'must be at most {2 // size} at order {order}, beyond which Pacemaker has no functions'
                yield ('functions', key, 'nradmax_by_orders'), f'{text} of {size} elements, not {radial}'


def _limit_problems(elements: Sequence[str], n_blocks: int, per_element: int | None) -> Iterator[Problem]:
    if per_element is not None and n_blocks and per_element * len(elements) < n_blocks:
        smallest = -(-n_blocks // len(elements))
        text = f'must be at least {smallest}, or each of the {n_blocks} blocks is left without functions'
        yield ('functions', 'number_of_functions_per_element'), f'{text}, not {per_element}'
