"""Trajectories of DFT codes as labelled structures: which frame a label belongs to, and eV and Å from its unit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.atoms import voigt
from aiida_autopipec.pacemaker.dataset.conventions import (
    ENERGY_UNITS,
    FORCES_UNITS,
    STRESS_UNITS,
    Label,
    TrajectoryConvention,
)
from aiida_autopipec.pacemaker.dataset.naming import numbered_names
from aiida_autopipec.pacemaker.dataset.storage import MAX_SHARD_BYTES, rows_per_shard
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


class ArrayOfFrames(Protocol):
    """An array, or a file that holds one and is read frame by frame."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, the first axis being the frames."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type."""

    def __getitem__(self, frames: slice, /) -> NDArray[Any]:
        """Return consecutive frames."""


@dataclasses.dataclass(frozen=True)
class Frames:
    """A trajectory as plain arrays, as its source stores them.

    :param symbols: chemical symbol of each of the ``m`` atoms.
    :param arrays: ``positions`` ``(s, m, 3)``, perhaps ``cells`` ``(s, 3, 3)``, and the labels.
    :param pbc: as the source states them, or ``None``.
    :param cell: ``(3, 3)`` cell of all frames in Å, where there is no array ``cells``.
    """

    symbols: Sequence[str]
    arrays: Mapping[str, ArrayOfFrames]
    pbc: tuple[bool, bool, bool] | None
    cell: NDArray[np.float64] | None = None


def structures_from_frames(
    frames: Frames, convention: TrajectoryConvention, *, source: str = '', require_labels: bool = True
) -> tuple[LabelledStructures, dict[str, Any]]:
    """Turn a trajectory into labelled structures, without an object per frame.

    :param source: UUID of the node that the trajectory comes from.
    :param require_labels: whether energies and forces have to be there.
    :return: the structures, and a report of what was used and what was left out.
    :raises DatasetError: if an array is missing, has the wrong shape, or no longer matches the frames.
    """
    parts, report = divide_frames(frames, convention, source=source, require_labels=require_labels, max_bytes=None)
    return next(parts), report


def divide_frames(
    frames: Frames,
    convention: TrajectoryConvention,
    *,
    source: str = '',
    require_labels: bool = True,
    max_bytes: int | None = MAX_SHARD_BYTES,
) -> tuple[Iterator[LabelledStructures], dict[str, Any]]:
    """Do the same part by part, so that a long trajectory need not be in memory.

    Shapes are checked at once; values when a part is asked for.

    :param max_bytes: size in bytes that a part may have; ``None`` for one part.
    :return: the parts, and the report.
    :raises DatasetError: as :func:`structures_from_frames`.
    """
    positions = _array(frames, 'positions', 'positions')
    n_frames, n_atoms = positions.shape[0] if positions.shape else 0, len(frames.symbols)
    if positions.shape != (n_frames, n_atoms, 3):
        raise DatasetError(
            f'`positions` has shape {positions.shape}, but frames of {n_atoms} atoms need (frames, {n_atoms}, 3)'
        )
    _check_cells(frames, convention, n_frames)
    columns, left_out = _columns(frames, convention, n_frames, require_labels)
    numbers = _numbers(frames.symbols)
    step = max(n_frames, 1) if max_bytes is None else rows_per_shard(n_atoms, max_bytes)
    starts = range(0, max(n_frames, 1), step)
    parts = (
        _part(frames, convention, columns, numbers, slice(begin, min(begin + step, n_frames)), source)
        for begin in starts
    )
    return parts, {'frames': n_frames, 'labels_left_out': left_out, 'convention': convention.model_dump()}


def unchanged_arrays(convention: TrajectoryConvention) -> dict[str, str]:
    """Return the arrays of vectors that become fields of structures as they are, by field."""
    arrays = {'positions': 'positions'} if convention.positions == 'cartesian' else {}
    if convention.forces is not None and FORCES_UNITS[convention.forces.unit] == 1.0:
        arrays['forces'] = convention.forces.array
    return arrays


def _part(
    frames: Frames,
    convention: TrajectoryConvention,
    columns: Mapping[str, _Column],
    numbers: NDArray[np.int32],
    rows: slice,
    source: str,
) -> LabelledStructures:
    """Return consecutive frames as structures."""
    n_frames = rows.stop - rows.start
    cells, pbc = _cells(frames, convention, rows)
    positions = _array(frames, 'positions', 'positions')[rows]
    if convention.positions == 'fractional':
        positions = np.einsum('smi,sij->smj', positions, cells)
    stem = f'{source[:8]}-' if source else ''
    fields: dict[str, Any] = {name: column.values(rows) for name, column in columns.items()}
    return LabelledStructures(
        numbers=np.tile(numbers, n_frames),
        positions=positions.reshape(-1, 3),
        cells=cells,
        pbc=np.tile(np.array(pbc), (n_frames, 1)),
        offsets=np.arange(n_frames + 1) * len(numbers),
        names=numbered_names(f'{stem}frame-', rows.start, rows.stop),
        sources=np.full(n_frames, source),
        **fields,
    )


@dataclasses.dataclass(frozen=True)
class _Column:
    """A label of all frames, in the source's units.

    :param factor: what gives eV and Å.
    :param kind: by which the values are arranged.
    """

    array: ArrayOfFrames
    factor: float
    kind: Literal['energy', 'forces', 'stress']

    def values(self, rows: slice) -> NDArray[np.float64]:
        """Return the labels of some frames as fields of structures."""
        raw: NDArray[np.float64] = self.array[rows].astype(np.float64, copy=False)
        if self.kind == 'forces':
            raw = raw.reshape(-1, 3)
        elif self.kind == 'stress':
            raw = voigt(raw)
        return raw if self.factor == 1.0 else raw * self.factor


def _check_cells(frames: Frames, convention: TrajectoryConvention, n_frames: int) -> None:
    if 'cells' in frames.arrays and frames.arrays['cells'].shape != (n_frames, 3, 3):
        shape = frames.arrays['cells'].shape
        raise DatasetError(f'`cells` has shape {shape}, but {n_frames} frames need {(n_frames, 3, 3)}')
    if convention.positions == 'fractional' and frames.cell is None and 'cells' not in frames.arrays:
        raise DatasetError('the positions are fractions of cell vectors, but the trajectory has no `cells`')


def _cells(
    frames: Frames, convention: TrajectoryConvention, rows: slice
) -> tuple[NDArray[np.float64], tuple[bool, bool, bool]]:
    n_frames = rows.stop - rows.start
    if 'cells' in frames.arrays:
        cells = frames.arrays['cells'][rows].astype(np.float64, copy=False)
    elif frames.cell is not None:
        cells = np.tile(np.asarray(frames.cell, dtype=np.float64), (n_frames, 1, 1))
    else:
        cells = np.zeros((n_frames, 3, 3))
    pbc = frames.pbc if convention.pbc is None else convention.pbc
    if pbc is None:
        raise DatasetError('the trajectory does not state its periodic boundary conditions: give `pbc`')
    if any(pbc) and not np.any(cells):
        raise DatasetError('periodic boundary conditions need a cell, and the trajectory has none')
    return cells, pbc


def _columns(
    frames: Frames, convention: TrajectoryConvention, n_frames: int, require_labels: bool
) -> tuple[dict[str, _Column], dict[str, int]]:
    """Find the labels, one per frame, and check their shapes."""
    n_atoms = len(frames.symbols)
    columns: dict[str, _Column] = {}
    left_out: dict[str, int] = {}
    if require_labels and (convention.energy is None or convention.forces is None):
        raise DatasetError('the description of the trajectory names no energy or no forces, and both are needed')
    energy = _expected(convention.energy, frames, require_labels)
    if energy is not None:
        raw = _aligned(frames, energy.array, 'energies', n_frames, convention, left_out)
        _check_labels(raw, (), energy.array, n_frames)
        columns['energy'] = _Column(raw, ENERGY_UNITS[energy.unit], 'energy')
    forces = _expected(convention.forces, frames, require_labels)
    if forces is not None:
        raw = _aligned(frames, forces.array, 'forces', n_frames, convention, left_out)
        _check_labels(raw, (n_atoms, 3), forces.array, n_frames)
        columns['forces'] = _Column(raw, FORCES_UNITS[forces.unit], 'forces')
    # aiida-vasp stores an empty array where the stress was not computed
    if convention.stress is not None and 0 not in getattr(frames.arrays.get(convention.stress.array), 'shape', (0,)):
        raw = _aligned(frames, convention.stress.array, 'stresses', n_frames, convention, left_out)
        _check_labels(raw, (3, 3), convention.stress.array, n_frames)
        factor = STRESS_UNITS[convention.stress.unit] * (-1 if convention.stress.compressed == 'positive' else 1)
        columns['stress'] = _Column(raw, factor, 'stress')
    return columns, left_out


def _expected(label: Label | None, frames: Frames, require_labels: bool) -> Label | None:
    """Return where a label is, unless it is missing and may be missing."""
    return None if label is None or (not require_labels and label.array not in frames.arrays) else label


def _aligned(
    frames: Frames,
    name: str,
    what: str,
    n_frames: int,
    convention: TrajectoryConvention,
    left_out: dict[str, int],
) -> ArrayOfFrames:
    """Return labels of which one belongs to each frame; what the convention says comes after the last is not used."""
    array = _array(frames, name, what)
    found = array.shape[0] if array.shape else 0
    surplus = found - n_frames
    if surplus < 0 or surplus > convention.extra_labels:
        raise DatasetError(
            f'the trajectory has {n_frames} frames but {found} {what} (array `{name}`), so it is not certain '
            'which belongs to which frame; give a trajectory with one for each'
        )
    if surplus:
        left_out[name] = surplus
    return array


def _array(frames: Frames, name: str, what: str) -> ArrayOfFrames:
    if name not in frames.arrays:
        raise DatasetError(
            f'the trajectory has no array `{name}` with {what}; its arrays are: {", ".join(sorted(frames.arrays))}; if '
            'another one holds them, state it in `parameters`, otherwise compute them'
        )
    return frames.arrays[name]


def _check_labels(array: ArrayOfFrames, tail: tuple[int, ...], name: str, n_frames: int) -> None:
    if array.shape[1:] != tail:
        shape = (n_frames, *array.shape[1:])
        raise DatasetError(f'the array `{name}` has shape {shape}, but needs {(n_frames, *tail)}')
    if array.dtype.kind not in 'fiu':
        raise DatasetError(f'the array `{name}` is of type {array.dtype}, but holds no labels unless it holds numbers')


def _numbers(symbols: Sequence[str]) -> NDArray[np.int32]:
    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise DatasetError(f'`{unknown[0]}` is not the symbol of a chemical element')
    return np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int32)
