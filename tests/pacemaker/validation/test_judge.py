"""Verdicts on curves, trajectories and predictions that are made to be good or bad in one respect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ase
import ase.data
import numpy as np
import pytest
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.reference_potentials.zbl import bare
from aiida_autopipec.pacemaker.validation import (
    Measurements,
    Subject,
    Verdict,
    judge,
    parse_validation_parameters,
    verdict_table,
)

DISTANCES = np.arange(0.5, 4.5, 0.02)
SUBJECT = Subject(('Al',))


def morse(distances: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return energies and outward forces of a bond with a hard core."""
    x = np.exp(-2.0 * (distances - 2.5))
    return 1.5 * (x**2 - 2 * x), 1.5 * 4.0 * (x**2 - x)


def verdict_on(arrays: dict[str, Any], check: Any, facts: dict[str, Any] | None = None, **inputs: Any) -> Verdict:
    """Return the verdict of one check."""
    parameters = parse_validation_parameters(inputs.pop('parameters', {}))
    measured = Measurements(
        {name: np.asarray(array, dtype=float) for name, array in arrays.items()}, {check: facts or {}}
    )
    return judge(measured, parameters, inputs.pop('subject', SUBJECT), (check,))


def failures(verdict: Verdict) -> list[str]:
    """Return what is not good enough."""
    return [item.name for item in verdict.criteria if item.status == 'failed']


def dimer(change: Callable[[Any, Any], None] = lambda energy, force: None) -> dict[str, Any]:
    """Return a good dimer curve after a change."""
    energy, force = morse(DISTANCES)
    change(energy, force)
    return {'dimer_distances': DISTANCES, 'dimer_Al_Al_energy': energy, 'dimer_Al_Al_force': force}


def test_a_hard_core_passes() -> None:
    """A bond with a wall that rises all the way is fine."""
    assert failures(verdict_on(dimer(), 'dimer')) == []


def test_a_hole_inside_of_the_wall_fails() -> None:
    """Energies that come down again behind a wall are named with their distance."""

    def hole(energy: Any, force: Any) -> None:
        energy[(DISTANCES > 1.5) & (DISTANCES < 1.7)] = -3.0

    assert failures(verdict_on(dimer(hole), 'dimer')) == ['Al-Al jump of the energy', 'Al-Al has no hole']


def test_attraction_at_short_distance_fails() -> None:
    """A force that pulls below the stated distance fails, and only there."""

    def pulls(energy: Any, force: Any) -> None:
        force[np.isclose(DISTANCES, 1.9)] = -1.0

    tolerant = {'largest_jump': 5.0}  # the energy knows nothing of that force
    assert failures(verdict_on(dimer(pulls), 'dimer', parameters={'dimer': tolerant})) == []
    parameters = {'dimer': {**tolerant, 'distances': {'AlAl': 2.0}}}
    assert failures(verdict_on(dimer(pulls), 'dimer', parameters=parameters)) == ['Al-Al repels below 2.00 Å']


def test_a_soft_core_fails() -> None:
    """An energy far below that of the nuclei is no repulsion."""

    def soft(energy: Any, force: Any) -> None:
        inside = DISTANCES < 2
        energy[inside], force[inside] = 2.0 * (2 - DISTANCES[inside]) + energy[~inside][0], 2.0

    assert failures(verdict_on(dimer(soft), 'dimer')) == ['Al-Al energy at 0.50 Å']


def test_an_energy_that_jumps_fails() -> None:
    """A step of the energy without a force is told with its place, as atoms that cross it gain energy from nothing."""

    def step(energy: Any, force: Any) -> None:
        energy[DISTANCES < 1.699] += 0.99

    (missed,) = [item for item in verdict_on(dimer(step), 'dimer').criteria if item.status == 'failed']
    assert (missed.name, missed.detail) == ('Al-Al jump of the energy', 'at 1.68 Å')
    assert missed.value == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize('step', [0.02, 0.1, 0.2])
@pytest.mark.parametrize('element', ['H', 'Al', 'U'])
def test_a_steep_wall_is_no_jump(step: float, element: str) -> None:
    """ZBL passes at every step that may be asked for, though its force changes a lot from one point to the next."""
    distances = np.arange(0.5, 4.5, step)
    number = np.array([ase.data.atomic_numbers[element]])
    energy, slope, _ = bare(distances, number, number)
    name = f'dimer_{element}_{element}'
    arrays = {'dimer_distances': distances, f'{name}_energy': energy, f'{name}_force': -slope}
    assert failures(verdict_on(arrays, 'dimer', subject=Subject((element,)))) == []


def test_an_abyss_fails() -> None:
    """No bond is stronger than the strongest known."""

    def abyss(energy: Any, force: Any) -> None:
        energy[np.argmin(energy)] = -40.0

    assert 'Al-Al deepest well' in failures(verdict_on(dimer(abyss), 'dimer'))


def test_energies_that_are_not_finite_fail() -> None:
    """A potential that overflows is told where."""

    def overflow(energy: Any, force: Any) -> None:
        energy[:3] = np.inf

    verdict = verdict_on(dimer(overflow), 'dimer')
    assert [item.detail for item in verdict.criteria] == ['not at 0.54 Å']


def volumes(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a good curve of energies against volume, and its equation of state."""
    volume = np.linspace(8, 24, 33)
    energy = 0.05 * (volume - 16) ** 2 - 3.5
    facts = {'volume': 16.1, 'given_volume': 16.0, 'bulk_modulus': 75.0, 'energy': -3.5}
    return {'volume_volumes': volume, 'volume_energy': energy}, facts | changes


def test_a_bowl_passes() -> None:
    """One minimum inside, and energies that rise under compression."""
    assert failures(verdict_on(volumes()[0], 'volume', volumes()[1])) == []


def test_a_crystal_that_collapses_fails() -> None:
    """Energies that come down again under compression are a hole, even if it is not the deepest place."""
    arrays, facts = volumes()
    arrays['volume_energy'][:3] = arrays['volume_energy'][3] - [0.3, 0.2, 0.1]
    assert failures(verdict_on(arrays, 'volume', facts)) == ['compression costs energy']
    arrays['volume_energy'][0] = -9.0
    assert failures(verdict_on(arrays, 'volume', facts)) == ['the minimum lies inside']


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'volume': 19.0}, ['change of volume']),
        ({'bulk_modulus': 20.0}, ['bulk modulus']),
        ({'bulk_modulus': 200.0}, ['bulk modulus']),
        ({'volume': None}, ['there is an equation of state']),
    ],
)
def test_an_equation_of_state_off_the_mark_fails(changes: dict[str, Any], expected: list[str]) -> None:
    """Volume and bulk modulus have limits that the user states."""
    arrays, facts = volumes(**changes)
    parameters = {'volume': {'bulk_modulus': [60.0, 90.0]}}
    assert failures(verdict_on(arrays, 'volume', facts, parameters=parameters)) == expected


def cubic(c11: float, c12: float, c44: float) -> dict[str, Any]:
    """Return the elastic constants of a cubic crystal."""
    constants = np.diag([c11 - c12] * 3 + [c44] * 3)
    constants[:3, :3] += c12
    return {'elastic_constants': constants}


@pytest.mark.parametrize(
    ('constants', 'expected'),
    [
        ((110.0, 60.0, 30.0), []),
        ((60.0, 61.0, 30.0), ['softest response to strain']),
        ((110.0, 60.0, -1.0), ['softest response to strain']),
        ((-30.0, -60.0, 30.0), ['softest response to strain']),
    ],
    ids=['stable', 'tetragonal shear', 'shear', 'volume'],
)
def test_a_crystal_that_gives_way_to_a_strain_fails(constants: Any, expected: list[str]) -> None:
    """The three conditions of Born for a cubic crystal are all seen."""
    assert failures(verdict_on(cubic(*constants), 'elastic')) == expected


def test_elastic_constants_are_told_once_and_have_limits() -> None:
    """Equal ones share a row, and a limit is of one constant."""
    verdict = verdict_on(cubic(110.0, 60.0, 30.0), 'elastic', parameters={'elastic': {'constants': {'C44': [32, 40]}}})
    values = {item.name: item.value for item in verdict.criteria if item.status == 'reported'}
    assert values == pytest.approx(
        {'bulk modulus (Voigt)': 230 / 3, 'C11, C22, C33': 110, 'C12, C13, C23': 60, 'C55, C66': 30}
    )
    assert failures(verdict) == ['C44']


@pytest.mark.parametrize(('value', 'threshold'), [(110.0, 100.0), (80.0, 90.0)])
def test_the_limit_that_is_missed_is_told(value: float, threshold: float) -> None:
    """Too stiff and too soft are told with the limit on that side."""
    parameters = {'elastic': {'constants': {'C11': [90, 100]}}}
    (missed,) = [item for item in verdict_on(cubic(value, 20.0, 30.0), 'elastic', parameters=parameters).criteria
                 if item.status == 'failed']  # fmt: skip
    assert (missed.name, missed.threshold) == ('C11', threshold)


@pytest.mark.parametrize(
    ('arrays', 'expected'),
    [({}, 'can be read'), ({'elastic_constants': np.eye(3)}, 'can be read'),
     ({'elastic_constants': np.full((6, 6), np.nan)}, 'constants are finite')],
)  # fmt: skip
def test_elastic_constants_that_are_none_fail(arrays: Any, expected: str) -> None:
    """A matrix of another shape or without numbers is no verdict in favour."""
    assert failures(verdict_on(arrays, 'elastic')) == [expected]


@pytest.mark.parametrize(('lowest', 'expected'), [(-0.5, []), (-3.0, ['largest imaginary frequency'])])
def test_imaginary_frequencies(lowest: float, expected: list[str]) -> None:
    """Noise around zero is no instability."""
    assert failures(verdict_on({'phonons_frequencies': [[lowest, 10.0, 20.0]]}, 'phonons')) == expected


def trajectory(**changes: Any) -> dict[str, Any]:
    """Return a quiet trajectory of 500 fs after changes of its last row."""
    time = np.arange(0.0, 501.0, 5.0)
    columns = {'time': time, 'temperature': 1000 + 0 * time, 'energy': -3 + 0 * time, 'distance': 2.4 + 0 * time}
    for name, value in changes.items():
        columns.setdefault(name, np.ones_like(time))[-1] = value
    return {f'dynamics_{name}': column for name, column in columns.items()}


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({}, []),
        ({'temperature': 2500.0}, ['highest temperature over that of the thermostat']),
        ({'distance': 1.2}, ['shortest distance']),
        ({'temperature': np.nan}, ['highest temperature over that of the thermostat']),
    ],
)
def test_dynamics(changes: dict[str, Any], expected: list[str]) -> None:
    """Heat and closeness have limits, and what is not a number fails."""
    assert failures(verdict_on(trajectory(**changes), 'dynamics')) == expected


def test_dynamics_that_were_cut_short_fail() -> None:
    """A trajectory that ended early fails, whether the script says so or not."""
    short = {name: column[:50] for name, column in trajectory().items()}
    for facts in ({'stopped': 'atoms touched'}, {}):
        assert failures(verdict_on(short, 'dynamics', facts)) == ['reaches 500 fs']


def test_extrapolation_is_judged_where_there_is_an_active_set() -> None:
    """Grades are reported, and fail above the limit that is stated."""
    arrays, subject = trajectory(gamma=40.0), Subject(('Al',), has_grades=True)
    verdict = verdict_on(arrays, 'dynamics', subject=subject)
    assert [item.value for item in verdict.criteria if item.status == 'reported'] == [40.0]
    parameters = {'dynamics': {'max_gamma': 25.0}}
    verdict = verdict_on(arrays, 'dynamics', subject=subject, parameters=parameters)
    assert failures(verdict) == ['largest extrapolation grade']
    assert failures(verdict_on(trajectory(), 'dynamics', subject=subject)) == ['can be read']


@pytest.fixture
def alloy() -> LabelledStructures:
    """Return four structures of two compositions whose labels are zero."""
    images = []
    for number, formula in enumerate(('AlNi', 'AlNi', 'Al2', 'Al2')):
        image = ase.Atoms(formula, positions=[[0, 0, 0], [2.4 + 0.1 * number, 0, 0]])
        image.info['energy'], image.arrays['forces'] = 0.0, np.zeros((2, 3))
        images.append(image)
    structures = LabelledStructures.from_atoms(images)
    return structures.replace(energy_corrected=structures.energy)


def test_errors_by_source_and_element(alloy: LabelledStructures) -> None:
    """A group and an element with large errors are told apart from the rest."""
    energy, forces = np.zeros(4), np.zeros((8, 3))
    energy[:2] = 0.02  # 10 meV/atom
    forces[alloy.numbers == 28] = 0.1
    subject = Subject(('Al', 'Ni'), structures=alloy, energy=alloy.energy_corrected)
    parameters = {'errors': {'max_group_rmse_energy': 8, 'max_element_rmse_forces': 80, 'max_rmse_energy': 8}}
    verdict = verdict_on(
        {'errors_energy': energy, 'errors_forces': forces}, 'errors', subject=subject, parameters=parameters
    )
    values = {item.name: item.value for item in verdict.criteria}
    assert values['RMSE of energies'] == pytest.approx(10 / np.sqrt(2))
    assert values['RMSE of forces, Ni'] == pytest.approx(100)
    assert values['RMSE of forces, Al'] == 0
    assert failures(verdict) == ['RMSE of energies, AlNi', 'RMSE of forces, Ni']


def test_predictions_of_other_structures_are_refused(alloy: LabelledStructures) -> None:
    """The numbers of structures and atoms have to be those of the test set."""
    subject = Subject(('Al', 'Ni'), structures=alloy, energy=alloy.energy_corrected)
    arrays = {'errors_energy': np.zeros(3), 'errors_forces': np.zeros((6, 3))}
    assert failures(verdict_on(arrays, 'errors', subject=subject)) == ['can be read']


def test_a_check_that_broke_is_failed_and_says_why() -> None:
    """An error of the script is a finding of its own."""
    verdict = verdict_on({}, 'phonons', {'error': 'ValueError: no'})
    assert [(item.name, item.detail) for item in verdict.criteria] == [('runs', 'ValueError: no')]
    assert not verdict.passed


def test_what_is_not_required_does_not_decide() -> None:
    """The verdict counts required checks only; the table says that others failed."""
    verdict = verdict_on({}, 'phonons', {'error': 'no'}, parameters={'required': ['dimer']})
    assert verdict.passed
    assert 'Failed: phonons, which is not required.' in verdict_table(verdict.as_dict())
