"""Trajectories of DFT codes: which array means what, in which unit, and which frame a label belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from ase.data import atomic_numbers
from ase.units import Bohr, GPa, Hartree, Rydberg
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.pacemaker.dataset.atoms import voigt
from aiida_autopipec.pacemaker.dataset.storage import MAX_SHARD_BYTES, rows_per_shard
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

ENERGY_UNITS = {'eV': 1.0, 'Hartree': Hartree, 'Rydberg': Rydberg, 'meV': 1e-3}
FORCES_UNITS = {'eV/Å': 1.0, 'eV/A': 1.0, 'Hartree/Bohr': Hartree / Bohr, 'Rydberg/Bohr': Rydberg / Bohr}
STRESS_UNITS = {'eV/Å³': 1.0, 'eV/A^3': 1.0, 'GPa': GPa, 'kbar': 0.1 * GPa, 'Hartree/Bohr^3': Hartree / Bohr**3}
LENGTH_UNITS = {'Å': 1.0, 'A': 1.0, 'Bohr': Bohr}

EnergyUnit = Literal['eV', 'Hartree', 'Rydberg', 'meV']
ForcesUnit = Literal['eV/Å', 'eV/A', 'Hartree/Bohr', 'Rydberg/Bohr']
StressUnit = Literal['eV/Å³', 'eV/A^3', 'GPa', 'kbar', 'Hartree/Bohr^3']


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class EnergyArray(_Strict):
    """Where the energies of the frames are, and in which unit."""

    array: str
    unit: EnergyUnit


class ForcesArray(_Strict):
    """Where the forces of the frames are, and in which unit."""

    array: str
    unit: ForcesUnit


Label = TypeVar('Label', EnergyArray, ForcesArray)


class StressArray(_Strict):
    """Where the stresses of the frames are, in which unit and with which sign.

    :param compressed: sign of a component when the structure is compressed along it; ASE's is negative.
    """

    array: str
    unit: StressUnit
    compressed: Literal['negative', 'positive']


class TrajectoryConvention(_Strict):
    """What the arrays of a trajectory mean.

    :param energy: the energies that the forces derive from; absent only for candidates that are not labelled yet.
    :param forces: the forces; likewise.
    :param stress: the stresses, if any.
    :param positions: whether positions are Cartesian in Å or fractions of the cell vectors.
    :param pbc: periodic boundary conditions of all frames, where the trajectory does not know them.
    :param extra_labels: how many more labels than positions there may be at the end; they are left out and reported.
    """

    energy: EnergyArray | None = None
    forces: ForcesArray | None = None
    stress: StressArray | None = None
    positions: Literal['cartesian', 'fractional'] = 'cartesian'
    pbc: tuple[bool, bool, bool] | None = None
    extra_labels: int = Field(0, ge=0)


CONVENTIONS: dict[str, TrajectoryConvention] = {
    # measured with Quantum ESPRESSO 6.7 through aiida-quantumespresso 5.1: `energy` is the free energy F = E - TS, the
    # stress is positive when compressed, and vc-relax adds the labels of a final scf with a new basis
    'quantumespresso.pw': TrajectoryConvention(
        energy=EnergyArray(array='energy', unit='eV'),
        forces=ForcesArray(array='forces', unit='eV/Å'),
        stress=StressArray(array='stress', unit='GPa', compressed='positive'),
        pbc=(True, True, True),
        extra_labels=1,
    ),
    # measured with CP2K 2023.1 through aiida-cp2k 2.1: atomic units; cells only if printed, forces likewise, and the
    # boundary conditions stand in the input
    'cp2k': TrajectoryConvention(
        energy=EnergyArray(array='energies', unit='Hartree'),
        forces=ForcesArray(array='forces', unit='Hartree/Bohr'),
    ),
    # read in aiida-vasp 5.1 and parsevasp 3.4: arrays as in vasprun.xml, so positions are fractions of the cell
    # vectors, the stress is in kbar and positive when compressed; forces derive from the free energy
    'vasp.vasp': TrajectoryConvention(
        energy=EnergyArray(array='energy_free', unit='eV'),
        forces=ForcesArray(array='forces', unit='eV/Å'),
        stress=StressArray(array='stress', unit='kbar', compressed='positive'),
        positions='fractional',
        pbc=(True, True, True),
    ),
}
"""What trajectories mean that the calculation of a given entry point (group ``aiida.calculations``) created."""


UNCONVERGED: dict[str, frozenset[int]] = {
    'quantumespresso.pw': frozenset({410, 510, 710}),  # read in aiida-quantumespresso 5.1
    'cp2k': frozenset({450}),  # read in aiida-cp2k 2.1
    'vasp.vasp': frozenset({701}),  # read in aiida-vasp 5.1
}
"""Exit codes, by entry point, of calculations with labels that are not those of converged electrons."""


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


def stated_convention(parameters: Mapping[str, Any]) -> TrajectoryConvention:
    """Read a convention that the user states.

    :raises DatasetError: if it is incomplete or has unknown keys.
    """
    try:
        return TrajectoryConvention.model_validate(parameters)
    except ValidationError as exception:
        error = exception.errors(include_url=False)[0]
        key = '.'.join(str(part) for part in error['loc'])
        raise DatasetError(f'`{key}` in the description of the trajectory: {error["msg"]}') from exception


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
        names=np.array([f'{stem}frame-{frame}' for frame in range(rows.start, rows.stop)], dtype=np.str_),
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
