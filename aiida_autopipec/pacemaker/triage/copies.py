"""Structures that are there more than once, exactly or nearly, with the same labels or with others."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.copies import originals
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage.inspection import Inspection
from aiida_autopipec.pacemaker.triage.near import near_copies
from aiida_autopipec.pacemaker.triage.rules import FindingKind


@dataclasses.dataclass(frozen=True)
class Copy:
    """A structure that equals an earlier one.

    :param row: its row.
    :param original: row of the first structure that it equals.
    :param displacement: largest displacement in Å between them.
    :param exact: whether they are equal to the last digit that counts.
    """

    row: int
    original: int
    displacement: float
    exact: bool


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """Another label on the same structure.

    :param other: row of the structure with the other label.
    :param size: difference in units of the tolerance.
    :param words: what differs by how much.
    :param exact: whether the structures are equal to the last digit that counts.
    """

    other: int
    size: float
    words: str
    exact: bool


def check_copies(inspection: Inspection) -> None:
    """Find structures that equal others, and say whether their labels agree.

    Copies with the same labels are findings, the original is none. Where labels disagree nobody can tell which are
    right, so that all structures of the group are findings, the first as well.
    """
    copies = {copy.row: copy for copy in _copies(inspection)}
    groups: dict[int, list[Copy]] = {}
    for copy in copies.values():
        # an exact copy of a near copy belongs to the group of the first of them all
        root = copies[copy.original].original if copy.original in copies else copy.original
        groups.setdefault(root, []).append(copy)
    # in the order of the parts that they are in, so that these need not be read again and again
    for root, members in sorted(groups.items(), key=lambda group: _parts(inspection, *group)):
        disagreements = {copy.row: _disagreement(inspection, copy, root) for copy in members}
        conflicts = [row for row, found in disagreements.items() if found.size > 1]
        for copy in members:
            if copy.row not in conflicts:
                _add_duplicate(inspection, copy)
        for row in [root, *disagreements] if conflicts else []:
            _add_conflict(inspection, row, disagreements, conflicts[0])


def _parts(inspection: Inspection, root: int, members: list[Copy]) -> list[int]:
    return [*(inspection.pool.part_of(row) for row in (root, *(copy.row for copy in members))), root]


def _copies(inspection: Inspection) -> list[Copy]:
    """Return exact copies of the first of their kind, and near copies among those first ones."""
    traits, tolerance = inspection.traits, inspection.rules.near_duplicate_tolerance_angstrom
    original = originals(inspection.pool, traits.fingerprints)
    is_copy = original != np.arange(len(traits))
    rows = np.flatnonzero(is_copy).tolist()
    copies = [Copy(row, int(original[row]), 0.0, exact=True) for row in rows]
    if tolerance is not None:
        near = near_copies(inspection.pool, traits, np.flatnonzero(~is_copy), tolerance)
        copies += [Copy(*found, exact=False) for found in near]
    return sorted(copies, key=lambda copy: copy.row)


def _disagreement(inspection: Inspection, copy: Copy, root: int) -> Disagreement:
    """Return how much the labels of a copy differ from those of its original and of the first of the group."""
    found = Disagreement(copy.original, *_label_difference(inspection, copy.row, copy.original), copy.exact)
    if copy.original == root:
        return found
    far = Disagreement(root, *_label_difference(inspection, copy.row, root), exact=False)
    return far if far.size > found.size else found


def _add_duplicate(inspection: Inspection, copy: Copy) -> None:
    tolerance = inspection.rules.near_duplicate_tolerance_angstrom
    name = inspection.traits.names[copy.original]
    how = 'is' if copy.exact else f'is within {copy.displacement:.1e} Å'
    inspection.add(
        FindingKind.DUPLICATE if copy.exact else FindingKind.NEAR_DUPLICATE,
        copy.row,
        copy.displacement,
        0.0 if copy.exact or tolerance is None else tolerance,
        f'it {how} the same structure as `{name}` (row {copy.original}), with the same labels',
        copy.original,
    )


def _add_conflict(inspection: Inspection, row: int, found: dict[int, Disagreement], first_conflict: int) -> None:
    """Write down a conflict of a structure: with what it disagrees, or else with the first that disagrees."""
    if row in found and found[row].size > 1:
        conflict, other = found[row], found[row].other
    else:
        conflict, other = found[first_conflict], first_conflict
    exact = conflict.exact and (row not in found or found[row].exact)
    name = inspection.traits.names[other]
    how = 'is' if exact else 'is nearly'
    inspection.add(
        FindingKind.CONFLICTING_DUPLICATE if exact else FindingKind.CONFLICTING_NEAR_DUPLICATE,
        row,
        conflict.size,
        1.0,
        f'it {how} the same structure as `{name}` (row {other}), but {conflict.words}',
        other,
    )


def _label_difference(inspection: Inspection, row: int, other: int) -> tuple[float, str]:
    """Return by how many tolerances the labels of two copies differ, and in words what does."""
    rules = inspection.rules
    (ours, ours_at), (theirs, theirs_at) = inspection.pool.find(row), inspection.pool.find(other)
    difference, words = 0.0, ''
    for name in ('energy', 'energy_corrected'):
        energies = getattr(ours, name), getattr(theirs, name)
        if energies[0] is None or energies[1] is None:
            continue
        change = float(energies[0][ours_at] - energies[1][theirs_at]) / int(ours.sizes[ours_at])
        if abs(change) / rules.label_tolerance_ev_per_atom > difference:
            difference = abs(change) / rules.label_tolerance_ev_per_atom
            words = (
                f'the energies differ by {1e3 * change:.3g} meV/atom '
                f'(tolerance {1e3 * rules.label_tolerance_ev_per_atom:g})'
            )
    if ours.forces is not None and theirs.forces is not None:
        change = float(np.linalg.norm(_forces(ours, ours_at) - _forces(theirs, theirs_at), axis=1).max())
        if change / rules.label_tolerance_ev_per_angstrom > difference:
            difference = change / rules.label_tolerance_ev_per_angstrom
            words = f'forces differ by {change:.3g} eV/Å (tolerance {rules.label_tolerance_ev_per_angstrom:g})'
    return difference, words


def _forces(structures: LabelledStructures, row: int) -> NDArray[np.float64]:
    return structures.field('forces')[structures.offsets[row] : structures.offsets[row + 1]]
