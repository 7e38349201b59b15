"""Datasets from structures with labels, from files, and back to files."""

from __future__ import annotations

import gzip
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pandas as pd
import pytest
from aiida import orm
from aiida.manage.caching import enable_caching

from aiida_autopipec.calculations.functions import convert
from aiida_autopipec.calculations.functions.convert import convert_structures, export_dataset, import_dataset
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.files import ImportOptions, PartReader, read_structures
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError, FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.formats import save_shards

pytestmark = pytest.mark.usefixtures('aiida_profile')

MakeAtoms = Callable[..., list[ase.Atoms]]


def labels_of(image: ase.Atoms, **changes: Any) -> orm.ArrayData:
    """Return energy, forces and stress of a structure as a node, some exchanged or, with None, left out."""
    arrays = {
        'energy': np.array(image.get_potential_energy()),
        'forces': image.get_forces(),
        'stress': image.get_stress(voigt=False),
    }
    node = orm.ArrayData()
    for name, array in (arrays | changes).items():
        if array is not None:
            node.set_array(name, array)
    return node


def test_structures_with_labels(make_atoms: MakeAtoms) -> None:
    """Structures and labels under the same keys become a dataset with these keys as names, with provenance."""
    images = make_atoms(3)
    keys = ['b', 'a', 'c']
    structures = {key: orm.StructureData(ase=image).store() for key, image in zip(keys, images, strict=True)}
    labels = {key: labels_of(image) for key, image in zip(keys, images, strict=True)}
    results, node = convert_structures.run_get_node(structures=structures, labels=labels)
    result = results['dataset'].get_structures()
    assert result.names.tolist() == ['a', 'b', 'c']
    order = [images[1], images[0], images[2]]
    expected = LabelledStructures.from_atoms(order, names=['a', 'b', 'c'])
    np.testing.assert_array_equal(result.fingerprints, expected.fingerprints)
    np.testing.assert_array_equal(result.energy, expected.energy)
    np.testing.assert_array_equal(result.forces, expected.forces)
    np.testing.assert_allclose(result.stress, expected.stress)
    assert result.sources.tolist() == [structures[name].uuid for name in 'abc']
    assert node.inputs.structures.a.uuid == structures['a'].uuid
    assert 'a' in node.inputs.labels


def test_structures_without_labels_are_candidates(make_atoms: MakeAtoms) -> None:
    """Without labels the dataset holds candidates."""
    structures = {'a': orm.StructureData(ase=make_atoms(1)[0])}
    assert not convert_structures(structures=structures)['dataset'].labelled


def test_missing_keys_are_named(make_atoms: MakeAtoms) -> None:
    """A key on one side only is an error that names it."""
    image = make_atoms(1)[0]
    structure, labels = orm.StructureData(ase=image), labels_of(image)
    with pytest.raises(DatasetError, match='`b` has structure but no labels'):
        convert_structures(structures={'a': structure, 'b': orm.StructureData(ase=image)}, labels={'a': labels})
    with pytest.raises(DatasetError, match='`b` has labels but no structure'):
        convert_structures(structures={'a': structure}, labels={'a': labels, 'b': labels_of(image)})
    with pytest.raises(DatasetError, match='`structure` is no input'):
        convert_structures(structure=structure)
    with pytest.raises(DatasetError, match='the dataset is empty'):
        convert_structures()


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'forces': None}, 'structure `a` has no label `forces`'),
        ({'forces': np.zeros((1, 3))}, 'forces of structure `a` have shape'),
        ({'energy': np.zeros(2)}, 'energy of structure `a` has shape'),
        ({'stress': np.zeros(4)}, 'structure `a`: a stress has 6'),
    ],
)
def test_wrong_labels_name_the_structure(make_atoms: MakeAtoms, changes: dict[str, Any], sentence: str) -> None:
    """A label that is missing or of the wrong shape is refused with the key."""
    image = make_atoms(1)[0]
    with pytest.raises(DatasetError, match=sentence):
        convert_structures(structures={'a': orm.StructureData(ase=image)}, labels={'a': labels_of(image, **changes)})


@pytest.mark.parametrize(('symbols', 'weights'), [(('Al', 'Cu'), (0.5, 0.5)), (('Al',), (0.9,))])
def test_partial_occupation_is_refused(symbols: tuple[str, ...], weights: tuple[float, ...]) -> None:
    """Sites that are shared or partly empty have no energy of their own."""
    structure = orm.StructureData(cell=(np.eye(3) * 4).tolist())
    structure.append_atom(position=(0.0, 0.0, 0.0), symbols=symbols, weights=weights, name='Al')
    with pytest.raises(DatasetError, match='`a` has sites of mixed or partial occupation'):
        convert_structures(structures={'a': structure})


def test_kinds_become_elements() -> None:
    """Two kinds of one element are the same element."""
    structure = orm.StructureData(cell=(np.eye(3) * 4).tolist(), pbc=(True, True, False))
    for name in ('Fe1', 'Fe2'):
        structure.append_atom(position=(float(name[-1]), 0.0, 0.0), symbols='Fe', name=name)
    result = convert_structures(structures={'a': structure})['dataset'].get_structures()
    assert result.elements == ('Fe',)
    assert result.pbc.tolist() == [[True, True, False]]


def file_of(images: list[ase.Atoms], name: str = 'data.extxyz') -> orm.SinglefileData:
    """Return structures in a file as a node."""
    buffer = io.StringIO()
    ase.io.write(buffer, images, format='extxyz')
    return orm.SinglefileData.from_string(buffer.getvalue(), filename=name)


def test_import_of_extxyz(make_atoms: MakeAtoms) -> None:
    """A file becomes a dataset whose structures name it as their source."""
    images = make_atoms(4)
    file = file_of(images)
    results, node = import_dataset.run_get_node(file)
    dataset = results['dataset']
    assert dataset.creator.uuid == node.uuid
    assert node.inputs.file.uuid == file.uuid
    assert dataset.get_source_uuids() == {file.uuid}
    assert results['report']['format'] == 'extxyz'
    np.testing.assert_array_equal(dataset.get_fingerprints(), LabelledStructures.from_atoms(images).fingerprints)


def test_import_with_a_cell_of_its_own_name(make_atoms: MakeAtoms) -> None:
    """An ``@`` in the name of a file is part of the name."""
    assert import_dataset(file_of(make_atoms(2), 'run@3.extxyz'))['dataset'].n_structures == 2


def test_import_is_cached(make_atoms: MakeAtoms) -> None:
    """Importing an equal file again is taken from the cache."""
    images = make_atoms(2, seed=5)
    import_dataset(file_of(images))
    with enable_caching():
        _, node = import_dataset.run_get_node(file_of(images))
    assert node.base.caching.is_created_from_cache


def bytes_of(structures: LabelledStructures) -> bytes:
    """Return the content of a ``.pckl.gzip``."""
    buffer = io.BytesIO()
    save_shards([structures], buffer)
    return buffer.getvalue()


def test_import_of_pacemaker_files(make_atoms: MakeAtoms) -> None:
    """A ``.pckl.gzip`` comes in with all its content."""
    structures = LabelledStructures.from_atoms(make_atoms(3))
    file = orm.SinglefileData.from_bytes(bytes_of(structures), filename='d.pckl.gzip')
    results = import_dataset(file)
    assert results['dataset'].content_hash == structures.content_hash
    assert results['report']['energy'] == 'column `energy`'


def test_export_and_import_are_inverse(make_atoms: MakeAtoms) -> None:
    """What is exported comes back as it was, and the file leads back to the dataset."""
    dataset = PaceDatasetData.from_structures(LabelledStructures.from_atoms(make_atoms(5)), max_shard_bytes=1000)
    assert dataset.n_shards > 1
    results, node = export_dataset.run_get_node(dataset)
    file = results['file']
    assert node.inputs.dataset.uuid == dataset.uuid
    assert file.filename == 'dataset.pckl.gzip'
    assert import_dataset(file)['dataset'].content_hash == dataset.content_hash
    with file.open(mode='rb') as handle:
        frame = pd.read_pickle(io.BytesIO(handle.read()), compression='gzip')
    np.testing.assert_array_equal(frame['energy'], dataset.get_structures().energy)


class Payload:
    """Runs a command where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Spell the command."""
        return os.mkdir, (str(self.path),)


def test_payload_is_refused(tmp_path: Path) -> None:
    """A pickle that would run something is refused and runs nothing."""
    witness = tmp_path / 'witness'
    content = gzip.compress(pickle.dumps(Payload(witness)))
    with pytest.raises(UnsafeFileError):
        import_dataset(orm.SinglefileData.from_bytes(content, filename='d.pckl.gzip'))
    assert not witness.exists()


def test_damaged_and_foreign_files_are_refused(make_atoms: MakeAtoms) -> None:
    """Half a file, and a file of something else, are errors with a sentence."""
    content = bytes_of(LabelledStructures.from_atoms(make_atoms(3)))
    with pytest.raises(FileFormatError, match=r'd\.pckl\.gzip'):
        import_dataset(orm.SinglefileData.from_bytes(content[: len(content) // 2], filename='d.pckl.gzip'))
    with pytest.raises(FileFormatError):
        import_dataset(orm.SinglefileData.from_bytes(gzip.compress(pickle.dumps([1, 2])), filename='d.pckl.gzip'))
    with pytest.raises(FileFormatError, match='not of a format that ASE recognises'):
        import_dataset(orm.SinglefileData.from_string('nothing', filename='notes.unknown'))


def test_wrong_options_are_refused(make_atoms: MakeAtoms) -> None:
    """An unknown option is an error that lists the known ones."""
    with pytest.raises(ConfigError, match='import option `unit` is unknown; known are format'):
        import_dataset(file_of(make_atoms(1)), parameters=orm.Dict({'unit': 'eV'}))


@pytest.mark.parametrize('names', ['file', 'content'])
def test_a_file_in_parts_is_the_file_as_a_whole(
    make_atoms: MakeAtoms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: str
) -> None:
    """Read structure by structure a file becomes the same dataset, with the same report, each row with its source."""
    path = tmp_path / 'd.extxyz'
    ase.io.write(path, [*make_atoms(5), *make_atoms(5, seed=2)])
    file = orm.SinglefileData(path)
    options = orm.Dict({'names': names})
    whole = import_dataset(file, options)
    monkeypatch.setattr(convert, 'MAX_SHARD_BYTES', 1)
    parts = import_dataset(file, options)
    assert parts['dataset'].content_hash == whole['dataset'].content_hash
    assert parts['report'].get_dict() == whole['report'].get_dict()
    assert parts['report']['frames'] == 10
    assert parts['dataset'].get_structures().sources.tolist() == [file.uuid] * 10
    reader = PartReader(path, ImportOptions(names=names), 1)
    divided = PaceDatasetData.from_structures(reader, max_shard_bytes=1000)
    at_once = PaceDatasetData.from_structures(
        read_structures(path, ImportOptions(names=names))[0], max_shard_bytes=1000
    )
    assert divided.n_shards > 1
    for one, other in zip(divided.iter_shards(), at_once.iter_shards(), strict=True):
        assert one.names.tolist() == other.names.tolist()
