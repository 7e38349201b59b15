"""Labelled structures as bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aiida_autopipec.pacemaker.dataset import storage
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError


def test_round_trip(mixed: LabelledStructures) -> None:
    """What is written comes back, names of any script included."""
    named = mixed.replace(names=['a', 'β-Cu', 'c' * 100, ''])
    again = storage.from_bytes(storage.to_bytes(named))
    assert again.content_hash == named.content_hash
    assert again.names.tolist() == named.names.tolist()


@pytest.mark.parametrize(
    'texts', [['a', 'bcd'], ['', ''], ['β', ''], ['a\0b', 'c'], []], ids=['plain', 'empty', 'Greek', 'NUL', 'none']
)
@pytest.mark.parametrize('dtype', ['<U5', '>U5', None])
def test_texts_come_back(texts: list[str], dtype: str | None) -> None:
    """Names of any letters and any layout in memory are what they were, no wider than the longest of them."""
    names = np.array(texts, dtype=dtype or np.str_)
    content = storage.write_arrays({'names': names}).read()
    again = storage.read_arrays(content)['names']
    assert again.tolist() == names.tolist()
    assert again.dtype == np.array(texts or [''], dtype=np.str_).dtype
    assert content == storage.write_arrays({'names': np.array(texts, dtype=np.str_)}).read()


def test_numbers_take_one_byte(mixed: LabelledStructures) -> None:
    """Atomic numbers are narrow in the file alone; files in which they are not are read, too, and never cut."""
    with np.load(io.BytesIO(storage.to_bytes(mixed)), allow_pickle=False) as archive:
        assert archive['numbers'].dtype == np.uint8
    assert storage.Archive(storage.to_bytes(mixed)).read('numbers').dtype == np.int32
    assert storage.from_bytes(storage.to_bytes(mixed)).numbers.tolist() == mixed.numbers.tolist()
    fields = {name: array for name, array in mixed.fields().items() if name != 'sources'}
    assert storage.from_bytes(storage.write_arrays(fields).read()).content_hash == mixed.content_hash
    with pytest.raises(DatasetError, match='whole numbers'):
        storage.from_bytes(storage.write_arrays({**fields, 'numbers': mixed.numbers + 0.5}).read())


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
    'content', [b'', b'no archive', array_file(), storage.write_arrays({'numbers': np.ones(1)}).read()], ids=range(4)
)
def test_other_files_are_refused(content: bytes) -> None:
    """A file that is something else is refused with a sentence."""
    with pytest.raises(FileFormatError, match='this is not'):
        storage.from_bytes(content)


@pytest.mark.parametrize('max_bytes', [1, 500, 700, 10**9])
def test_shards_make_up_the_whole(mixed: LabelledStructures, max_bytes: int) -> None:
    """Shards are consecutive, none is empty, and together they are the set."""
    shards = list(storage.iter_shards(mixed, max_bytes))
    assert LabelledStructures.concatenate(shards).content_hash == mixed.content_hash
    if max_bytes == 1:
        assert len(shards) == 4
    if max_bytes == 10**9:
        assert shards[0] is mixed


def test_small_sets_are_gathered_and_large_ones_divided(mixed: LabelledStructures) -> None:
    """Consecutive sets share a file up to the limit; the content and its order stay."""
    singles = [mixed.take([row]) for row in range(len(mixed))]
    assert len(list(storage.gather(singles))) == 1
    assert len(list(storage.gather([mixed], max_bytes=1))) == len(mixed)
    limit = storage.size_of(2, 2 * int(mixed.sizes.max()))
    gathered = list(storage.gather(singles, max_bytes=limit))
    assert 1 < len(gathered) < len(mixed)
    assert concatenate(gathered).content_hash == mixed.content_hash


def test_arrays_are_parts_of_the_file(mixed: LabelledStructures) -> None:
    """Positions and forces are looked at where they are, and not copied."""
    content = storage.to_bytes(mixed)
    whole = np.frombuffer(content, dtype=np.uint8)
    for name in ('positions', 'forces', 'cells'):
        assert np.shares_memory(storage.Archive(content).read(name), whole)
        assert np.shares_memory(getattr(storage.from_bytes(content), name), whole)


def test_one_array_is_read_alone(mixed: LabelledStructures) -> None:
    """An array of an archive is read by its name, and one that is damaged or not there is refused."""
    content = storage.to_bytes(mixed)
    archive = storage.Archive(content)
    np.testing.assert_array_equal(archive.read('positions'), mixed.positions)
    with pytest.raises(FileFormatError):
        archive.read('nothing')
    place = content.index(mixed.positions.tobytes())
    damaged = content[:place] + b'\0\1' + content[place + 2 :]
    with pytest.raises(FileFormatError, match='damaged'):
        storage.Archive(damaged).read('positions')


def test_archives_are_read_in_pieces(mixed: LabelledStructures) -> None:
    """Reading an archive piece by piece gives the bytes that reading it at once gives."""
    chunks = storage.write_structures(mixed)
    assert b''.join(iter(lambda: bytes(chunks.read(100)), b'')) == storage.to_bytes(mixed)


@pytest.mark.parametrize('spare', [0, 5, 150])
def test_structures_one_by_one_are_divided_like_all_of_them(mixed: LabelledStructures, spare: int) -> None:
    """Equal content is in equal files whichever way it came: as a whole, one by one, or in files before."""
    limit = storage.size_of(2, int(mixed.sizes[:2].sum())) + spare
    expected = [part.names.tolist() for part in storage.iter_shards(mixed, limit)]
    singles = [mixed.take([row]) for row in range(len(mixed))]
    assert [part.names.tolist() for part in storage.gather(singles, limit)] == expected
    assert [part.names.tolist() for part in storage.gather(storage.iter_shards(mixed, limit), limit)] == expected
    assert max(storage.size_of(len(part), part.n_atoms) for part in storage.iter_shards(mixed, limit)) <= limit
