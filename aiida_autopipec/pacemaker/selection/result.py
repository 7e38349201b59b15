"""What the travelling script says of a selection, read without trusting it."""

from __future__ import annotations

import dataclasses
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import OutputError

KEPT = 0
"""Round of the structures that are taken in any case."""
ARRAYS = {
    'round': ('i', ()),
    'active_atoms': ('i', ()),
    'leverage': ('f', ()),
    'probability': ('f', ()),
    'gain': ('f', ()),
    'gamma_before': ('f', ()),
    'gamma_after': ('f', ()),
    'components': ('f', (2,)),
}
"""Kind and shape of the array that each candidate has an entry in; see :class:`Explanation`."""
_BYTES_PER_CANDIDATE = 8 * (sum(math.prod(shape) for _, shape in ARRAYS.values()) + 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Explanation:
    """Why some of ``n`` candidates were selected.

    :param rows: ``(m,)`` rows of the pool that were selected, best first.
    :param round: ``(n,)`` the round in which a candidate was selected; 0: taken in any case; -1: not selected.
    :param active_atoms: ``(n,)`` atoms that MaxVol picked; 0 for other strategies.
    :param leverage: ``(n,)`` how much of a linear fit to the pool would hang on the structure, summed over its atoms.
    :param probability: ``(n,)`` with which ``spread`` or ``leverage`` drew it; NaN for other strategies.
    :param gain: ``(n,)`` by how much the log-determinant rose per atom in ``greedy_logdet``; NaN for others.
    :param gamma_before: ``(n,)`` largest extrapolation grade against the given active set; NaN without one.
    :param gamma_after: ``(n,)`` the same against the selected structures; NaN where they do not span the pool.
    :param components: ``(n, 2)`` first two principal components of the mean projections.
    """

    rows: NDArray[np.int64]
    round: NDArray[np.int64]
    active_atoms: NDArray[np.int64]
    leverage: NDArray[np.float64]
    probability: NDArray[np.float64]
    gain: NDArray[np.float64]
    gamma_before: NDArray[np.float64]
    gamma_after: NDArray[np.float64]
    components: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.round)
        for name, (kind, shape) in ARRAYS.items():
            array = getattr(self, name)
            if array.dtype.kind != kind or array.shape != (n, *shape):
                raise OutputError(f'`{name}` of the selection is {array.dtype} of shape {array.shape}')
        if self.rows.ndim != 1 or self.rows.dtype.kind != 'i':
            raise OutputError('the selection names no rows')
        if len(self.rows) and not (self.rows.min() >= 0 and self.rows.max() < n):
            raise OutputError('a structure was selected that is not in the pool')
        if len(np.unique(self.rows)) != len(self.rows):
            raise OutputError('a structure was selected twice')
        if not np.array_equal(np.sort(self.rows), np.flatnonzero(self.round >= 0)):
            raise OutputError('the selected rows are others than those with a round')

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Explanation:
        """Return an explanation of arrays by name, as a job has them in its output ``explanation``.

        :raises OutputError: if one is missing or makes no sense.
        """
        missing = [name for name in ('rows', *ARRAYS) if name not in arrays]
        if missing:
            raise OutputError(f'the explanation of the selection lacks `{missing[0]}`')
        return cls(**{name: arrays[name] for name in ('rows', *ARRAYS)})

    @property
    def selected(self) -> NDArray[np.bool_]:
        """``(n,)`` whether a candidate was selected."""
        return self.round >= 0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name."""
        return {name: getattr(self, name) for name in ('rows', *ARRAYS)}

    def reason(self, row: int) -> str:
        """Return one sentence: why a candidate was selected, or not."""
        details = [*self._merits(row), *self._grades(row)]
        number = int(self.round[row])
        verdict = {KEPT: 'taken in any case', -1: 'not selected'}.get(number, f'selected in round {number}')
        return f'{verdict}: {", ".join(details)}'

    def _merits(self, row: int) -> list[str]:
        words = [f'leverage {self.leverage[row]:.3g}']
        if self.active_atoms[row]:
            words.append(f'{int(self.active_atoms[row])} active atoms')
        if np.isfinite(self.probability[row]) and self.round[row] != KEPT:
            words.append(f'drawn with probability {self.probability[row]:.2f}')
        if np.isfinite(self.gain[row]) and self.round[row] > KEPT:
            words.append(f'{self.gain[row]:.3g} of log-determinant per atom')
        return words

    def _grades(self, row: int) -> list[str]:
        grades = {'before': self.gamma_before[row], 'after': self.gamma_after[row]}
        return [f'gamma {grade:.2f} {when}' for when, grade in grades.items() if np.isfinite(grade)]


def read_explanation(path: Path, n_candidates: int) -> Explanation:
    """Read ``selection.npz``.

    :param n_candidates: structures of the pool.
    :raises OutputError: if it is something else, or for another pool.
    """
    try:
        _refuse_bombs(path, n_candidates)
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name == 'rows' or name in ARRAYS}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as error:
        raise OutputError(f'`{path.name}` is no explanation of a selection: {error}') from None
    explanation = Explanation.from_arrays(arrays)
    if len(explanation.round) != n_candidates:
        raise OutputError(
            f'`{path.name}` is about {len(explanation.round)} structures, but the pool has {n_candidates}'
        )
    return explanation


def _refuse_bombs(path: Path, n_candidates: int) -> None:
    """Refuse what would unpack to more than the arrays of so many candidates take."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError('it is compressed')
    if path.stat().st_size > 2 * _BYTES_PER_CANDIDATE * n_candidates + 2**20:
        raise ValueError('it is larger than the arrays of the pool')


@dataclasses.dataclass(frozen=True)
class Loss:
    """What one selection has less than another from the same pool.

    :param overlap: part of the other's structures that it has too.
    :param log_determinant: by how much its log-determinant is lower.
    """

    overlap: float
    log_determinant: float


def loss_against(selection: Mapping[str, Any], single: Mapping[str, Any]) -> Loss:
    """Compare a selection that was made by shards with a single run, or any two from the same pool and basis.

    :param selection: ``output_parameters`` of the selection, ``single`` those of the run that it is compared with.
    """
    common = set(selection['rows']) & set(single['rows'])
    return Loss(
        overlap=len(common) / len(single['rows']),
        log_determinant=single['log_determinant'] - selection['log_determinant'],
    )
