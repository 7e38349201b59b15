"""Structures that are there more than once, in parts of which few are in memory."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiida_autopipec.pacemaker.dataset import pool as pool_module
from aiida_autopipec.pacemaker.dataset.compare import FORCES_TOLERANCE, Pairs
from aiida_autopipec.pacemaker.dataset.copies import originals
from aiida_autopipec.pacemaker.dataset.merge import plan_merge
from aiida_autopipec.pacemaker.dataset.pool import Pool
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


@dataclasses.dataclass
class Part:
    """A part that counts how often it is read."""

    structures: LabelledStructures
    loads: int = 0

    def __len__(self) -> int:
        return len(self.structures)

    def load(self) -> LabelledStructures:
        """Return the structures."""
        self.loads += 1
        return self.structures


class CountedMergeable(Part):
    """The same with what merges ask for."""

    @property
    def names(self) -> np.ndarray:
        """Names."""
        return self.structures.names

    @property
    def fingerprints(self) -> np.ndarray:
        """Hashes of the geometries."""
        return self.structures.fingerprints


def chains(places: list[tuple[int, int]], **fields: np.ndarray) -> LabelledStructures:
    """Return chains of some atoms, each with a place that makes it the same or another one."""
    sizes = np.array([size for size, _ in places])
    positions = np.zeros((sizes.sum(), 3))
    positions[:, 0] = np.repeat([place for _, place in places], sizes)
    positions[:, 1] = np.concatenate([np.arange(size) for size in sizes])
    return LabelledStructures(
        numbers=np.full(sizes.sum(), 13),
        positions=positions,
        cells=np.zeros((len(sizes), 3, 3)),
        pbc=np.zeros((len(sizes), 3), dtype=bool),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        names=np.array([str(row) for row in range(len(sizes))]),
        **fields,
    )


@given(
    places=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=24),
    n_parts=st.integers(1, 12),
    forged=st.integers(0, 2),
    max_loaded=st.integers(1, 8),
)
@settings(max_examples=100, deadline=None, database=None)
def test_originals_are_the_first_that_are_the_same(
    places: list[tuple[int, int]], n_parts: int, forged: int, max_loaded: int
) -> None:
    """However hashes collide and parts are divided: the original is the first structure of that size and place."""
    whole = chains(places)
    marks = whole.fingerprints
    if forged:  # all have one hash, or those of equal places whatever their sizes
        marks = np.array([b'%032d' % (place if forged == 1 else 0) for _, place in places])
    parts = [Part(whole.take(rows)) for rows in np.array_split(np.arange(len(whole)), n_parts) if len(rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, 'MAX_LOADED', max_loaded)
        seen: dict[int, int] = {}

        def look(rows: np.ndarray, pairs: Pairs) -> None:
            for row, number in zip(rows.tolist(), pairs.rows_a.tolist(), strict=True):
                assert row not in seen
                seen[row] = int(pairs.a.names[number])

        first = [places.index(place) for place in places]
        assert originals(Pool(parts), marks, look).tolist() == first
        assert seen == {row: original for row, original in enumerate(first) if original != row}


def test_parts_are_read_as_seldom_as_few_in_memory_allow() -> None:
    """Copies of 20 parts in 20 others, in any order: seven are held while the others pass by, not 400 pairs read."""
    n = 400
    order = np.random.default_rng(0).permutation(n)
    first = [Part(chains([(1, row) for row in rows])) for rows in np.array_split(np.arange(n), 20)]
    second = [Part(chains([(1, row) for row in rows])) for rows in np.array_split(order, 20)]
    parts = [*first, *second]
    found = originals(Pool(parts), np.concatenate([part.structures.fingerprints for part in parts]))
    assert found.tolist() == [*range(n), *order.tolist()]
    assert [part.loads for part in first] == [1] * 20
    assert max(part.loads for part in second) == -(-20 // (pool_module.MAX_LOADED - 1))


def test_parts_with_disputed_copies_are_read_seldom() -> None:
    """Three sets in three orders, whose labels all differ: parts that belong together are looked at together."""
    n, n_parts = 90, 30
    rng = np.random.default_rng(0)
    parts = []
    for energy in range(3):
        near = np.argsort(np.arange(n) + rng.uniform(0, 3, n))  # nearly in order
        for rows in np.array_split(near, n_parts):
            labels = {'energy': np.full(len(rows), float(energy)), 'forces': np.zeros((len(rows), 3))}
            parts.append(CountedMergeable(chains([(1, row) for row in rows], **labels)))
    report = plan_merge(parts, 'keep_all')
    assert (report.n_kept, len(report.conflicts)) == (3 * n, 2 * n)
    assert sum(part.loads for part in parts) < 6 * len(parts)


def test_parts_without_copies_are_not_read() -> None:
    """A small set merged into a large one costs what the small one costs."""
    parts = [Part(chains([(1, 10 * part + row) for row in range(10)])) for part in range(5)]
    parts.append(Part(chains([(1, 23), (1, 99)])))
    marks = np.concatenate([part.structures.fingerprints for part in parts])
    assert originals(Pool(parts), marks)[-2:].tolist() == [23, 51]
    assert [part.loads for part in parts] == [0, 0, 1, 0, 0, 1]


def test_labels_of_many_pairs_of_any_size() -> None:
    """Labels are compared structure by structure: one atom of one structure makes the difference."""
    places = [(size, 0) for size in (1, 3, 2, 3, 2, 1)]
    forces = np.zeros((12, 3))
    plain = chains(places, energy=np.zeros(6), forces=forces)
    changed = forces.copy()
    changed[3, 2] = 2 * FORCES_TOLERANCE  # the last atom of the second structure
    changed[11, 0] = FORCES_TOLERANCE / 2  # less than counts
    energies = np.array([0, 0, 0, 0, 1.0, 0])
    other = chains(places, energy=energies, forces=changed)
    rows = np.arange(6)
    assert Pairs(plain, rows, other, rows).same_labels().tolist() == [True, False, True, True, False, True]
    backwards = Pairs(plain, rows, other, rows[::-1])
    assert backwards.same_geometry().tolist() == [True, False, False, False, False, True]


def test_stress_that_is_not_known_is_no_difference() -> None:
    """A row of NaN agrees with every stress, a known one only with the same."""
    known, unknown = np.zeros((2, 6)), np.full((2, 6), np.nan)
    other = np.array([np.zeros(6), np.full(6, 1e-3)])
    sets = [chains([(1, 0), (1, 0)], stress=stress) for stress in (known, unknown, other)]
    rows = np.arange(2)
    assert Pairs(sets[0], rows, sets[1], rows).same_labels().tolist() == [True, True]
    assert Pairs(sets[0], rows, sets[2], rows).same_labels().tolist() == [True, False]
