"""Positions and forces of a long trajectory stay in its files, which its datasets link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ValidationError
from aiida.common.folders import SandboxFolder
from aiida.manage.manager import get_manager
from aiida.tools import delete_nodes
from aiida.tools.archive import create_archive, import_archive

from aiida_autopipec.calculations.common import write_dataset
from aiida_autopipec.calculations.functions.combine import merge_datasets, split_dataset
from aiida_autopipec.calculations.functions.convert import convert_trajectory
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.shards import DIRECTORY_ARRAYS, SMALL_BYTES
from aiida_autopipec.pacemaker import load_pacemaker_dataset
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

pytestmark = pytest.mark.usefixtures('aiida_profile')

ATOMS = 64
FRAMES = SMALL_BYTES // (24 * ATOMS) + 1
"""Few as there are, their positions are too large a file to be called small."""
STATED = {'energy': {'array': 'energy', 'unit': 'eV'}, 'forces': {'array': 'forces', 'unit': 'eV/Å'}}


def make_trajectory(frames: int = FRAMES, seed: int = 0, *, surplus: int = 0) -> orm.TrajectoryData:
    """Return a stored trajectory of random gas, perhaps with more labels than frames."""
    rng = np.random.default_rng(seed)
    trajectory = orm.TrajectoryData()
    positions = rng.uniform(0, 20, (frames, ATOMS, 3))
    cells = np.tile(20 * np.eye(3), (frames, 1, 1))
    trajectory.set_trajectory(symbols=['Ar'] * ATOMS, positions=positions, cells=cells, pbc=(True, True, True))
    trajectory.set_array('energy', rng.normal(size=frames + surplus))
    trajectory.set_array('forces', rng.normal(size=(frames + surplus, ATOMS, 3)))
    return trajectory.store()


def convert(trajectory: orm.TrajectoryData, **stated: Any) -> PaceDatasetData:
    """Convert a trajectory."""
    return convert_trajectory(trajectory, orm.Dict({**STATED, **stated}))['dataset']


def keys(node: orm.Node, path: str = '') -> set[str]:
    """Return the keys of the files below a path of a repository."""
    flat = node.base.repository._repository.flatten(node.base.repository.serialize())
    return {key for name, key in flat.items() if key and name.startswith(path)}


def expected(trajectory: orm.TrajectoryData) -> LabelledStructures:
    """Return what the dataset should hold, put together by hand."""
    frames = len(trajectory.get_array('positions'))
    return LabelledStructures(
        numbers=np.full(frames * ATOMS, 18),
        positions=trajectory.get_array('positions').reshape(-1, 3),
        cells=trajectory.get_array('cells'),
        pbc=np.ones((frames, 3)),
        offsets=np.arange(frames + 1) * ATOMS,
        energy=trajectory.get_array('energy')[:frames],
        forces=trajectory.get_array('forces')[:frames].reshape(-1, 3),
        names=np.array([f'{trajectory.uuid[:8]}-frame-{frame}' for frame in range(frames)]),
    )


@pytest.fixture(scope='module')
def trajectory(aiida_profile: Any) -> orm.TrajectoryData:
    """Return a trajectory whose positions and forces are large files."""
    return make_trajectory()


@pytest.fixture(scope='module')
def dataset(trajectory: orm.TrajectoryData) -> PaceDatasetData:
    """Return the dataset made of it."""
    return convert(trajectory)


def test_files_are_those_of_the_trajectory(trajectory: orm.TrajectoryData, dataset: PaceDatasetData) -> None:
    """Nothing large is stored twice, and the dataset is the one that would be without."""
    linked = keys(dataset, f'{DIRECTORY_ARRAYS}/')
    assert linked == keys(trajectory, 'positions.npy') | keys(trajectory, 'forces.npy')
    backend = get_manager().get_profile_storage().get_repository()
    own = sum(len(backend.get_object_content(key)) for key in keys(dataset) - linked)
    assert own < 0.3 * SMALL_BYTES
    whole = expected(trajectory)
    assert dataset.content_hash == whole.content_hash
    unlinked = PaceDatasetData.from_structures(whole).store()
    assert unlinked.base.caching.compute_hash() == dataset.base.caching.compute_hash()
    assert keys(unlinked, f'{DIRECTORY_ARRAYS}/') == set()


def test_every_way_of_reading(dataset: PaceDatasetData, trajectory: orm.TrajectoryData) -> None:
    """The whole, each array by itself, some rows, and the file of a training job are those of the trajectory."""
    whole = expected(trajectory)
    fields = whole.fields()
    (shard,) = dataset.stored_shards()
    assert shard.present == set(fields) - {'sources'}
    structures = dataset.get_structures()
    for name in shard.present:
        np.testing.assert_array_equal(shard.field(name), fields[name])
        np.testing.assert_array_equal(getattr(structures, name), fields[name])
    chosen = [part.load() for part in dataset.iter_taken(np.array([0, 7, FRAMES - 1]))]
    np.testing.assert_array_equal(chosen[0].forces, whole.take([0, 7, FRAMES - 1]).forces)
    with SandboxFolder() as folder:
        write_dataset(dataset, folder, 'train.pckl.gzip')
        uploaded = load_pacemaker_dataset(Path(folder.abspath) / 'train.pckl.gzip')
    np.testing.assert_array_equal(uploaded.positions, whole.positions)
    np.testing.assert_array_equal(uploaded.forces, whole.forces)


def test_parts_of_a_file(trajectory: orm.TrajectoryData) -> None:
    """A dataset of several shards has each from its place in the file, and labels beyond the frames are not in it."""
    longer = make_trajectory(seed=1, surplus=1)
    whole = expected(longer)
    frames = [whole.take(range(begin, min(begin + 1000, FRAMES))) for begin in range(0, FRAMES, 1000)]
    key = {field: next(iter(keys(longer, f'{field}.npy'))) for field in ('positions', 'forces')}
    divided = PaceDatasetData.from_structures(frames, max_shard_bytes=2**20, arrays=key).store()
    assert divided.n_shards > 2
    assert divided.content_hash == whole.content_hash
    for begin in (0, 1, divided.n_shards - 1):
        part = divided.stored_shards()[begin].load()
        assert part.content_hash == LabelledStructures(**part.fields()).content_hash
    again = divided.get_structures()
    assert again.positions.tobytes() == whole.positions.tobytes()
    assert again.forces.tobytes() == whole.forces.tobytes()
    assert convert(longer, extra_labels=1).content_hash == whole.content_hash


def test_merges_and_divisions(dataset: PaceDatasetData, trajectory: orm.TrajectoryData) -> None:
    """Merged, files stay linked; a second copy of a trajectory leaves nothing behind; a part is written anew."""
    other = make_trajectory(seed=2)
    merged = merge_datasets(a=dataset, b=convert(other))['dataset']
    assert keys(merged, f'{DIRECTORY_ARRAYS}/') == {
        key for node in (trajectory, other) for name in ('positions', 'forces') for key in keys(node, f'{name}.npy')
    }
    both = LabelledStructures.concatenate([expected(trajectory), expected(other)])
    assert merged.get_structures().content_hash == both.content_hash
    copy = convert(trajectory.clone().store())
    alone = merge_datasets(a=dataset, b=copy)['dataset']
    assert keys(alone) == keys(dataset)
    parts = split_dataset(dataset, orm.Float(0.5), orm.Int(0))
    rows = np.isin(dataset.get_names(), parts['test_set'].get_names())
    assert parts['test_set'].content_hash == expected(trajectory).take(rows).content_hash
    assert keys(parts['test_set'], f'{DIRECTORY_ARRAYS}/') == set()


@pytest.mark.parametrize(
    ('changes', 'fields'),
    [
        ({'positions': 'fractional'}, {'forces'}),
        ({'forces': {'array': 'forces', 'unit': 'Hartree/Bohr'}}, {'positions'}),
        ({'energy': {'array': 'energy', 'unit': 'Hartree'}}, {'positions', 'forces'}),
    ],
    ids=['fractional', 'hartree-bohr', 'hartree'],
)
def test_only_what_stays_as_it_is(trajectory: orm.TrajectoryData, changes: dict[str, Any], fields: set[str]) -> None:
    """Arrays in other units or coordinates are converted and written."""
    (shard,) = convert(trajectory, **changes).stored_shards()
    assert set(shard.links) == fields
    plain = shard.load()
    assert plain.content_hash == LabelledStructures(**plain.fields()).content_hash


@pytest.mark.parametrize('order', ['rows', 'columns', 'float32'])
def test_only_arrays_in_the_right_order_and_type(order: str) -> None:
    """An array of other numbers, or stored column by column, is written anew; what comes out is the same."""
    trajectory = make_trajectory(seed=3).clone()
    forces = trajectory.get_array('forces')
    changed = {'rows': forces, 'columns': np.asfortranarray(forces), 'float32': forces.astype(np.float32)}[order]
    trajectory.set_array('forces', changed)
    (shard,) = convert(trajectory.store()).stored_shards()
    assert set(shard.links) == ({'positions', 'forces'} if order == 'rows' else {'positions'})
    np.testing.assert_array_equal(shard.load().forces, changed.reshape(-1, 3))


def test_a_trajectory_that_is_not_stored_has_nothing_to_link(trajectory: orm.TrajectoryData) -> None:
    """Without provenance a trajectory need not be stored, and its files are nobody's."""
    clone = trajectory.clone()
    results = convert_trajectory(clone, orm.Dict(STATED), metadata={'store_provenance': False})
    assert not clone.is_stored
    assert results['dataset'].stored_shards()[0].links == {}
    assert len(results['dataset'].get_structures()) == FRAMES


def test_short_trajectories_are_not_linked() -> None:
    """Datasets of small files are put together sooner or later, so links would not last."""
    (shard,) = convert(make_trajectory(FRAMES - 2)).stored_shards()
    assert shard.links == {}


@pytest.mark.parametrize('compress', [False, True])
def test_packed_storage(compress: bool) -> None:
    """A file that was packed with others by a clean-up of the storage, compressed or not, is read all the same."""
    trajectory = make_trajectory(seed=5 + compress)
    dataset = convert(trajectory)
    with get_manager().get_profile_storage().get_repository()._container as container:
        container.pack_all_loose(compress=compress)
        container.clean_storage()
    again = orm.load_node(dataset.uuid)
    assert again.get_structures().content_hash == expected(trajectory).content_hash
    (shard,) = again.stored_shards()
    np.testing.assert_array_equal(shard.field('forces'), expected(trajectory).forces)


def test_an_archive_has_it_without_the_trajectory(tmp_path: Path) -> None:
    """Exported alone, deleted and imported again, the dataset is complete."""
    trajectory = make_trajectory(seed=7)
    whole = expected(trajectory)
    key = {field: next(iter(keys(trajectory, f'{field}.npy'))) for field in ('positions', 'forces')}
    dataset = PaceDatasetData.from_structures(whole, arrays=key).store()
    create_archive([dataset], filename=tmp_path / 'archive.aiida')
    uuid, files = dataset.uuid, keys(dataset) | keys(trajectory)
    delete_nodes([dataset.pk, trajectory.pk], dry_run=False)
    get_manager().get_profile_storage().get_repository().delete_objects(list(files))
    import_archive(tmp_path / 'archive.aiida', create_group=False)
    assert orm.load_node(uuid).get_structures().content_hash == whole.content_hash


def test_a_clone_that_is_not_stored(dataset: PaceDatasetData) -> None:
    """A clone reads its own copy, and another node made of its parts has them, too."""
    clone = dataset.clone()
    assert clone.get_structures().content_hash == dataset.content_hash
    assert PaceDatasetData.from_structures(clone.stored_shards()).store().content_hash == dataset.content_hash


def test_damage_is_noticed() -> None:
    """A file whose numbers changed, or that ends too early, is refused with its field and node."""
    trajectory = make_trajectory(seed=8)
    dataset = convert(trajectory)
    (file,) = keys(trajectory, 'forces.npy')
    with get_manager().get_profile_storage().get_repository()._container as container:
        path = Path(container.get_folder()) / 'loose' / file[:2] / file[2:]
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    (shard,) = dataset.stored_shards()
    with pytest.raises(DatasetError, match=f'`forces` in file 0 of dataset {dataset.uuid} is damaged'):
        shard.load()
    with pytest.raises(DatasetError, match='is damaged'):
        shard.field('forces')
    path.write_bytes(content[:-100])
    with pytest.raises(DatasetError, match='`forces` is cut off'):
        shard.field('forces')


def test_a_missing_link_is_noticed(trajectory: orm.TrajectoryData) -> None:
    """A node without a file that its attributes name cannot be stored."""
    key = {'forces': next(iter(keys(trajectory, 'forces.npy')))}
    node = PaceDatasetData.from_structures(expected(trajectory), arrays=key)
    node.base.repository.delete_object(f'{DIRECTORY_ARRAYS}/{key["forces"]}.npy')
    with pytest.raises(ValidationError, match='should hold 1 files in `arrays`'):
        node.store()
