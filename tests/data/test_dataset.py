"""The node that holds labelled structures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import ase
import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ModificationNotAllowed, ValidationError
from aiida.plugins import DataFactory
from aiida.tools.archive import create_archive, import_archive

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.shards import DIRECTORY_FINGERPRINTS, DIRECTORY_SHARDS, DIRECTORY_SOURCES, StoredShard
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

pytestmark = pytest.mark.usefixtures('aiida_profile')

MakeAtoms = Callable[..., list[ase.Atoms]]


@pytest.fixture
def structures(make_atoms: MakeAtoms) -> LabelledStructures:
    """Return labelled structures with two sources."""
    plain = LabelledStructures.from_atoms(make_atoms(10))
    return plain.replace(sources=['u'] * 4 + [''] * 2 + ['v'] * 4)


def bytes_of(node: PaceDatasetData) -> list[bytes]:
    """Return the content of all shards."""
    names = sorted(node.base.repository.list_object_names(DIRECTORY_SHARDS))
    return [node.base.repository.get_object_content(f'{DIRECTORY_SHARDS}/{name}', mode='rb') for name in names]


def test_entry_point() -> None:
    """The node is found by its entry point."""
    assert DataFactory('autopipec.dataset') is PaceDatasetData


@pytest.mark.parametrize('max_shard_bytes', [1, 3000, 10**9])
def test_round_trip(structures: LabelledStructures, max_shard_bytes: int) -> None:
    """Whatever the sharding, structures and their sources come back."""
    node = PaceDatasetData.from_structures(structures, max_shard_bytes=max_shard_bytes).store()
    again = orm.load_node(node.uuid).get_structures()
    assert again.content_hash == structures.content_hash == node.content_hash
    assert again.sources.tolist() == structures.sources.tolist()
    assert node.get_source_uuids() == {'u', 'v'}
    np.testing.assert_array_equal(node.get_fingerprints(), structures.fingerprints)
    assert node.n_shards == {1: 10, 3000: node.n_shards, 10**9: 1}[max_shard_bytes]


def test_attributes_summarise(structures: LabelledStructures) -> None:
    """Attributes and properties tell what is inside without opening it."""
    corrected = structures.replace(energy_corrected=structures.energy - 1.0)
    node = PaceDatasetData.from_structures(corrected, reference={'Al': 1.0}, max_shard_bytes=2000)
    per_atom = structures.energy / structures.sizes
    assert node.n_structures == 10
    assert node.n_atoms == structures.n_atoms
    assert node.elements == ('Al',)
    assert (node.labelled, node.has_energy, node.has_energy_corrected) == (True, True, True)
    assert (node.has_stress, node.has_weights) == (True, False)
    assert node.energy_per_atom_range == (per_atom.min(), per_atom.max())
    assert node.energy_corrected_per_atom_range is not None
    assert node.force_max == pytest.approx(np.linalg.norm(structures.forces, axis=1).max())
    assert node.reference == {'Al': 1.0}


def test_every_attribute_has_a_field(structures: LabelledStructures) -> None:
    """Every attribute of a dataset is declared, so that queries can use it and models keep it."""
    corrected = structures.replace(energy_corrected=structures.energy)
    node = PaceDatasetData.from_structures(corrected, reference={'Al': 0.0})
    assert set(node.base.attributes.all) - set(PaceDatasetData.AttributesModel.model_fields) == set()


def test_fields_work_in_queries(make_atoms: MakeAtoms) -> None:
    """Datasets are found by what they hold."""
    nodes = [PaceDatasetData.from_atoms(make_atoms(n, seed=100 + n)).store() for n in (3, 5)]
    fields = PaceDatasetData.fields
    filters = (fields.n_structures == 5) & (fields.content_hash == nodes[1].content_hash)
    query = orm.QueryBuilder().append(PaceDatasetData, filters=filters, project=['uuid'])
    assert query.all(flat=True) == [nodes[1].uuid]


def test_candidates_have_no_ranges(make_atoms: MakeAtoms) -> None:
    """Without labels there are no ranges."""
    bare = LabelledStructures.from_atoms(make_atoms(2, labelled=False), require_labels=False)
    node = PaceDatasetData.from_structures(bare).store()
    assert not node.labelled
    assert node.energy_per_atom_range is None
    assert node.energy_corrected_per_atom_range is None
    assert node.force_max is None
    assert node.reference is None


def test_equal_content_gives_equal_bytes_and_hash(structures: LabelledStructures) -> None:
    """Equal structures give equal files; caching compares content and reference, not sources or sharding."""
    first = PaceDatasetData.from_structures(structures).store()
    second = PaceDatasetData.from_structures(structures.replace(sources=[''] * 10)).store()
    sharded = PaceDatasetData.from_structures(structures, max_shard_bytes=2000).store()
    assert bytes_of(first) == bytes_of(second)
    assert len({node.base.caching.get_hash() for node in (first, second, sharded)}) == 1
    changed = PaceDatasetData.from_structures(structures.replace(energy=structures.energy + 1e-9)).store()
    referenced = PaceDatasetData.from_structures(structures, reference={'Al': 1.0}).store()
    assert len({node.base.caching.get_hash() for node in (first, changed, referenced)}) == 3


def test_small_sets_share_a_file(structures: LabelledStructures) -> None:
    """Several small sets are one shard with the bytes of the whole; above the limit they are several."""
    parts = [structures.take(range(4)), structures.take(range(4, 10))]
    node = PaceDatasetData.from_structures(iter(parts))
    assert bytes_of(node) == bytes_of(PaceDatasetData.from_structures(structures))
    divided = PaceDatasetData.from_structures(iter(parts), max_shard_bytes=1)
    assert divided.n_shards == 10
    assert divided.content_hash == node.content_hash == structures.content_hash


def test_files_of_other_nodes_stay_what_they_are(structures: LabelledStructures) -> None:
    """A shard of a stored node between sets is the very same file, and the order stays."""
    stored = PaceDatasetData.from_structures(structures.take([3, 4])).store()
    parts = [structures.take([0, 1, 2]), *stored.stored_shards(), structures.take(range(5, 10))]
    node = PaceDatasetData.from_structures(parts).store()
    assert bytes_of(node)[1] == bytes_of(stored)[0]
    assert node.n_shards == 3
    assert node.content_hash == structures.content_hash


def test_rows_are_taken_without_reading_the_others(structures: LabelledStructures) -> None:
    """Parts that are chosen as a whole stay files, parts of which nothing is chosen are left out, the order stays."""
    pairs = [PaceDatasetData.from_structures(structures.take([row, row + 1])).store() for row in range(0, 10, 2)]
    node = PaceDatasetData.from_structures([shard for pair in pairs for shard in pair.stored_shards()]).store()
    taken = list(node.iter_taken([7, 0, 6, 4]))
    assert [isinstance(part, StoredShard) for part in taken] == [False, False, True]
    assert [name for part in taken for name in part.names] == structures.names[[0, 4, 6, 7]].tolist()


def test_fields_are_read_one_by_one(structures: LabelledStructures) -> None:
    """Each array of a file can be read without the others, and is what the whole has."""
    (shard,) = PaceDatasetData.from_structures(structures).store().stored_shards()
    assert shard.present == structures.present - {'sources'}
    for name in shard.present:
        np.testing.assert_array_equal(shard.field(name), getattr(structures, name))
    assert shard.n_atoms == structures.n_atoms


def test_known_hashes_are_those_of_the_content(structures: LabelledStructures) -> None:
    """Hashes that go along when rows are taken, joined or read are those that would be computed."""
    node = PaceDatasetData.from_structures(structures, max_shard_bytes=1).store()
    for part in (*node.iter_shards(), node.get_structures(), node.get_structures().take([4, 1]).replace(energy=[1, 2])):
        fresh = LabelledStructures(**part.fields())
        assert part.fingerprints.tolist() == fresh.fingerprints.tolist()
        assert part.digests.tolist() == fresh.digests.tolist()


def test_parts_of_a_new_node_know_their_names_and_hashes(structures: LabelledStructures) -> None:
    """What was just written need not be read to be known, and is what would be read."""
    node, shards = PaceDatasetData.with_shards(structures, max_shard_bytes=1)
    known = [{name: array.tolist() for name, array in vars(shard)['index'].items()} for shard in shards]
    assert node.content_hash == structures.content_hash
    read = node.store().stored_shards()
    assert known == [{name: array.tolist() for name, array in shard.index.items()} for shard in read]
    assert [shard.number for shard in shards] == [shard.number for shard in read]


def test_files_that_were_cleaned_up_are_missed(structures: LabelledStructures) -> None:
    """A node whose files were removed by a clean-up of the storage before it was stored is refused."""
    node = PaceDatasetData.from_structures(structures)
    backend = node.base.repository._repository.backend
    keys = [key for key in node.base.repository._repository.flatten(node.base.repository.serialize()).values() if key]
    backend.delete_objects(keys)
    with pytest.raises(ValidationError, match='make it once more'):
        node.store()


def test_clashing_names_are_refused(structures: LabelledStructures) -> None:
    """Sets that use one name twice are refused at once, not when they are read."""
    with pytest.raises(DatasetError, match='names are unique'):
        PaceDatasetData.from_structures([structures, structures])


def test_labels_of_some_sets_only_are_refused(structures: LabelledStructures) -> None:
    """Sets of which only some have labels do not become one node."""
    parts = [structures.take([0]), structures.take([1]).replace(energy=None)]
    with pytest.raises(DatasetError, match='lose or invent'):
        PaceDatasetData.from_structures(parts)
    with pytest.raises(DatasetError, match='no dataset'):
        PaceDatasetData.from_structures([])


def test_empty_node_is_not_stored() -> None:
    """A node that was not made by a constructor cannot be stored."""
    with pytest.raises(ValidationError, match='from_structures'):
        PaceDatasetData().store()


@pytest.mark.parametrize('directory', [DIRECTORY_SHARDS, DIRECTORY_SOURCES, DIRECTORY_FINGERPRINTS])
@pytest.mark.parametrize('missing', [True, False])
def test_incomplete_node_is_not_stored(structures: LabelledStructures, directory: str, missing: bool) -> None:
    """A node with a file too few or too many cannot be stored."""
    node = PaceDatasetData.from_structures(structures)
    if missing:
        node.base.repository.delete_object(f'{directory}/00000.npz')
    else:
        node.base.repository.put_object_from_filelike(io.BytesIO(b''), f'{directory}/00001.npz')
    with pytest.raises(ValidationError, match=directory):
        node.store()


def test_stored_node_does_not_change(structures: LabelledStructures) -> None:
    """Content and attributes of a stored dataset are fixed."""
    node = PaceDatasetData.from_structures(structures).store()
    with pytest.raises(ModificationNotAllowed):
        node.base.attributes.set('n_structures', 3)
    with pytest.raises(ModificationNotAllowed):
        node.base.repository.delete_object(f'{DIRECTORY_SHARDS}/00000.npz')


def test_archive_keeps_it(make_atoms: MakeAtoms, tmp_path: Path) -> None:
    """Exported, deleted and imported again, the dataset is the same."""
    node = PaceDatasetData.from_atoms(make_atoms(4, seed=321), names=['a', 'b', 'c', 'd']).store()
    uuid, content, digest = node.uuid, bytes_of(node), node.base.caching.compute_hash()
    create_archive([node], filename=tmp_path / 'archive.aiida')
    from aiida.tools import delete_nodes

    delete_nodes([node.pk], dry_run=False)
    import_archive(tmp_path / 'archive.aiida', create_group=False)
    again = orm.load_node(uuid)
    assert isinstance(again, PaceDatasetData)
    assert bytes_of(again) == content
    assert again.base.caching.compute_hash() == digest
    assert again.get_structures().names.tolist() == ['a', 'b', 'c', 'd']
