"""Between labelled structures and ``ase.Atoms``."""

from __future__ import annotations

from typing import Any

import ase
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker.dataset.atoms import structures_from_atoms, voigt
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


def dimer(**results: Any) -> ase.Atoms:
    """Return two atoms with attached results, by default an energy and forces."""
    image = ase.Atoms('AlCu', positions=[[0, 0, 0], [0, 0, 2.5]])
    image.calc = SinglePointCalculator(image, **({'energy': -1.0, 'forces': np.ones((2, 3))} | results))
    return image


def bare(**info: Any) -> ase.Atoms:
    """Return two atoms without calculator, with forces in the arrays."""
    image = ase.Atoms('AlCu', positions=[[0, 0, 0], [0, 0, 2.5]], info=info)
    image.arrays['forces'] = np.ones((2, 3))
    return image


def test_round_trip_keeps_everything(mixed_atoms: list[ase.Atoms], mixed: LabelledStructures) -> None:
    """Structures and labels come back bit by bit, also where only some have a stress."""
    for before, after in zip(mixed_atoms, mixed.to_atoms(), strict=True):
        np.testing.assert_array_equal(after.numbers, before.numbers)
        np.testing.assert_array_equal(after.positions, before.positions)
        np.testing.assert_array_equal(after.cell.array, before.cell.array)
        np.testing.assert_array_equal(after.pbc, before.pbc)
        assert after.get_potential_energy() == before.get_potential_energy()
        np.testing.assert_array_equal(after.get_forces(), before.get_forces())
        assert ('stress' in after.calc.results) == ('stress' in before.calc.results)
    again = LabelledStructures.from_atoms(mixed.to_atoms())
    assert again.content_hash == mixed.content_hash


def test_stress_keeps_voigt_order_and_sign() -> None:
    """A stress comes out of ASE and goes back with the same components."""
    image = bulk('Al', cubic=True)
    image.rattle(0.1, seed=1)
    image.calc = EMT()
    stress, _ = image.get_stress(), (image.get_potential_energy(), image.get_forces())
    structures = LabelledStructures.from_atoms([image])
    np.testing.assert_allclose(structures.stress[0], stress)
    np.testing.assert_allclose(structures.to_atoms()[0].get_stress(), stress)


def test_free_energy_is_preferred() -> None:
    """Where there is a free energy besides the energy it is taken, because the forces derive from it."""
    assert LabelledStructures.from_atoms([dimer(energy=-1.0, free_energy=-1.2)]).energy[0] == -1.2
    assert LabelledStructures.from_atoms([bare(energy=-1.0, free_energy=-1.2)]).energy[0] == -1.2


def test_energies_of_two_kinds_are_not_mixed() -> None:
    """A set in which only some have a free energy that differs from the energy is refused."""
    with pytest.raises(DatasetError, match=r'structure 1 has a free energy .* structure 0 has only one'):
        LabelledStructures.from_atoms([dimer(), dimer(energy=-1.0, free_energy=-1.2)])


def test_free_energy_equal_to_the_energy_may_be_mixed() -> None:
    """Without smearing both energies are the same, so it does not matter which of them others have."""
    assert len(LabelledStructures.from_atoms([dimer(), dimer(energy=-1.0, free_energy=-1.0)])) == 2


def test_energy_key_chooses_among_the_results() -> None:
    """The name of an energy may also be one that ASE moved to the attached results."""
    image = dimer(energy=-1.0, free_energy=-1.2)
    assert structures_from_atoms([image], energy_key='energy').energy[0] == -1.0


def test_labels_from_info_and_arrays() -> None:
    """Without calculator, labels are found under the usual names."""
    structures = LabelledStructures.from_atoms([bare(energy=-3.0, stress=np.arange(6.0))])
    assert structures.energy[0] == -3.0
    np.testing.assert_array_equal(structures.forces, np.ones((2, 3)))
    np.testing.assert_array_equal(structures.stress[0], np.arange(6.0))


def test_labels_under_other_names() -> None:
    """Labels are taken from where the keys say, and from nowhere else."""
    image = bare(energy=-3.0, dft_energy=-5.0, dft_stress=np.eye(3))
    image.arrays['dft_forces'] = 2 * np.ones((2, 3))
    keys = {'energy_key': 'dft_energy', 'forces_key': 'dft_forces', 'stress_key': 'dft_stress'}
    structures = structures_from_atoms([image], **keys)
    assert structures.energy[0] == -5.0
    np.testing.assert_array_equal(structures.forces, 2 * np.ones((2, 3)))
    np.testing.assert_array_equal(structures.stress[0], [1, 1, 1, 0, 0, 0])
    with pytest.raises(DatasetError, match='no energy under the key `mp_energy`'):
        structures_from_atoms([image], energy_key='mp_energy')


@pytest.mark.parametrize('change', ['positions', 'cell', 'pbc', 'numbers', 'size'])
def test_results_of_other_atoms_are_refused(change: str) -> None:
    """Results that belong to atoms as they were before a change are not taken for labels."""
    image = bulk('Al', cubic=True)
    image.calc = EMT()
    image.get_forces()
    if change == 'positions':
        image.positions[0, 0] += 0.01
    elif change == 'cell':
        image.set_cell(image.cell * 1.01)
    elif change == 'pbc':
        image.pbc = False
    elif change == 'numbers':
        image.numbers[0] = 29
    else:
        del image[0]
    with pytest.raises(DatasetError, match='structure 1: the atoms were changed'):
        LabelledStructures.from_atoms([dimer(), image])


def test_missing_energy_lists_what_there_is() -> None:
    """A missing label is an error that says how many lack it, which is first, and what values it holds instead."""
    with pytest.raises(DatasetError) as raised:
        LabelledStructures.from_atoms([bare(energy=-1.0), bare(REF_energy=-1.0)])
    assert '1 of 2 structures have no energy, the first is structure 1 (`AlCu`)' in str(raised.value)
    assert 'REF_energy' in str(raised.value)


def test_missing_forces_are_an_error() -> None:
    """Energies without forces are no labels."""
    image = ase.Atoms('Al', info={'energy': -1.0, 'name': 'lone'})
    with pytest.raises(DatasetError, match=r'1 of 1 structures have no forces, .*`lone`'):
        LabelledStructures.from_atoms([image])


def test_candidates_need_no_labels() -> None:
    """On request structures without labels are read."""
    structures = LabelledStructures.from_atoms([bulk('Al'), bulk('Cu')], require_labels=False)
    assert structures.energy is None
    assert structures.forces is None


def test_candidates_may_have_forces_alone() -> None:
    """Candidates from a LAMMPS dump bring forces but no energy; both are kept as they are."""
    structures = LabelledStructures.from_atoms([bare(), bare()], require_labels=False)
    assert structures.energy is None
    np.testing.assert_array_equal(structures.forces, np.ones((4, 3)))


def test_labels_of_some_candidates_only_are_refused() -> None:
    """Labels that only some candidates have are neither dropped nor invented."""
    with pytest.raises(DatasetError, match='1 of 2 structures have no energy'):
        LabelledStructures.from_atoms([dimer(), bare()], require_labels=False)


@pytest.mark.parametrize(
    ('results', 'sentence'),
    [
        ({'forces': np.ones((3, 3))}, r'forces of structure 0 .* shape \(3, 3\)'),
        ({'energy': float('nan')}, 'the energy in structure 0'),
        ({'stress': np.ones(5)}, 'structure 0: a stress has 6 components'),
        ({'stress': [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]}, 'structure 0: the stress is not symmetric'),
    ],
)
def test_wrong_label_names_the_structure(results: dict[str, Any], sentence: str) -> None:
    """A label of the wrong shape or value is refused with the structure that has it."""
    image = dimer()
    image.calc.results.update(results)
    with pytest.raises(DatasetError, match=sentence):
        LabelledStructures.from_atoms([image])


def test_label_that_is_no_number_is_refused() -> None:
    """Text in place of numbers is refused with a sentence, also among forces."""
    with pytest.raises(DatasetError, match='the energy of structure 0 is not a number'):
        LabelledStructures.from_atoms([bare(energy='low')])
    image = dimer()
    image.calc.results['forces'] = [['x', 'y', 'z']] * 2
    with pytest.raises(DatasetError, match=r'forces of structure 0 .* not an array of numbers'):
        LabelledStructures.from_atoms([image])


def test_no_structures_is_an_error() -> None:
    """An empty list is no dataset."""
    with pytest.raises(DatasetError, match='the dataset is empty'):
        LabelledStructures.from_atoms([])


def test_names_come_from_info_if_all_have_one() -> None:
    """Names in ``info`` are kept where every structure has one, else all are made from the content."""
    first, second = bare(energy=0.0, name='x'), bare(energy=0.0)
    assert LabelledStructures.from_atoms([first]).names.tolist() == ['x']
    names = LabelledStructures.from_atoms([first, second]).names.tolist()
    assert all(name.startswith('AlCu-') for name in names)
    assert LabelledStructures.from_atoms([first, second], names=['p', 'q']).names.tolist() == ['p', 'q']
    with pytest.raises(DatasetError, match='3 `names` for 2 structures'):
        LabelledStructures.from_atoms([first, second], names=['p', 'q', 'r'])


def test_dataframe_holds_what_pacemaker_reads(mixed: LabelledStructures) -> None:
    """The table has one row per structure, with Pacemaker's columns and one array of forces per structure."""
    weighted = mixed.replace(
        energy_corrected=mixed.energy + 1, energy_weights=np.ones(4), force_weights=np.ones(mixed.n_atoms)
    )
    frame = weighted.to_dataframe()
    assert list(frame.columns) == [
        'name', 'ase_atoms', 'energy', 'energy_corrected', 'forces', 'stress', 'w_energy', 'w_forces',
    ]  # fmt: skip
    assert [len(forces) for forces in frame['forces']] == mixed.sizes.tolist()
    assert [weights.shape for weights in frame['w_forces']] == [(size,) for size in mixed.sizes]
    np.testing.assert_array_equal(np.concatenate(list(frame['forces'])), mixed.forces)
    assert frame['ase_atoms'][1].get_chemical_formula() == 'H2O'
    assert frame['energy'].tolist() == mixed.energy.tolist()


def test_voigt_of_a_batch() -> None:
    """A batch of 3 x 3 stresses becomes rows of xx, yy, zz, yz, xz, xy."""
    tensor = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    np.testing.assert_array_equal(voigt(np.array([tensor, -tensor])), [[1, 2, 3, 4, 5, 6], [-1, -2, -3, -4, -5, -6]])
    np.testing.assert_array_equal(voigt(tensor.ravel()), [1, 2, 3, 4, 5, 6])


def test_voigt_judges_symmetry_by_each_stress() -> None:
    """A small stress that is not symmetric is not hidden by a large one in the same batch."""
    skew = np.zeros((3, 3))
    skew[0, 1] = 0.01
    with pytest.raises(ValueError, match='not symmetric'):
        voigt(np.array([np.eye(3) * 100, skew]))


def test_voigt_keeps_unknown_stresses() -> None:
    """A stress of NaN stays NaN."""
    assert np.isnan(voigt(np.full((2, 3, 3), np.nan))).all()


@pytest.mark.parametrize(
    ('image', 'sentence'),
    [
        (ase.Atoms(), 'structure 0 .* has no atoms'),
        (ase.Atoms('Al', positions=[[0, 0, np.nan]]), 'structure 0 .* is missing or not finite'),
        (ase.Atoms(numbers=[0]), r'structure 0 \(without name\) has atomic number 0'),
    ],
)
def test_what_is_no_structure_is_refused_before_it_gets_a_name(image: ase.Atoms, sentence: str) -> None:
    """Values are checked before anything is made of them."""
    with pytest.raises(DatasetError, match=sentence):
        LabelledStructures.from_atoms([image], require_labels=False)
