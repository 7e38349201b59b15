"""From a compressed file to plain arrays, or to the name and sentence of an error."""

from __future__ import annotations

import errno
import pickle
from typing import Any, BinaryIO, cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError, InputError, UnsafeFileError
from aiida_autopipec.pacemaker.pickles.sandbox.arrays import ArrayDecoder
from aiida_autopipec.pacemaker.pickles.sandbox.columns import ColumnSorter
from aiida_autopipec.pacemaker.pickles.sandbox.expressions import Structures
from aiida_autopipec.pacemaker.pickles.sandbox.records import RecordingUnpickler
from aiida_autopipec.pacemaker.pickles.sandbox.stream import open_bounded
from aiida_autopipec.pacemaker.pickles.sandbox.structures import AtomsDecoder
from aiida_autopipec.pacemaker.pickles.sandbox.tables import decode_table

_ISAL_ERROR: type[Exception] = cast('type[Exception]', isal_zlib.IsalError)  # its stub says that it is an instance
_TOO_LARGE = (
    'The file needs more memory or room than the limits allow: refused (raise `memory_bytes` or '
    '`max_decompressed_bytes` of ReadLimits if you trust it).'
)
_NO_ROOM = (
    'There is no room for the arrays of the file in the folder for temporary files: make some, or set `TMPDIR` to '
    'another folder.'
)


def decode_file(file: BinaryIO, limit: int) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Return the arrays of a dataset by their wire names, and what was left out.

    :param file: the compressed file.
    :param limit: the most bytes that it may decompress to.
    :raises FileFormatError: if it is no dataset, or a damaged one.
    :raises UnsafeFileError: if it would run code.
    :raises DatasetError: if its labels contradict its structures.
    """
    content = open_bounded(file, limit)
    root = RecordingUnpickler(content).load()
    content.finish()
    arrays = ArrayDecoder()
    table = decode_table(root, arrays)
    result: dict[str, NDArray[Any]] = {'index': table.index()}
    atoms = AtomsDecoder(arrays)
    column = table.columns.pop('ase_atoms', None)
    structures = None
    if column is not None:
        if not isinstance(column, Structures):
            column = atoms.decode(column if isinstance(column, list) else [None] * len(column))
        structures = column
        result |= {key: getattr(structures, key) for key in ('numbers', 'positions', 'cells', 'pbc')}
    sorter = ColumnSorter(arrays, None if structures is None else structures.offsets)
    result['offsets'] = sorter.sort(table.columns, len(table.labels))
    result |= {f'column:{name}': values for name, values in sorter.result.plain.items()}
    result |= {f'atoms:{name}': values for name, values in sorter.result.per_atom.items()}
    result |= {f'vector:{name}': values for name, values in sorter.result.per_row.items()}
    result |= _calculator_arrays(atoms.results, result['offsets'])
    return result, [*table.ignored, *sorter.result.ignored, *atoms.ignored()]


def _calculator_arrays(
    results: dict[int, dict[str, NDArray[np.float64]]], offsets: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return what calculators know as arrays over all rows, NaN where one does not know it."""
    n, total = len(offsets) - 1, int(offsets[-1])
    shapes = {'energy': (n,), 'free_energy': (n,), 'forces': (total, 3), 'stress': (n, 6)}
    names = {name for known in results.values() for name in known}
    arrays = {name: np.full(shapes[name], np.nan) for name in sorted(names)}
    for row, known in results.items():
        for name, value in known.items():
            array = arrays[name]
            if name == 'forces':
                array[offsets[row] : offsets[row + 1]] = value
            else:
                array[row] = value
    return {f'calculator:{name}': array for name, array in arrays.items()}


def require_room(arrays: dict[str, NDArray[Any]], limit: int) -> None:
    """Refuse arrays that a small file blew up, such as one long name among many short ones.

    :raises UnsafeFileError: if they take more than ``limit`` bytes.
    """
    if sum(array.nbytes for array in arrays.values()) > limit:
        raise UnsafeFileError(_TOO_LARGE)


def describe(error: BaseException) -> tuple[str, str]:
    """Return the name of the error class that the caller shall raise, and its sentence."""
    text = str(error)
    if isinstance(error, InputError):
        public = (UnsafeFileError, FileFormatError, DatasetError)
        return next(kind.__name__ for kind in public if isinstance(error, kind)), text
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in (errno.EFBIG, errno.ENOMEM)):
        return 'UnsafeFileError', _TOO_LARGE
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return 'FileFormatError', _NO_ROOM
    if 'extension code' in text:
        return 'UnsafeFileError', 'The file uses an extension code of pickle, which no dataset needs: refused.'
    if isinstance(error, EOFError) or 'truncated' in text:
        return 'FileFormatError', 'The file is truncated: it ends before its content does; copy it again.'
    if isinstance(error, (_ISAL_ERROR, OSError)):
        return 'FileFormatError', 'The file is damaged: its compressed data is no valid gzip; copy it again.'
    if isinstance(error, RecursionError):
        return 'UnsafeFileError', 'The file nests objects deeper than any dataset: refused.'
    if isinstance(error, pickle.UnpicklingError):
        return 'FileFormatError', 'The file is damaged, or not a Pacemaker dataset: its content is no valid pickle.'
    return FileFormatError.__name__, f'The file is damaged or no dataset ({type(error).__name__} while reading it).'
