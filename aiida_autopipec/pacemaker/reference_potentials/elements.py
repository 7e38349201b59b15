"""Elements and pairs of them, as users name them."""

from __future__ import annotations

from aiida_autopipec.pacemaker.config.species import split_species
from aiida_autopipec.pacemaker.errors import ConfigError


def atomic_number(element: str) -> int:
    """Return the atomic number of a chemical symbol.

    :raises ConfigError: if it is none.
    """
    from ase.data import atomic_numbers

    number = atomic_numbers.get(element, 0)
    if number < 1:
        raise ConfigError(f'{element!r} is no chemical symbol')
    return int(number)


def pair_key(key: str) -> tuple[str, str]:
    """Return the elements of a pair in alphabetical order: ``Al`` and ``AlAl`` are aluminium with itself.

    :raises ConfigError: if the key names no pair.
    """
    try:
        symbols = split_species(key)
    except ValueError as error:
        raise ConfigError(f'the key {error}; name a pair as Al, AlNi or Al-Ni') from error
    if len(symbols) > 2:
        raise ConfigError(f'the key {key!r} names {len(symbols)} elements, but a pair has two')
    first, second = sorted((symbols[0], symbols[-1]))
    return first, second
