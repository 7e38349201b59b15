"""Checks that a potential section states all that its elements need, and nothing for other elements.

Rules read from ``pyace/multispecies_basisextension.py`` (python-ace 0.4.0rc1) and tried with ``pacemaker --dry-run``:
a missing ``npot`` or ``rcut`` is accepted and nothing can be fitted, missing ``radparameters`` crash the interpreter,
and functions for ``AlNi`` without ``NiAl`` end in a RuntimeError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aiida_autopipec.pacemaker.config.basis_size import needed_shapes
from aiida_autopipec.pacemaker.config.blocks import Bond, Embedding, FunctionBlock
from aiida_autopipec.pacemaker.config.inheritance import bond_of, embedding_keys, embedding_of, keys_by_block
from aiida_autopipec.pacemaker.config.species import KEYWORDS, pairs, split_species

Problem = tuple[tuple[str, ...], str]
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
        keys = keys_by_block(elements, functions)
        yield from _embedding_problems(elements, embeddings)
        yield from _bond_problems(elements, embeddings, bonds)
        yield from _function_problems(elements, functions, keys)
        yield from _limit_problems(elements, len(keys), functions_per_element)
        yield from _radial_problems({block: functions[key] for block, key in keys.items()}, bonds)


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


def _embedding_problems(elements: Sequence[str], embeddings: Mapping[str, Embedding]) -> Iterator[Problem]:
    for element in elements:
        embedding = embedding_of(element, embeddings)
        missing = [key for key in ('npot', 'fs_parameters', 'ndensity') if getattr(embedding, key) is None]
        if missing:
            yield ('embeddings',), f'must state {", ".join(missing)} for {element} (under {element} or ALL)'
        elif embedding.fs_parameters and embedding.ndensity:
            wanted, length = 2 * embedding.ndensity, len(embedding.fs_parameters)
            if wanted != length:
                text = f'must hold {wanted} numbers for {element} (ndensity = {embedding.ndensity}), not {length}'
                yield ('embeddings', embedding_keys(element, embeddings)[-1], 'fs_parameters'), text


def _bond_problems(
    elements: Sequence[str], embeddings: Mapping[str, Embedding], bonds: Mapping[str, Bond]
) -> Iterator[Problem]:
    every = {pair: bond_of(pair, bonds) for pair in pairs(elements) if pair[0] <= pair[1]}
    for pair, bond in every.items():
        yield from _one_bond_problems(bond_name(pair), bond)
        if bond.core_repulsion is not None:
            yield from _core_problems(pair, embeddings)
    inner_types = sorted({bond.inner_cutoff_type or 'distance' for bond in every.values()})
    if len(inner_types) > 1:
        yield ('bonds',), f'must have one inner_cutoff_type for all bonds, not {", ".join(inner_types)}'


def bond_name(pair: tuple[str, str]) -> str:
    """Return a bond as the file names it: ``Al`` or ``AlNi``."""
    return pair[0] if pair[0] == pair[1] else ''.join(pair)


def _core_problems(pair: tuple[str, str], embeddings: Mapping[str, Embedding]) -> Iterator[Problem]:
    """Yield elements whose embedding would go on acting inside the core: Pacemaker's default is 100 keV."""
    for element in sorted(set(pair)):
        if embedding_of(element, embeddings).rho_core_cut is None:
            text = f'must state rho_core_cut for {element}, for its bond {bond_name(pair)} has a core-repulsion'
            yield ('embeddings',), f'{text} (1 to 3000 eV; without it the embedding acts on up to 100000 eV)'


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


def _radial_problems(blocks: Mapping[tuple[str, ...], FunctionBlock], bonds: Mapping[str, Bond]) -> Iterator[Problem]:
    """Yield numbers of radial functions below what the functions need, which Pacemaker refuses."""
    for pair, shape in needed_shapes(blocks).items():
        bond = bond_of(pair, bonds)
        for key, needed in shape._asdict().items():
            stated = getattr(bond, key)
            if stated is not None and stated < needed:
                text = f'{key} of {bond_name(pair)} must be at least {needed}, which the functions need, not {stated}'
                yield ('bonds',), text
