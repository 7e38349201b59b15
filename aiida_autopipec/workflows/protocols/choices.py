"""Settings that follow from the data, each with its reason."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from aiida_autopipec.pacemaker.config.species import NARY, blocks
from aiida_autopipec.pacemaker.cost.facts import DataFacts
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.workflows.protocols.loading import merged
from aiida_autopipec.workflows.protocols.rules import Rules

Settings = dict[str, Any]


class Choice(NamedTuple):
    """Settings in Pacemaker's spelling (``None`` takes a key of the protocol away), and why."""

    settings: Settings
    reason: str


def choose(facts: DataFacts, rules: Rules, config: Settings) -> tuple[Settings, list[str]]:
    """Return the settings of a protocol with what depends on the data, and one sentence for each choice.

    :param facts: of the data.
    :param rules: numbers to follow.
    :param config: settings of the protocol in Pacemaker's spelling.
    :raises DatasetError: if nothing can be learned from the data.
    """
    choices = [
        choose_elements(facts, config),
        choose_cutoff(facts, rules),
        choose_basis(facts, rules, config),
        choose_weighting(facts, rules, config),
    ]
    if config['backend']['evaluator'] == 'tensorpot':
        choices.append(choose_batch(facts, rules))
    for choice in choices:
        config = merged(config, choice.settings)
    return config, [choice.reason for choice in choices]


def choose_elements(facts: DataFacts, config: Settings) -> Choice:
    """Take the elements of the data, and no functions of more elements than there are."""
    functions = config['potential']['functions']
    unused = {key: None for key in functions if NARY.get(key, 0) > len(facts.elements)}
    return Choice(
        {'potential': {'elements': list(facts.elements), 'functions': unused}},
        f'elements {", ".join(facts.elements)}: those of the data',
    )


def choose_cutoff(facts: DataFacts, rules: Rules) -> Choice:
    """Choose the cutoff from the longest of the nearest-neighbour distances of the elements.

    :raises DatasetError: if no atom has a neighbour.
    """
    if not facts.nearest:
        raise DatasetError(
            'no atom of the data has a neighbour, so there are no bonds to learn: add structures with some'
        )
    element, distance = max(facts.nearest.items(), key=lambda item: item[1])
    # tenths of an Å, upwards, so that small changes of the data leave the potential alone
    wanted = math.ceil(rules.cutoff_over_nearest_neighbour * distance * 10 - 1e-6) / 10
    cutoff = min(max(wanted, rules.smallest_cutoff_angstrom), rules.largest_cutoff_angstrom)
    return Choice(
        {'potential': {'bonds': {'ALL': {'rcut': cutoff}}}},
        f'rcut {cutoff:g} Å: {rules.cutoff_over_nearest_neighbour:g} times the nearest-neighbour distance of '
        f'{element}, {distance:.2f} Å, within {rules.smallest_cutoff_angstrom:g} to '
        f'{rules.largest_cutoff_angstrom:g} Å',
    )


def choose_basis(facts: DataFacts, rules: Rules, config: Settings) -> Choice:
    """Choose the number of functions per element from the number of atoms of the rarest element.

    A basis too small to be grown in steps is fitted at once.
    """
    rarest, atoms = min(facts.atoms_by_element.items(), key=lambda item: item[1])
    affordable = int(atoms / rules.environments_per_function)
    wanted = min(max(affordable, rules.smallest_basis), rules.largest_basis)
    number = max(wanted, _smallest_share(facts.elements, config))
    settings: Settings = {'potential': {'functions': {'number_of_functions_per_element': number}}}
    if number < rules.ladder_from_basis:
        settings['fit'] = {'ladder_step': None, 'ladder_type': None}
    return Choice(
        settings,
        f'at most {number} functions per element: {atoms} atoms of {rarest}, '
        f'{rules.environments_per_function:g} for each function, within {rules.smallest_basis} to '
        f'{rules.largest_basis}',
    )


def _smallest_share(elements: tuple[str, ...], config: Settings) -> int:
    """Return the number of functions per element that leaves no block of elements without one."""
    largest = max(NARY.get(key, 1) for key in config['potential']['functions'])
    n_blocks = sum(len(block) <= largest for block in blocks(elements))
    return -(-n_blocks // len(elements))


def choose_weighting(facts: DataFacts, rules: Rules, config: Settings) -> Choice:
    """Let high energies weigh less where energies span much."""
    limit, spread = rules.weight_by_energy_from_ev_per_atom, facts.energy_spread
    if facts.weighted:
        return Choice({'fit': {'weighting': None}}, 'weights: those of the data')
    if limit is None or spread is None or spread < limit or 'weighting' not in config['fit']:
        known = '' if spread is None else f', energies span {spread:.2f} eV/atom'
        return Choice({'fit': {'weighting': None}}, f'weights: the same for all structures{known}')
    frame = 'cohesive' if len(facts.elements) == 1 else 'convex_hull'
    return Choice(
        {'fit': {'weighting': {'energy': frame}}},
        f'weights: less for high energies, which span {spread:.2f} eV/atom, {limit:g} or more',
    )


def choose_batch(facts: DataFacts, rules: Rules) -> Choice:
    """Choose how many structures are evaluated at a time; Pacemaker takes fewer where memory runs out."""
    mean = facts.n_atoms / facts.n_structures
    size = min(max(round(rules.atoms_per_batch / mean), 1), facts.n_structures)
    return Choice(
        {'backend': {'batch_size': size}},
        f'batches of {size} structures: {rules.atoms_per_batch} atoms at a time, {mean:.1f} per structure',
    )
