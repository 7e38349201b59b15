"""Each kind of finding: what raises it, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage import FindingKind, TriageRules, find_problems
from aiida_autopipec.pacemaker.triage.report import Finding


def _rows(findings: tuple[Finding, ...]) -> list[int]:
    return [finding.row for finding in findings]


def test_clean_data_have_no_findings(make_set) -> None:
    """Data of one kind without errors are left in peace, and everything is looked for."""
    report = find_problems(make_set(200))
    assert not report
    assert report.counts == {}
    assert report.not_checked == ()


@pytest.mark.parametrize('shift', [-1.0, 1.0])
def test_energy_outlier(make_set, shift: float) -> None:
    """One energy that is 1 eV/atom too high or too low is found, and its sentence says which way."""
    structures = make_set()
    energy = structures.energy.copy()
    energy[7] += 4 * shift
    (found,) = find_problems(structures.replace(energy=energy)).findings
    assert (found.kind, found.row, found.name) == (FindingKind.ENERGY_OUTLIER, 7, 'frame-7')
    assert np.sign(found.value) == np.sign(shift)
    assert abs(found.value) > found.threshold == 10.0
    assert ('above' if shift > 0 else 'below') in found.sentence


def test_energies_that_agree_are_no_outliers(make_set) -> None:
    """Differences of less than the floor times the score are none, however equal the other energies are."""
    energy = np.full(30, -14.8)
    energy[3] += 4 * 0.04
    assert not find_problems(make_set(energy=energy))


def test_composition_explains_energies(make_set) -> None:
    """Compositions that are too rare to be compared with themselves are compared after a baseline per element."""
    rng = np.random.default_rng(1)
    structures = make_set(60)
    numbers = np.where(rng.random(240) < 0.5, 13, 28).astype(np.int32)
    nickel = np.add.reduceat(numbers == 28, structures.offsets[:-1])
    energy = -3.7 * (4 - nickel) - 5.5 * nickel + 0.05 * rng.normal(size=60)
    rules = TriageRules(min_group_size=50)
    assert not find_problems(structures.replace(numbers=numbers, energy=energy), rules)
    energy[11] += 4 * 1.0
    report = find_problems(structures.replace(numbers=numbers, energy=energy), rules)
    assert _rows(report.of_kind(FindingKind.ENERGY_OUTLIER)) == [11]


def test_too_few_to_compare_with_is_said(make_set) -> None:
    """A handful of structures is not judged by statistics, and the report says so."""
    report = find_problems(make_set(5))
    assert [text.split(':')[0] for text in report.not_checked] == ['energy_outlier', 'force_outlier']
    assert '5 structures' in report.not_checked[0]


def test_missing_labels_are_said(make_set) -> None:
    """Candidates without labels are checked for their geometry, and the report says what could not be checked."""
    report = find_problems(make_set(energy=None, forces=None))
    assert not report
    assert report.not_checked == (
        'energy_outlier: the dataset has no energies',
        'force_outlier: the dataset has no forces',
    )


def test_force_outlier(make_set) -> None:
    """One force that is ten times larger than the largest of other structures is found; twice is not."""
    structures = make_set()
    forces = structures.forces.copy()
    forces[9] = [0.0, 4.5, 0.0]
    assert not find_problems(structures.replace(forces=forces))
    forces[9] = [0.0, 25.0, 0.0]
    (found,) = find_problems(structures.replace(forces=forces)).findings
    assert (found.kind, found.row) == (FindingKind.FORCE_OUTLIER, 2)
    assert '25.000 eV/Å' in found.sentence


def test_structures_at_rest_do_not_make_others_outliers(make_set) -> None:
    """Forces that vanish by symmetry, as in perfect crystals, are no measure for those of rattled ones."""
    structures = make_set(60)
    forces = structures.forces.copy()
    forces[: 4 * 45] = 1e-6
    assert not find_problems(structures.replace(forces=forces))


def test_large_force(make_set) -> None:
    """A limit in eV/Å is applied where one is given."""
    structures = make_set()
    largest = np.linalg.norm(structures.forces, axis=1).max()
    report = find_problems(structures, TriageRules(max_force_ev_per_angstrom=float(largest) - 1e-6))
    (found,) = report.findings
    assert found.kind is FindingKind.LARGE_FORCE
    assert found.value == pytest.approx(largest)


def test_too_close_within_the_cell(make_set) -> None:
    """Two atoms at half of the sum of their covalent radii are found, with their numbers and elements."""
    structures = make_set()
    positions = structures.positions.copy()
    positions[4 * 5 + 2] = positions[4 * 5 + 1] + [1.2, 0, 0]
    (found,) = find_problems(structures.replace(positions=positions)).of_kind(FindingKind.TOO_CLOSE)
    assert found.row == 5
    assert found.value == pytest.approx(1.2 / 2.42)
    assert found.sentence.startswith('atoms 1 (Al) and 2 (Al) are 1.200 Å apart')


def test_too_close_through_the_boundary(make_set) -> None:
    """An image on the other side of the cell counts, also that of the atom itself."""
    structures = make_set()
    positions, cells = structures.positions.copy(), structures.cells.copy()
    positions[4 * 5], positions[4 * 5 + 1] = [0.1, 2.0, 2.0], [4.05 - 0.9, 2.0, 2.0]
    report = find_problems(structures.replace(positions=positions))
    assert _rows(report.of_kind(FindingKind.TOO_CLOSE)) == [5]
    alone = structures.take([0]).replace(
        numbers=[13], positions=[[0, 0, 0]], offsets=[0, 1], forces=[[0, 0, 0]], cells=np.diag([1.4, 20, 20])[None]
    )
    (found,) = find_problems(alone).of_kind(FindingKind.TOO_CLOSE)
    assert 'its own image' in found.sentence
    assert not find_problems(structures.replace(cells=cells)).of_kind(FindingKind.TOO_CLOSE)


def test_contacts_are_judged_by_elements() -> None:
    """A hydrogen molecule is no close contact, aluminium at the same distance is."""
    molecules = [Atoms(pair, positions=[[0, 0, 0], [0, 0, 0.75]]) for pair in ('H2', 'Al2')]
    structures = LabelledStructures.from_atoms(molecules, require_labels=False)
    assert _rows(find_problems(structures).of_kind(FindingKind.TOO_CLOSE)) == [1]


def test_tiny_volume(make_set) -> None:
    """A cell of a fraction of the volume of its atoms is found, and a flat one; molecules have no volume to judge."""
    structures = make_set()
    cells = structures.cells.copy()
    cells[3, 2] *= 0.15
    cells[4, 2] = cells[4, 0] + [0, 0, 0.01]
    report = find_problems(structures.replace(cells=cells))
    small, flat = report.of_kind(FindingKind.TINY_VOLUME)
    assert (small.row, flat.row, flat.value) == (3, 4, 0.0)
    assert small.value == pytest.approx(0.15 * 4.05**3 / (4 * 4 / 3 * np.pi * 1.21**3))
    assert 'linearly dependent' in flat.sentence
    molecules = structures.replace(cells=cells, pbc=np.zeros((30, 3), dtype=bool))
    assert not find_problems(molecules).of_kind(FindingKind.TINY_VOLUME)


def test_no_neighbours(make_set) -> None:
    """A structure in which no atom sees another is found; a bound pair in a large box is not."""
    structures = make_set()
    cells, positions = structures.cells.copy(), structures.positions.copy()
    cells[[6, 8]] = 40 * np.eye(3)
    positions[24:28] = [[0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]]
    positions[32:36] = [[0, 0, 0], [2.8, 0, 0], [0, 20, 0], [0, 0, 20]]
    (found,) = find_problems(structures.replace(cells=cells, positions=positions)).of_kind(FindingKind.NO_NEIGHBOURS)
    assert found.row == 6
    assert 'cutoff of 6 Å' in found.sentence


def test_isolated_atoms_are_no_energy_outliers(make_set) -> None:
    """An atom alone lies eV above the others by nature and is not compared with them."""
    structures = make_set()
    cells, energy, positions = structures.cells.copy(), structures.energy.copy(), structures.positions.copy()
    cells[6], energy[6] = 100 * np.eye(3), 0.0
    positions[24:28] = 25 * np.arange(4)[:, None]
    report = find_problems(structures.replace(cells=cells, energy=energy, positions=positions))
    assert set(report.counts) == {FindingKind.NO_NEIGHBOURS}


def test_rare_element(make_set) -> None:
    """Every structure with an element that few others have is found, with the number of them."""
    numbers = np.full(120, 13)
    numbers[[8, 50]] = 12
    report = find_problems(make_set(numbers=numbers), TriageRules(energy_outlier_score=None))
    assert _rows(report.of_kind(FindingKind.RARE_ELEMENT)) == [2, 12]
    assert report.findings[0].sentence.startswith('Mg occurs in 2 of 30 structures')
    assert not find_problems(make_set(numbers=numbers), TriageRules(min_structures_per_element=2))


def test_checks_can_be_turned_off(make_set) -> None:
    """``None`` turns a check off."""
    rules = TriageRules(
        energy_outlier_score=None,
        force_outlier_score=None,
        min_distance_fraction=None,
        min_volume_fraction=None,
        report_without_neighbours=False,
        min_structures_per_element=None,
        near_duplicate_tolerance_angstrom=None,
    )
    structures = make_set(3, energy=np.array([0.0, 1e6, 2e6]), cells=np.tile(np.diag([4, 4, 0.2]), (3, 1, 1)))
    assert not find_problems(structures, rules)


def test_real_data_raise_no_false_alarm(al_lda: LabelledStructures) -> None:
    """Of the example data only the isolated atom is a finding: it has no neighbours, and is the reference energy."""
    (found,) = find_problems(al_lda).findings
    assert (found.kind, found.name) == (FindingKind.NO_NEIGHBOURS, 'isolated-atom')


def test_real_data_with_an_error_raise_an_alarm(al_lda: LabelledStructures) -> None:
    """An energy of the example data in another unit is found among all the real variation."""
    energy = al_lda.energy.copy()
    energy[17] *= 1 / 27.211
    report = find_problems(al_lda.replace(energy=energy))
    assert _rows(report.of_kind(FindingKind.ENERGY_OUTLIER)) == [17]


def test_parts_are_judged_like_the_whole(make_set, al_lda):
    """A dataset in parts, of which few are in memory at a time, has the findings that it has as a whole."""
    structures = make_set(40)
    copies = structures.take([3, 17]).replace(names=np.array(['copy-3', 'copy-17']), energy=structures.energy[[3, 3]])
    spoilt = structures.energy.copy()
    spoilt[7] += 8
    for whole in (LabelledStructures.concatenate([structures.replace(energy=spoilt), copies]), al_lda):
        parts = [whole.take(range(begin, min(begin + 3, len(whole)))) for begin in range(0, len(whole), 3)]
        in_parts, at_once = find_problems(parts), find_problems(whole)
        assert in_parts.counts == at_once.counts
        assert in_parts.counts
        assert [(f.kind, f.row, f.name, f.other, f.sentence) for f in in_parts.findings] == [
            (f.kind, f.row, f.name, f.other, f.sentence) for f in at_once.findings
        ]
