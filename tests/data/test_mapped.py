"""Files of datasets that are kept open while their arrays are asked for."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from aiida_autopipec.data import mapped
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.mapped import Archives
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')  # other tests pack and damage files of equal content


@pytest.fixture
def dataset(aiida_profile_clean, make_atoms) -> PaceDatasetData:
    """Return a stored dataset in twelve files."""
    structures = LabelledStructures.from_atoms(make_atoms(12))
    return PaceDatasetData.from_structures(structures, max_shard_bytes=1).store()


def paths(dataset: PaceDatasetData) -> list[str]:
    """Return where the files are."""
    return [f'shards/{number:05d}.npz' for number in range(dataset.n_shards)]


@pytest.mark.parametrize('keep', [True, False])
def test_files_are_opened_once(dataset: PaceDatasetData, keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many arrays are read, and in whatever order; arrays stay what they are when others are read."""
    opened = []
    monkeypatch.setattr(
        mapped, 'content_of', lambda node, path, original=mapped.content_of: opened.append(path) or original(node, path)
    )
    archives = Archives(dataset, keep=keep)
    found = {(name, path): archives[path].read(name) for name in ('positions', 'energy') for path in paths(dataset)}
    assert opened == paths(dataset)
    for number, shard in enumerate(dataset.iter_shards()):
        for name in ('positions', 'energy'):
            np.testing.assert_array_equal(found[name, paths(dataset)[number]], getattr(shard, name))


def test_no_more_than_so_many_stay_open(dataset: PaceDatasetData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may not have any number of open files."""
    monkeypatch.setattr(mapped, 'MAX_MAPPED', 3)
    before = len(list(Path('/proc/self/fd').iterdir()))
    archives = Archives(dataset, keep=False)
    for path in paths(dataset) * 2:
        archives[path].read('energy')
        assert len(list(Path('/proc/self/fd').iterdir())) <= before + 3
    assert archives[paths(dataset)[0]].read('energy') == dataset.get_structures().energy[0]


def test_packed_files_are_not_kept(dataset: PaceDatasetData) -> None:
    """A piece of a larger file cannot be mapped: it is read, and let go where not all may stay in memory."""
    dataset.backend.get_repository().maintain(live=False, pack_loose=True, do_vacuum=False)
    for keep, kept in ((True, 12), (False, 1)):
        archives = Archives(dataset, keep=keep)
        for path in paths(dataset):
            assert archives[path].read('energy').shape == (1,)
        assert len(archives._open) == kept
        assert not any(isinstance(content, mmap.mmap) for content, _ in archives._open.values())


def test_memory_of_the_last_file_is_given_back() -> None:
    """What was read of a file is no longer in memory when another one is read, but can be looked at."""
    n = 500_000
    large = LabelledStructures(
        numbers=np.full(n, 13),
        positions=np.random.default_rng(0).normal(size=(n, 3)),
        cells=np.zeros((n, 3, 3)),
        pbc=np.zeros((n, 3), dtype=bool),
        offsets=np.arange(n + 1),
        energy=np.zeros(n),
        names=np.arange(n).astype(str),
    )
    dataset = PaceDatasetData.from_structures(large, max_shard_bytes=50 * 1024**2).store()
    first, second = paths(dataset)[:2]

    def resident() -> int:
        lines = Path('/proc/self/status').read_text().splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(('RssFile', 'RssShmem')))  # tmpfs

    archives = Archives(dataset, keep=False)
    before = resident()
    positions = archives[first].read('positions')
    total = positions.sum()
    assert resident() - before > 0.9 * positions.nbytes
    archives[second].read('energy')
    assert resident() - before < 0.5 * positions.nbytes
    assert positions.sum() == total
