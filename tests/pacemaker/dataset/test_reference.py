"""Reference energies."""

from __future__ import annotations

from typing import Any

import ase
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker.dataset.reference import (
    Reference,
    extreme_energy_problem,
    isolated_atoms,
    parse_reference,
    single_atom_energies,
    subtract,
    subtract_all,
    subtract_potential,
)
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError
from aiida_autopipec.pacemaker.reference_potentials import parse_reference_potential

CUTOFF = 6.0
GIVEN = {'Al': -10.0, 'Cu': -20.0}


def labelled(*images: tuple[str, float], edge: float = 20.0, pbc: bool = True) -> LabelledStructures:
    """Return molecules by formula, atoms 2 Å apart in a box, with total energies and no forces."""
    structures = []
    for formula, energy in images:
        image = ase.Atoms(formula, cell=np.eye(3) * edge, pbc=pbc)
        image.positions[:, 0] = 2.0 * np.arange(len(image)) + 0.1 * energy
        image.calc = SinglePointCalculator(image, energy=energy, forces=np.zeros((len(image), 3)))
        structures.append(image)
    return LabelledStructures.from_atoms(structures)


def reference(method: str, **given: Any) -> Reference:
    """Return a reference of a method."""
    return parse_reference({'method': method, **given})


def test_given_energies_are_subtracted_by_composition() -> None:
    """Each structure's energy is reduced by the sum over its own atoms."""
    structures = labelled(('AlCu2', -53.0), ('Al', -10.5))
    energies = single_atom_energies(
        structures, reference('single_atom_energies', single_atom_energies=GIVEN), cutoff=CUTOFF
    )
    corrected = subtract(structures, energies)
    np.testing.assert_allclose(corrected.energy_corrected, [-3.0, -0.5])
    np.testing.assert_array_equal(corrected.energy, structures.energy)


def test_given_energies_of_absent_elements_are_left_out() -> None:
    """Only what was subtracted is recorded."""
    given = reference('single_atom_energies', single_atom_energies={**GIVEN, 'Ni': -30.0})
    assert single_atom_energies(labelled(('Al', -10.0)), given, cutoff=CUTOFF) == {'Al': -10.0}


@pytest.mark.parametrize(
    ('method', 'given', 'advice'),
    [
        ('single_atom_energies', {'single_atom_energies': {'Al': -10.0}}, 'add it to `single_atom_energies`'),
        ('isolated_atoms', {}, r'add a structure of one such atom alone \(no neighbour within 6 Å\)'),
    ],
)
def test_missing_element_says_what_to_do(method: str, given: dict[str, Any], advice: str) -> None:
    """An element without reference energy is an error with the remedy of that method."""
    with pytest.raises(DatasetError, match=f'no reference energy for Cu: {advice}'):
        single_atom_energies(labelled(('AlCu', -31.0), ('Al', -10.0)), reference(method, **given), cutoff=CUTOFF)


def test_energies_of_isolated_atoms_are_found() -> None:
    """Structures of one atom without neighbours give the reference of their element."""
    structures = labelled(('AlCu', -31.0), ('Al', -10.0), ('Cu', -20.0))
    assert single_atom_energies(structures, reference('isolated_atoms'), cutoff=CUTOFF) == GIVEN


def test_atom_that_sees_its_images_is_not_isolated() -> None:
    """The only atom of a small periodic cell is a crystal; in a large one or without periodicity it is alone."""
    assert isolated_atoms(labelled(('Al', -10.0), edge=4.0), CUTOFF).tolist() == []
    assert isolated_atoms(labelled(('Al', -10.0), edge=4.0), 3.9).tolist() == [0]
    assert isolated_atoms(labelled(('Al', -10.0), edge=4.0, pbc=False), CUTOFF).tolist() == [0]
    assert isolated_atoms(labelled(('Al2', -20.0), ('Al', -10.0)), CUTOFF).tolist() == [1]


def test_isolated_atoms_of_different_energies_conflict() -> None:
    """Two energies of the same isolated atom are an error that states both."""
    structures = labelled(('Al', -10.0), ('Al', -10.5))
    with pytest.raises(DatasetError, match=r'isolated Al atoms of different energies, -10\.000000 and -10\.500000'):
        single_atom_energies(structures, reference('isolated_atoms'), cutoff=CUTOFF)


def test_least_squares_finds_additive_energies() -> None:
    """Energies that are sums over atoms are found exactly."""
    structures = labelled(('Al', -10.0), ('AlCu', -30.0), ('AlCu2', -50.0))
    energies = single_atom_energies(structures, reference('least_squares'), cutoff=CUTOFF)
    assert energies == pytest.approx(GIVEN)


def test_least_squares_with_too_few_compositions() -> None:
    """Where compositions do not determine the energies, they are shared out and the corrected energies are small."""
    structures = labelled(('AlCu', -30.0), ('Al2Cu2', -60.0))
    energies = single_atom_energies(structures, reference('least_squares'), cutoff=CUTOFF)
    assert energies == pytest.approx({'Al': -15.0, 'Cu': -15.0})
    np.testing.assert_allclose(subtract(structures, energies).energy_corrected, 0.0, atol=1e-9)


@pytest.mark.parametrize('energy', [-20.0 - 10.1, -10.0 + 250.1])
def test_extreme_energies_are_refused(energy: float) -> None:
    """Corrected energies that Pacemaker would silently replace are refused, naming the structure."""
    structures = labelled(('Al', energy))
    with pytest.raises(DatasetError, match=f'`{structures.names[0]}` is .* silently replaces'):
        subtract(structures, GIVEN)


def test_usual_energies_are_no_problem() -> None:
    """Corrected energies within Pacemaker's bounds, bounds included, are fine; without any there is nothing to say."""
    structures = labelled(('Al', -30.0))
    assert extreme_energy_problem(structures) is None
    assert extreme_energy_problem(subtract(structures, GIVEN)) is None


def test_only_corrected_energies_are_an_error() -> None:
    """Nothing is subtracted from energies that are no total energies."""
    structures = labelled(('Al', -30.0)).replace(energy=None, energy_corrected=[-1.0])
    with pytest.raises(DatasetError, match='no total energies'):
        single_atom_energies(structures, reference('isolated_atoms'), cutoff=CUTOFF)
    with pytest.raises(DatasetError, match='no total energies'):
        subtract(structures, GIVEN)


@pytest.mark.parametrize(
    'mapping',
    [
        {'method': 'single_atom_energies'},
        {'method': 'isolated_atoms', 'single_atom_energies': GIVEN},
        {'method': 'auto'},
        {'method': 'isolated_atoms', 'cutof': 5.0},
        {'method': 'single_atom_energies', 'single_atom_energies': {'Al': float('nan')}},
        {},
    ],
)
def test_wrong_settings_are_refused(mapping: dict[str, Any]) -> None:
    """Incomplete, contradictory, unknown or impossible settings are refused under their key."""
    with pytest.raises(ConfigError, match='`reference'):
        parse_reference(mapping)


@pytest.mark.parametrize('method', ['isolated_atoms', 'least_squares'])
def test_reference_of_parts_is_that_of_the_whole(method: str) -> None:
    """A dataset in parts, looked at one after the other, has the same reference energies."""
    whole = labelled(('AlCu', -31.0), ('Al', -10.0), ('Cu', -20.0), ('Al2', -20.5))
    parts = (whole.take([row]) for row in range(len(whole)))
    expected = single_atom_energies(whole, reference(method), cutoff=CUTOFF)
    assert single_atom_energies(parts, reference(method), cutoff=CUTOFF) == pytest.approx(expected, rel=1e-12)


# Reference potentials


ZBL = {'name': 'zbl', 'inner': 1.0, 'outer': 4.0}


def with_everything() -> LabelledStructures:
    """Return three structures with all labels: an atom alone, a molecule and a crystal, the last with a stress."""
    structures = labelled(('Al', -10.0), ('AlCu', -32.0), ('Cu', -20.0))
    cells = structures.cells.copy()
    cells[2] = np.eye(3) * 2.5
    stress = np.full((3, 6), np.nan)
    stress[2] = 0.1
    return structures.replace(
        cells=cells, forces=structures.forces + 1.0, energy_corrected=structures.energy + 5.0, stress=stress
    )


def test_all_labels_become_relative_to_a_potential() -> None:
    """Energies, forces and stresses remain those of one another; a structure without neighbours keeps its own."""
    before = with_everything()
    potential = parse_reference_potential(ZBL)
    after, values = subtract_potential(before, potential), potential.evaluate(before)
    np.testing.assert_array_equal(after.energy, before.energy - values.energy)
    np.testing.assert_array_equal(after.energy_corrected, before.energy_corrected - values.energy)
    np.testing.assert_array_equal(after.forces, before.forces - values.forces)
    np.testing.assert_allclose(after.stress[2], before.stress[2] + values.virial[2] / 2.5**3)
    assert np.isnan(after.stress[:2]).all()
    assert after.energy[0] == before.energy[0]
    assert values.energy[1] > 0 < values.energy[2]
    np.testing.assert_array_equal(after.fingerprints, before.fingerprints)


@pytest.mark.parametrize('method', ['isolated_atoms', 'least_squares', 'single_atom_energies'])
def test_single_atoms_are_found_in_what_the_potential_leaves(method: str) -> None:
    """First the potential is subtracted, then the energies of single atoms, part by part as for the whole."""
    data = with_everything().take([0, 1, 2])
    cells = data.cells.copy()
    cells[2] = np.eye(3) * 20
    data = data.replace(cells=cells)
    given = {'single_atom_energies': GIVEN} if method == 'single_atom_energies' else {}
    stated = reference(method, **given, potential=ZBL)
    recorded, parts = subtract_all(lambda: [data.stretch(0, 1), data.stretch(1, 3)], stated, cutoff=CUTOFF)
    corrected = LabelledStructures.concatenate(list(parts))
    left = subtract_potential(data, parse_reference_potential(ZBL))
    energies = single_atom_energies(left, reference(method, **given), cutoff=CUTOFF)
    assert recorded == {'method': method, 'single_atom_energies': energies, 'potential': ZBL}
    np.testing.assert_array_equal(corrected.energy_corrected, subtract(left, energies).energy_corrected)
    np.testing.assert_array_equal(corrected.forces, left.forces)


def test_energies_that_are_corrected_already_lose_the_potential_only() -> None:
    """Data of Pacemaker, which have no total energies, can learn the difference too."""
    data = with_everything().replace(energy=None)
    recorded, (corrected,) = subtract_all(lambda: [data], reference('already_corrected', potential=ZBL), cutoff=CUTOFF)
    expected = data.energy_corrected - parse_reference_potential(ZBL).evaluate(data).energy
    np.testing.assert_array_equal(corrected.energy_corrected, expected)
    assert recorded == {'method': 'already_corrected', 'single_atom_energies': {}, 'potential': ZBL}


def test_a_potential_is_not_subtracted_twice() -> None:
    """Of labels that are relative to it already only the energies of single atoms are subtracted."""
    data = with_everything()
    stated = reference('single_atom_energies', single_atom_energies=GIVEN, potential=ZBL)
    _, (once,) = subtract_all(lambda: [data], stated, cutoff=CUTOFF)
    _, (again,) = subtract_all(lambda: [once], stated, cutoff=CUTOFF, reduced=True)
    assert again.content_hash == once.content_hash


def test_a_difference_that_pacemaker_would_replace_is_refused() -> None:
    """A potential that is far above the labels at a short distance trips Pacemaker's switch, and is named."""
    data = labelled(('Al', -10.0), ('Cu2', -76.0)).replace(names=np.array(['alone', 'close']))
    stated = reference('single_atom_energies', single_atom_energies=GIVEN, potential={**ZBL, 'inner': 3.0})
    with pytest.raises(DatasetError, match='corrected energy of structure `close` is -'):
        list(subtract_all(lambda: [data], stated, cutoff=CUTOFF)[1])


@pytest.mark.parametrize(
    ('mapping', 'message'),
    [
        ({'method': 'already_corrected'}, 'subtracts nothing without a `potential`'),
        ({'method': 'isolated_atoms', 'potential': {'name': 'zbl'}}, '`reference.potential`: .*`zbl` lacks `inner`'),
        ({'method': 'isolated_atoms', 'potential': 'zbl'}, 'has to be a mapping with `name`'),
    ],
)
def test_impossible_potentials_of_a_reference_are_refused(mapping: dict[str, Any], message: str) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=message):
        parse_reference(mapping)


def test_data_without_corrected_energies_are_not_already_corrected() -> None:
    """Nothing is guessed about total energies."""
    stated = reference('already_corrected', potential=ZBL)
    with pytest.raises(DatasetError, match='no `energy_corrected`, which the method `already_corrected` is about'):
        list(subtract_all(lambda: [labelled(('Al', -10.0))], stated, cutoff=CUTOFF)[1])
