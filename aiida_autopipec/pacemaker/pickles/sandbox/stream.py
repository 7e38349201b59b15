"""Decompress an untrusted gzip file piece by piece, up to a limit."""

from __future__ import annotations

from collections.abc import Callable
from gzip import GzipFile
from typing import BinaryIO

from isal import igzip

from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError

_open_gzip: Callable[..., GzipFile] = igzip.IGzipFile
_PIECE = 1 << 16
GZIP_MAGIC = b'\x1f\x8b'


class BoundedGunzip:
    """The decompressed bytes of a gzip file, of one member or several, as the unpickler asks for them.

    :param file: the compressed file.
    :param limit: the most bytes that may come out.
    """

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = _open_gzip(fileobj=file, mode='rb')
        self._limit = limit
        self._left = limit

    def read(self, size: int = -1, /) -> bytes:
        """Return ``size`` bytes, fewer at the end."""
        self._admit(size)
        data: bytes = self._file.read(size)
        self._left -= len(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill ``buffer`` as far as the file goes."""
        self._admit(len(buffer))
        count = 0
        while piece := self._file.read(min(len(buffer) - count, _PIECE)):  # its own `readinto` reads all into a copy
            buffer[count : count + len(piece)] = piece
            count += len(piece)
        self._left -= count
        return count

    def readline(self, size: int = -1, /) -> bytes:
        """Return one line, which only pickles of protocol 0 have."""
        line: bytes = self._file.readline(min(self._left + 1, 1 << 20) if size < 0 else size)
        self._left -= len(line)
        self._admit(0)
        return line

    def finish(self) -> None:
        """Read to the end, where gzip keeps the checksum of what was read; pickles end before.

        :raises FileFormatError: if there is more than one pickle, as in files that were joined by ``cat``.
        """
        if self._file.read(_PIECE):
            raise FileFormatError(
                'The file goes on after its dataset, and Pacemaker would ignore the rest: it is damaged, or several '
                'files in one; join datasets with `aiida-autopipec dataset merge`.'
            )

    def _admit(self, size: int) -> None:
        """Refuse before memory is taken for what a few bytes of pickle merely claim to hold."""
        if not 0 <= size <= self._left:
            raise UnsafeFileError(
                f'The file decompresses to, or claims to hold, more than {self._limit} bytes: refused '
                '(raise `max_decompressed_bytes` or `max_ratio` of ReadLimits if you trust it).'
            )


def open_bounded(file: BinaryIO, limit: int) -> BoundedGunzip:
    """Open a gzip file.

    :raises FileFormatError: if it is none.
    """
    magic = file.read(2)
    file.seek(0)
    if magic != GZIP_MAGIC:
        raise FileFormatError('This is not a Pacemaker dataset: it is no gzip file.')
    return BoundedGunzip(file, limit)
