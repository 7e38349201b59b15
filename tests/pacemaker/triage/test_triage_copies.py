"""Duplicates: what counts as the same structure, and what as the same labels."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import fcc111

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage import FindingKind, TriageRules, find_problems, near
from aiida_autopipec.pacemaker.triage.report import TriageReport

NUDGE = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
"""Moves one atom of four along x."""
COPIES = (
    FindingKind.DUPLICATE,
    FindingKind.NEAR_DUPLICATE,
    FindingKind.CONFLICTING_DUPLICATE,
    FindingKind.CONFLICTING_NEAR_DUPLICATE,
)


def _kinds(report: TriageReport) -> list[tuple[FindingKind, int, str | None]]:
    return [(found.kind, found.row, found.other) for found in report.findings if found.kind in COPIES]


def test_duplicate(make_set, append) -> None:
    """An exact copy with the same labels is a finding and its original is not."""
    report = find_problems(append(make_set(), 5))
    assert _kinds(report) == [(FindingKind.DUPLICATE, 30, 'frame-5')]


def test_equal_hashes_of_other_structures_are_no_copies(make_set) -> None:
    """Hashes can be made to be equal; that is no finding."""
    structures = make_set()
    marks = structures.fingerprints.copy()
    marks[7] = marks[5]
    assert _kinds(find_problems(structures.replace().know(fingerprints=marks))) == []


def test_copies_of_structures_with_equal_hashes(make_set, append) -> None:
    """Each is a copy of the one that it equals, not of the first with its hash."""
    structures = append(append(make_set(), 5), 6, name='other')
    marks = structures.fingerprints.copy()
    marks[[5, 6, 30, 31]] = marks[5]
    found = _kinds(find_problems(structures.replace().know(fingerprints=marks)))
    assert [(row, other) for _, row, other in found] == [(30, 'frame-5'), (31, 'frame-6')]


def test_conflicting_duplicate(make_set, append) -> None:
    """Where copies have different energies nobody knows which is right, so both are findings."""
    structures = make_set()
    report = find_problems(append(structures, 5, energy=structures.energy[[5]] + 4 * 0.02))
    assert _kinds(report) == [
        (FindingKind.CONFLICTING_DUPLICATE, 5, 'copy'),
        (FindingKind.CONFLICTING_DUPLICATE, 30, 'frame-5'),
    ]
    assert report.findings[1].value == pytest.approx(20)
    assert 'the energies differ by 20 meV/atom (tolerance 1)' in report.findings[1].sentence


def test_conflicting_forces(make_set, append) -> None:
    """Different forces on one atom are different labels."""
    structures = make_set()
    forces = structures.take([5]).forces.copy()
    forces[2, 1] += 0.5
    found = find_problems(append(structures, 5, forces=forces)).findings[-1]
    assert found.kind is FindingKind.CONFLICTING_DUPLICATE
    assert 'forces differ by 0.5 eV/Å (tolerance 0.1)' in found.sentence


def test_labels_within_tolerance_agree(make_set, append) -> None:
    """Labels that two careful calculations of one structure may give are the same."""
    structures = make_set()
    copied = append(structures, 5, energy=structures.energy[[5]] + 4 * 0.0005)
    assert _kinds(find_problems(copied)) == [(FindingKind.DUPLICATE, 30, 'frame-5')]


def test_near_duplicate_shifted_and_wrapped(make_set, append) -> None:
    """Noise, a common shift and lattice translations of single atoms leave a structure the same."""
    structures = make_set()
    positions = structures.take([5]).positions + np.array([0.7, -0.3, 0.2])
    positions += 2e-4 * np.random.default_rng(0).normal(size=(4, 3))
    positions[2] += [4.05, -8.1, 0]
    report = find_problems(append(structures, 5, positions=positions))
    assert _kinds(report) == [(FindingKind.NEAR_DUPLICATE, 30, 'frame-5')]
    assert 1e-5 < report.findings[0].value < 1e-3


def test_near_duplicate_with_other_labels(make_set, append) -> None:
    """A nearly equal structure with another energy is a conflict of both."""
    structures = make_set()
    positions = structures.take([5]).positions + 1e-4 * NUDGE
    report = find_problems(append(structures, 5, positions=positions, energy=structures.energy[[5]] + 1))
    assert _kinds(report) == [
        (FindingKind.CONFLICTING_NEAR_DUPLICATE, 5, 'copy'),
        (FindingKind.CONFLICTING_NEAR_DUPLICATE, 30, 'frame-5'),
    ]


def test_copies_of_both_sides_of_a_conflict(make_set, append) -> None:
    """All members of a group with a conflict are findings, exact copies of the near copy too."""
    structures = make_set()
    positions = structures.take([5]).positions + 1e-4 * NUDGE
    near = append(structures, 5, name='near', positions=positions)
    both = append(near, 30, name='wrong', energy=structures.energy[[5]] + 1)
    kinds = _kinds(find_problems(both))
    assert (FindingKind.NEAR_DUPLICATE, 30, 'frame-5') in kinds
    assert {row for kind, row, _ in kinds if kind.value.startswith('conflicting')} == {5, 30, 31}


@pytest.mark.parametrize('change', ['atom', 'cell', 'element', 'order', 'pbc'])
def test_other_structures_are_no_copies(make_set, append, change: str) -> None:
    """A larger displacement or strain, another element, order of atoms or boundary condition is another structure."""
    structures = make_set()
    one = structures.take([5])
    changes = {
        'atom': {'positions': one.positions + 0.004 * NUDGE},
        'cell': {'cells': one.cells * 1.001, 'positions': one.positions * 1.001},
        'element': {'numbers': [13, 13, 12, 13]},
        'order': {'positions': one.positions[[1, 0, 2, 3]]},
        'pbc': {'pbc': np.zeros((1, 3), dtype=bool)},
    }
    assert _kinds(find_problems(append(structures, 5, **changes[change]))) == []


def test_tolerance_is_a_rule(make_set, append) -> None:
    """What is no copy with the default tolerance is one with a larger tolerance, and none is looked for without."""
    structures = make_set()
    positions = structures.take([5]).positions + 0.004 * NUDGE
    copied = append(structures, 5, positions=positions)
    assert len(_kinds(find_problems(copied, TriageRules(near_duplicate_tolerance_angstrom=0.01)))) == 1
    assert _kinds(find_problems(copied, TriageRules(near_duplicate_tolerance_angstrom=None))) == []


def test_slabs_are_compared_as_slabs() -> None:
    """A slab moved along the open direction, with another meaningless third vector, is the same slab."""
    slab = fcc111('Al', (2, 2, 3), vacuum=6.0)
    slab.rattle(0.1, seed=0)
    moved = slab.copy()
    moved.positions += [0.3, 0.2, 5.0]
    moved.set_cell(slab.cell.array * [[1], [1], [2]])
    slab.pbc = moved.pbc = (True, True, False)
    report = find_problems(LabelledStructures.from_atoms([slab, moved], require_labels=False))
    assert [kind for kind, *_ in _kinds(report)] == [FindingKind.NEAR_DUPLICATE]


def test_every_near_copy_is_found_among_many(make_set) -> None:
    """Half of a large set being noisy copies of the other half, each is matched with its own original."""
    structures = make_set(500)
    rng = np.random.default_rng(3)
    noise = rng.uniform(-1, 1, size=structures.positions.shape) * 1e-3 / np.sqrt(3)
    copies = structures.replace(
        positions=structures.positions + noise, names=np.array([f'copy-{row}' for row in range(500)])
    )
    report = find_problems(LabelledStructures.concatenate([structures, copies]))
    assert _kinds(report) == [(FindingKind.NEAR_DUPLICATE, 500 + row, f'frame-{row}') for row in range(500)]


@pytest.mark.parametrize('n_first', [1, 6])
def test_copies_that_differ_where_it_is_not_looked_first(make_set, monkeypatch, n_first: int) -> None:
    """Structures that agree in all coordinates that are compared first are compared in the others, too."""
    monkeypatch.setattr(near, 'BLOCK', 10)
    monkeypatch.setattr(near, 'N_FIRST', n_first)
    structures = make_set(40)
    sets = [structures]
    for change in (0.005, 0.0001):  # of the second atom alone, beyond the tolerance and within it
        positions = structures.positions.reshape(40, 4, 3).copy()
        positions[:, 1] += change
        names = np.array([f'{change}-{row}' for row in range(40)])
        sets.append(structures.replace(positions=positions.reshape(-1, 3), names=names))
    found = _kinds(find_problems(LabelledStructures.concatenate(sets)))
    assert found == [(FindingKind.NEAR_DUPLICATE, 80 + row, f'frame-{row}') for row in range(40)]


@pytest.mark.parametrize('n_first', [1, 27])
@pytest.mark.parametrize('block', [7, 50])  # with more, so few structures are compared in all coordinates at once
def test_what_is_looked_at_first_does_not_matter(make_set, monkeypatch, n_first: int, block: int) -> None:
    """The few coordinates that tell most, and the blocks that they come in, change nothing."""
    structures = make_set(60)
    rng = np.random.default_rng(5)
    noise = rng.choice([1e-5, 5e-4, 3e-3], size=(60, 1, 1)) * rng.uniform(-1, 1, size=(60, 4, 3))
    copies = structures.replace(
        positions=structures.positions + noise.reshape(-1, 3), names=np.array([f'copy-{row}' for row in range(60)])
    )
    both = LabelledStructures.concatenate([structures, copies])
    expected = _kinds(find_problems(both))
    monkeypatch.setattr(near, 'N_FIRST', n_first)
    monkeypatch.setattr(near, 'BLOCK', block)
    assert _kinds(find_problems(both)) == expected
    assert 20 < len(expected) < 60


@pytest.mark.parametrize('n_cells', [1, 5, 1000])
def test_structures_are_told_apart_where_cells_are_few_or_go_together(n_cells: int) -> None:
    """Coordinates that are compared first are not all components of cells, however wide these spread."""
    rng = np.random.default_rng(0)
    cells = rng.integers(n_cells, size=(500, 1)) * np.linspace(0.01, 0.2, 9)
    places = rng.uniform(0.0, 0.06, size=(500, 12))
    columns = near.telling_columns(np.hstack([cells, places]), 1e-3)
    assert len(columns) == len(set(columns)) == near.N_FIRST
    kinds = np.unique(np.floor(np.hstack([cells, places])[:, columns] / 1e-3), axis=0)
    assert len(kinds) == 500
    assert sum(column < 9 for column in columns[:2]) <= 1


def test_a_crowd_of_copies_is_linear(make_set) -> None:
    """Thousands of nearly equal frames are each compared with the first one, not with each other."""
    one = make_set(1)
    rng = np.random.default_rng(3)
    n = 3000
    crowd = LabelledStructures(
        numbers=np.tile(one.numbers, n),
        positions=np.tile(one.positions, (n, 1)) + rng.uniform(-1e-4, 1e-4, size=(4 * n, 3)),
        cells=np.tile(one.cells, (n, 1, 1)),
        pbc=np.ones((n, 3), dtype=bool),
        offsets=np.arange(n + 1) * 4,
        names=np.array([f'frame-{row}' for row in range(n)]),
    )
    report = find_problems(crowd)
    assert report.counts == {FindingKind.NEAR_DUPLICATE: n - 1}
    assert {found.other for found in report.findings} == {'frame-0'}
