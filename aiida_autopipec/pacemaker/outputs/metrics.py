"""Learning curves: ``metrics.txt`` and its relatives.

The format is the one of ``pyace.metrics_aggregator`` (python-ace 0.4.0rc1): a header, then one line of padded columns
per iteration, cycle or ladder step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import OutputError

#: Units of the columns that have one. ``log.txt`` prints meV instead.
COLUMN_UNITS: Mapping[str, str] = MappingProxyType(
    {
        'rmse_epa': 'eV/atom',
        'low_rmse_epa': 'eV/atom',
        'rmse_f_comp': 'eV/Å',
        'low_rmse_f_comp': 'eV/Å',
        'mae_f_comp': 'eV/Å',
        'low_mae_f_comp': 'eV/Å',
    }
)

_COLUMN = re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z')


@dataclass(frozen=True, eq=False)
class Metrics:
    """A table of training metrics.

    :param columns: one array of shape ``(n_rows,)`` per column, in the order of the file. Energies are eV/atom, forces
        eV/Å (:data:`COLUMN_UNITS`); losses have no unit. ``low_`` marks structures within 1 eV/atom of the lowest.
    :param truncated: the last line was half-written, as in a job that still runs or was killed, and has been dropped.
    """

    columns: Mapping[str, NDArray[np.float64]]
    truncated: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return a column.

        :raises OutputError: if the table has no column of that name.
        """
        try:
            return self.columns[name]
        except KeyError:
            message = f'the metrics have no column `{name}`, only {", ".join(self.columns) or "no header"}.'
            raise OutputError(message) from None

    @property
    def last(self) -> dict[str, float]:
        """Return the last row by column; empty where there is none."""
        return {name: float(values[-1]) for name, values in self.columns.items()} if len(self) else {}

    @property
    def final_loss(self) -> float | None:
        """Return the loss of the last row."""
        return self.last.get('loss')

    @property
    def n_iterations(self) -> int:
        """Return how many iterations of the optimiser the table shows, over all fit cycles and ladder steps.

        The start, iteration 0, is not counted. Meant for ``metrics.txt``: test metrics skip iterations, and number
        their last row one higher than the last iteration (tensorpotential 0.6.2).

        :raises OutputError: if the table has rows, but no column ``iter_num``, as those per cycle and ladder step.
        """
        return sum(int(stretch['iter_num'].max()) for stretch in self.stretches())

    def stretches(self) -> Iterator[Metrics]:
        """Yield the rows of each minimisation: one per ladder step and fit cycle.

        ``iter_num`` starts again at 0 with each, and also where Pacemaker restarts with smaller batches because the GPU
        was out of memory, which leaves ladder step and cycle as they are.

        :raises OutputError: if the table has rows, but no column ``iter_num``.
        """
        if not len(self):
            return
        iterations = self['iter_num']
        starts = np.flatnonzero(np.diff(iterations) < 0) + 1
        for name in ('ladder_step', 'cycle_step'):
            if name in self.columns:
                starts = np.union1d(starts, np.flatnonzero(np.diff(self[name])) + 1)
        for first, stop in zip([0, *starts], [*starts, len(self)], strict=True):
            yield Metrics({name: values[first:stop] for name, values in self.columns.items()}, self.truncated)


def parse_metrics(text: str) -> Metrics:
    """Read ``metrics.txt``, ``cycle_metrics.txt``, ``ladder_metrics.txt`` or one of their ``test_`` twins.

    A file with a header only is an empty table: unused files are left like that. A last line without its line break is
    half-written and dropped, even where all columns are there, because the last number may lack digits.

    :param text: content of the file.
    :raises OutputError: if the header or a line before the last is not what Pacemaker writes.
    """
    *complete, rest = text.split('\n')
    lines = [(number, line.split()) for number, line in enumerate(complete, 1) if line.strip()]
    truncated = bool(rest.strip())
    if not lines:
        if truncated and not rest.startswith('ladder_step'[: len(rest)]):
            raise OutputError(f'line 1 of the metrics is not a header: {rest[:60]!r}; this is not a metrics file.')
        return Metrics({}, truncated=True)
    names = _header(lines[0][1])
    rows = np.array([_row(names, number, words) for number, words in lines[1:]], dtype=float).reshape(-1, len(names))
    return Metrics({name: rows[:, index].copy() for index, name in enumerate(names)}, truncated)


def salvage_metrics(text: str) -> Metrics:
    """Read what is left of a damaged file of metrics: the lines that are whole, in their order.

    A table without a header that can be trusted is empty.

    :param text: content of the file.
    """
    head, *lines = text.split('\n')[:-1] or ['']
    kept = [line for line in lines if _is_whole(head, line)]
    try:
        return replace(parse_metrics('\n'.join([head, *kept, ''])), truncated=True)
    except OutputError:
        return Metrics({}, truncated=True)


def _is_whole(head: str, line: str) -> bool:
    """Return whether a line is a row of ``metrics.txt``: its steps are whole numbers, and no column is missing."""
    try:
        names = _header(head.split())
        numbers = dict(zip(names, _row(names, 0, line.split()), strict=True))
    except OutputError:
        return False
    steps = ('ladder_step', 'cycle_step', 'iter_num', 'nfuncs')
    return all(name in numbers and numbers[name].is_integer() for name in steps)


def _header(words: list[str]) -> list[str]:
    """Return the names of the columns."""
    if 'loss' not in words or not all(_COLUMN.match(word) for word in words) or len(set(words)) != len(words):
        message = f'line 1 of the metrics is not a header: {" ".join(words)[:60]!r}; this is not a metrics file.'
        raise OutputError(message)
    return words


def _row(names: list[str], number: int, words: list[str]) -> list[float]:
    """Return the numbers of one line."""
    if len(words) != len(names):
        message = f'line {number} of the metrics has {len(words)} values for {len(names)} columns; the file is damaged.'
        raise OutputError(message)
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise OutputError(f'line {number} of the metrics: {error}; the file is damaged.') from None
