"""What the real Pacemaker writes is read (tests/pacemaker/pickles/real, made by make.py there)."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest

from aiida_autopipec.pacemaker import LabelledStructures, load_pacemaker_dataset
from aiida_autopipec.pacemaker.pickles import read_frame

REAL = Path(__file__).parent / 'real'
DATA = Path(__file__).parents[3] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'


@pytest.fixture(scope='module')
def sets() -> dict[str, LabelledStructures]:
    """Return the training and the test set that Pacemaker was given."""
    images = [atoms for atoms in ase.io.read(DATA, ':') if 1 < len(atoms) <= 8]
    return {
        'training': LabelledStructures.from_atoms(images[:6]),
        'test': LabelledStructures.from_atoms(images[-2:]),
    }


@pytest.mark.parametrize(('name', 'part'), [('fitting_data_info', 'training'), ('test_data_info', 'test')])
def test_tables_of_a_training_hold_its_structures(sets: dict[str, LabelledStructures], name: str, part: str) -> None:
    """The `DataFrameWithMetadata` that a training leaves behind gives structures and labels back bit by bit."""
    frame, given = read_frame(REAL / f'{name}.pckl.gzip'), sets[part]
    np.testing.assert_array_equal(frame.numbers, given.numbers)
    np.testing.assert_array_equal(frame.positions, given.positions)
    np.testing.assert_array_equal(frame.cells, given.cells)
    np.testing.assert_array_equal(frame.atom_columns['forces'], given.forces)
    np.testing.assert_array_equal(frame.columns['energy'], given.energy)
    assert [what.split(',')[0] for what in frame.ignored] == ['the column `comp_dict`', 'the column `comp_tuple`']


@pytest.mark.parametrize(('name', 'part'), [('train_pred', 'training'), ('test_pred', 'test')])
def test_predictions_stand_beside_the_reference(sets: dict[str, LabelledStructures], name: str, part: str) -> None:
    """A table of predictions has no structures, but energies and forces, reference and predicted, of each."""
    frame, given = read_frame(REAL / f'{name}.pckl.gzip'), sets[part]
    assert frame.numbers is None
    np.testing.assert_array_equal(np.diff(frame.offsets), given.sizes)
    np.testing.assert_array_equal(frame.atom_columns['forces'], given.forces)
    assert frame.atom_columns['forces_pred'].shape == given.forces.shape
    assert np.isfinite(frame.columns['energy_pred']).all()


def test_selected_rows_keep_their_place(sets: dict[str, LabelledStructures]) -> None:
    """The labels of the rows that pace_select chose are their places among the candidates."""
    frame = read_frame(REAL / 'selected.pkl.gz')
    assert 0 < len(frame) < 6
    chosen = sets['training'].take(frame.index)
    np.testing.assert_array_equal(frame.positions, chosen.positions)
    np.testing.assert_array_equal(frame.atom_columns['forces'], chosen.forces)


def test_augmented_structures_are_a_dataset() -> None:
    """What pace_augment made up has structures, corrected energies and forces."""
    augmented = load_pacemaker_dataset(REAL / 'aug_df.pkl.gz', names='content')
    assert len(augmented) > 0
    assert augmented.energy_corrected is not None
    assert augmented.forces is not None
