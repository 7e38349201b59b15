"""The very files that a training job uploads, in old and new versions of Python, pandas, numpy and ase; and back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker import filenames, load_pacemaker_dataset
from aiida_autopipec.pacemaker.dataset.periodic import VACUUM, without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.pickles import RawFrame, read_frame

pytestmark = pytest.mark.portability

HERE = Path(__file__).parent
FALLBACK = 'Python 3.9 was not to be had: `oldest` has pandas 1.5 and Python 3.11 (see the output of make_environments)'


def run(environment: Path, script: str, *arguments: Path) -> None:
    """Run a script of this folder in an environment."""
    command = [environment / 'python', HERE / script, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def uploaded(structures: list[LabelledStructures]) -> LabelledStructures:
    """Return the structures as Pacemaker is to see them."""
    return without_mixed_periodicity(concatenate(structures))


@pytest.fixture(scope='module')
def loaded(environment: Path, job: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what plain pandas makes of the training set of the job."""
    target = tmp_path_factory.mktemp('loaded') / 'loaded.npz'
    run(environment, 'read_with_pandas.py', job / filenames.TRAINING_SET, target)
    return dict(np.load(target))


def pieces(loaded: dict[str, Any], name: str, n: int) -> list[np.ndarray]:
    """Return the values of all rows."""
    return [loaded[f'{name}:{i}'] for i in range(n)]


def test_the_environments_are_what_they_are_called(environment: Path, loaded: dict[str, Any]) -> None:
    """Each environment has the Python, pandas and numpy that it stands for."""
    expected = {
        'oldest': ['3.9', '1.4', '1.23', 'False'],
        'middle': ['3.11', '2.3', '2.3', 'False'],
        'newest': ['3.11', '3.1', '2.4', 'False'],
        'newest-pyarrow': ['3.11', '3.1', '2.4', 'True'],
    }[environment.name]
    if environment.name == 'oldest' and (environment / 'about').read_text().startswith('Python 3.11'):
        pytest.skip(FALLBACK)
    found = ['.'.join(version.split('.')[:2]) for version in loaded['versions']]
    assert found == expected


def test_structures_are_bit_equal(loaded: dict[str, Any], uploaded: LabelledStructures) -> None:
    """Atomic numbers, positions, cells and periodicity of every structure are those of the dataset, to the last bit."""
    n = len(uploaded)
    np.testing.assert_array_equal([len(row) for row in pieces(loaded, 'numbers', n)], uploaded.sizes)
    for name, expected in (('numbers', uploaded.numbers), ('positions', uploaded.positions)):
        found = np.concatenate(pieces(loaded, name, n))
        assert found.astype(expected.dtype).tobytes() == expected.tobytes()
    assert np.array(pieces(loaded, 'cell', n)).tobytes() == uploaded.cells.tobytes()
    assert np.array(pieces(loaded, 'pbc', n)).tobytes() == uploaded.pbc.tobytes()
    assert loaded['plain'].all()
    assert loaded['bare'].all()


def test_labels_are_bit_equal(loaded: dict[str, Any], uploaded: LabelledStructures) -> None:
    """Energies, forces, weights and names are those of the dataset, and a stress that is not given is None."""
    n = len(uploaded)
    for name, expected in (('forces', uploaded.forces), ('w_forces', uploaded.force_weights)):
        found = np.concatenate(pieces(loaded, name, n))
        assert (found.dtype, found.tobytes()) == (expected.dtype, expected.tobytes())
    columns = {'energy': uploaded.energy, 'energy_corrected': uploaded.energy_corrected}
    for name, expected in {**columns, 'w_energy': uploaded.energy_weights}.items():
        assert loaded[f'column:{name}'].tobytes() == expected.tobytes()
    assert loaded['column:name'].tolist() == uploaded.names.tolist()
    given = ~np.isnan(uploaded.stress).all(axis=1)
    assert 0 < given.sum() < n
    for i in range(n):
        assert (f'stress:{i}' in loaded) == given[i]
        if given[i]:
            assert loaded[f'stress:{i}'].tobytes() == uploaded.stress[i].tobytes()


def test_columns_have_the_types_that_pacemaker_expects(loaded: dict[str, Any], uploaded: LabelledStructures) -> None:
    """Numbers are float64, names are strings of that pandas, the rest are objects; rows count from 0."""
    types = dict(zip(loaded['columns'].tolist(), loaded['types'].tolist(), strict=True))
    strings = {'1': 'object', '2': 'object', '3': 'str'}[loaded['versions'][1][0]]
    assert types == {
        'ase_atoms': 'object',
        'energy': 'float64',
        'energy_corrected': 'float64',
        'w_energy': 'float64',
        'name': strings,
        'forces': 'object',
        'w_forces': 'object',
        'stress': 'object',
    }
    np.testing.assert_array_equal(loaded['index'], np.arange(len(uploaded)))


def test_every_array_is_writable_and_no_ones_else(loaded: dict[str, Any]) -> None:
    """Whatever is written into one structure leaves no trace in another."""
    assert loaded['writable'].all()
    assert not loaded['aliased'].any()


def test_slabs_and_wires_keep_their_periodic_directions(structures: list[LabelledStructures]) -> None:
    """What Pacemaker does not know, mixed periodicity, becomes vacuum: nothing else of a structure changes."""
    given = concatenate(structures)
    seen = without_mixed_periodicity(given)
    mixed = given.pbc.any(axis=1) & ~given.pbc.all(axis=1)
    assert mixed.any()
    np.testing.assert_array_equal(seen.cells[~mixed], given.cells[~mixed])
    np.testing.assert_array_equal(seen.pbc[~mixed], given.pbc[~mixed])
    assert seen.pbc[mixed].all()
    np.testing.assert_array_equal(seen.cells[given.pbc], given.cells[given.pbc])
    for i in np.flatnonzero(mixed):
        open_vectors, kept = seen.cells[i][~given.pbc[i]], seen.cells[i][given.pbc[i]]
        np.testing.assert_allclose(open_vectors @ kept.T, 0, atol=1e-9)
        assert np.all(np.linalg.norm(open_vectors, axis=1) >= VACUUM - 1e-9)
    for name in ('numbers', 'positions', 'offsets', 'energy', 'forces'):
        np.testing.assert_array_equal(getattr(seen, name), getattr(given, name))


@pytest.fixture(scope='module')
def foreign(environment: Path, structures: list[LabelledStructures], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that pandas wrote in the environment."""
    folder = tmp_path_factory.mktemp('foreign')
    np.savez(folder / 'structures.npz', **as_arrays(concatenate(structures)))
    run(environment, 'write_with_pandas.py', folder / 'structures.npz', folder)
    return folder


def as_arrays(structures: LabelledStructures) -> dict[str, Any]:
    """Return the arrays of structures whose stresses are all given."""
    fields = ('numbers', 'positions', 'cells', 'pbc', 'offsets', 'energy', 'forces', 'energy_weights', 'force_weights')
    arrays: dict[str, Any] = {name: getattr(structures, name) for name in (*fields, 'names')}
    return {**arrays, 'stress': np.nan_to_num(structures.stress)}


def assert_same_structures(frame: RawFrame, given: dict[str, Any]) -> None:
    """Compare structures bit by bit."""
    for name in ('positions', 'cells', 'pbc', 'offsets'):
        assert getattr(frame, name).tobytes() == given[name].tobytes(), name
    np.testing.assert_array_equal(frame.numbers, given['numbers'])
    assert frame.columns['name'].tolist() == given['names'].tolist()


def test_what_pandas_writes_is_read_bit_by_bit(foreign: Path, structures: list[LabelledStructures]) -> None:
    """Files of every protocol, of python-ace's own class and with each kind of strings give the arrays back."""
    given = as_arrays(concatenate(structures))
    files = sorted(path for path in foreign.glob('*.pckl.gzip') if path.name != 'calculators.pckl.gzip')
    kinds = {path.name.split('.')[0] for path in files}
    assert kinds >= {*(f'plain-protocol{i}' for i in range(6)), 'metadata', 'strings-string', 'strings-category'}
    for path in files:
        frame = read_frame(path)
        assert_same_structures(frame, given)
        assert frame.columns['energy'].tobytes() == given['energy'].tobytes(), path.name
        assert frame.columns['w_energy'].tobytes() == given['energy_weights'].tobytes(), path.name
        assert frame.atom_columns['forces'].tobytes() == given['forces'].tobytes(), path.name
        assert frame.atom_columns['w_forces'].tobytes() == given['force_weights'].tobytes(), path.name
        assert frame.vector_columns['stress'].tobytes() == given['stress'].tobytes(), path.name


def test_labels_of_calculators_are_read_bit_by_bit(foreign: Path, structures: list[LabelledStructures]) -> None:
    """Energies, forces and stresses of attached calculators come back as they were attached."""
    given = as_arrays(concatenate(structures))
    frame = read_frame(foreign / 'calculators.pckl.gzip')
    assert_same_structures(frame, given)
    assert frame.calculator_energy is not None
    assert frame.calculator_forces is not None
    assert frame.calculator_stress is not None
    assert frame.calculator_energy.tobytes() == given['energy'].tobytes()
    assert frame.calculator_forces.tobytes() == given['forces'].tobytes()
    assert frame.calculator_stress.tobytes() == given['stress'].tobytes()


def test_strings_of_pyarrow_are_among_the_files(environment: Path, foreign: Path) -> None:
    """The environment with pyarrow, and only that one, wrote a column of pyarrow's strings."""
    assert (foreign / 'strings-string-pyarrow.pckl.gzip').exists() == (environment.name == 'newest-pyarrow')


def test_the_uploaded_file_is_read_back_by_this_package(job: Path, uploaded: LabelledStructures) -> None:
    """The safe reader gives the same dataset, weights and missing stresses included."""
    again = load_pacemaker_dataset(job / filenames.TRAINING_SET)
    assert again.content_hash == uploaded.content_hash
