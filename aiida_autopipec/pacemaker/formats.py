"""Pacemaker's ``.pckl.gzip`` in and out of labelled structures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.atoms import structures_from_atoms, voigt
from aiida_autopipec.pacemaker.dataset.merge import OnConflict, merge_structures
from aiida_autopipec.pacemaker.dataset.parts import Part
from aiida_autopipec.pacemaker.dataset.structures import PER_ATOM, LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError
from aiida_autopipec.pacemaker.pickles import RawFrame, ReadLimits, read_frame, write_frame
from aiida_autopipec.pacemaker.pickles.blocks import Deferred

if TYPE_CHECKING:
    import ase

SUFFIX = '.pckl.gzip'
"""Ending of a dataset file; some of Pacemaker's programs refuse any other."""


def save_to_pacemaker_format(
    structures: LabelledStructures | Iterable[ase.Atoms], path: str | os.PathLike[str]
) -> Path:
    """Write a dataset that every version of Pacemaker, pandas and numpy reads.

    :param structures: labelled structures, or ``ase.Atoms`` with labels.
    :param path: file name, ending in ``.pckl.gzip``.
    :return: the path.
    :raises InputError: if the file name or a label is wrong.
    """
    target = Path(path)
    if not target.name.endswith(SUFFIX):
        raise FileFormatError(f"`{target.name}` must end in {SUFFIX}: some of Pacemaker's programs refuse other names")
    if not isinstance(structures, LabelledStructures):
        structures = structures_from_atoms(list(structures))
    save_shards([structures], target)
    return target


def save_shards(shards: Iterable[Part], target: str | os.PathLike[str] | BinaryIO, *, weights: bool = True) -> None:
    """Write a dataset that is stored in parts.

    Arrays are asked for one by one, in the order in which they stand in the file, and let go: what stays in memory is
    energies, names and sizes.

    :param shards: sets of structures, or files with them that can be read array by array.
    :param target: file name, ending in ``.pckl.gzip``, or an open binary file.
    :param weights: whether to write the weights that the structures bring, which Pacemaker then uses.
    """
    parts = list(shards)
    fields = parts[0].present
    given = {name: field for name, field in {**_COLUMNS, **_ATOM_COLUMNS}.items() if field in fields}
    if not weights:
        given = {name: field for name, field in given.items() if field not in _WEIGHTS}
    write_frame(
        target,
        numbers=[_deferred(part, 'numbers') for part in parts],
        positions=[_deferred(part, 'positions') for part in parts],
        cells=[_deferred(part, 'cells') for part in parts],
        pbc=[_deferred(part, 'pbc') for part in parts],
        offsets=np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.field('offsets')) for part in parts]))]),
        columns={
            name: np.concatenate([part.field(field) for part in parts])
            for name, field in given.items()
            if name in _COLUMNS
        },
        atom_columns={
            name: [_deferred(part, field) for part in parts] for name, field in given.items() if name in _ATOM_COLUMNS
        },
        vector_columns={'stress': [_deferred(part, 'stress') for part in parts]},
    )


_TAILS = {'positions': (3,), 'forces': (3,), 'cells': (3, 3), 'pbc': (3,), 'stress': (6,)}


def _deferred(part: Part, field: str) -> Deferred:
    """Return an array that is read when it is written."""
    length = part.n_atoms if field in PER_ATOM else len(part)
    shape = (length, *_TAILS.get(field, ()))
    if field not in part.present:  # a stress is unknown where it is absent
        return Deferred(shape, lambda: np.full(shape, np.nan))
    return Deferred(shape, lambda: part.field(field))


def load_pacemaker_dataset(
    path: str | os.PathLike[str],
    *,
    require_labels: bool = True,
    names: Literal['file', 'content'] = 'file',
    limits: ReadLimits | None = None,
) -> LabelledStructures:
    """Read a ``.pckl.gzip`` safely: in a process of its own, without running what the file says.

    :param path: the file; untrusted.
    :param require_labels: whether a missing energy or missing forces are an error.
    :param names: take names from the column ``name``, or make unique ones from the content.
    :param limits: bounds for memory, time and size.
    :raises FileFormatError: if the file is no dataset, damaged or truncated.
    :raises UnsafeFileError: if it names what no dataset needs, or exceeds the limits.
    :raises DatasetError: if a label is missing, not finite, or of the wrong shape; the message names the structure.
    """
    frame = read_frame(path, limits)
    return structures_from_frame(frame, require_labels=require_labels, unique_names=names == 'content')[0]


def merge_datasets(
    main_path: str | os.PathLike[str],
    new_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str] | None = None,
    *,
    on_conflict: OnConflict = 'error',
) -> Path:
    """Merge two dataset files and keep one of each exact duplicate.

    :param main_path: the first file; its structures come first.
    :param new_path: the second file.
    :param output_path: where to write; by default the first file is replaced.
    :param on_conflict: what happens to equal structures with different labels.
    :return: the path that was written.
    """
    parts = [load_pacemaker_dataset(main_path), load_pacemaker_dataset(new_path)]
    merged, _ = merge_structures(parts, on_conflict)
    return save_to_pacemaker_format(merged, main_path if output_path is None else output_path)


def structures_from_frame(
    frame: RawFrame, *, require_labels: bool = True, unique_names: bool = False
) -> tuple[LabelledStructures, dict[str, Any]]:
    """Turn the arrays of a dataset file into labelled structures.

    Labels come from the columns ``energy``, ``energy_corrected`` and ``forces``, or from attached calculators where
    there is no such column.

    :param unique_names: replace the names by unique ones made from formula and content.
    :return: the structures, and a report of where labels come from and what was left out.
    """
    if frame.numbers is None or frame.positions is None or frame.cells is None or frame.pbc is None:
        raise FileFormatError('the table has no column `ase_atoms`, so it holds no structures')
    energy, energy_source = _first(
        ('column `energy`', frame.columns.get('energy')),
        ('free energies of attached calculators', frame.calculator_free_energy),
        ('energies of attached calculators', frame.calculator_energy),
    )
    corrected = frame.columns.get('energy_corrected')
    if corrected is not None and energy_source != 'column `energy`':
        # Pacemaker attaches corrected energies to the structures that it writes back: these are no total energies
        energy, energy_source = None, 'column `energy_corrected`'
    forces, forces_source = _first(
        ('column `forces`', frame.atom_columns.get('forces')),
        ('forces of attached calculators', frame.calculator_forces),
    )
    if require_labels and energy is None and corrected is None:
        raise DatasetError('the dataset has no energies: neither a column `energy` or `energy_corrected` nor results')
    if require_labels and forces is None:
        raise DatasetError('the dataset has no forces: neither a column `forces` nor results of calculators')
    names = None if unique_names else frame.columns.get('name')
    if names is not None and names.dtype.kind in 'iu':
        names = names.astype(np.str_)
    fields: dict[str, Any] = {
        'energy': energy,
        'energy_corrected': corrected,
        'forces': forces,
        'stress': _stress(frame),
        'energy_weights': frame.columns.get('w_energy'),
        'force_weights': frame.atom_columns.get('w_forces'),
        'names': None if names is None or names.dtype.kind != 'U' else names,
    }
    structures = LabelledStructures(
        numbers=frame.numbers.astype(np.int32),
        positions=frame.positions,
        cells=frame.cells,
        pbc=frame.pbc,
        offsets=frame.offsets,
        **fields,
    )
    used = {'energy', 'energy_corrected', 'forces', 'stress', 'w_energy', 'w_forces', 'name'}
    others = sorted({*frame.columns, *frame.atom_columns, *frame.vector_columns} - used)
    report = {
        'energy': energy_source,
        'forces': forces_source,
        'columns_left_out': others,
        'ignored': list(frame.ignored),
    }
    return structures, report


_COLUMNS = {'energy': 'energy', 'energy_corrected': 'energy_corrected', 'w_energy': 'energy_weights', 'name': 'names'}
_ATOM_COLUMNS = {'forces': 'forces', 'w_forces': 'force_weights'}
_WEIGHTS = ('energy_weights', 'force_weights')


def _first(*candidates: tuple[str, NDArray[Any] | None]) -> tuple[NDArray[Any] | None, str]:
    for source, array in candidates:
        if array is not None:
            return array, source
    return None, 'none'


def _stress(frame: RawFrame) -> NDArray[np.float64] | None:
    column = frame.vector_columns.get('stress')
    if column is None:
        return frame.calculator_stress
    if column.shape[1] == 9:
        return voigt(column.reshape(-1, 3, 3))
    if column.shape[1] != 6:
        raise DatasetError(f'the column `stress` has {column.shape[1]} numbers per structure, but needs 6 or 9')
    return column
