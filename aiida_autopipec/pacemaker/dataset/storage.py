"""Labelled structures as bytes: files that ``numpy.load(allow_pickle=False)`` can read."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.errors import FileFormatError

MAX_SHARD_BYTES = 64 * 1024**2
"""Size beyond which a dataset is stored as several files, so that no step needs all of it in memory at once."""

# in memory; in a file, a number takes one byte. Other figures would divide datasets otherwise.
_BYTES_PER_ATOM = 4 + 24 + 24
_BYTES_PER_STRUCTURE = 72 + 8 + 8 + 48 + 64
_EPOCH = (1980, 1, 1, 0, 0, 0)
_TEXTS = ('names', 'sources')
_NARROW = {'numbers': (np.uint8, np.int32)}
"""Whole numbers that one byte can hold: their types in a file and in memory."""
_LAST_ASCII = 127
_SUFFIX = '.npy'
_LOCAL_HEADER_BYTES = 30
"""Length of the fixed part of the header before each file in a zip archive (APPNOTE 4.3.7); its last four bytes hold
the lengths of the two fields that follow it."""
_MAX_HEAD_BYTES = 10 + 2**16
"""Length of the longest header of an array: what is fixed of it, and as much as its two bytes of length can say."""
_DAMAGES = (ValueError, OSError, KeyError, EOFError, NotImplementedError, struct.error, zipfile.BadZipFile)
"""What the reader of zip archives raises on a file that is damaged, or no archive."""


class Chunks(io.BufferedIOBase):
    """Pieces of memory that can be read one after the other like a file, without having been put together.

    :mod:`zipfile` writes into it as into a pipe.
    """

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []
        self._next = 0

    def readable(self) -> bool:
        """Return that this can be read."""
        return True

    def write(self, data: Any, /) -> int:
        """Take a piece, which must not change any more."""
        piece = memoryview(data).cast('B')
        if piece.nbytes:
            self._pieces.append(piece)
        return piece.nbytes

    def read(self, size: int | None = -1, /) -> bytes:
        """Return what comes next, of one piece at a time; all that is left without ``size``."""
        if size is None or size < 0:
            rest = b''.join(self._pieces[self._next :])
            self._next = len(self._pieces)
            return rest
        if self._next == len(self._pieces):
            return b''
        piece = self._pieces[self._next]
        if piece.nbytes > size:
            self._pieces[self._next] = piece[size:]
        else:
            self._next += 1
        return piece[:size]  # type: ignore[return-value]  # memory instead of a copy of it: whoever writes it takes both


def write_arrays(arrays: dict[str, NDArray[Any]]) -> Chunks:
    """Return an ``npz`` archive, uncompressed, whose bytes depend on the arrays alone.

    Strings are stored as UTF-8, which takes a quarter of the space of numpy's own. The arrays are not copied, and must
    not change before the archive has been read.
    """
    chunks: Any = Chunks()
    with zipfile.ZipFile(chunks, 'w', zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            array = arrays[name]
            array = np.ascontiguousarray(_encoded(array) if array.dtype.kind == 'U' else array)
            header: Any = np.lib.format.header_data_from_array_1_0(array)
            with archive.open(zipfile.ZipInfo(f'{name}{_SUFFIX}', _EPOCH), 'w', force_zip64=True) as handle:
                np.lib.format.write_array_header_1_0(handle, header)
                if array.nbytes:
                    handle.write(array.reshape(-1).view(np.uint8).data)
    written: Chunks = chunks
    return written


class Archive:
    """What :func:`write_arrays` wrote, read array by array."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        """Look at what there is.

        :param content: the archive, or a file mapped into memory: arrays are parts of it, and not copied.
        :raises FileFormatError: if it is something else.
        """
        self._content = memoryview(content)
        file: Any = io.BytesIO(content) if isinstance(content, bytes) else content  # zipfile reads a map as a file
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except _DAMAGES as exception:
            raise _no_archive(exception) from exception
        self._entries = {entry.filename.removesuffix(_SUFFIX): entry for entry in entries}

    @property
    def names(self) -> list[str]:
        """Names of the arrays."""
        return list(self._entries)

    def read(self, name: str) -> NDArray[Any]:
        """Return one array; unless its type in memory is another, a part of the file that cannot be written to.

        :raises FileFormatError: if it is not there or is damaged.
        """
        try:
            whole = self._file(self._entries[name])
            head = io.BytesIO(whole[:_MAX_HEAD_BYTES])
            if np.lib.format.read_magic(head) != (1, 0):
                raise ValueError(f'`{name}` is an array of another version of the format')
            shape, in_columns, dtype = np.lib.format.read_array_header_1_0(head)
            if dtype.hasobject or in_columns:
                raise ValueError(f'`{name}` does not hold plain numbers or text, row by row')
            array: NDArray[Any] = np.frombuffer(whole, dtype=dtype, offset=head.tell()).reshape(shape)
        except _DAMAGES as exception:
            raise _no_archive(exception) from exception
        if array.dtype.kind == 'S' and name in _TEXTS:
            return _decoded(array)
        if name in _NARROW and array.dtype == _NARROW[name][0]:
            return array.astype(_NARROW[name][1])
        return array

    def _file(self, entry: zipfile.ZipInfo) -> memoryview:
        """Return a file of the archive: :mod:`zipfile` itself would copy it several times."""
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f'`{entry.filename}` is compressed')
        fixed_end = entry.header_offset + _LOCAL_HEADER_BYTES
        begin = fixed_end + sum(struct.unpack('<HH', self._content[fixed_end - 4 : fixed_end]))
        content = self._content[begin : begin + entry.file_size].toreadonly()
        if len(content) != entry.file_size or isal_zlib.crc32(content) != entry.CRC:
            raise ValueError(f'`{entry.filename}` is damaged')
        return content


def _encoded(texts: NDArray[np.str_]) -> NDArray[np.bytes_]:
    """Return texts as UTF-8, no wider than the longest of them."""
    letters = _letters(texts, np.uint32)
    if letters.max(initial=0) > _LAST_ASCII:
        return np.char.encode(texts, 'utf-8')
    used = np.flatnonzero(letters.any(axis=0))
    width = int(used[-1]) + 1 if used.size else 1
    return letters[:, :width].astype(np.uint8).view(f'S{width}').reshape(-1)


def _decoded(texts: NDArray[np.bytes_]) -> NDArray[np.str_]:
    letters = _letters(texts, np.uint8)
    if letters.max(initial=0) > _LAST_ASCII:
        return np.char.decode(texts, 'utf-8')
    return letters.astype(np.uint32).view(f'U{letters.shape[1]}').reshape(-1)


def _letters(texts: NDArray[Any], letter: Any) -> NDArray[Any]:
    """Return texts as ``(n, width)`` numbers of their letters, at least one of them: 0 after the last."""
    width = max(1, texts.dtype.itemsize // np.dtype(letter).itemsize)
    if not texts.dtype.itemsize:  # numpy makes them when all are empty
        return np.zeros((len(texts), width), dtype=letter)
    native = np.ascontiguousarray(texts, texts.dtype.newbyteorder('='))
    letters: NDArray[Any] = native.view(letter).reshape(len(texts), width)
    return letters


def read_arrays(content: bytes | mmap.mmap) -> dict[str, NDArray[Any]]:
    """Read all that :func:`write_arrays` wrote.

    :param content: the archive, or a file mapped into memory.
    :raises FileFormatError: if it is something else.
    """
    archive = Archive(content)
    return {name: archive.read(name) for name in archive.names}


def write_structures(structures: LabelledStructures, without: Collection[str] = ()) -> Chunks:
    """Return the content of a set, without its sources; equal content gives equal bytes.

    :param without: fields that are stored elsewhere, too.
    """
    left_out = {'sources', *without}
    arrays = {name: array for name, array in structures.fields().items() if name not in left_out}
    narrow = {name: arrays[name].astype(types[0]) for name, types in _NARROW.items() if name in arrays}
    return write_arrays({**arrays, **narrow})


def to_bytes(structures: LabelledStructures) -> bytes:
    """Return the same in one piece."""
    return write_structures(structures).read()


def from_bytes(content: bytes | mmap.mmap, **elsewhere: NDArray[Any] | None) -> LabelledStructures:
    """Read a set back.

    :param content: the archive, or a file mapped into memory.
    :param elsewhere: fields that are stored elsewhere: ``sources``, the ``(n,)`` UUIDs of the nodes that the structures
        come from, and what the archive was written without.
    :raises FileFormatError: if the file is something else.
    :raises DatasetError: if its arrays do not fit together.
    """
    try:
        fields: dict[str, Any] = {**read_arrays(content), **elsewhere}
        return LabelledStructures(**fields)
    except TypeError as exception:
        raise FileFormatError(f'this is not a set of labelled structures: {exception}') from exception


def rows_per_shard(atoms: int, max_bytes: int = MAX_SHARD_BYTES) -> int:
    """Return how many structures of so many atoms fit into one file."""
    return max(1, max_bytes // size_of(1, atoms))


def iter_shards(structures: LabelledStructures, max_bytes: int = MAX_SHARD_BYTES) -> Iterator[LabelledStructures]:
    """Divide a set into consecutive parts of about ``max_bytes`` at most each."""
    if size_of(len(structures), structures.n_atoms) <= max_bytes:
        yield structures
        return
    # of each number of the first structures
    sizes = structures.offsets * _BYTES_PER_ATOM + np.arange(len(structures) + 1) * _BYTES_PER_STRUCTURE
    begin = 0
    while begin < len(structures):
        end = max(int(np.searchsorted(sizes, sizes[begin] + max_bytes, side='right')) - 1, begin + 1)
        yield structures.stretch(begin, end)
        begin = end


def gather(parts: Iterable[LabelledStructures], max_bytes: int = MAX_SHARD_BYTES) -> Iterator[LabelledStructures]:
    """Put small consecutive sets together, and divide large ones, so that each has ``max_bytes`` at most."""
    waiting: list[LabelledStructures] = []
    size = 0
    for part in parts:
        added = size_of(len(part), part.n_atoms)
        if waiting and size + added > max_bytes:
            yield from _joined(waiting, max_bytes)
            waiting, size = [], 0
        waiting.append(part)
        size += added
    if waiting:
        yield from _joined(waiting, max_bytes)


def _joined(parts: list[LabelledStructures], max_bytes: int) -> Iterator[LabelledStructures]:
    yield from iter_shards(parts[0] if len(parts) == 1 else concatenate(parts), max_bytes)


def size_of(structures: int, atoms: int) -> int:
    """Return about how many bytes a file with so many structures and atoms takes."""
    return structures * _BYTES_PER_STRUCTURE + atoms * _BYTES_PER_ATOM


def _no_archive(reason: Exception) -> FileFormatError:
    return FileFormatError(f'this is not an archive of arrays: {reason}')
