"""What the arrays of a trajectory mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ase.units import Bohr, GPa, Hartree, Rydberg

from aiida_autopipec.pacemaker.dataset.conventions import CONVENTIONS, UNCONVERGED, stated_convention
from aiida_autopipec.pacemaker.dataset.frames import Frames, divide_frames, structures_from_frames
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

CELL = np.array([[4.0, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, 2.0, 6.0]])
STRESS = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
STATED = {
    'energy': {'array': 'energies', 'unit': 'Rydberg'},
    'forces': {'array': 'forces', 'unit': 'Rydberg/Bohr'},
    'stress': {'array': 'stress', 'unit': 'kbar', 'compressed': 'positive'},
}


def frames(symbols: tuple[str, ...] = ('Al', 'Cu'), **changes: Any) -> Frames:
    """Return three periodic frames of two atoms with labels, some arrays exchanged or, with None, left out."""
    arrays: dict[str, Any] = {
        'positions': np.arange(18.0).reshape(3, 2, 3) / 10,
        'cells': np.tile(CELL, (3, 1, 1)),
        'energies': np.array([-1.0, -2.0, -3.0]),
        'forces': np.ones((3, 2, 3)),
        'stress': np.tile(STRESS, (3, 1, 1)),
    }
    pbc = changes.pop('pbc', (True, True, True))
    cell = changes.pop('cell', None)
    present = {name: array for name, array in (arrays | changes).items() if array is not None}
    return Frames(symbols=symbols, arrays=present, pbc=pbc, cell=cell)


@pytest.mark.parametrize(
    ('unit', 'factor'), [('eV', 1.0), ('Hartree', 27.211386), ('Rydberg', 13.605693), ('meV', 0.001)]
)
def test_units_of_energies(unit: str, factor: float) -> None:
    """Energies come out in eV."""
    convention = stated_convention(STATED | {'energy': {'array': 'energies', 'unit': unit}})
    structures, _ = structures_from_frames(frames(), convention)
    np.testing.assert_allclose(structures.energy, np.array([-1.0, -2.0, -3.0]) * factor, rtol=1e-7)


@pytest.mark.parametrize(
    ('unit', 'factor'),
    [('eV/Å', 1.0), ('eV/A', 1.0), ('Hartree/Bohr', Hartree / Bohr), ('Rydberg/Bohr', Rydberg / Bohr)],
)
def test_units_of_forces(unit: str, factor: float) -> None:
    """Forces come out in eV/Å."""
    convention = stated_convention(STATED | {'forces': {'array': 'forces', 'unit': unit}})
    np.testing.assert_allclose(structures_from_frames(frames(), convention)[0].forces, factor, rtol=1e-12)


@pytest.mark.parametrize(
    ('unit', 'factor'),
    [('eV/Å³', 1.0), ('eV/A^3', 1.0), ('GPa', GPa), ('kbar', GPa / 10), ('Hartree/Bohr^3', Hartree / Bohr**3)],
)
@pytest.mark.parametrize(('compressed', 'sign'), [('positive', -1), ('negative', 1)])
def test_units_and_signs_of_stresses(unit: str, factor: float, compressed: str, sign: int) -> None:
    """Stresses come out in eV/Å³, in the order of Voigt, negative when compressed."""
    stress = {'array': 'stress', 'unit': unit, 'compressed': compressed}
    structures, _ = structures_from_frames(frames(), stated_convention(STATED | {'stress': stress}))
    np.testing.assert_allclose(structures.stress[2], np.array([1, 2, 3, 4, 5, 6]) * factor * sign, rtol=1e-12)


def test_geometry_and_names() -> None:
    """Every frame has its own geometry, a name with the source and its number, and the source."""
    structures, report = structures_from_frames(
        frames(), stated_convention(STATED), source='0123456789-abc', require_labels=True
    )
    assert structures.names.tolist() == ['01234567-frame-0', '01234567-frame-1', '01234567-frame-2']
    assert set(structures.sources) == {'0123456789-abc'}
    np.testing.assert_array_equal(structures.positions, np.arange(18.0).reshape(6, 3) / 10)
    np.testing.assert_array_equal(structures.cells[1], CELL)
    assert structures.numbers.tolist() == [13, 29] * 3
    assert report['labels_left_out'] == {}


def test_fractional_positions() -> None:
    """Fractions of the cell vectors become Cartesian: a row vector times the rows of the cell."""
    structures, _ = structures_from_frames(frames(), stated_convention(STATED | {'positions': 'fractional'}))
    fractions = np.arange(18.0).reshape(6, 3) / 10
    expected = [sum(f * vector for f, vector in zip(row, CELL, strict=True)) for row in fractions]
    np.testing.assert_allclose(structures.positions, expected)


def test_one_cell_for_all_frames() -> None:
    """Without ``cells`` all frames share the cell that is given."""
    structures, _ = structures_from_frames(frames(cells=None, cell=CELL), stated_convention(STATED))
    np.testing.assert_array_equal(structures.cells, np.tile(CELL, (3, 1, 1)))


def test_surplus_labels_are_refused_unless_expected() -> None:
    """More labels than frames are left out and reported only where the convention knows them to come last."""
    more = frames(energies=np.arange(4.0))
    with pytest.raises(DatasetError, match=r'3 frames but 4 energies \(array `energies`\)'):
        structures_from_frames(more, stated_convention(STATED))
    structures, report = structures_from_frames(more, stated_convention(STATED | {'extra_labels': 1}))
    np.testing.assert_allclose(structures.energy / Rydberg, [0.0, 1.0, 2.0])
    assert report['labels_left_out'] == {'energies': 1}


def test_too_few_labels_are_refused() -> None:
    """Fewer labels than frames are never shifted to fit."""
    with pytest.raises(DatasetError, match='3 frames but 2 forces'):
        structures_from_frames(frames(forces=np.ones((2, 2, 3))), stated_convention(STATED | {'extra_labels': 1}))


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'energies': None}, 'no array `energies` with energies; its arrays are: cells, forces, positions, stress'),
        ({'forces': None}, 'no array `forces` with forces'),
        ({'positions': None}, 'no array `positions`'),
        ({'positions': np.zeros((3, 3, 3))}, r'`positions` has shape \(3, 3, 3\), but frames of 2 atoms'),
        ({'cells': np.zeros((2, 3, 3))}, r'`cells` has shape \(2, 3, 3\)'),
        ({'forces': np.zeros((3, 2))}, r'`forces` has shape \(3, 2\), but needs \(3, 2, 3\)'),
        ({'energies': np.zeros((3, 1))}, r'`energies` has shape \(3, 1\), but needs \(3,\)'),
        ({'energies': np.array(['a', 'b', 'c'])}, '`energies` is of type'),
        ({'energies': np.array([0.0, np.nan, 0.0])}, 'the energy in structure 1'),
        ({'stress': np.zeros((3, 6))}, r'`stress` has shape \(3, 6\)'),
        ({'pbc': None}, 'does not state its periodic boundary conditions'),
        ({'cells': None}, 'periodic boundary conditions need a cell'),
        ({'symbols': ('Al', 'Xq')}, '`Xq` is not the symbol of a chemical element'),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], sentence: str) -> None:
    """Missing arrays, wrong shapes and missing facts are refused with a sentence."""
    with pytest.raises(DatasetError, match=sentence):
        structures_from_frames(frames(**changes), stated_convention(STATED))


def test_fractions_need_a_cell() -> None:
    """Fractions of unknown cell vectors cannot be used."""
    convention = stated_convention(STATED | {'positions': 'fractional', 'pbc': (False, False, False)})
    with pytest.raises(DatasetError, match='no `cells`'):
        structures_from_frames(frames(cells=None), convention)


def test_stated_boundary_conditions_come_first() -> None:
    """Boundary conditions of the convention replace those of the trajectory."""
    structures, _ = structures_from_frames(frames(), stated_convention(STATED | {'pbc': (True, True, False)}))
    assert structures.pbc.tolist() == [[True, True, False]] * 3


def test_candidates_need_no_labels() -> None:
    """Where labels are not required, those that the convention names but the trajectory lacks may be missing."""
    bare = frames(energies=None, forces=None, stress=None)
    for convention in (stated_convention(STATED), stated_convention({})):
        structures, _ = structures_from_frames(bare, convention, require_labels=False)
        assert structures.energy is None
        assert structures.forces is None
    with pytest.raises(DatasetError, match='names no energy or no forces'):
        structures_from_frames(bare, stated_convention({}))


def test_empty_stress_is_none() -> None:
    """An array without content stands for a stress that was not computed."""
    structures, _ = structures_from_frames(frames(stress=np.zeros(0)), stated_convention(STATED))
    assert structures.stress is None


@pytest.mark.parametrize(
    ('change', 'key'),
    [
        ({'energy': {'array': 'energies', 'unit': 'kcal/mol'}}, 'energy.unit'),
        ({'energy': {'array': 'energies'}}, 'energy.unit'),
        ({'stress': {'array': 'stress', 'unit': 'GPa'}}, 'stress.compressed'),
        ({'force': {'array': 'forces', 'unit': 'eV/Å'}}, 'force'),
        ({'extra_labels': -1}, 'extra_labels'),
    ],
)
def test_incomplete_descriptions_are_refused(change: dict[str, Any], key: str) -> None:
    """Unit and sign have to be stated; unknown keys and units are refused under their key."""
    with pytest.raises(DatasetError, match=f'`{key}` in the description'):
        stated_convention(STATED | change)


def test_each_known_code_says_what_is_not_converged() -> None:
    """Every convention comes with the exit codes after which its labels are not to be used."""
    assert UNCONVERGED.keys() == CONVENTIONS.keys()


def test_vasp_convention() -> None:
    """VASP's fractions, kbar and free energies come out as Å, eV/Å³ and eV."""
    given = frames(energies=None, energy_free=np.array([-5.0, -6.0, -7.0]), pbc=None)
    structures, _ = structures_from_frames(given, CONVENTIONS['vasp.vasp'])
    assert structures.energy.tolist() == [-5.0, -6.0, -7.0]
    assert structures.pbc.all()
    np.testing.assert_allclose(structures.positions[1], np.array([0.3, 0.4, 0.5]) @ CELL)
    np.testing.assert_allclose(structures.stress[0], -np.array([1, 2, 3, 4, 5, 6]) * GPa / 10)


def test_long_trajectories_come_in_parts() -> None:
    """Divided into parts, a trajectory gives the same structures, names and report as at once."""
    whole, report = structures_from_frames(frames(), stated_convention(STATED), source='12345678-uuid')
    parts, same_report = divide_frames(frames(), stated_convention(STATED), source='12345678-uuid', max_bytes=1)
    collected = list(parts)
    assert [len(part) for part in collected] == [1] * len(whole)
    assert LabelledStructures.concatenate(collected).content_hash == whole.content_hash
    assert report == same_report
