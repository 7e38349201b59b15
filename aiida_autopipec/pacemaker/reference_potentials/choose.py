"""Reference potentials as settings name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential
from aiida_autopipec.pacemaker.reference_potentials.lennard_jones import LennardJones
from aiida_autopipec.pacemaker.reference_potentials.named import NamedCalculator
from aiida_autopipec.pacemaker.reference_potentials.zbl import ZBL


def _named(calculator: str, parameters: Mapping[str, Any] | None = None) -> NamedCalculator:
    return NamedCalculator(calculator, {} if parameters is None else parameters)


KINDS: dict[str, tuple[Callable[..., ReferencePotential], tuple[str, ...], tuple[str, ...]]] = {
    'zbl': (ZBL, ('inner', 'outer'), ()),
    'lennard_jones': (LennardJones, ('pairs',), ('shift', 'mixing')),
    'ase': (_named, ('calculator',), ('parameters',)),
}
"""What makes a potential of each name, with the keys that it needs and those that it may have."""


def parse_reference_potential(mapping: Any) -> ReferencePotential:
    """Return the potential that settings describe.

    :param mapping: ``name`` (``zbl``, ``lennard_jones`` or ``ase``) beside the parameters of the class:
        ``{'name': 'zbl', 'inner': 3.0, 'outer': 4.0}``.
    :raises ConfigError: if a key is missing or unknown, or a value impossible.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f'a reference potential has to be a mapping with `name`, not {mapping!r}')
    name = mapping.get('name')
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f'the `name` of a reference potential is {name!r}; possible are {", ".join(KINDS)}')
    make, needed, optional = KINDS[name]
    parameters = {key: value for key, value in mapping.items() if key != 'name'}
    missing = [key for key in needed if key not in parameters]
    if missing:
        raise ConfigError(f'the reference potential `{name}` lacks `{missing[0]}`')
    unknown = sorted(str(key) for key in parameters if key not in (*needed, *optional))
    if unknown:
        keys = ', '.join((*needed, *optional))
        raise ConfigError(f'the reference potential `{name}` has no `{unknown[0]}`; its keys are {keys}')
    return make(**parameters)
