"""Merging sets of structures without duplicates."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.checks import all_different, check_same_labels
from aiida_autopipec.pacemaker.dataset.compare import Pairs, Rows
from aiida_autopipec.pacemaker.dataset.copies import first_with, originals
from aiida_autopipec.pacemaker.dataset.pool import Pool
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.errors import DatasetError

OnConflict = Literal['error', 'keep_first', 'keep_last', 'keep_all']
"""What happens to equal structures with different labels."""
ON_CONFLICT: tuple[OnConflict, ...] = get_args(OnConflict)
MAX_LISTED = 1000
"""Pairs of names that a report lists one by one."""


class Mergeable(Protocol):
    """A set of structures whose labels need not be in memory: they are looked at only where geometries are equal."""

    @property
    def names(self) -> NDArray[np.str_]:
        """``(n,)`` names."""

    @property
    def fingerprints(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of the geometries."""

    def __len__(self) -> int: ...

    def load(self) -> LabelledStructures:
        """Return the structures with their labels."""


@dataclasses.dataclass(frozen=True)
class MergeReport:
    """What a merge did, by dataset and row.

    :param n_input: number of structures that went in.
    :param kept: for each dataset, the rows that were kept.
    :param duplicates: for each structure that was left out: its name, and the name of the equal one before it. Names
        are those that the structures came with.
    :param conflicts: the same for equal structures with different labels, whatever was done with them.
    :param renamed: old and new name of each structure whose name was already taken by another structure.
    """

    n_input: int
    kept: tuple[NDArray[np.int64], ...]
    duplicates: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    renamed: tuple[tuple[str, str], ...]

    @property
    def n_kept(self) -> int:
        """Number of structures that come out."""
        return sum(len(rows) for rows in self.kept)

    @property
    def lists(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Pairs of names by what they are, as they are called where a report is stored."""
        return {
            'duplicates_removed': self.duplicates,
            'conflicting_labels': self.conflicts,
            'renamed': self.renamed,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored on a node: at most :data:`MAX_LISTED` pairs of each list, and their numbers in all."""
        return {
            'structures_in': self.n_input,
            'structures_out': self.n_kept,
            'counts': {name: len(pairs) for name, pairs in self.lists.items()},
            **{name: [list(pair) for pair in pairs[:MAX_LISTED]] for name, pairs in self.lists.items()},
        }


AnyMergeable = TypeVar('AnyMergeable', bound=Mergeable)


def merge_structures(
    parts: Sequence[LabelledStructures], on_conflict: OnConflict = 'error'
) -> tuple[LabelledStructures, MergeReport]:
    """Put sets of structures together and keep one of each exact duplicate, the first.

    :param parts: the sets, in order.
    :param on_conflict: what happens to equal structures with different labels: ``error``; keep the first or the last
        of them; or keep one of each.
    :raises DatasetError: if labels contradict each other and ``on_conflict`` is ``error``, or if a label is present in
        some parts only.
    """
    check_same_labels(parts)  # else a copy without labels could take the place of one with labels
    report = plan_merge(parts, on_conflict)
    return apply_merge(parts, report), report


def plan_merge(parts: Sequence[Mergeable], on_conflict: OnConflict = 'error') -> MergeReport:
    """Decide which rows of which set stay; see :func:`merge_structures`.

    :raises DatasetError: as that function.
    """
    if on_conflict not in ON_CONFLICT:
        raise DatasetError(f'on_conflict is `{on_conflict}`, but can be only one of {", ".join(ON_CONFLICT)}')
    pool, n = Pool(parts), sum(len(part) for part in parts)
    agreeing = np.zeros(n, dtype=bool)

    def compare_labels(rows: Rows, pairs: Pairs) -> None:
        agreeing[rows] = pairs.same_labels()

    fingerprints = np.concatenate([np.zeros(0, 'S32'), *(part.fingerprints for part in parts)])
    original = originals(pool, fingerprints, compare_labels)
    copies = np.flatnonzero(original != np.arange(n))
    disputed = np.isin(original[copies], original[copies[~agreeing[copies]]])
    settled, unsettled = copies[~disputed], copies[disputed]
    duplicates = dict(zip(settled.tolist(), original[settled].tolist(), strict=True))
    decisions = _Decisions(pool, on_conflict, agreeing, duplicates)
    groups: dict[int, list[int]] = {}
    for row, first in zip(unsettled.tolist(), original[unsettled].tolist(), strict=True):
        groups.setdefault(first, []).append(row)
    # in the order of the parts that they are in, so that these need not be read again and again
    for first, rows in sorted(
        groups.items(), key=lambda group: pool.parts_of(np.array([group[0], *group[1]])).tolist()
    ):
        decisions.decide(first, rows)
    keep = np.ones(n, dtype=bool)
    keep[list(decisions.out)] = False
    bounds = np.cumsum([0, *map(len, parts)])
    kept = tuple(np.flatnonzero(keep[begin:end]) for begin, end in itertools.pairwise(bounds))
    return MergeReport(
        n_input=n,
        kept=kept,
        duplicates=_names_of(parts, decisions.duplicates),
        conflicts=_names_of(parts, decisions.conflicts),
        renamed=tuple((old, new) for *_, old, new in plan_names(parts, kept)),
    )


class _Decisions:
    """What becomes of copies, one after the other, those of one structure in the order of their rows in all sets."""

    def __init__(
        self, pool: Pool, on_conflict: OnConflict, agreeing: NDArray[np.bool_], duplicates: dict[int, int]
    ) -> None:
        """Begin with what is certain.

        :param agreeing: ``(n,)`` which copies have the labels of the first structure that they equal.
        :param duplicates: by row, the first structure that it equals, where all that equal it agree.
        """
        self.duplicates = duplicates
        """By row, the equal one with the same labels that stays instead."""
        self.conflicts: dict[int, int] = {}
        """By row, the equal one with other labels."""
        self.out = set(duplicates)
        """Rows that do not stay."""
        self._pool, self._on_conflict, self._agreeing = pool, on_conflict, agreeing

    def decide(self, first: int, rows: Sequence[int]) -> None:
        """Decide about the copies of a structure.

        :param first: its row.
        :param rows: of all copies, in ascending order.
        :raises DatasetError: if one has other labels, and that is an error.
        """
        known = [first]  # those that stay, one for each set of labels
        for row in rows:
            equal = self._with_same_labels(known, row, first)
            if equal is not None:
                self.out.add(row)
                self.duplicates[row] = equal
                continue
            if self._on_conflict == 'error':
                raise DatasetError(_conflict_sentence(self._pool, known[0], row))
            self.conflicts[row] = known[0]
            if self._on_conflict == 'keep_first':
                self.out.add(row)
                continue
            if self._on_conflict == 'keep_last':
                self.out.add(known.pop())
            known.append(row)

    def _with_same_labels(self, known: Sequence[int], row: int, first: int) -> int | None:
        if known[0] == first and self._agreeing[row]:
            return first
        others = known[1:] if known[0] == first else known
        return first_with(self._pool, row, others, Pairs.same_labels) if others else None


def apply_merge(parts: Sequence[LabelledStructures], report: MergeReport) -> LabelledStructures:
    """Carry out what :func:`plan_merge` decided."""
    return concatenate(merged_parts(parts, report))


def merged_parts(parts: Sequence[AnyMergeable], report: MergeReport) -> list[AnyMergeable | LabelledStructures]:
    """Return what remains of each set, without those of which nothing remains.

    A set of which everything remains is returned as it is, the very same object, so that who stores it can tell.
    """
    new_names: dict[int, dict[int, str]] = {}
    for number, row, _, name in plan_names(parts, report.kept):
        new_names.setdefault(number, {})[row] = name
    remaining: list[AnyMergeable | LabelledStructures] = []
    for number, (part, rows) in enumerate(zip(parts, report.kept, strict=True)):
        if len(rows) == len(part) and number not in new_names:
            remaining.append(part)
        elif len(rows):
            taken = part.load().take(rows)
            if number in new_names:
                names = [new_names[number].get(row, old) for row, old in zip(rows, taken.names, strict=True)]
                taken = taken.replace(names=np.array(names, dtype=np.str_))
            remaining.append(taken)
    return remaining


def plan_names(parts: Sequence[Mergeable], kept: Sequence[NDArray[np.int64]]) -> list[tuple[int, int, str, str]]:
    """Keep names unique: a structure whose name is taken by another one gets part of its fingerprint behind it.

    :return: number of the set, row, old and new name of each structure that is renamed.
    """
    all_names = [part.names[rows] for part, rows in zip(parts, kept, strict=True)]
    if not all_names or all_different(np.concatenate(all_names)):
        return []
    names = [part.tolist() for part in all_names]
    taken = {name for part in names for name in part}
    seen: set[str] = set()
    renamed = []
    for number, (part, rows) in enumerate(zip(parts, kept, strict=True)):
        for row, old in zip(rows.tolist(), names[number], strict=True):
            if old not in seen:
                seen.add(old)
                continue
            stem = name = f'{old}-{part.fingerprints[row][:8].decode()}'
            repeat = 1
            while name in taken:
                repeat += 1
                name = f'{stem}-{repeat}'
            taken.add(name)
            renamed.append((number, row, old, name))
    return renamed


def _names_of(parts: Sequence[Mergeable], pairs: Mapping[int, int]) -> tuple[tuple[str, str], ...]:
    """Return the names of structures and of what they equal, in the order of their rows."""
    if not pairs:
        return ()
    names = np.concatenate([part.names for part in parts])
    rows = sorted(pairs)
    return tuple(zip(names[rows].tolist(), names[[pairs[row] for row in rows]].tolist(), strict=True))


def _conflict_sentence(pool: Pool, first: int, second: int) -> str:
    (a, row_a), (b, row_b) = pool.find(first), pool.find(second)
    what = 'other labels'
    if a.energy is not None and b.energy is not None:
        what = f'other labels (the energies differ by {b.energy[row_b] - a.energy[row_a]:.6g} eV)'
    return (
        f'structure `{b.names[row_b]}` (row {second} of all) equals `{a.names[row_a]}` (row {first}) but has {what}; '
        'decide which is right, or set `on_conflict` to `keep_first`, `keep_last` or `keep_all`'
    )
