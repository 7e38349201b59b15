"""Datasets that other versions of pandas, numpy and ase pickled (tests/fixtures/pickles)."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError
from aiida_autopipec.pacemaker.pickles import RawFrame, read_frame

FIXTURES = Path(__file__).parents[2] / 'fixtures' / 'pickles'
SIZES = np.array([2, 1, 3, 2])
ENVIRONMENTS = sorted(path.name.removesuffix('-plain.pckl.gzip') for path in FIXTURES.glob('*-plain.pckl.gzip'))


def read(environment: str, kind: str) -> RawFrame:
    """Read one fixture."""
    return read_frame(FIXTURES / f'{environment}-{kind}.pckl.gzip')


def forces() -> np.ndarray:
    """Return the forces that all fixtures hold."""
    return np.concatenate([np.arange(3.0 * size).reshape(size, 3) / 3 - i for i, size in enumerate(SIZES)])


def test_every_generation_of_pandas_is_there() -> None:
    """The fixtures cover pandas 1.1, 1.3, 1.5, 2.3 and 3.1, the last with and without pyarrow."""
    assert [name.split('-numpy')[0] for name in ENVIRONMENTS] == [
        *('pandas1.1.5', 'pandas1.3.5', 'pandas1.5.3', 'pandas2.3.3', 'pandas3.1.1', 'pandas3.1.1-pyarrow')
    ]


@pytest.mark.parametrize('environment', ENVIRONMENTS)
def test_structures_and_labels_are_read(environment: str) -> None:
    """Structures of different size, energies, names and forces have the values that make.py gave them."""
    frame = read(environment, 'plain')
    np.testing.assert_array_equal(np.diff(frame.offsets), SIZES)
    np.testing.assert_array_equal(frame.numbers, [29, 1, 29, 29, 1, 8, 29, 1])
    positions = [np.arange(3.0 * size).reshape(size, 3) / 7 + i for i, size in enumerate(SIZES)]
    np.testing.assert_array_equal(frame.positions, np.concatenate(positions))
    np.testing.assert_array_equal(frame.cells, [np.diag([4.0, 5.0, 6.0]) + 0.1 * i for i in range(4)])
    np.testing.assert_array_equal(frame.pbc, [[True, i % 2 == 0, False] for i in range(4)])
    np.testing.assert_array_equal(frame.columns['energy'], [0.0, -1.5, -3.0, -4.5])
    assert frame.columns['name'].tolist() == ['a', 'b', 'ü', 'd']
    np.testing.assert_array_equal(frame.atom_columns['forces'], forces())
    assert frame.ignored == ()


@pytest.mark.parametrize('environment', ENVIRONMENTS)
def test_calculators_are_read_while_they_hold(environment: str) -> None:
    """Attached results are read, those of a structure that has moved since are not, and what is left out is named."""
    frame = read(environment, 'calculators')
    np.testing.assert_array_equal(frame.calculator_energy, [-3.5, np.nan, np.nan, np.nan])
    assert frame.calculator_forces is not None
    np.testing.assert_array_equal(frame.calculator_forces[:2], forces()[:2])
    assert np.isnan(frame.calculator_forces[2:]).all()
    assert frame.calculator_stress is not None
    np.testing.assert_array_equal(frame.calculator_stress[0], np.arange(6.0))
    assert set(frame.ignored) == {
        'the array `tags` of 1 structures',
        'the calculator, whose results belong to another structure, of 1 structures',
        'the constraints of 1 structures',
        'the info `source` of 1 structures',
    }


@pytest.mark.parametrize('environment', ENVIRONMENTS)
def test_missing_labels_stay_missing(environment: str) -> None:
    """Energy, forces and stress that a row lacks are NaN and never zero; a column of dates is left out by name."""
    frame = read(environment, 'missing')
    np.testing.assert_array_equal(frame.columns['energy'], [0.0, np.nan, -3.0, -4.5])
    expected = forces()
    expected[2] = np.nan
    np.testing.assert_array_equal(frame.atom_columns['forces'], expected)
    np.testing.assert_array_equal(frame.vector_columns['stress'][1], np.arange(6.0))
    assert np.isnan(frame.vector_columns['stress'][[0, 2, 3]]).all()
    assert frame.columns['name'].tolist() == ['a', '', 'ü', 'd']
    assert frame.columns['kind'].tolist() == ['x', 'y', 'x', '']
    assert [what.split(',')[0] for what in frame.ignored] == ['the column `calculated`']


@pytest.mark.parametrize('environment', ENVIRONMENTS)
def test_tables_of_python_ace_are_read(environment: str) -> None:
    """A DataFrameWithMetadata of chosen rows keeps their labels, and loses its neighbour lists by name."""
    frame = read(environment, 'metadata')
    np.testing.assert_array_equal(frame.index, [2, 0, 3])
    np.testing.assert_array_equal(np.diff(frame.offsets), SIZES[[2, 0, 3]])
    assert frame.columns['train'].tolist() == [True, True, True]
    assert frame.columns['train'].dtype == bool
    assert [what.split(',')[0] for what in frame.ignored] == ['the column `tp_atoms`']


def test_a_table_of_predictions_is_read_without_structures(tmp_path: Path) -> None:
    """A table without ase_atoms, such as train_pred, takes the sizes of its structures from the forces."""
    rows = [np.ones((2, 3)), np.zeros((1, 3))]
    table = pd.DataFrame({'forces': rows, 'forces_pred': rows, 'w_forces': [np.ones(2), np.ones(1)], 'energy': [1, 2]})
    table.to_pickle(tmp_path / 'p.pckl.gzip', compression='gzip', protocol=2)
    frame = read_frame(tmp_path / 'p.pckl.gzip')
    assert (frame.numbers, frame.positions, frame.cells, frame.pbc) == (None,) * 4
    assert frame.offsets.tolist() == [0, 2, 3]
    assert {name: rows.shape for name, rows in frame.atom_columns.items()} == {
        'forces': (3, 3),
        'forces_pred': (3, 3),
        'w_forces': (3,),
    }
    assert frame.columns['energy'].dtype == np.int64


@pytest.mark.parametrize(
    ('column', 'message'),
    [
        ([np.zeros((2, 3)), np.zeros((1, 3))], r'Row 1: `forces` has shape \(1, 3\), and the structure has 2 atoms'),
        ([np.zeros((2, 3)), 1.0], r'Row 1: `forces` has shape \(\), and'),
        ([np.zeros((2, 3)), 'none'], 'The column `forces` holds something else than arrays of numbers'),
    ],
)
def test_forces_that_do_not_fit_are_named(tmp_path: Path, column: list[object], message: str) -> None:
    """Forces of the wrong shape end in a sentence with file, row and both shapes."""
    table = pd.DataFrame({'ase_atoms': [Atoms('H2'), Atoms('O2')], 'forces': column})
    table.to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')
    with pytest.raises(DatasetError, match=r'd\.pckl\.gzip: ' + message):
        read_frame(tmp_path / 'd.pckl.gzip')


def test_forces_that_no_row_has_are_nan(tmp_path: Path) -> None:
    """A column of forces that is empty throughout is NaN for each atom."""
    table = pd.DataFrame({'ase_atoms': [Atoms('H2'), Atoms('O')], 'forces': [None, None]})
    table.to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')
    forces_read = read_frame(tmp_path / 'd.pckl.gzip').atom_columns['forces']
    np.testing.assert_array_equal(forces_read, np.full((3, 3), np.nan))


def test_a_stress_that_no_row_has_is_left_out(tmp_path: Path) -> None:
    """A column of stresses that is empty throughout, as in a subset of a dataset, is no column."""
    table = pd.DataFrame({'ase_atoms': [Atoms('H2'), Atoms('O')], 'energy': [1.0, 2.0], 'stress': [None, None]})
    table.to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')
    frame = read_frame(tmp_path / 'd.pckl.gzip')
    assert (list(frame.columns), frame.vector_columns, frame.ignored) == (['energy'], {}, ())


def test_a_row_without_structure_is_named(tmp_path: Path) -> None:
    """A row whose structure is missing ends in a sentence with its number."""
    pd.DataFrame({'ase_atoms': [Atoms('H2'), None]}).to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')
    with pytest.raises(DatasetError, match='Row 1 has no structure'):
        read_frame(tmp_path / 'd.pckl.gzip')


def test_a_file_in_several_gzip_members_is_read(tmp_path: Path) -> None:
    """A file that was compressed in pieces is one file."""
    content = gzip.decompress((FIXTURES / f'{ENVIRONMENTS[0]}-plain.pckl.gzip').read_bytes())
    path = tmp_path / 'd.pckl.gzip'
    path.write_bytes(gzip.compress(content[:1000]) + gzip.compress(content[1000:]))
    np.testing.assert_array_equal(read_frame(path).atom_columns['forces'], forces())


def test_a_pickle_of_something_else_is_no_dataset(tmp_path: Path) -> None:
    """A gzip'ed pickle of a dictionary is told apart from a damaged dataset."""
    pd.to_pickle({'energy': 1.0}, tmp_path / 'd.pckl.gzip', compression='gzip')
    with pytest.raises(FileFormatError, match='not a Pacemaker dataset'):
        read_frame(tmp_path / 'd.pckl.gzip')
