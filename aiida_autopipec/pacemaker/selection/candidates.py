"""What is known of each candidate before the job runs: what is taken in any case, and which group it belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.selection.parameters import TAKE_ACTIVE_SET, SelectParameters

NO_SOURCE = 'none'
"""Group of the structures that come from no node."""
SHOWN = 5


class Part(Protocol):
    """Structures whose arrays can be asked for one by one."""

    @property
    def present(self) -> frozenset[str]:
        """Which fields there are."""

    @property
    def fingerprints(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of the geometries."""

    @property
    def names(self) -> NDArray[np.str_]:
        """``(n,)`` names."""

    @property
    def sources(self) -> NDArray[np.str_]:
        """``(n,)`` UUIDs of the nodes that the structures come from."""

    def field(self, name: str) -> NDArray[Any]:
        """Return one array."""


@dataclasses.dataclass(frozen=True, eq=False)
class Candidates:
    """What travels with the pool of ``n`` structures.

    :param fingerprints: ``(n,)`` hashes of the geometries.
    :param keep: ``(n,)`` whether a structure is taken in any case.
    :param strata: ``(n,)`` number of the group that it belongs to.
    :param groups: names of the groups; none without quotas.
    :param shares: part of the number for each group.
    """

    fingerprints: NDArray[np.bytes_]
    keep: NDArray[np.bool_]
    strata: NDArray[np.int64]
    groups: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that the travelling script reads."""
        return {'fingerprints': self.fingerprints, 'keep': self.keep, 'strata': self.strata}


def describe_candidates(parts: Sequence[Part], parameters: SelectParameters) -> Candidates:
    """Find what is taken in any case, and divide the pool into groups where there are quotas.

    :param parts: the pool, part by part.
    :raises InputError: if a structure to keep is not in the pool, or the quotas name other groups than it has.
    """
    fingerprints = np.concatenate([part.fingerprints for part in parts])
    sizes = np.concatenate([np.diff(part.field('offsets')) for part in parts])
    kept = _named(parts, parameters) | np.isin(fingerprints, _known(parameters.keep_fingerprints, fingerprints))
    if 'lowest_energy' in parameters.keep:
        kept |= _lowest(parts, sizes)
    if parameters.quota_by is None:
        return Candidates(fingerprints, kept, np.zeros(len(fingerprints), dtype=np.int64))
    labels = _elements(parts) if parameters.quota_by == 'elements' else _sources(parts)
    names, strata = np.unique(labels, return_inverse=True)
    groups = tuple(names.tolist())
    return Candidates(fingerprints, kept, strata.astype(np.int64), groups, _shares(parameters, groups, strata, sizes))


def selection_problem(
    parameters: SelectParameters, sizes: NDArray[np.int64], *, with_active_set: bool = False
) -> str | None:
    """Return why a pool cannot give what is asked for, as far as it can be known from its sizes.

    :param sizes: ``(n,)`` atoms of each structure.
    :param with_active_set: whether an active set of other data is given.
    """
    strategy, atoms = parameters.chosen_strategy(with_active_set=with_active_set), int(sizes.sum())
    if with_active_set and strategy not in TAKE_ACTIVE_SET:
        return (
            f'strategy `{strategy}` cannot choose against an `active_set`: choose {", ".join(TAKE_ACTIVE_SET)}, or '
            'leave it out'
        )
    if parameters.max_structures is not None and parameters.max_structures > len(sizes):
        return (
            f'`max_structures` is {parameters.max_structures}, but the pool has only {len(sizes)} structures: choose '
            'fewer'
        )
    budget = parameters.budget(atoms)
    if budget.amount is None or not budget.in_atoms:
        return None
    key = 'fraction' if parameters.max_atoms is None else 'max_atoms'
    if budget.amount > atoms:
        return f'`max_atoms` is {budget.amount}, but the pool has only {atoms} atoms: choose fewer'
    if budget.amount < sizes.min():
        return (
            f'`{key}` leaves room for {budget.amount} atoms, but the smallest structure of the pool has '
            f'{int(sizes.min())}: choose more'
        )
    return None


def _named(parts: Sequence[Part], parameters: SelectParameters) -> NDArray[np.bool_]:
    names = np.concatenate([part.names for part in parts])
    if not parameters.keep_names:
        return np.zeros(len(names), dtype=bool)
    _refuse_unknown('keep_names', sorted(set(parameters.keep_names) - set(names.tolist())))
    return np.isin(names, list(parameters.keep_names))


def _known(stated: tuple[str, ...], fingerprints: NDArray[np.bytes_]) -> list[bytes]:
    wanted = [fingerprint.encode() for fingerprint in stated]
    unknown = set(wanted) - set(fingerprints.tolist()) if wanted else set()
    _refuse_unknown('keep_fingerprints', sorted(fingerprint.decode() for fingerprint in unknown))
    return wanted


def _refuse_unknown(key: str, unknown: list[str]) -> None:
    if unknown:
        more = f' and {len(unknown) - 1} more' if len(unknown) > 1 else ''
        raise InputError(f'`{key}` has `{unknown[0]}`{more}, which is not in the pool')


def _lowest(parts: Sequence[Part], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which structures have the lowest energy per atom of all that have the same composition."""
    field = next((name for name in ('energy_corrected', 'energy') if name in parts[0].present), None)
    if field is None:
        raise InputError('`keep` asks for the `lowest_energy`, but the pool has no energies: leave it out')
    energies = np.concatenate([part.field(field) for part in parts]) / sizes
    _, members = np.unique(_compositions(parts), return_inverse=True)
    order = np.lexsort((energies, members))
    first = order[np.unique(members[order], return_index=True)[1]]
    kept = np.zeros(len(sizes), dtype=bool)
    kept[first] = True
    return kept


def _elements(parts: Sequence[Part]) -> NDArray[np.str_]:
    from ase.data import chemical_symbols

    systems = [
        '-'.join(sorted(chemical_symbols[number] for number in np.unique(numbers).tolist()))
        for numbers in _numbers(parts)
    ]
    return np.array(systems)


def _compositions(parts: Sequence[Part]) -> NDArray[np.str_]:
    """Return the reduced composition of each structure, as text."""
    keys = []
    for numbers in _numbers(parts):
        kinds, counts = np.unique(numbers, return_counts=True)
        keys.append(repr((kinds.tolist(), (counts // np.gcd.reduce(counts)).tolist())))
    return np.array(keys)


def _numbers(parts: Sequence[Part]) -> Iterable[NDArray[np.int32]]:
    for part in parts:
        numbers = part.field('numbers')
        yield from np.split(numbers, part.field('offsets')[1:-1])


def _sources(parts: Sequence[Part]) -> NDArray[np.str_]:
    sources = np.concatenate([part.sources for part in parts])
    return np.where(sources == '', NO_SOURCE, sources)


def _shares(
    parameters: SelectParameters, groups: tuple[str, ...], strata: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[float, ...]:
    if isinstance(parameters.quotas, dict):
        different = sorted(set(parameters.quotas) ^ set(groups))
        if different:
            known = ', '.join(groups[:SHOWN]) + (' and more' if len(groups) > SHOWN else '')
            raise InputError(
                f'`quotas` and the pool differ in the group `{different[0]}`: the groups of the pool are {known}, and '
                'each needs a number'
            )
        return tuple(parameters.quotas[group] for group in groups)
    if parameters.quotas == 'equal':
        return (1.0,) * len(groups)
    weights = sizes if parameters.budget(int(sizes.sum())).in_atoms else np.ones_like(sizes)
    return tuple(np.bincount(strata, weights=weights, minlength=len(groups)).tolist())
