"""Merging sets of structures without duplicates."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.checks import all_different, check_same_labels
from aiida_autopipec.pacemaker.dataset.fingerprint import divide_by_geometry
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.errors import DatasetError

OnConflict = Literal['error', 'keep_first', 'keep_last', 'keep_all']
"""What happens to equal structures with different labels."""
ON_CONFLICT: tuple[OnConflict, ...] = get_args(OnConflict)

ENERGY_TOLERANCE = 1e-6
"""eV: energies of copies of one structure that differ by more are different labels."""
FORCES_TOLERANCE = 1e-6
"""eV/Å: likewise for the components of forces."""
STRESS_TOLERANCE = 1e-7
"""eV/Å³: likewise for the components of the stress."""


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

    def as_dict(self) -> dict[str, Any]:
        """Return numbers and names as they are stored on a node."""
        return {
            'structures_in': self.n_input,
            'structures_out': self.n_kept,
            'duplicates_removed': [list(pair) for pair in self.duplicates],
            'conflicting_labels': [list(pair) for pair in self.conflicts],
            'renamed': [list(pair) for pair in self.renamed],
        }


MAX_LOADED = 8
"""Sets in memory at a time while labels are compared."""

_Place = tuple[int, int]
"""Number of a set, and row in it."""
_Pair = tuple[_Place, _Place]
"""A copy, and what it is a copy of."""

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
    keep: list[NDArray[np.bool_]] = [np.ones(len(part), dtype=bool) for part in parts]
    duplicates: list[_Pair] = []
    conflicts: list[_Pair] = []
    loaded = _Loaded(parts)
    for places in _equal_geometries(parts, loaded):
        known: list[_Place] = []  # of all that were kept, one for each set of labels
        for number, row in places:
            part = loaded[number]
            equal = next((place for place in known if same_labels(loaded[place[0]], place[1], part, row)), None)
            if equal is not None:
                keep[number][row] = False
                duplicates.append(((number, row), equal))
                continue
            if known:
                place = known[0]
                if on_conflict == 'error':
                    raise DatasetError(_conflict_sentence(parts, place, (number, row)))
                conflicts.append(((number, row), place))
                if on_conflict == 'keep_first':
                    keep[number][row] = False
                    continue
                if on_conflict == 'keep_last':
                    keep[place[0]][place[1]] = False
                    known.clear()
            known.append((number, row))
    kept = tuple(np.flatnonzero(mask) for mask in keep)
    return MergeReport(
        n_input=sum(len(part) for part in parts),
        kept=kept,
        duplicates=_names_of(parts, duplicates),
        conflicts=_names_of(parts, conflicts),
        renamed=tuple((old, new) for *_, old, new in plan_names(parts, kept)),
    )


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
            names = [new_names.get(number, {}).get(row, old) for row, old in zip(rows, taken.names, strict=True)]
            remaining.append(taken.replace(names=np.array(names, dtype=np.str_)))
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


class _Loaded:
    """The sets that were looked at last."""

    def __init__(self, parts: Sequence[Mergeable]) -> None:
        self._parts = parts
        self._recent: OrderedDict[int, LabelledStructures] = OrderedDict()

    def __getitem__(self, number: int) -> LabelledStructures:
        found = self._recent.get(number)
        if found is None:
            found = self._recent[number] = self._parts[number].load()
            if len(self._recent) > MAX_LOADED:
                self._recent.popitem(last=False)
        self._recent.move_to_end(number)
        return found


def _names_of(parts: Sequence[Mergeable], pairs: list[_Pair]) -> tuple[tuple[str, str], ...]:
    """Return the names at places, in the order of the copies."""
    return tuple((_name(parts[a], row_a), _name(parts[b], row_b)) for (a, row_a), (b, row_b) in sorted(pairs))


def _equal_geometries(parts: Sequence[Mergeable], loaded: _Loaded) -> Iterator[list[_Place]]:
    """Yield the places of each structure that perhaps stands in more than one.

    :param loaded: the sets, whose structures are compared.
    """
    for places in _equal_fingerprints(parts):
        yield from divide_by_geometry(places, lambda place: (loaded[place[0]], place[1]))


def _equal_fingerprints(parts: Sequence[Mergeable]) -> list[list[_Place]]:
    """Return the places of structures with equal hashes, where there is more than one.

    In the order of the sets that they stand in, so that the sets need not be read again and again.
    """
    if not parts or all_different(np.concatenate([part.fingerprints for part in parts])):
        return []
    digests = [part.fingerprints.tolist() for part in parts]
    counts = Counter(itertools.chain.from_iterable(digests))
    repeated = {digest for digest, count in counts.items() if count > 1}
    places: dict[bytes, list[_Place]] = {}
    for number, part in enumerate(digests):
        for row, digest in enumerate(part):
            if digest in repeated:
                places.setdefault(digest, []).append((number, row))
    return sorted(places.values(), key=lambda equal: ([number for number, _ in equal], equal))


def same_labels(a: LabelledStructures, row_a: int, b: LabelledStructures, row_b: int) -> bool:
    """Tell whether two copies of one structure carry the same labels, within the tolerances of this module.

    A stress that only one of them has is no difference, so a merge keeps the first of them with or without it. Weights
    count as labels.
    """
    for field, tolerance in (('energy', ENERGY_TOLERANCE), ('energy_corrected', ENERGY_TOLERANCE)):
        values = getattr(a, field), getattr(b, field)
        if None not in _missing(values) and abs(values[0][row_a] - values[1][row_b]) > tolerance:
            return False
    atoms_a = slice(int(a.offsets[row_a]), int(a.offsets[row_a + 1]))
    atoms_b = slice(int(b.offsets[row_b]), int(b.offsets[row_b + 1]))
    for field, rows, tolerance in (
        ('forces', (atoms_a, atoms_b), FORCES_TOLERANCE),
        ('stress', (row_a, row_b), STRESS_TOLERANCE),
        ('energy_weights', (row_a, row_b), 0.0),
        ('force_weights', (atoms_a, atoms_b), 0.0),
    ):
        values = getattr(a, field), getattr(b, field)
        if None in _missing(values):
            continue
        difference = np.abs(values[0][rows[0]] - values[1][rows[1]])
        if field != 'stress' and np.any(difference > tolerance):
            return False
        if field == 'stress' and np.any(difference[np.isfinite(difference)] > tolerance):
            return False
    return True


def _missing(values: tuple[Any, Any]) -> list[Any]:
    return [None if value is None else True for value in values]


def _conflict_sentence(parts: Sequence[Mergeable], first: tuple[int, int], second: tuple[int, int]) -> str:
    a, b = parts[first[0]].load(), parts[second[0]].load()
    what = 'other labels'
    if a.energy is not None and b.energy is not None:
        difference = b.energy[second[1]] - a.energy[first[1]]
        what = f'other labels (the energies differ by {difference:.6g} eV)'
    rows = [sum(len(part) for part in parts[:number]) + row for number, row in (second, first)]
    return (
        f'structure `{_name(b, second[1])}` (row {rows[0]} of all) equals `{_name(a, first[1])}` (row {rows[1]}) but '
        f'has {what}; decide which is right, or set `on_conflict` to `keep_first`, `keep_last` or `keep_all`'
    )


def _name(part: Mergeable, row: int) -> str:
    return str(part.names[row])
