"""Lines on the screen, the last of which may move."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

SPINNER = '|/-\\'
SECONDS_BETWEEN_PLAIN_LINES = 5.0


class Console:
    """Prints lines, and below them one that changes; where nobody looks, that one is repeated now and then.

    :param stream: where to print; by default standard output.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.is_terminal = self.stream.isatty()
        self._turns = 0
        self._last = ('', time.monotonic())

    def line(self, text: str = '') -> None:
        """Print a line that stays."""
        self._clear()
        self.stream.write(f'{text}\n')
        self.stream.flush()

    def live(self, text: str) -> None:
        """Print the line that changes."""
        if not self.is_terminal:
            self._repeat(text)
            return
        width = shutil.get_terminal_size().columns - 1
        self._turns += 1
        self.stream.write(f'\r\x1b[K  {SPINNER[self._turns % len(SPINNER)]} {text}'[: width + len('\r\x1b[K')])
        self.stream.flush()

    def _repeat(self, text: str) -> None:
        """Print the line if it is new, and the last time is long ago."""
        now = time.monotonic()
        if text != self._last[0] and now - self._last[1] > SECONDS_BETWEEN_PLAIN_LINES:
            self._last = (text, now)
            self.line(f'  . {text}')

    def _clear(self) -> None:
        if self.is_terminal:
            self.stream.write('\r\x1b[K')
