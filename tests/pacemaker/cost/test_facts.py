"""What is found out about data before a training."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.cost import DataFacts
from aiida_autopipec.pacemaker.errors import DatasetError


def labelled(image: Atoms, energy: float) -> Atoms:
    """Attach an energy and forces of zero."""
    image.calc = SinglePointCalculator(image, energy=energy, forces=np.zeros((len(image), 3)))
    return image


@pytest.fixture
def parts() -> list[LabelledStructures]:
    """Return two parts: crystals of aluminium and copper, and a compound with an isolated atom of copper."""
    crystals = [labelled(bulk('Al', 'fcc', 4.0), -3.0), labelled(bulk('Cu', 'fcc', 3.6, cubic=True), -16.0)]
    compound = labelled(bulk('AlCu', 'cesiumchloride', 3.0), -6.5)
    alone = labelled(Atoms('Cu', cell=[20, 20, 20], pbc=True), 0.5)
    return [LabelledStructures.from_atoms(crystals), LabelledStructures.from_atoms([compound, alone])]


def test_sizes_and_elements(parts: list[LabelledStructures]) -> None:
    """Structures and atoms are counted over all parts, by element in alphabetical order."""
    facts = DataFacts.of(parts)
    assert (facts.n_structures, facts.n_atoms, facts.largest_structure) == (4, 8, 4)
    assert facts.atoms_by_element == {'Al': 2, 'Cu': 6}
    assert facts.elements == ('Al', 'Cu')


def test_nearest_neighbours_by_element(parts: list[LabelledStructures]) -> None:
    """The distance of an element is the median over its atoms, those without neighbours left out."""
    facts = DataFacts.of(parts)
    assert facts.nearest['Cu'] == pytest.approx(3.6 / np.sqrt(2))
    assert facts.nearest['Al'] == pytest.approx((4.0 / np.sqrt(2) + 3.0 * np.sqrt(3) / 2) / 2)


def test_neighbours_are_those_of_the_crystal(parts: list[LabelledStructures]) -> None:
    """A crystal of aluminium has twelve neighbours in the first shell and six in the second."""
    facts = DataFacts.of([LabelledStructures.from_atoms([labelled(bulk('Al', 'fcc', 4.0), -3.0)])])
    assert facts.neighbours(3.5) == 12
    assert facts.neighbours(4.1) == 18


def test_isolated_elements_depend_on_the_cutoff(parts: list[LabelledStructures]) -> None:
    """An atom is isolated if even its own images are farther away than the cutoff."""
    facts = DataFacts.of(parts)
    assert facts.isolated_elements(6.0) == {'Cu'}
    assert facts.isolated_elements(21.0) == frozenset()


def test_spread_ignores_what_elements_explain() -> None:
    """Energies that are a sum over elements have no spread, whatever their size."""
    images = [labelled(bulk('Al', 'fcc', a), -100.0) for a in (3.9, 4.0, 4.1)]
    images += [labelled(bulk('AlCu', 'cesiumchloride', a), -700.0) for a in (2.9, 3.0)]
    assert DataFacts.of([LabelledStructures.from_atoms(images)]).energy_spread == pytest.approx(0, abs=1e-9)
    images.append(labelled(bulk('Al', 'fcc', 3.0), -98.5))
    assert DataFacts.of([LabelledStructures.from_atoms(images)]).energy_spread == pytest.approx(1.5, rel=0.05)


def test_labels_that_are_there_are_noticed(parts: list[LabelledStructures]) -> None:
    """Corrected energies and weights count only if every part has them."""
    facts = DataFacts.of(parts)
    assert (facts.relative, facts.weighted) == (False, False)
    corrected = [part.replace(energy_corrected=part.energy) for part in parts]
    assert DataFacts.of(corrected).relative
    assert not DataFacts.of([corrected[0], parts[1]]).relative
    weighted = [part.replace(energy_weights=np.ones(len(part)), force_weights=np.ones(part.n_atoms)) for part in parts]
    assert DataFacts.of(weighted).weighted


def test_a_part_of_the_data(parts: list[LabelledStructures]) -> None:
    """A part has fewer structures and atoms, and the same distances."""
    facts = DataFacts.of(parts)
    half = facts.part(0.5)
    assert (half.n_structures, half.n_atoms, half.nearest) == (2, 4, facts.nearest)


def test_no_data_are_refused() -> None:
    """Nothing to look at is an error."""
    with pytest.raises(DatasetError, match='no structures'):
        DataFacts.of([])
