"""Selection from a pool in parts: what each part selects, so that a last selection out of their finalists is exact.

Each part offers about twice its share, and the same strategy chooses out of all that were offered: the two rounds of
Mirzasoleiman and others, "Distributed submodular maximization" (2013).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.fingerprint import split_positions
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.reference_potentials.pairs import iter_pairs
from aiida_autopipec.pacemaker.selection.candidates import Candidates
from aiida_autopipec.pacemaker.selection.parameters import BUDGETS, SelectParameters

OFFERED = 2.0
"""How much more all parts together offer than is asked for; less where that would be nearly everything."""
SEED = 0
"""Of the division, which has to be the same whenever the pool is."""
LAST_WISHES = ('keep', 'keep_names', 'keep_fingerprints')
"""Settings of the last selection alone: what they name takes part in it without any other selection."""


@dataclasses.dataclass(frozen=True, eq=False)
class PartOfPool:
    """What is selected out of one part.

    :param rows: of the pool, ascending.
    :param settings: of the selection; ``None``: everything is offered.
    """

    rows: NDArray[np.int64]
    settings: dict[str, Any] | None


def divide_pool(
    candidates: Candidates,
    names: NDArray[np.str_],
    sizes: NDArray[np.int64],
    parameters: SelectParameters,
    *,
    kept: NDArray[np.bool_],
    n_parts: int,
) -> list[PartOfPool]:
    """Divide what is not taken in any case, at random by geometry, into parts with as many atoms each.

    :param names: ``(n,)``, ``sizes`` the atoms of each.
    :param kept: ``(n,)`` what is taken in any case.
    :return: the parts that are not empty. However the pool is ordered, they hold the same structures.
    :raises InputError: if there are no parts to divide into.
    """
    if n_parts < 1:
        raise InputError(f'the number of parts is {n_parts}, but has to be at least 1')
    places = split_positions(candidates.fingerprints, SEED)
    order = np.lexsort((names, candidates.fingerprints, places))
    order = order[~kept[order]]
    if len(order) == 0:
        return []
    ends = np.cumsum(sizes[order])
    number = (ends - sizes[order] / 2) * n_parts // ends[-1]  # a structure is where its middle is
    divided = [np.sort(order[number == part]) for part in np.unique(number)]
    offers = _Offers(candidates, sizes, parameters, kept)
    return [PartOfPool(rows, offers.settings_of(rows)) for rows in divided]


class _Offers:
    """How much of each group the parts offer, each by what it has of the group."""

    def __init__(
        self,
        candidates: Candidates,
        sizes: NDArray[np.int64],
        parameters: SelectParameters,
        kept: NDArray[np.bool_],
    ) -> None:
        self.parameters = parameters
        self.budget = parameters.budget(int(sizes.sum()))
        self.sizes = sizes
        self.costs = sizes if self.budget.in_atoms else np.ones_like(sizes)
        self.strata = candidates.strata
        self.groups = candidates.groups or ('',)
        shares = np.array(candidates.shares or (1.0,))
        there = self._by_group(~kept)
        used = self._by_group(kept)
        amount = self.budget.amount or 0
        wanted = np.maximum(np.ceil(amount * shares / shares.sum()) - used, 0.0)
        # what a group cannot give may come from any other
        wanted = np.minimum(wanted + np.maximum(wanted - there, 0.0).sum(), there)
        self.there = there
        self.offered = np.minimum(OFFERED * wanted, (wanted + there) / 2)

    def _by_group(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        costs = self.costs[mask].astype(np.float64)
        return np.bincount(self.strata[mask], weights=costs, minlength=len(self.groups)).astype(np.float64)

    def settings_of(self, rows: NDArray[np.int64]) -> dict[str, Any] | None:
        """Return what a part selects; the amounts are rounded up, and by one structure more where they are atoms."""
        left_out = {*LAST_WISHES, *BUDGETS, 'quota_by', 'quotas'}
        common: dict[str, Any] = self.parameters.model_dump(mode='json', exclude_defaults=True, exclude=left_out)
        if self.budget.amount is None:
            return common
        mask = np.zeros(len(self.sizes), dtype=bool)
        mask[rows] = True
        here = self._by_group(mask)
        spare = int(self.sizes[rows].max()) if self.budget.in_atoms else 0
        with np.errstate(invalid='ignore'):
            parts = np.where(here > 0, self.offered * here / self.there, 0.0)
        asked = np.minimum([math.ceil(round(part, 6)) + spare if part > 0 else 0 for part in parts.tolist()], here)
        if asked.sum() >= here.sum():
            return None
        key = 'max_atoms' if self.budget.in_atoms else 'max_structures'
        # a group of which nothing is wanted needs a number too
        quotas = {
            group: max(float(number), 1e-6)
            for group, number, has in zip(self.groups, asked.tolist(), here.tolist(), strict=True)
            if has
        }
        by = {} if self.parameters.quota_by is None else {'quota_by': self.parameters.quota_by, 'quotas': quotas}
        smallest = int(self.sizes[rows].min()) if self.budget.in_atoms else 1
        return {**common, key: max(int(asked.sum()), smallest), **by}


def last_settings(
    candidates: Candidates, sizes: NDArray[np.int64], parameters: SelectParameters, offered: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the settings of the selection out of the finalists: numbers and shares are those of the whole pool.

    :param offered: ``(n,)`` which structures of the pool are finalists.
    """
    stated = parameters.model_dump(mode='json', exclude_defaults=True, exclude={*BUDGETS, 'quotas'})
    budget = parameters.budget(int(sizes.sum()))
    if budget.amount is None:
        return stated
    costs = sizes if budget.in_atoms else np.ones_like(sizes)
    stated['max_atoms' if budget.in_atoms else 'max_structures'] = min(budget.amount, int(costs[offered].sum()))
    if parameters.quota_by is not None:
        left = set(candidates.strata[offered].tolist())
        pairs = enumerate(zip(candidates.groups, candidates.shares, strict=True))
        stated['quotas'] = {group: share for number, (group, share) in pairs if number in left}
    return stated


def small_structures(
    parts: Iterable[LabelledStructures], kinds: Sequence[str], cutoff: float
) -> Iterable[NDArray[np.bool_]]:
    """Yield for each part which structures are isolated atoms or dimers, of the kinds that are asked for.

    :param cutoff: in Å, up to which atoms see each other.
    """
    for part in parts:
        mask = np.zeros(len(part), dtype=bool)
        rows = np.flatnonzero(part.sizes <= 2) if {'isolated_atoms', 'dimers'} & set(kinds) else np.empty(0, dtype=int)
        if len(rows):
            mask[rows] = _of_kinds(part.take(rows), kinds, cutoff)
        yield mask


def _of_kinds(structures: LabelledStructures, kinds: Sequence[str], cutoff: float) -> NDArray[np.bool_]:
    pairs = np.zeros(len(structures), dtype=np.int64)
    own_images = np.zeros(len(structures), dtype=bool)
    for found in iter_pairs(structures, cutoff):
        pairs += np.bincount(found.rows, minlength=len(structures))
        own_images[found.rows[found.first == found.second]] = True
    found_kinds = {'isolated_atoms': pairs == 0, 'dimers': (pairs == 1) & ~own_images}
    chosen: NDArray[np.bool_] = np.any([mask for kind, mask in found_kinds.items() if kind in kinds], axis=0)
    return chosen
