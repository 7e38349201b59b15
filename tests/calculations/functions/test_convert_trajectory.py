"""Conversion of trajectories, against what the DFT programs themselves printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.tools.archive import import_archive
from ase.units import Bohr, GPa, Hartree, Rydberg

from aiida_autopipec.calculations.functions.combine import merge_datasets
from aiida_autopipec.calculations.functions.convert import convert_trajectory
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

FIXTURES = Path(__file__).parents[2] / 'fixtures' / 'dft'
CASES: dict[str, dict[str, Any]] = {
    code: json.loads((FIXTURES / f'{code}.json').read_text()) for code in ('quantumespresso', 'cp2k')
}
STATED = {'energy': {'array': 'energy', 'unit': 'eV'}, 'forces': {'array': 'forces', 'unit': 'eV/Å'}}


@pytest.fixture(autouse=True)
def _archives(aiida_profile: Any) -> None:
    """Import both archives, unless they are there already."""
    for code, cases in CASES.items():
        first = next(iter(cases.values()))['calculation']
        if not orm.QueryBuilder().append(orm.CalcJobNode, filters={'uuid': first}).count():
            import_archive(FIXTURES / f'{code}.aiida', create_group=False)


def trajectory_of(code: str, case: str) -> orm.TrajectoryData:
    """Return the trajectory of a case."""
    return orm.load_node(CASES[code][case]['trajectory'])


def convert(code: str, case: str) -> tuple[LabelledStructures, dict[str, Any]]:
    """Return structures and report of a case."""
    results = convert_trajectory(trajectory_of(code, case))
    return results['dataset'].get_structures(), results['report'].get_dict()


def per_frame(structures: LabelledStructures, field: str) -> np.ndarray:
    """Return an array per atom as frames."""
    return getattr(structures, field).reshape(len(structures), -1, 3)


def voigt_of(tensors: Any) -> np.ndarray:
    """Return xx, yy, zz, yz, xz, xy of 3 x 3 tensors, written out by hand."""
    t = np.array(tensors)
    return np.stack([t[:, 0, 0], t[:, 1, 1], t[:, 2, 2], t[:, 1, 2], t[:, 0, 2], t[:, 0, 1]], axis=1)


@pytest.mark.parametrize('case', ['scf', 'relax', 'relax-cut-short', 'md', 'vc-relax'])
def test_labels_are_what_quantum_espresso_printed(case: str) -> None:
    """Energies, forces and stresses are those that pw.x printed for that frame, in eV and Å, with the sign of ASE."""
    structures, _ = convert('quantumespresso', case)
    printed, n = CASES['quantumespresso'][case]['printed'], len(structures)
    # the plugin's Rydberg, of another year, differs from that of ASE in the eighth digit
    np.testing.assert_allclose(structures.energy, np.array(printed['total_energies_ry'])[:n] * Rydberg, rtol=2e-7)
    forces = np.array(printed['forces_ry_per_bohr'])[:n] * Rydberg / Bohr
    np.testing.assert_allclose(per_frame(structures, 'forces'), forces, rtol=0, atol=1e-5)
    stress = -voigt_of(printed['stresses_kbar'])[:n] * GPa / 10
    np.testing.assert_allclose(structures.stress, stress, rtol=0, atol=1e-5)


@pytest.mark.parametrize('case', ['relax', 'relax-cut-short', 'md', 'vc-relax'])
def test_frames_are_the_geometries_of_their_labels(case: str) -> None:
    """Frame 0 is the input structure, and frame i + 1 the geometry that pw.x printed after step i."""
    structures, _ = convert('quantumespresso', case)
    entry = CASES['quantumespresso'][case]
    start = orm.load_node(entry['structure'])
    positions = per_frame(structures, 'positions')
    np.testing.assert_allclose(positions[0], [site.position for site in start.sites], rtol=0, atol=2e-6)
    np.testing.assert_allclose(structures.cells[0], start.cell, rtol=0, atol=2e-6)
    after = np.array(entry['printed']['positions_angstrom_after_step'])[: len(structures) - 1]
    np.testing.assert_allclose(positions[1:], after, rtol=0, atol=2e-6)
    assert structures.pbc.all()
    assert structures.elements == ('Al',)


def test_final_scf_of_vc_relax_is_left_out_and_reported() -> None:
    """The labels of the scf that a vc-relax ends with have no frame: the report says how many were left out."""
    structures, report = convert('quantumespresso', 'vc-relax')
    assert len(structures) == 23
    assert report['labels_left_out'] == {'energy': 1, 'forces': 1, 'stress': 1}
    assert convert('quantumespresso', 'relax')[1]['labels_left_out'] == {}


@pytest.mark.parametrize(('code', 'case'), [('quantumespresso', 'md'), ('quantumespresso', 'relax'), ('cp2k', 'md')])
def test_energies_follow_the_work_of_the_forces(code: str, case: str) -> None:
    """Along a path energies change by minus the work of the forces: units, signs and frames fit together."""
    structures, _ = convert(code, case)
    steps = np.diff(per_frame(structures, 'positions'), axis=0)
    forces = per_frame(structures, 'forces')
    work = -np.sum((forces[1:] + forces[:-1]) / 2 * steps, axis=(1, 2))
    change = np.diff(structures.energy)
    assert np.abs(change).max() > 1e-3
    # the trapezoidal rule errs by the curvature of the forces
    assert np.abs(change - work).max() < 0.15 * np.abs(change).max()


@pytest.mark.parametrize('case', ['md', 'md-npt'])
def test_labels_are_what_cp2k_printed(case: str) -> None:
    """Energies and forces are those that CP2K printed for that frame, in eV and eV/Å."""
    structures, _ = convert('cp2k', case)
    printed = CASES['cp2k'][case]['printed']
    np.testing.assert_allclose(structures.energy, np.array(printed['total_energies_hartree']) * Hartree, atol=1e-6)
    forces = np.array(printed['forces_hartree_per_bohr']) * Hartree / Bohr
    np.testing.assert_allclose(per_frame(structures, 'forces'), forces, rtol=0, atol=1e-5)


def test_cp2k_without_cells_has_the_cell_of_the_input() -> None:
    """Where CP2K printed no cells all frames have that of the input structure, periodic as in the calculation."""
    structures, _ = convert('cp2k', 'md')
    start = orm.load_node(CASES['cp2k']['md']['structure'])
    np.testing.assert_allclose(structures.cells, np.tile(start.cell, (5, 1, 1)))
    assert structures.pbc.all()


def test_cp2k_with_cells_has_them() -> None:
    """The cells of an npT run are its own and change."""
    structures, _ = convert('cp2k', 'md-npt')
    np.testing.assert_array_equal(structures.cells, trajectory_of('cp2k', 'md-npt').get_array('cells'))
    assert np.ptp(structures.cells, axis=0).max() > 1e-3


def test_geometry_optimisation_of_cp2k_repeats_its_last_frame() -> None:
    """CP2K's optimisation starts with step 1 and repeats the minimum, which a merge removes."""
    structures, _ = convert('cp2k', 'geo-opt')
    printed = CASES['cp2k']['geo-opt']['printed']
    np.testing.assert_allclose(structures.energy, np.array(printed['total_energies_hartree'])[1:] * Hartree, atol=1e-6)
    dataset = convert_trajectory(trajectory_of('cp2k', 'geo-opt'))['dataset']
    results = merge_datasets(only=dataset)
    assert results['dataset'].n_structures == len(structures) - 1
    assert results['report']['duplicates_removed'] == [[structures.names[-1], structures.names[-2]]]


@pytest.mark.parametrize(('code', 'case'), [('quantumespresso', 'scf-without-forces'), ('cp2k', 'md-without-forces')])
def test_missing_forces_are_refused(code: str, case: str) -> None:
    """A calculation that did not compute forces is no training data; the sentence lists what there is."""
    with pytest.raises(DatasetError, match=r'no array `forces` with forces; its arrays are: .*positions'):
        convert_trajectory(trajectory_of(code, case))


def test_candidates_may_lack_forces() -> None:
    """The same trajectory serves as candidates where no labels are asked for."""
    results = convert_trajectory(
        trajectory_of('cp2k', 'md-without-forces'), parameters=orm.Dict({'require_labels': False})
    )
    assert results['dataset'].n_structures == 5
    assert not results['dataset'].labelled


def test_conversion_is_in_the_graph() -> None:
    """The dataset leads back to the trajectory, and every structure names it as its source."""
    trajectory = trajectory_of('quantumespresso', 'md')
    results, node = convert_trajectory.run_get_node(trajectory)
    assert node.inputs.trajectory.uuid == trajectory.uuid
    assert results['dataset'].creator.uuid == node.uuid
    assert results['dataset'].get_source_uuids() == {trajectory.uuid}


# Trajectories made by hand


def make_trajectory(
    process_type: str | None = None,
    *,
    symbols: tuple[str, ...] = ('Al', 'Cu'),
    exit_status: int = 0,
    inputs: dict[str, orm.Data] | None = None,
    **changes: Any,
) -> orm.TrajectoryData:
    """Return a stored trajectory of two frames, created by a calculation of that type if one is given."""
    node = orm.TrajectoryData()
    node.base.attributes.set('symbols', list(symbols))
    arrays: dict[str, Any] = {
        'cells': np.array([np.diag([4.0, 5.0, 6.0]), np.diag([4.1, 5.0, 6.0])]),
        'positions': np.array([[[0.0, 0.0, 0.0], [0.5, 0.25, 0.5]], [[0.1, 0.0, 0.0], [0.5, 0.25, 0.5]]]),
        'forces': np.arange(12.0).reshape(2, 2, 3),
        'stress': np.tile(np.diag([10.0, 20.0, 30.0]), (2, 1, 1)),
        'steps': np.arange(2),
    }
    for name, array in (arrays | changes).items():
        if array is not None:
            node.set_array(name, array)
    if process_type is not None:
        calculation = orm.CalcJobNode(process_type=process_type, computer=orm.load_computer('localhost'))
        calculation.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': 1})
        calculation.set_process_state('finished')
        calculation.set_exit_status(exit_status)
        for label, data in (inputs or {}).items():
            calculation.base.links.add_incoming(data.store(), link_type=LinkType.INPUT_CALC, link_label=label)
        calculation.store()
        node.base.links.add_incoming(calculation, link_type=LinkType.CREATE, link_label='trajectory')
        node.store()
    return node


@pytest.fixture(autouse=True)
def _computer(aiida_localhost: Any) -> None:
    """Have a computer for calculations made by hand."""


VASP = 'aiida.calculations:vasp.vasp'


def test_vasp_trajectory() -> None:
    """A trajectory as aiida-vasp stores it: fractions of the cell, kbar, free energies, no boundary conditions."""
    trajectory = make_trajectory(
        VASP,
        energy_free=np.array([-5.0, -6.0]),
        energy_extrapolated=np.array([-4.0, -5.0]),
        electronic_steps=np.array([9, 9]),
    )
    structures = convert_trajectory(trajectory)['dataset'].get_structures()
    assert structures.energy.tolist() == [-5.0, -6.0]
    np.testing.assert_allclose(structures.positions[1], [2.0, 1.25, 3.0])
    np.testing.assert_allclose(structures.positions[2], [0.41, 0.0, 0.0])
    np.testing.assert_array_equal(structures.forces.ravel(), np.arange(12.0))
    np.testing.assert_allclose(structures.stress[0], -np.array([10, 20, 30, 0, 0, 0]) * GPa / 10)
    assert structures.pbc.all()


def test_vasp_without_free_energy() -> None:
    """aiida-vasp keeps the extrapolated energy by default, from which the forces do not derive: it is not taken."""
    trajectory = make_trajectory(VASP, energy_extrapolated=np.array([-4.0, -5.0]))
    with pytest.raises(DatasetError, match=r'no array `energy_free` .*energy_extrapolated.*state it in `parameters`'):
        convert_trajectory(trajectory)


def test_vasp_without_stress() -> None:
    """aiida-vasp stores an empty array where no stress was computed."""
    trajectory = make_trajectory(VASP, energy_free=np.array([-5.0, -6.0]), stress=np.zeros(0))
    assert not convert_trajectory(trajectory)['dataset'].has_stress


@pytest.mark.parametrize(
    ('process_type', 'exit_status', 'energy'),
    [
        (VASP, 701, 'energy_free'),
        ('aiida.calculations:quantumespresso.pw', 410, 'energy'),
        ('aiida.calculations:quantumespresso.pw', 710, 'energy'),
    ],
)
def test_labels_that_are_not_converged_are_refused(process_type: str, exit_status: int, energy: str) -> None:
    """Labels of electrons that did not converge are refused, unless what the arrays hold is stated."""
    trajectory = make_trajectory(process_type, exit_status=exit_status, **{energy: np.array([-5.0, -6.0])})
    with pytest.raises(DatasetError, match=rf'not converged .* exited with {exit_status}'):
        convert_trajectory(trajectory)
    parameters = orm.Dict({**STATED, 'energy': {'array': energy, 'unit': 'eV'}, 'pbc': [True, True, True]})
    assert convert_trajectory(trajectory, parameters=parameters)['dataset'].n_structures == 2


def test_unknown_creator_is_refused() -> None:
    """The meaning of arrays is never guessed: the sentence lists them, the ports and the known codes."""
    for trajectory, made_by in (
        (make_trajectory('aiida.calculations:siesta.siesta', energy=np.zeros(2)), 'was created by `siesta.siesta`'),
        (make_trajectory(energy=np.zeros(2)), 'has no creator'),
    ):
        with pytest.raises(DatasetError) as raised:
            convert_trajectory(trajectory)
        sentence = str(raised.value)
        assert made_by in sentence
        assert 'cells, energy, forces, positions, steps, stress' in sentence
        assert 'cp2k, quantumespresso.pw, vasp.vasp' in sentence


def test_stated_convention() -> None:
    """What the user states is used for a trajectory of any origin, and repeated in the report."""
    parameters = orm.Dict({**STATED, 'pbc': [True, True, False]})
    results = convert_trajectory(make_trajectory(energy=np.array([-1.0, -2.0])), parameters=parameters)
    structures = results['dataset'].get_structures()
    assert structures.energy.tolist() == [-1.0, -2.0]
    assert structures.pbc.tolist() == [[True, True, False]] * 2
    assert structures.stress is None
    assert results['report']['convention']['energy'] == {'array': 'energy', 'unit': 'eV'}


def test_candidates_of_unknown_origin() -> None:
    """Geometries alone need no description."""
    parameters = orm.Dict({'require_labels': False})
    trajectory = make_trajectory(forces=None, stress=None)
    trajectory.base.attributes.set('pbc', (True, True, True))
    assert convert_trajectory(trajectory, parameters=parameters)['dataset'].n_structures == 2


def repeated(energies: list[float]) -> orm.TrajectoryData:
    """Return four frames of which the third is at the place of the first, and the fourth of the second."""
    positions = np.zeros((4, 2, 3))
    positions[:, 1, 0] = [2.0, 2.1, 2.0, 2.1]
    trajectory = orm.TrajectoryData()
    cells = np.tile(7.0 * np.eye(3), (4, 1, 1))
    trajectory.set_trajectory(symbols=['Al', 'Al'], positions=positions, cells=cells, pbc=(True, True, True))
    trajectory.set_array('energy', np.array(energies))
    trajectory.set_array('forces', np.zeros((4, 2, 3)))
    return trajectory


def test_duplicates_are_removed_where_asked_for() -> None:
    """Equal frames with equal labels are one frame then, and the report names those that are left out."""
    trajectory = repeated([-1.0, -2.0, -1.0, -2.0]).store()
    kept = convert_trajectory(trajectory, parameters=orm.Dict(STATED))
    assert kept['dataset'].n_structures == 4
    assert 'duplicates' not in kept['report'].get_dict()
    results = convert_trajectory(trajectory, parameters=orm.Dict({**STATED, 'remove_duplicates': True}))
    merged = merge_datasets(a=kept['dataset'])
    assert results['dataset'].content_hash == merged['dataset'].content_hash
    assert results['report']['duplicates'] == merged['report'].get_dict()
    assert results['report']['duplicates']['structures_out'] == 2
    assert results['dataset'].get_structures().energy.tolist() == [-1.0, -2.0]
    assert results['dataset'].get_source_uuids() == {trajectory.uuid}


def test_conflicting_frames_are_decided_about() -> None:
    """Equal frames with other energies are an error, or what the user says."""
    trajectory = repeated([-1.0, -2.0, -1.5, -2.0]).store()
    with pytest.raises(
        DatasetError, match=r'frame-2` \(row 2 of all\) equals .*frame-0` \(row 0\).* differ by -0\.5 eV.*`keep_first`'
    ):
        convert_trajectory(trajectory, parameters=orm.Dict({**STATED, 'remove_duplicates': True}))
    stated = {**STATED, 'remove_duplicates': True, 'on_conflict': 'keep_last'}
    structures = convert_trajectory(trajectory, parameters=orm.Dict(stated))['dataset'].get_structures()
    assert structures.energy.tolist() == [-2.0, -1.5]


def test_duplicates_of_a_long_trajectory() -> None:
    """Where files of the trajectory are linked, too; without duplicates they stay linked."""
    n = 1200
    rng = np.random.default_rng(0)
    positions = rng.normal(0.0, 5.0, (n, 200, 3))
    cells = np.tile(30.0 * np.eye(3), (n, 1, 1))
    for copied in (False, True):
        if copied:
            positions[-1] = positions[5]
        trajectory = orm.TrajectoryData()
        trajectory.set_trajectory(symbols=['Al'] * 200, positions=positions, cells=cells, pbc=(True, True, True))
        trajectory.set_array('energy', np.zeros(n))
        trajectory.set_array('forces', np.zeros((n, 200, 3)))
        results = convert_trajectory(trajectory, parameters=orm.Dict({**STATED, 'remove_duplicates': True}))
        dataset = results['dataset']
        assert dataset.n_structures == n - copied
        assert len(results['report']['duplicates']['duplicates_removed']) == copied
        assert bool(dataset.stored_shards()[0].links) != copied
        np.testing.assert_array_equal(dataset.get_structures().positions, positions[: n - copied].reshape(-1, 3))


@pytest.mark.parametrize(
    ('stated', 'sentence'),
    [
        ({'remove_duplicates': 'perhaps'}, '`remove_duplicates` in the description'),
        ({'remove_duplicate': True}, '`remove_duplicate` in the description'),
        ({'on_conflict': 'keep_last'}, 'needs `remove_duplicates: true`'),
        ({'remove_duplicates': True, 'on_conflict': 'keep'}, '`on_conflict` in the description'),
        ({'require_labels': 'perhaps'}, '`require_labels` in the description'),
    ],
)
def test_wrong_options_are_refused(stated: dict[str, Any], sentence: str) -> None:
    """Each with the key and what is wrong."""
    with pytest.raises(DatasetError, match=sentence):
        convert_trajectory(make_trajectory(), parameters=orm.Dict({**STATED, **stated}))


def make_structure(*kinds: tuple[str, str], pbc: tuple[bool, bool, bool] = (True, True, True)) -> orm.StructureData:
    """Return a structure with a site for each pair of kind name and symbol."""
    structure = orm.StructureData(cell=np.diag([7.0, 7.0, 7.0]).tolist(), pbc=pbc)
    for number, (name, symbol) in enumerate(kinds):
        structure.append_atom(position=(float(number), 0.0, 0.0), symbols=symbol, name=name)
    return structure


def test_kinds_become_elements() -> None:
    """Names of kinds in a trajectory are looked up in the structure."""
    trajectory = make_trajectory(symbols=('Fe1', 'Fe2'), energy=np.zeros(2), cells=None)
    parameters = orm.Dict(STATED)
    structure = make_structure(('Fe1', 'Fe'), ('Fe2', 'Fe'), pbc=(True, False, True))
    structures = convert_trajectory(trajectory, parameters=parameters, structure=structure)['dataset'].get_structures()
    assert structures.elements == ('Fe',)
    np.testing.assert_array_equal(structures.cells, np.tile(np.eye(3) * 7, (2, 1, 1)))
    assert structures.pbc.tolist() == [[True, False, True]] * 2
    with pytest.raises(DatasetError, match='`Fe1` is not the symbol'):
        convert_trajectory(
            make_trajectory(symbols=('Fe1', 'Fe2'), energy=np.zeros(2)),
            parameters=orm.Dict({**STATED, 'pbc': [True, True, True]}),
        )


def cp2k_trajectory(cell: dict[str, Any], **changes: Any) -> orm.TrajectoryData:
    """Return a trajectory of CP2K without cells, whose input has that section about the cell."""
    inputs = {
        'parameters': orm.Dict({'force_eval': [{'SUBSYS': {'Cell': cell}}]}),
        'structure': make_structure(('Al', 'Al'), ('Cu', 'Cu')),
    }
    arrays = {'energies': np.zeros(2), 'stress': None, 'cells': None} | changes
    return make_trajectory('aiida.calculations:cp2k', inputs=inputs, **arrays)


@pytest.mark.parametrize(
    ('cell', 'pbc'),
    [
        ({}, [True, True, True]),
        ({'periodic': 'NONE'}, [False, False, False]),
        ({'PERIODIC': 'XY'}, [True, True, False]),
    ],
)
def test_cp2k_periodicity_stands_in_its_input(cell: dict[str, Any], pbc: list[bool]) -> None:
    """CP2K is periodic as its input says, in all directions by default, whatever the structure says."""
    structures = convert_trajectory(cp2k_trajectory(cell))['dataset'].get_structures()
    assert structures.pbc.tolist() == [pbc] * 2
    np.testing.assert_array_equal(structures.cells[0], np.eye(3) * 7)


def test_cp2k_with_a_cell_of_its_own_is_refused() -> None:
    """Where the input states another cell than the structure and no cells were printed, they are not known."""
    with pytest.raises(DatasetError, match='states a cell of its own'):
        convert_trajectory(cp2k_trajectory({'ABC': '9.0 9.0 9.0'}))
    cells = np.tile(np.eye(3) * 9, (2, 1, 1))
    results = convert_trajectory(cp2k_trajectory({'ABC': '9.0 9.0 9.0'}, cells=cells))
    np.testing.assert_array_equal(results['dataset'].get_structures().cells, cells)


def test_cell_of_other_atoms_is_refused() -> None:
    """A structure of other atoms does not lend its cell."""
    trajectory = make_trajectory(energy=np.zeros(2), cells=None)
    with pytest.raises(DatasetError, match=r'has the atoms Al, Al, but the frames .* have Al, Cu'):
        convert_trajectory(
            trajectory, parameters=orm.Dict(STATED), structure=make_structure(('Al', 'Al'), ('Al', 'Al'))
        )


def test_equal_conversions_are_cached() -> None:
    """A conversion with equal inputs is taken from the cache."""
    from aiida.manage.caching import enable_caching

    trajectory = trajectory_of('quantumespresso', 'relax')
    _, first = convert_trajectory.run_get_node(trajectory)
    with enable_caching():
        _, second = convert_trajectory.run_get_node(trajectory)
    assert second.base.caching.is_created_from_cache
    assert first.outputs.dataset.content_hash == second.outputs.dataset.content_hash
