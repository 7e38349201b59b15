"""What was subtracted from the labels, as datasets and potentials record it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiida_autopipec.pacemaker.dataset.reference import Reference, parse_reference
from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError, InputError

METADATA_KEY = 'autopipec_reference'
"""Name in the metadata of a potential (``.yaml``). Pacemaker keeps it when the fit goes on from that potential."""

Recorded = Mapping[str, Any]


def as_stated(recorded: Recorded) -> dict[str, Any]:
    """Return the settings that subtract the same again, from other data too."""
    potential = {} if recorded.get('potential') is None else {'potential': dict(recorded['potential'])}
    if recorded['method'] == 'already_corrected':
        return {'method': 'already_corrected', **potential}
    energies = dict(recorded['single_atom_energies'])
    return {'method': 'single_atom_energies', 'single_atom_energies': energies, **potential}


def reference_to_keep(recorded: Recorded, stated: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what has to be subtracted from new data for a potential that goes on.

    :param recorded: what was subtracted when it was trained.
    :param stated: what the user asks for now; ``None``: the same.
    :raises DatasetError: if that is something else.
    """
    kept = as_stated(recorded)
    if stated is None:
        return kept
    wanted, old = parse_reference(stated), parse_reference(kept)
    energies = wanted.single_atom_energies
    same_energies = wanted.method == recorded['method'] if energies is None else energies == old.single_atom_energies
    if _potential_of(wanted) == _potential_of(old) and (same_energies or stated == kept):
        return kept
    raise DatasetError(
        f'`initial_potential` was trained relative to {describe(recorded)}, but `reference` asks for '
        f'{dict(stated)}: leave `reference` out to keep the old one, or train without `initial_potential`'
    )


def difference(recorded: Recorded | None, other: Recorded | None) -> str | None:
    """Return how two sets of labels are relative to different things, if they are.

    Energies of elements that only one of them has do not matter.
    """
    one, two = (recorded or {}), (other or {})
    shared = set(one.get('single_atom_energies', {})) & set(two.get('single_atom_energies', {}))
    differ = one.get('potential') != two.get('potential') or any(
        one['single_atom_energies'][element] != two['single_atom_energies'][element] for element in shared
    )
    return f'{describe(recorded)} and {describe(other)}' if differ else None


def describe(recorded: Recorded | None) -> str:
    """Return a few words that say what was subtracted."""
    if recorded is None:
        return 'nothing recorded'
    single = recorded.get('single_atom_energies', {})
    energies = ', '.join(f'{element} {energy:.6f} eV' for element, energy in single.items())
    potential = recorded.get('potential')
    if potential is None:
        return energies or 'nothing'
    settings = ', '.join(f'{key} {value}' for key, value in potential.items() if key != 'name')
    return ' and '.join(filter(None, [energies, f'the potential {potential["name"]} ({settings})']))


def to_metadata(recorded: Recorded) -> str:
    """Return the one line that the metadata of a potential hold."""
    return json.dumps(dict(recorded), sort_keys=True, allow_nan=False)


def from_metadata(written: str) -> dict[str, Any]:
    """Read what the metadata of a potential say was subtracted.

    :raises FileFormatError: if they do not say it in the form of this package.
    """
    try:
        recorded = json.loads(written)
        parse_reference(as_stated(recorded))
    except (InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileFormatError(
            f'`{METADATA_KEY}` in the metadata of the potential cannot be read ({error}): correct or remove the line'
        ) from error
    return {'method': recorded['method'], 'single_atom_energies': recorded['single_atom_energies']} | (
        {} if recorded.get('potential') is None else {'potential': recorded['potential']}
    )


def _potential_of(reference: Reference) -> dict[str, Any] | None:
    return None if reference.potential is None else reference.potential.as_dict()
