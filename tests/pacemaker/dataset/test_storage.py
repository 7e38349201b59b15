"""Labelled structures as bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset import storage
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import FileFormatError


def test_round_trip(mixed: LabelledStructures) -> None:
    """What is written comes back, names of any script included."""
    named = mixed.replace(names=['a', 'β-Cu', 'c' * 100, ''])
    again = storage.from_bytes(io.BytesIO(storage.to_bytes(named)))
    assert again.content_hash == named.content_hash
    assert again.names.tolist() == named.names.tolist()


def test_numpy_reads_it_without_pickles(mixed: LabelledStructures) -> None:
    """The file is an archive that numpy reads with pickles forbidden."""
    with np.load(io.BytesIO(storage.to_bytes(mixed)), allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive['forces'], mixed.forces)


def test_equal_content_gives_equal_bytes(mixed: LabelledStructures) -> None:
    """The bytes depend on the content alone: not on sources, memory layout, width of strings or history."""
    other = LabelledStructures.concatenate([mixed, mixed.take([0]).replace(names=['x' * 500])]).take(range(4))
    other = other.replace(forces=np.asfortranarray(mixed.forces), sources=['u'] * 4)
    assert other.names.dtype != mixed.names.dtype
    assert storage.to_bytes(other) == storage.to_bytes(mixed)


def array_file() -> bytes:
    """Return a file of one array instead of an archive."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    'content', [b'', b'no archive', array_file(), storage.write_arrays({'numbers': np.ones(1)})], ids=range(4)
)
def test_other_files_are_refused(content: bytes) -> None:
    """A file that is something else is refused with a sentence."""
    with pytest.raises(FileFormatError, match='this is not'):
        storage.from_bytes(io.BytesIO(content))


@pytest.mark.parametrize('max_bytes', [1, 500, 700, 10**9])
def test_shards_make_up_the_whole(mixed: LabelledStructures, max_bytes: int) -> None:
    """Shards are consecutive, none is empty, and together they are the set."""
    shards = list(storage.iter_shards(mixed, max_bytes))
    assert LabelledStructures.concatenate(shards).content_hash == mixed.content_hash
    if max_bytes == 1:
        assert len(shards) == 4
    if max_bytes == 10**9:
        assert shards[0] is mixed
