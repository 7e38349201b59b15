"""What can be said about one key of an input."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aiida_autopipec.pacemaker.config.names import dotted
from aiida_autopipec.pacemaker.config.settings import Path


class Level(str, Enum):
    """How much a remark matters."""

    ERROR = 'error'
    """Pacemaker would fail, or do something else than what is written."""
    ADVICE = 'advice'
    """The key has no effect, or has to be given in another place."""
    NOTE = 'note'
    """Pacemaker does this without a word."""


@dataclass(frozen=True)
class Remark:
    """One thing to know about an input.

    :param level: how much it matters.
    :param path: the keys that lead to what it is about; empty for the whole file.
    :param text: what it means, and what to do.
    :param line: in the file, counted from one; ``None`` for what is not there.
    """

    level: Level
    path: Path
    text: str
    line: int | None = None

    @property
    def key(self) -> str:
        """Return the path as text."""
        return dotted(self.path)

    def __str__(self) -> str:
        """Return the remark as one line, such as ``12: error: fit.maxitr: unknown key; …``."""
        where = '' if self.line is None else f'{self.line}: '
        about = f'{self.key}: ' if self.path else ''
        return f'{where}{self.level.value}: {about}{self.text}'
