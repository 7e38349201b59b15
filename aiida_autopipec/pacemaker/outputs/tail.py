"""New lines of a table of metrics that is still being written.

Unlike :func:`~aiida_autopipec.pacemaker.outputs.metrics.parse_metrics` this never fails: what cannot be understood is
counted and left out, because whoever follows a training has to go on, whatever a full disk made of the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydantic import BaseModel, Field

LONGEST_LINE = 16_384
"""Bytes without a line break after which a line is damaged; a row of python-ace 0.4.0rc1 has about 370."""
LARGEST_COUNT = 1_000_000_000
"""Steps and iterations beyond this are no numbers that Pacemaker wrote."""
MOST_COLUMNS = 100

_COUNTS = ('ladder_step', 'cycle_step', 'iter_num')
_VALUES = ('loss', 'rmse_epa', 'rmse_f_comp')


@dataclass(frozen=True)
class Row:
    """One line of the metrics.

    :param ladder_step: from 0, as ``cycle_step``.
    :param iteration: within its minimisation; 0 is the start.
    :param loss: may be NaN or infinite, as the errors.
    :param rmse_energy: eV/atom.
    :param rmse_forces: eV/Å, per component.
    """

    ladder_step: int
    cycle_step: int
    iteration: int
    loss: float
    rmse_energy: float
    rmse_forces: float


class Position(BaseModel):
    """How far a table has been read.

    :param offset: bytes that have been read; the next line begins there.
    :param columns: names of the header, empty before it was seen.
    :param damaged: lines that could not be understood.
    """

    offset: int = Field(0, ge=0)
    columns: list[str] = Field(default_factory=list, max_length=MOST_COLUMNS)
    damaged: int = Field(0, ge=0)

    def read(self, data: bytes) -> list[Row]:
        """Return the whole lines of what was read from ``offset`` on, and move on behind them.

        A last line without its line break is half-written, and left for the next time.
        """
        end = data.rfind(b'\n') + 1
        if end == 0 and len(data) >= LONGEST_LINE:
            self.offset += len(data)
            self.damaged += 1
            return []
        self.offset += end
        lines = (line.split() for line in data[:end].decode('ascii', errors='replace').split('\n'))
        rows = [self._read_line(words) for words in lines if words]
        return [row for row in rows if row is not None]

    def _read_line(self, words: list[str]) -> Row | None:
        """Return the row of a line, or ``None`` for a header and for a damaged line."""
        if 'iter_num' in words and 'loss' in words and len(words) <= MOST_COLUMNS:
            self.columns = words
            return None
        row = _parse_row(self.columns, words)
        self.damaged += row is None
        return row


def _parse_row(columns: list[str], words: list[str]) -> Row | None:
    """Return a row, or ``None`` if it is not one."""
    if len(words) != len(columns):
        return None
    cells = dict(zip(columns, words, strict=True))
    try:
        ladder_step, cycle_step, iteration = (_count(cells[name]) for name in _COUNTS)
        loss, rmse_energy, rmse_forces = (float(cells[name]) for name in _VALUES)
    except (KeyError, ValueError):
        return None
    return Row(ladder_step, cycle_step, iteration, loss, rmse_energy, rmse_forces)


def _count(word: str) -> int:
    """Return a step or an iteration.

    :raises ValueError: if it is none.
    """
    number = float(word)
    if not math.isfinite(number) or number != int(number) or not 0 <= number <= LARGEST_COUNT:
        raise ValueError(word)
    return int(number)
