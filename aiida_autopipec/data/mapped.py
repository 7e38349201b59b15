"""Shards of a dataset mapped into memory, and kept open while their arrays are asked for one by one."""

from __future__ import annotations

import mmap
from collections import OrderedDict

from aiida.orm import Node

from aiida_autopipec.pacemaker.dataset.storage import Archive

MAX_MAPPED = 128
"""Files of a node that stay open: each takes a file descriptor, of which a process may have about a thousand. Arrays
that are still in use keep theirs open, too."""


def content_of(node: Node, path: str) -> bytes | mmap.mmap:
    """Return a file of a node, mapped into memory where it is a file of its own."""
    with node.base.repository.open(path, mode='rb') as handle:
        try:
            return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        # a part of a larger file (packed), or in an archive, or too many files are open
        except (AttributeError, OSError, ValueError):
            return handle.read()


class Archives:
    """The files of a node that hold arrays: opened once, because asking the repository for one takes milliseconds.

    Of what was read, no more than one file stays in memory, unless all of it may.
    """

    def __init__(self, node: Node, *, keep: bool) -> None:
        """Remember where the files are.

        :param keep: whether all that was read may stay in memory.
        """
        self._node = node
        self._keep = keep
        self._open: OrderedDict[str, tuple[bytes | mmap.mmap, Archive]] = OrderedDict()
        self._last = ''

    def __getitem__(self, path: str) -> Archive:
        """Return one of the files.

        :raises FileFormatError: if it is no archive of arrays.
        """
        if path != self._last:
            self._let_go()
        if path not in self._open:
            content = content_of(self._node, path)
            self._open[path] = content, Archive(content)
        self._open.move_to_end(path)
        if len(self._open) > MAX_MAPPED:
            self._open.popitem(last=False)
        self._last = path
        return self._open[path][1]

    def _let_go(self) -> None:
        """Give the memory of the last file back; what of it is looked at again is read again."""
        if self._keep or self._last not in self._open:
            return
        content = self._open[self._last][0]
        if not isinstance(content, mmap.mmap):
            del self._open[self._last]
        elif hasattr(mmap, 'MADV_DONTNEED'):
            content.madvise(mmap.MADV_DONTNEED)
