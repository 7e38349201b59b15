"""The few pickle opcodes that a dataset takes, written as a stream.

:mod:`pickle` can only write objects that exist. A dataset file is cheaper to write, and means the same in every version
of its libraries, when the calls that rebuild it are spelled by hand.
Opcodes: :mod:`pickletools` (protocol 4, PEP 3154).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: pickle's own frame size; without frames the reader would fetch each opcode with a call of its own.
FRAME_BYTES = 64 * 1024
CHUNK_BYTES = 1 << 20
BATCH_ITEMS = 1000
_LAST_ASCII = 0x7F


class ByteSink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take ``data``."""


class PickleStream:
    """Writes one pickle, opcode by opcode; each method pushes exactly one object on the reader's stack."""

    def __init__(self, sink: ByteSink) -> None:
        self._sink = sink
        self._frame = bytearray()
        self._memo: dict[object, int] = {}
        sink.write(b'\x80\x04')

    def close(self) -> None:
        """End the pickle; the object on the stack is its value."""
        self._put(b'.')
        self._end_frame()

    def none(self) -> None:
        """Push None."""
        self._put(b'N')

    def integer(self, value: int) -> None:
        """Push an integer of at most 64 bits."""
        if -(1 << 31) <= value < 1 << 31:
            self._put(b'J' + struct.pack('<i', value))
        else:
            self._put(b'\x8a\x08' + struct.pack('<q', value))

    def false(self) -> None:
        """Push False."""
        self._put(b'\x89')

    def string(self, text: str) -> None:
        """Push a string."""
        self._put(_string(text))

    def strings(self, texts: Iterable[str]) -> None:
        """Push a list of strings."""
        self._put(b']')
        remaining = iter(texts)
        while batch := list(itertools.islice(remaining, BATCH_ITEMS)):
            self._put(b'(' + _strings(batch) + b'e')

    def public_name(self, module: str, name: str) -> None:
        """Push the object that ``from module import name`` gives."""
        if not self.recall((module, name)):
            self._put(_string(module) + _string(name) + b'\x93')
            self.remember((module, name))

    def remember(self, key: object) -> None:
        """Keep the object on top of the stack under ``key``."""
        self._memo[key] = len(self._memo)
        self._put(b'\x94')

    def recall(self, key: object) -> bool:
        """Push the object that is kept under ``key``, if there is one."""
        position = self._memo.get(key)
        if position is None:
            return False
        self._put(b'j' + struct.pack('<I', position))
        return True

    def mark(self) -> None:
        """Begin the items of a tuple or of a dictionary."""
        self._put(b'(')

    def end_tuple(self) -> None:
        """Push the tuple of what was pushed since :meth:`mark`."""
        self._put(b't')

    def empty_dict(self) -> None:
        """Push an empty dictionary."""
        self._put(b'}')

    def end_items(self) -> None:
        """Put the keys and values pushed since :meth:`mark` into the dictionary below the mark."""
        self._put(b'u')

    def call(self) -> None:
        """Push what the callable below gives for the tuple of arguments on top."""
        self._put(b'R')

    def build(self) -> None:
        """Give the state on top to the object below it."""
        self._put(b'b')

    def raw_bytes(self, chunks: Iterable[NDArray[np.generic]], size: int) -> None:
        """Push one bytes object with the memory of all ``chunks`` (C-contiguous arrays), never copied as a whole.

        :param size: number of bytes in all chunks.
        """
        self._end_frame()
        self._sink.write(b'\x8e' + struct.pack('<Q', size))
        for chunk in chunks:
            if chunk.nbytes:
                memory = chunk.reshape(-1).view(np.uint8).data
                for start in range(0, len(memory), CHUNK_BYTES):
                    self._sink.write(memory[start : start + CHUNK_BYTES])

    def _put(self, opcodes: bytes) -> None:
        self._frame += opcodes
        if len(self._frame) >= FRAME_BYTES:
            self._end_frame()

    def _end_frame(self) -> None:
        if self._frame:
            self._sink.write(b'\x95' + struct.pack('<Q', len(self._frame)) + bytes(self._frame))
            self._frame.clear()


def _string(text: str) -> bytes:
    data = text.encode('utf-8', 'surrogatepass')
    return b'X' + struct.pack('<I', len(data)) + data


def _strings(texts: list[str]) -> bytes:
    """Return the same for many strings at once: a call for each would cost as much as compressing the structures."""
    codes = np.array(texts, dtype=np.str_)
    width = codes.itemsize // 4
    sizes = np.char.str_len(codes)
    letters = codes.view(np.uint32).reshape(len(texts), width) if width else np.zeros((len(texts), 0), dtype=np.uint32)
    if (letters.size and letters.max() > _LAST_ASCII) or sizes.tolist() != list(map(len, texts)):
        return b''.join(map(_string, texts))
    spelled = np.empty((len(texts), 5 + width), dtype=np.uint8)
    spelled[:, 0] = ord('X')
    spelled[:, 1:5] = sizes.astype('<u4').view(np.uint8).reshape(-1, 4)
    spelled[:, 5:] = letters
    return spelled[np.arange(5 + width) < 5 + sizes[:, None]].tobytes()
