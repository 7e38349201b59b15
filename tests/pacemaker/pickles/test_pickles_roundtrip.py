"""What is written is read again, by this package and by pandas."""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

import aiida_autopipec
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.pickles import RawFrame, read_frame, write_frame
from aiida_autopipec.pacemaker.pickles.opcodes import PickleStream


def arrays(n: int = 7, seed: int = 0) -> dict[str, Any]:
    """Return structures of different sizes and compositions, with labels."""
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(random.integers(1, 6, n))])
    total = int(offsets[-1])
    stress = random.normal(size=(n, 6))
    stress[::3] = np.nan
    return {
        'numbers': random.integers(1, 90, total),
        'positions': random.normal(size=(total, 3)),
        'cells': random.normal(size=(n, 3, 3)) + 5 * np.eye(3),
        'pbc': random.random((n, 3)) > 0.5,
        'offsets': offsets,
        'columns': {'energy': random.normal(size=n), 'name': [f'structure é {i}' for i in range(n)]},
        'atom_columns': {'forces': random.normal(size=(total, 3)), 'w_forces': random.random(total)},
        'vector_columns': {'stress': stress},
    }


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Write a dataset file; return it and the arrays in it."""
    path = tmp_path_factory.mktemp('pickles') / 'd.pckl.gzip'
    given = arrays()
    write_frame(path, **given)
    return path, given


@pytest.fixture(scope='module')
def read(written: tuple[Path, dict[str, Any]]) -> RawFrame:
    """Read the same dataset with this package."""
    return read_frame(written[0])


def test_structures_come_back_bit_by_bit(written: tuple[Path, dict[str, Any]], read: RawFrame) -> None:
    """Numbers, positions, cells, pbc and the sizes of mixed structures are read as they were written."""
    given = written[1]
    for key in ('numbers', 'positions', 'cells', 'pbc', 'offsets'):
        np.testing.assert_array_equal(getattr(read, key), given[key], strict=True)
    np.testing.assert_array_equal(read.index, np.arange(len(read)))


def test_labels_come_back_bit_by_bit(written: tuple[Path, dict[str, Any]], read: RawFrame) -> None:
    """Energies, names, forces and a stress that some rows lack are read as they were written, and nothing else."""
    given = written[1]
    assert (set(read.columns), set(read.atom_columns), set(read.vector_columns)) == (
        {'energy', 'name'},
        {'forces', 'w_forces'},
        {'stress'},
    )
    np.testing.assert_array_equal(read.columns['energy'], given['columns']['energy'])
    assert read.columns['name'].tolist() == given['columns']['name']
    np.testing.assert_array_equal(read.atom_columns['forces'], given['atom_columns']['forces'])
    np.testing.assert_array_equal(read.atom_columns['w_forces'], given['atom_columns']['w_forces'])
    np.testing.assert_array_equal(read.vector_columns['stress'], given['vector_columns']['stress'])
    assert read.calculator_energy is None
    assert read.ignored == ()


def test_pandas_reads_atoms_and_labels(written: tuple[Path, dict[str, Any]]) -> None:
    """Plain pandas gives a table of ase.Atoms and arrays that are bit-equal, with None for a missing stress."""
    path, given = written
    table = pd.read_pickle(path, compression='gzip')
    assert list(table.columns) == ['ase_atoms', 'energy', 'name', 'forces', 'w_forces', 'stress']
    assert table['name'].tolist() == given['columns']['name']
    for i, row in enumerate(table.itertuples()):
        piece = slice(given['offsets'][i], given['offsets'][i + 1])
        assert type(row.ase_atoms) is Atoms
        np.testing.assert_array_equal(row.ase_atoms.numbers, given['numbers'][piece])
        np.testing.assert_array_equal(row.ase_atoms.positions, given['positions'][piece])
        np.testing.assert_array_equal(row.ase_atoms.cell.array, given['cells'][i])
        np.testing.assert_array_equal(row.ase_atoms.pbc, given['pbc'][i])
        np.testing.assert_array_equal(row.forces, given['atom_columns']['forces'][piece], strict=True)
        assert row.energy == given['columns']['energy'][i]
        if i % 3:
            np.testing.assert_array_equal(row.stress, given['vector_columns']['stress'][i])
        else:
            assert row.stress is None


def test_no_structure_can_change_another(written: tuple[Path, dict[str, Any]]) -> None:
    """In the table that pandas reads, every array can be overwritten without a trace in another row."""
    table = pd.read_pickle(written[0], compression='gzip')
    rows = list(table.itertuples())
    for i, row in enumerate(rows):
        row.forces[:] = i
        row.w_forces[:] = i
        row.ase_atoms.positions[:] = i
        row.ase_atoms.numbers[:] = i
        row.ase_atoms.cell[:] = i
        row.ase_atoms.pbc[:] = i % 2
        if row.stress is not None:
            row.stress[:] = i
    for i, row in enumerate(rows):
        atoms = row.ase_atoms
        stress = () if row.stress is None else row.stress
        for values in (row.forces, row.w_forces, atoms.positions, atoms.numbers, atoms.cell.array, stress):
            assert np.all(np.asarray(values) == i)
        assert np.all(atoms.pbc == bool(i % 2))


def test_only_public_names_are_spelled(written: tuple[Path, dict[str, Any]]) -> None:
    """The pickle names nothing that a version of pandas, numpy or ase could move."""
    strings: list[str] = []
    names = set()
    for opcode, argument, _ in pickletools.genops(gzip.decompress(written[0].read_bytes())):
        if opcode.name == 'BINUNICODE':
            strings.append(str(argument))
        if opcode.name == 'STACK_GLOBAL':
            names.add('.'.join(strings[-2:]))
        assert opcode.proto <= 4
    assert names == {
        *('pandas.DataFrame', 'numpy.ndarray', 'numpy.dtype', 'ase.atoms.Atoms', 'builtins.list', 'builtins.map'),
        *('builtins.slice', 'itertools.repeat', 'itertools.chain', 'operator.getitem'),
    }


def test_equal_arrays_give_equal_bytes(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Neither time nor file name nor memory layout leave a trace in the file."""
    path, given = written
    given = given | {'positions': np.asfortranarray(given['positions']), 'numbers': given['numbers'].astype(np.int32)}
    write_frame(tmp_path / 'other.pckl.gzip', **given)
    content = path.read_bytes()
    assert (tmp_path / 'other.pckl.gzip').read_bytes() == content
    assert content[3] == 0  # no file name in the gzip header
    assert content[4:8] == bytes(4)  # no time


def test_shards_give_the_same_bytes(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Arrays in shards, memory-mapped or not, are written as their concatenation."""
    path, given = written
    cut = int(given['offsets'][3])
    np.save(tmp_path / 'shard.npy', given['positions'][:cut])
    mapped = np.load(tmp_path / 'shard.npy', mmap_mode='r')
    given = given | {
        'positions': [mapped, given['positions'][cut:]],
        'cells': [given['cells'][:3], given['cells'][3:]],
        'atom_columns': {k: [v[:cut], v[cut:]] for k, v in given['atom_columns'].items()},
        'vector_columns': {k: [v[:3], v[3:]] for k, v in given['vector_columns'].items()},
    }
    write_frame(tmp_path / 'sharded.pckl.gzip', **given)
    assert gzip.decompress((tmp_path / 'sharded.pckl.gzip').read_bytes()) == gzip.decompress(path.read_bytes())


def test_no_structures_make_a_table_without_rows(tmp_path: Path) -> None:
    """An empty dataset is written and read as one."""
    path = tmp_path / 'empty.pckl.gzip'
    given = arrays(n=1)
    given = {k: v[:0] if isinstance(v, np.ndarray) else {} for k, v in given.items()} | {'offsets': np.array([0])}
    given['atom_columns'] = {'forces': np.zeros((0, 3))}
    write_frame(path, **given)
    frame = read_frame(path)
    assert len(frame) == 0
    assert frame.atom_columns['forces'].shape == (0, 3)
    assert len(pd.read_pickle(path, compression='gzip')) == 0


def test_a_stress_that_no_row_has_is_left_out(tmp_path: Path) -> None:
    """A vector column that is NaN throughout is not written at all."""
    given = arrays() | {'vector_columns': {'stress': np.full((7, 6), np.nan)}}
    write_frame(tmp_path / 'd.pckl.gzip', **given)
    assert 'stress' not in pd.read_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')


def test_an_open_file_can_be_the_target(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """An open binary file takes the same bytes as a path."""
    path, given = written
    with (tmp_path / 'd').open('wb') as file:
        write_frame(file, **given)
    assert (tmp_path / 'd').read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'positions': np.zeros((3, 3))}, r'`positions` has shape \(3, 3\); \(\d+, 3\) is needed'),
        ({'cells': [np.zeros((3, 3, 3)), np.zeros((3, 9))]}, r'`cells` has shape \(3, 3, 3\) \+ \(3, 9\)'),
        ({'columns': {'energy': np.zeros(3)}}, r'`energy` has shape \(3,\); 7 structures need \(7,\)'),
        ({'columns': {'energy': [1.0, 'x', None, 1, 1, 1, 1]}}, '`energy` holds neither numbers nor strings'),
        ({'columns': {'forces': np.zeros(7)}}, 'column `forces` is given twice'),
        ({'offsets': np.array([1, 2])}, '`offsets` must be a rising'),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """An array of the wrong shape is refused by name, and no file is left behind."""
    with pytest.raises(DatasetError, match=message):
        write_frame(tmp_path / 'd.pckl.gzip', **(arrays() | change))
    assert list(tmp_path.iterdir()) == []


def test_neither_pandas_nor_ase_nor_aiida_is_imported() -> None:
    """Reader and writer work without the libraries whose objects the files hold."""
    folder = Path(aiida_autopipec.__file__).parent
    code = (
        'import sys, types\n'
        f'for name, path in (("aiida_autopipec", {str(folder)!r}), '
        f'("aiida_autopipec.pacemaker", {str(folder / "pacemaker")!r})):\n'
        '    sys.modules[name] = types.ModuleType(name)\n'
        '    sys.modules[name].__path__ = [path]\n'
        'import aiida_autopipec.pacemaker.pickles\n'
        'print({"pandas", "ase", "aiida"} & set(sys.modules))'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == 'set()'


@pytest.mark.parametrize('texts', [['a', '', 'bcd'], ['Å', 'ab'], ['', ''], ['x' * 300] * 1001, ['a\0b', 'c'], []])
def test_strings_are_spelled_as_pickle_reads_them(texts: list[str]) -> None:
    """Lists of strings of any letters and lengths come back as they were."""
    buffer = io.BytesIO()
    stream = PickleStream(buffer)
    stream.strings(texts)
    stream.close()
    assert pickle.loads(buffer.getvalue()) == texts


@pytest.mark.parametrize('number', [-129, 128, 256 + 13])
def test_numbers_of_no_element_are_refused(tmp_path: Path, number: int) -> None:
    """A number that does not fit into the byte that it is written in is refused, and not another one then."""
    given = arrays()
    given['numbers'][2] = number
    with pytest.raises(DatasetError, match='do not fit into 8 bits'):
        write_frame(tmp_path / 'd.pckl.gzip', **given)
    assert not list(tmp_path.iterdir())
