"""Merging without duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_autopipec.pacemaker.dataset.merge import ON_CONFLICT, merge_structures, merged_parts, plan_merge
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


def atoms(*rows: tuple[str, float, float], **fields: Any) -> LabelledStructures:
    """Return single atoms, each with a name, a place (which makes it the same or another one) and an energy."""
    names, places, energies = zip(*rows, strict=True)
    n = len(rows)
    positions = np.zeros((n, 3))
    positions[:, 0] = places
    return LabelledStructures(
        numbers=np.full(n, 13),
        positions=positions,
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), dtype=bool),
        offsets=np.arange(n + 1),
        energy=np.array(energies),
        forces=fields.pop('forces', np.zeros((n, 3))),
        names=np.array(names),
        **fields,
    )


def content(merged: LabelledStructures) -> list[tuple[str, float]]:
    """Return name and energy of each structure."""
    return list(zip(merged.names.tolist(), merged.energy.tolist(), strict=True))


def test_exact_duplicates_are_removed_and_reported() -> None:
    """One of each copy stays, the first, and the report names the pairs."""
    merged, report = merge_structures([atoms(('a', 0, -1), ('b', 1, -2)), atoms(('c', 1, -2), ('d', 2, -3))])
    assert content(merged) == [('a', -1), ('b', -2), ('d', -3)]
    assert report.as_dict() == {
        'structures_in': 4,
        'structures_out': 3,
        'counts': {'duplicates_removed': 1, 'conflicting_labels': 0, 'renamed': 0},
        'duplicates_removed': [['c', 'b']],
        'conflicting_labels': [],
        'renamed': [],
    }


def test_duplicates_within_one_set_are_removed() -> None:
    """A set that holds copies is freed of them too."""
    merged, report = merge_structures([atoms(('a', 0, -1), ('b', 0, -1))])
    assert merged.names.tolist() == ['a']
    assert report.duplicates == (('b', 'a'),)


def test_equal_hashes_of_other_structures_are_no_copies() -> None:
    """Hashes can be made to be equal; nothing is removed or called a conflict for that."""
    mine, theirs = atoms(('a', 0, -1), ('b', 1, -2)), atoms(('c', 5, -1), ('d', 6, -7), ('e', 6, -7))
    marks = mine.fingerprints[[0, 1, 1]]
    merged, report = merge_structures([mine, theirs.know(fingerprints=marks)])
    assert content(merged) == [('a', -1), ('b', -2), ('c', -1), ('d', -7)]
    assert (report.duplicates, report.conflicts) == ((('e', 'd'),), ())


def test_conflicting_energies_are_an_error_by_default() -> None:
    """Equal structures with other energies are refused; the sentence says which, where and by how much."""
    with pytest.raises(DatasetError) as raised:
        merge_structures([atoms(('a', 0, -1)), atoms(('x', 5, 0), ('b', 0, -1.5))])
    assert 'structure `b` (row 2 of all) equals `a` (row 0)' in str(raised.value)
    assert '-0.5 eV' in str(raised.value)
    assert 'keep_last' in str(raised.value)


@pytest.mark.parametrize(
    ('policy', 'expected'),
    [
        ('keep_first', [('a', -1)]),
        ('keep_last', [('c', -3)]),
        ('keep_all', [('a', -1), ('b', -2), ('c', -3)]),
    ],
)
def test_policies_for_conflicts(policy: Any, expected: list[tuple[str, float]]) -> None:
    """Of three copies with three energies the first, the last or all stay, and the conflicts are reported."""
    parts = [atoms(('a', 0, -1)), atoms(('b', 0, -2)), atoms(('c', 0, -3))]
    merged, report = merge_structures(parts, policy)
    assert content(merged) == expected
    assert len(report.conflicts) == 2
    assert not report.duplicates


def test_keep_all_keeps_each_set_of_labels_once() -> None:
    """Keeping all labels of a structure still keeps one of each exact copy, also of a later one."""
    parts = [atoms(('a', 0, -1), ('b', 0, -2)), atoms(('c', 0, -2), ('d', 0, -1))]
    merged, report = merge_structures(parts, 'keep_all')
    assert content(merged) == [('a', -1), ('b', -2)]
    assert report.duplicates == (('c', 'b'), ('d', 'a'))


def one_by_one(structures: list[tuple[str, int, int]], policy: str) -> tuple[list[str], list[Any], list[Any]]:
    """Return what stays, the duplicates and the conflicts, found the slow way.

    :param structures: name, place and energy of each.
    """
    known: dict[int, list[tuple[str, int]]] = {}  # by place: names and energies of those that stay
    out, duplicates, conflicts = set(), [], []
    for name, place, energy in structures:
        staying = known.setdefault(place, [])
        equal = next((other for other, label in staying if label == energy), None)
        if equal is not None:
            out.add(name)
            duplicates.append((name, equal))
            continue
        if staying:
            conflicts.append((name, staying[0][0]))
            if policy == 'keep_first':
                out.add(name)
                continue
            if policy == 'keep_last':
                out.add(staying.pop()[0])
        staying.append((name, energy))
    return [name for name, *_ in structures if name not in out], duplicates, conflicts


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=16),
    n_parts=st.integers(1, 5),
    policy=st.sampled_from(ON_CONFLICT[1:]),
    forged=st.booleans(),
    max_loaded=st.integers(1, 8),
)
@settings(max_examples=150, deadline=None, database=None)
def test_merging_at_once_is_merging_one_by_one(
    rows: list[tuple[int, int]], n_parts: int, policy: Any, forged: bool, max_loaded: int
) -> None:
    """However many copies with however many labels there are, in parts of any size and with equal hashes or not."""
    structures = [(f'n{number}', place, energy) for number, (place, energy) in enumerate(rows)]
    parts = [
        atoms(*(structures[row] for row in part)) for part in np.array_split(range(len(rows)), n_parts) if len(part)
    ]
    if forged:
        for part in parts:
            part.know(fingerprints=np.full(len(part), b'0' * 32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('aiida_autopipec.pacemaker.dataset.pool.MAX_LOADED', max_loaded)
        merged, report = merge_structures(parts, policy)
    assert (merged.names.tolist(), list(report.duplicates), list(report.conflicts)) == one_by_one(structures, policy)


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=10),
    policy=st.sampled_from(ON_CONFLICT[1:]),
)
@settings(max_examples=60, deadline=None, database=None)
def test_merging_again_changes_nothing(rows: list[tuple[int, int]], policy: Any) -> None:
    """What was merged once is not changed by being merged with itself."""
    part = atoms(*((f'n{i}', place, energy) for i, (place, energy) in enumerate(rows)))
    once, _ = merge_structures([part], policy)
    if policy == 'keep_all':
        twice, _ = merge_structures([once, once], policy)
        assert twice.content_hash == once.content_hash
    assert merge_structures([once], policy)[0].content_hash == once.content_hash
    assert set(once.fingerprints) == set(part.fingerprints)


def test_labels_within_rounding_are_the_same() -> None:
    """Copies through a text file are copies: labels may differ in the last of its digits."""
    second = atoms(('b', 0, -1 + 5e-7), forces=np.full((1, 3), 5e-9))
    assert merge_structures([atoms(('a', 0, -1)), second])[1].duplicates == (('b', 'a'),)


def test_other_forces_are_a_conflict() -> None:
    """Equal energies with other forces are other labels."""
    with pytest.raises(DatasetError, match='other labels'):
        merge_structures([atoms(('a', 0, -1)), atoms(('b', 0, -1), forces=np.full((1, 3), 1e-4))])


def test_other_stress_is_a_conflict() -> None:
    """A stress that both have and that differs is another label."""
    parts = [atoms((name, 0, -1), stress=np.full((1, 6), value)) for name, value in (('a', 0.0), ('b', 1e-3))]
    with pytest.raises(DatasetError, match='other labels'):
        merge_structures(parts)


@pytest.mark.parametrize('first_has_it', [True, False])
def test_stress_on_one_side_only_is_no_conflict(first_has_it: bool) -> None:
    """A copy with a stress and one without are copies; the first stays as it is."""
    with_stress, without = atoms(('a', 0, -1), stress=np.ones((1, 6))), atoms(('b', 0, -1))
    parts = [with_stress, without] if first_has_it else [without, with_stress]
    merged, report = merge_structures(parts)
    assert len(merged) == 1
    assert not report.conflicts
    assert merged.has_stress is first_has_it


@pytest.mark.parametrize('field', ['energy', 'energy_corrected', 'forces', 'stress', 'energy_weights', 'force_weights'])
def test_every_label_counts(field: str) -> None:
    """Whatever is trained on, or kept beside it, and differs is a conflict; weights decide what is trained."""
    labels: dict[str, Any] = {
        'energy_corrected': np.zeros(1),
        'stress': np.zeros((1, 6)),
        'energy_weights': np.ones(1),
        'force_weights': np.ones(1),
    }
    first = atoms(('a', 0, -1), **labels)
    second = first.replace(names=np.array(['b']))
    assert merge_structures([first, second])[1].duplicates == (('b', 'a'),)
    with pytest.raises(DatasetError, match='other labels'):
        merge_structures([first, second.replace(**{field: getattr(first, field) + 1e-3})])


def test_copy_without_labels_never_replaces_a_labelled_one() -> None:
    """Sets of which only one has labels are refused, even where all structures of the other are copies."""
    labelled = atoms(('a', 0, -1))
    bare = labelled.replace(energy=None, forces=None)
    for parts in ([bare, labelled], [labelled, bare]):
        with pytest.raises(DatasetError, match='lose or invent values'):
            merge_structures(parts)


def test_taken_names_are_changed_and_reported() -> None:
    """Another structure of the same name gets part of its fingerprint behind its name."""
    parts = [atoms(('a', 0, -1)), atoms(('a', 1, -2)), atoms(('a', 2, -3))]
    merged, report = merge_structures(parts)
    new = [f'a-{part.fingerprints[0][:8].decode()}' for part in parts[1:]]
    assert merged.names.tolist() == ['a', *new]
    assert report.renamed == (('a', new[0]), ('a', new[1]))


def test_changed_names_do_not_take_those_of_others() -> None:
    """A new name that is already in use is numbered."""
    other = atoms(('a', 1, -2))
    new = f'a-{other.fingerprints[0][:8].decode()}'
    merged, _ = merge_structures([atoms(('a', 0, -1), (new, 5, 0)), other])
    assert merged.names.tolist() == ['a', new, f'{new}-2']


def test_name_of_a_removed_copy_is_free() -> None:
    """A copy that is left out does not take a name away."""
    merged, report = merge_structures([atoms(('a', 0, -1)), atoms(('b', 0, -1)), atoms(('b', 1, -2))])
    assert merged.names.tolist() == ['a', 'b']
    assert not report.renamed


def test_untouched_sets_come_out_as_they_went_in() -> None:
    """A set of which everything stays is the very same object, so that its file is not stored again."""
    parts = [atoms(('a', 0, -1)), atoms(('b', 0, -1), ('c', 1, -2)), atoms(('d', 1, -2)), atoms(('e', 3, 0))]
    remaining = merged_parts(parts, plan_merge(parts))
    assert len(remaining) == 3
    assert remaining[0] is parts[0]
    assert remaining[1].names.tolist() == ['c']
    assert remaining[2] is parts[3]


def test_unknown_policy_is_refused() -> None:
    """A policy that there is not is an error that lists those that there are."""
    with pytest.raises(DatasetError, match='only one of error, keep_first, keep_last, keep_all'):
        plan_merge([atoms(('a', 0, -1))], 'first')  # type: ignore[arg-type]


def test_merging_nothing_is_an_error() -> None:
    """There is nothing to merge without sets."""
    with pytest.raises(DatasetError, match='no dataset'):
        merge_structures([])


def test_copies_in_very_many_parts(mixed: LabelledStructures, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer parts in memory than there are, the outcome is the same."""
    parts = [mixed.take([row]) for row in range(len(mixed))]
    copies = [mixed.take([row]).replace(names=np.array([f'copy-{row}'])) for row in reversed(range(len(mixed)))]
    expected, report = merge_structures([*parts, *copies])
    monkeypatch.setattr('aiida_autopipec.pacemaker.dataset.pool.MAX_LOADED', 1)
    merged, again = merge_structures([*parts, *copies])
    assert merged.content_hash == expected.content_hash == mixed.content_hash
    assert again.duplicates == report.duplicates
    assert len(report.duplicates) == len(mixed)
