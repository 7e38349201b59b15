"""Pacemaker's dataset files in and out."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pandas as pd
import pytest
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker import (
    DatasetError,
    FileFormatError,
    LabelledStructures,
    load_pacemaker_dataset,
    merge_datasets,
    save_to_pacemaker_format,
)
from aiida_autopipec.pacemaker.formats import save_shards


@pytest.fixture
def structures(make_atoms: Callable[..., list[ase.Atoms]]) -> LabelledStructures:
    """Return labelled structures with everything that a file can hold."""
    plain = LabelledStructures.from_atoms(make_atoms(6))
    stress = plain.stress.copy()
    stress[2] = np.nan
    return plain.replace(
        stress=stress,
        energy_corrected=plain.energy - 1.0,
        energy_weights=np.linspace(1, 2, 6),
        force_weights=np.linspace(0, 1, plain.n_atoms),
    )


def table(images: list[ase.Atoms], **columns: Any) -> pd.DataFrame:
    """Return a table as users make them."""
    return pd.DataFrame({'ase_atoms': images, **columns})


def frozen(images: list[ase.Atoms]) -> list[ase.Atoms]:
    """Return structures with results that can be pickled."""
    return LabelledStructures.from_atoms(images).to_atoms()


def write(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table as users do, with pandas."""
    frame.to_pickle(path, compression='gzip', protocol=4)
    return path


def test_round_trip_keeps_everything(structures: LabelledStructures, tmp_path: Path) -> None:
    """Structures, labels, weights and names come back bit by bit."""
    path = save_to_pacemaker_format(structures, tmp_path / 'd.pckl.gzip')
    assert load_pacemaker_dataset(path).content_hash == structures.content_hash


def test_pandas_reads_the_same_arrays(structures: LabelledStructures, tmp_path: Path) -> None:
    """What Pacemaker gets to see through ``pandas.read_pickle`` are the same numbers."""
    frame = pd.read_pickle(save_to_pacemaker_format(structures, tmp_path / 'd.pckl.gzip'), compression='gzip')
    np.testing.assert_array_equal(frame['energy'], structures.energy)
    np.testing.assert_array_equal(frame['energy_corrected'], structures.energy_corrected)
    np.testing.assert_array_equal(np.concatenate(list(frame['forces'])), structures.forces)
    np.testing.assert_array_equal(np.concatenate(list(frame['w_forces'])), structures.force_weights)
    np.testing.assert_array_equal(frame['w_energy'], structures.energy_weights)
    assert frame['name'].tolist() == structures.names.tolist()
    for row, image in enumerate(frame['ase_atoms']):
        part = slice(structures.offsets[row], structures.offsets[row + 1])
        np.testing.assert_array_equal(image.positions, structures.positions[part])
        np.testing.assert_array_equal(image.numbers, structures.numbers[part])
        np.testing.assert_array_equal(image.cell.array, structures.cells[row])
        np.testing.assert_array_equal(image.pbc, structures.pbc[row])
    assert frame['stress'][2] is None
    np.testing.assert_array_equal(frame['stress'][3], structures.stress[3])


def test_atoms_are_written_directly(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """A list of ``ase.Atoms`` with labels can be saved as it is."""
    path = save_to_pacemaker_format(make_atoms(3), tmp_path / 'd.pckl.gzip')
    assert load_pacemaker_dataset(path).content_hash == LabelledStructures.from_atoms(make_atoms(3)).content_hash


def test_atoms_without_labels_are_refused(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Nothing is written where a label is missing."""
    with pytest.raises(DatasetError, match='3 of 3 structures have no energy'):
        save_to_pacemaker_format(make_atoms(3, labelled=False), tmp_path / 'd.pckl.gzip')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['d.pkl', 'd.pckl.gz', 'd.gzip', 'd'])
def test_other_endings_are_refused(structures: LabelledStructures, tmp_path: Path, name: str) -> None:
    """A name that some programs of Pacemaker refuse is refused here already."""
    with pytest.raises(FileFormatError, match=r'must end in \.pckl\.gzip'):
        save_to_pacemaker_format(structures, tmp_path / name)


def test_equal_content_gives_equal_bytes(structures: LabelledStructures, tmp_path: Path) -> None:
    """A file has no time stamp, and its bytes do not depend on how the set is divided."""
    whole = save_to_pacemaker_format(structures, tmp_path / 'a.pckl.gzip').read_bytes()
    buffer = io.BytesIO()
    save_shards([structures.take([0, 1]), structures.take([2, 3, 4, 5])], buffer)
    assert buffer.getvalue() == whole


def test_weights_can_be_left_out(structures: LabelledStructures) -> None:
    """On request the weights that structures bring are not written."""
    buffer = io.BytesIO()
    save_shards([structures], buffer, weights=False)
    buffer.seek(0)
    columns = set(pd.read_pickle(buffer, compression='gzip').columns)
    assert {'energy', 'forces'} <= columns
    assert not columns & {'w_energy', 'w_forces'}


def test_corrected_energies_alone(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """A file with corrected energies only has no total energies, whatever its calculators say."""
    images = frozen(make_atoms(2))
    frame = table(images, energy_corrected=[-1.0, -2.0], forces=[image.get_forces() for image in images])
    structures = load_pacemaker_dataset(write(frame, tmp_path / 'd.pckl.gzip'))
    assert structures.energy is None
    assert structures.energy_corrected.tolist() == [-1.0, -2.0]
    assert structures.is_labelled


def test_labels_of_attached_calculators(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Without columns, labels come from calculators; free energies before energies."""
    images = frozen(make_atoms(2))
    for image in images:
        results = {'energy': -1.0, 'free_energy': -1.5, 'forces': image.get_forces()}
        image.calc = SinglePointCalculator(image, **results)
    structures = load_pacemaker_dataset(write(table(images), tmp_path / 'd.pckl.gzip'))
    assert structures.energy.tolist() == [-1.5, -1.5]
    np.testing.assert_array_equal(structures.forces, np.concatenate([image.get_forces() for image in images]))


def test_columns_come_before_calculators(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """What a column says is what Pacemaker trains on, so it is what counts."""
    images = frozen(make_atoms(2))
    frame = table(images, energy=[-7.0, -8.0], forces=[np.zeros((len(image), 3)) for image in images])
    structures = load_pacemaker_dataset(write(frame, tmp_path / 'd.pckl.gzip'))
    assert structures.energy.tolist() == [-7.0, -8.0]
    assert not structures.forces.any()


def test_missing_labels_are_an_error_unless_allowed(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """A file of bare structures is refused as a dataset, and read as candidates on request."""
    path = write(table(make_atoms(2, labelled=False)), tmp_path / 'd.pckl.gzip')
    with pytest.raises(DatasetError, match='has no energies'):
        load_pacemaker_dataset(path)
    assert load_pacemaker_dataset(path, require_labels=False).energy is None


def test_repeated_names_can_be_replaced(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Names that are not unique are an error that tells the remedy, and the remedy works."""
    images = frozen(make_atoms(2))
    labels = {'energy': [0.0, 0.0], 'forces': [image.get_forces() for image in images]}
    path = write(table(images, name=['a', 'a'], **labels), tmp_path / 'd.pckl.gzip')
    with pytest.raises(DatasetError, match='`names: content`'):
        load_pacemaker_dataset(path)
    assert len(set(load_pacemaker_dataset(path, names='content').names)) == 2


def test_numbers_as_names(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Names that are whole numbers are kept as text."""
    images = frozen(make_atoms(2))
    labels = {'energy': [0.0, 0.0], 'forces': [image.get_forces() for image in images]}
    path = write(table(images, name=[11, 7], **labels), tmp_path / 'd.pckl.gzip')
    assert load_pacemaker_dataset(path).names.tolist() == ['11', '7']


def test_stress_of_nine_numbers(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """A stress as nine numbers becomes six in the order of Voigt."""
    images = frozen(make_atoms(1))
    stress = [[1.0, 6.0, 5.0, 6.0, 2.0, 4.0, 5.0, 4.0, 3.0]]
    frame = table(images, energy=[0.0], forces=[images[0].get_forces()], stress=stress)
    structures = load_pacemaker_dataset(write(frame, tmp_path / 'd.pckl.gzip'))
    assert structures.stress.tolist() == [[1, 2, 3, 4, 5, 6]]


def test_table_without_structures_is_refused(tmp_path: Path) -> None:
    """A table without atoms is no dataset."""
    path = write(pd.DataFrame({'energy': [1.0]}), tmp_path / 'd.pckl.gzip')
    with pytest.raises(FileFormatError, match='no column `ase_atoms`'):
        load_pacemaker_dataset(path)


def test_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """A file that is not there is an error that names it."""
    with pytest.raises(FileFormatError, match=r'nowhere\.pckl\.gzip'):
        load_pacemaker_dataset(tmp_path / 'nowhere.pckl.gzip')


def test_pickled_object_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A pickle of something else is refused."""
    path = tmp_path / 'd.pckl.gzip'
    pd.to_pickle({'when': datetime.datetime(2026, 1, 1)}, path, compression='gzip')
    with pytest.raises(FileFormatError):
        load_pacemaker_dataset(path)


def test_files_are_merged(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Two files become one without the structures that both have; the first is replaced unless another is named."""
    images = make_atoms(5)
    main = save_to_pacemaker_format(images[:3], tmp_path / 'main.pckl.gzip')
    new = save_to_pacemaker_format(images[2:], tmp_path / 'new.pckl.gzip')
    other = merge_datasets(main, new, tmp_path / 'both.pckl.gzip')
    assert len(load_pacemaker_dataset(main)) == 3
    assert merge_datasets(main, new) == main
    expected = LabelledStructures.from_atoms(images)
    for path in (other, main):
        np.testing.assert_array_equal(load_pacemaker_dataset(path).fingerprints, expected.fingerprints)


def test_conflict_leaves_the_file_alone(make_atoms: Callable[..., list[ase.Atoms]], tmp_path: Path) -> None:
    """Contradicting labels stop the merge before anything is written, unless a policy is chosen."""
    structures = LabelledStructures.from_atoms(make_atoms(2))
    main = save_to_pacemaker_format(structures, tmp_path / 'main.pckl.gzip')
    new = save_to_pacemaker_format(structures.replace(energy=structures.energy + 1), tmp_path / 'new.pckl.gzip')
    before = main.read_bytes()
    with pytest.raises(DatasetError, match='on_conflict'):
        merge_datasets(main, new)
    assert main.read_bytes() == before
    merge_datasets(main, new, on_conflict='keep_last')
    np.testing.assert_array_equal(load_pacemaker_dataset(main).energy, structures.energy + 1)
