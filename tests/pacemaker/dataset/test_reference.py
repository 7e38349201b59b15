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
)
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError

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
