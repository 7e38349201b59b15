"""Write a dataset file that every pandas, numpy and ase of the last years reads.

The pickle calls public names only: ``pandas.DataFrame(dict)``, ``numpy.ndarray`` with its state, ``numpy.dtype``,
``ase.atoms.Atoms`` and ``list``, ``map``, ``slice``, ``itertools.repeat``, ``itertools.chain``, ``operator.getitem``.
In words::

    DataFrame({'ase_atoms': list(map(Atoms, repeat(None), rows(positions), rows(numbers), ..., cells, pbc)),
               'energy': energy, 'forces': rows(forces), ...})
    rows(x) = list(map(getitem, repeat(x), map(slice, starts, stops)))

so the reader builds the ``Atoms``, and writing costs what compressing the arrays costs. ``Atoms`` copies what it is
given; the rows of ``forces`` are disjoint views, so that no structure can change another.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.pickles.blocks import AnyArray, Blocks, as_blocks
from aiida_autopipec.pacemaker.pickles.opcodes import PickleStream
from aiida_autopipec.pacemaker.pickles.spelling import (
    ATOMS,
    CHAIN,
    DATA_FRAME,
    GETITEM,
    LIST,
    MAP,
    REPEAT,
    SLICE,
    Call,
    Expression,
    Shared,
    spell,
)

#: An array, or the arrays (shards, which may be fetched late) whose concatenation along the first axis it is.
ArrayOrShards: TypeAlias = 'AnyArray | Sequence[AnyArray]'

COMPRESSION_LEVEL = 1  # isal's higher levels gain under 1 % of size on such data, at several times the cost
GZIP_WINDOW_BITS = 31  # 15 plus 16: a gzip header, which isal writes without a file name and with time stamp 0


def write_frame(
    target: str | os.PathLike[str] | BinaryIO,
    *,
    numbers: ArrayOrShards,
    positions: ArrayOrShards,
    cells: ArrayOrShards,
    pbc: ArrayOrShards,
    offsets: NDArray[np.integer[Any]],
    columns: Mapping[str, NDArray[Any] | Sequence[str]] | None = None,
    atom_columns: Mapping[str, ArrayOrShards] | None = None,
    vector_columns: Mapping[str, ArrayOrShards] | None = None,
) -> None:
    """Write ``n`` structures with ``total`` atoms as a Pacemaker dataset; equal arrays give equal bytes.

    Every array but ``offsets`` and ``columns`` may be given as a sequence of shards, which are written one after the
    other, so that those that are :class:`~aiida_autopipec.pacemaker.pickles.blocks.Deferred` are never in memory
    together.

    :param target: file name (``.pckl.gzip``), replaced if it exists, or an open binary file.
    :param numbers: (total,) atomic numbers.
    :param positions: (total, 3) in Å.
    :param cells: (n, 3, 3) in Å.
    :param pbc: (n, 3) booleans.
    :param offsets: (n + 1,); the atoms of structure ``i`` are ``offsets[i]:offsets[i + 1]``.
    :param columns: per column (n,) numbers, booleans or strings (energies, names).
    :param atom_columns: per column (total, ...) floats (forces, weights of forces).
    :param vector_columns: per column (n, k) floats (stress); a row of NaN stands for "not given" and is written as
        None, and a column that has nothing but such rows is left out.
    :raises DatasetError: if an array has the wrong shape, or two columns have the same name.
    """
    stops = np.ascontiguousarray(offsets, dtype='<i8')
    if stops.ndim != 1 or not len(stops) or stops[0] != 0 or np.any(np.diff(stops) < 0):
        raise DatasetError('`offsets` must be a rising (n + 1,) array that starts with 0.')
    n, total = len(stops) - 1, int(stops[-1])
    structures = {
        'positions': as_blocks('positions', positions, '<f8', (total, 3)),
        'numbers': as_blocks('numbers', numbers, '|i1', (total,)),  # `Atoms` makes int64 of them
        'cells': as_blocks('cells', cells, '<f8', (n, 3, 3)),
        'pbc': as_blocks('pbc', pbc, '|b1', (n, 3)),
    }
    per_atom = {k: as_blocks(k, v, '<f8', (total, ...)) for k, v in (atom_columns or {}).items()}
    per_row = {k: as_blocks(k, v, '<f8', (n, ...)) for k, v in (vector_columns or {}).items()}
    plain = {k: _plain_column(k, v, n) for k, v in (columns or {}).items()}
    names = ['ase_atoms', *plain, *per_atom, *per_row]
    for name in names:
        if names.count(name) > 1:
            raise DatasetError(f'The column `{name}` is given twice; give each column one name.')

    rows = _Rows(stops)
    frame: dict[str, Expression] = {'ase_atoms': _atoms(rows, **structures)}
    frame |= plain
    frame |= {name: LIST(rows.of(blocks)) for name, blocks in per_atom.items()}
    frame |= {name: _vectors(blocks) for name, blocks in per_row.items() if blocks.rows_with_numbers().any()}
    if isinstance(target, (str, os.PathLike)):
        _write_file(Path(target), DATA_FRAME(frame))
    else:
        _write_stream(target, DATA_FRAME(frame))


def _plain_column(name: str, values: NDArray[Any] | Sequence[str], n: int) -> Blocks | list[str]:
    column = np.asarray(values)
    if column.shape != (n,):
        raise DatasetError(f'The column `{name}` has shape {column.shape}; {n} structures need ({n},).')
    kinds = {'f': '<f8', 'i': '<i8', 'u': '<i8', 'b': '|b1'}
    if column.dtype.kind in kinds:
        return as_blocks(name, column, kinds[column.dtype.kind], (n,))
    texts: list[Any] = column.tolist()
    if column.dtype.kind != 'U' and not all(isinstance(text, str) for text in texts):
        raise DatasetError(f'The column `{name}` holds neither numbers nor strings; convert it first.')
    return texts


class _Rows:
    """Spells the per-structure pieces of per-atom arrays."""

    def __init__(self, offsets: NDArray[np.int64]) -> None:
        self._starts = Shared(Blocks.of_array(offsets[:-1]))
        self._stops = Shared(Blocks.of_array(offsets[1:]))

    def of(self, blocks: Blocks) -> Call:
        """Return an iterator over views of ``blocks``, one per structure."""
        return MAP(GETITEM, REPEAT(blocks), MAP(SLICE, self._starts, self._stops))


def _atoms(rows: _Rows, positions: Blocks, numbers: Blocks, cells: Blocks, pbc: Blocks) -> Call:
    """Return the list of ``Atoms``: the order of its arguments is the same in ase 3.17 to 3.29."""
    nothing = REPEAT(None)
    symbols = tags = momenta = masses = magmoms = charges = scaled_positions = nothing
    arrays = rows.of(positions), rows.of(numbers)
    return LIST(MAP(ATOMS, symbols, *arrays, tags, momenta, masses, magmoms, charges, scaled_positions, cells, pbc))


def _vectors(blocks: Blocks) -> Call:
    """Return the list of the rows; rows of NaN are None, which stands at the end of the table of the others."""
    given = blocks.rows_with_numbers()
    if given.all():
        return LIST(blocks)
    table = LIST(CHAIN(blocks.select(given), REPEAT(None, 1)))
    place = np.where(given, np.cumsum(given) - 1, np.count_nonzero(given))
    return LIST(MAP(GETITEM, REPEAT(table), Blocks.of_array(place)))


class _Gzip:
    """Compresses what is written into an open file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._compressor = isal_zlib.compressobj(COMPRESSION_LEVEL, isal_zlib.DEFLATED, GZIP_WINDOW_BITS)

    def write(self, data: bytes | memoryview, /) -> None:
        self._file.write(self._compressor.compress(data))

    def close(self) -> None:
        self._file.write(self._compressor.flush())


def _write_stream(file: BinaryIO, frame: Call) -> None:
    gzip = _Gzip(file)
    out = PickleStream(gzip)
    spell(out, frame)
    out.close()
    gzip.close()


def _write_file(path: Path, frame: Call) -> None:
    """Write beside ``path`` and rename, so that nobody ever finds half a dataset under that name."""
    unfinished = path.with_name(f'.{path.name}.unfinished-{os.getpid()}')
    try:
        with unfinished.open('wb') as file:
            _write_stream(file, frame)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
