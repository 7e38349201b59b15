"""Hashes of structures: what makes two of them the same, and where a structure belongs in a split."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

TEXT_DECIMALS = 8
"""Decimals of lengths in Å in a text file (ASE's extxyz): a copy through one is still the same structure."""
_STEPS = 100
"""Lengths are compared after rounding to so many units of the last of these decimals, 1e-6 Å."""

_BLOCK_ATOMS = 16384
"""Atoms whose rounded coordinates are in memory at once: half a megabyte stays in the processor's cache."""

_ROW_FIELDS = ('cells', 'pbc', 'energy', 'energy_corrected', 'stress', 'energy_weights')
_ATOM_FIELDS = ('numbers', 'positions', 'forces', 'force_weights')


def structure_fingerprints(
    numbers: NDArray[np.int32],
    positions: NDArray[np.float64],
    cells: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    offsets: NDArray[np.int64],
) -> NDArray[np.bytes_]:
    """Hash the geometry of each structure.

    Copies have equal hashes, also after rounding in a text file. The order of atoms and the choice of cell and origin
    count: these are exact duplicates, not similar structures. Labels and names do not count.

    :return: ``(n,)`` hexadecimal digests of 128 bits.
    """
    digests: list[str] = []
    rows = max(1, _BLOCK_ATOMS * max(len(offsets) - 1, 1) // max(len(numbers), 1))
    for begin in range(0, len(offsets) - 1, rows):
        bounds = offsets[begin : begin + rows + 1]
        atoms = slice(int(bounds[0]), int(bounds[-1]))
        part = slice(begin, begin + rows)
        digests += _fingerprints(numbers[atoms], positions[atoms], cells[part], pbc[part], bounds - bounds[0])
    return np.array(digests, dtype='S32')


def _fingerprints(
    numbers: NDArray[np.int32],
    positions: NDArray[np.float64],
    cells: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    offsets: NDArray[np.int64],
) -> list[str]:
    # integers, so that -0.0 and 0.0 are the same; little-endian, so that the hash is the same on every machine
    lattice = np.concatenate([_in_steps(cells.reshape(-1, 9)), pbc], axis=1).astype('<i8')
    atoms = np.empty((len(numbers), 4), dtype='<i8')
    atoms[:, 0] = numbers
    atoms[:, 1:] = _in_steps(positions)
    lattice_bytes, atom_bytes = lattice.data.cast('B'), atoms.data.cast('B')
    width, bounds = lattice.strides[0], (offsets * atoms.strides[0]).tolist()
    digests = []
    for row, (begin, end) in enumerate(itertools.pairwise(bounds)):
        digest = blake2b(lattice_bytes[row * width : (row + 1) * width], digest_size=16)
        digest.update(atom_bytes[begin:end])
        digests.append(digest.hexdigest())
    return digests


def _in_steps(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round lengths in Å to whole steps, first as a text file does: then a copy through one is never split from it."""
    steps: NDArray[np.float64] = lengths * 10.0**TEXT_DECIMALS
    np.rint(steps, out=steps)  # in place: of a large dataset every temporary array costs as much as the arithmetic
    steps /= _STEPS
    np.rint(steps, out=steps)
    return steps


def split_positions(fingerprints: NDArray[np.bytes_], seed: int) -> NDArray[np.float64]:
    """Map each structure to a number in [0, 1) that depends on its geometry and the seed only.

    :param fingerprints: ``(n,)`` as from :func:`structure_fingerprints`.
    :param seed: another seed gives another, independent, map.
    :return: ``(n,)`` numbers, uniformly distributed over structures.
    """
    key = int(seed).to_bytes(16, 'little', signed=True)
    draws = [int.from_bytes(blake2b(digest, digest_size=7, key=key).digest(), 'little') for digest in fingerprints]
    return np.array(draws, dtype=np.float64) / 2.0**56


def content_digests(structures: LabelledStructures) -> NDArray[np.bytes_]:
    """Hash everything that a structure is and carries but its sources, to the last bit.

    Which labels there are counts too. A stress that is absent and one that is unknown are the same.

    :return: ``(n,)`` hexadecimal digests of 128 bits.
    """
    present = [
        name for name in (*_ROW_FIELDS, *_ATOM_FIELDS) if name != 'stress' and getattr(structures, name) is not None
    ]
    start = blake2b(' '.join(present).encode(), digest_size=16)
    rows = np.concatenate([_as_bytes(structures, name, len(structures)) for name in _ROW_FIELDS], axis=1)
    row_bytes, width = rows.data.cast('B'), rows.strides[0]
    # array by array: putting those of the atoms side by side would cost as much as hashing them
    atoms = [_as_bytes(structures, name, structures.n_atoms) for name in _ATOM_FIELDS]
    atom_bytes = [(array.data.cast('B'), array.strides[0]) for array in atoms if array.size]
    digests = []
    bounds = itertools.pairwise(structures.offsets.tolist())
    for row, (name, (begin, end)) in enumerate(zip(structures.names.tolist(), bounds, strict=True)):
        digest = start.copy()
        digest.update(row_bytes[row * width : (row + 1) * width])
        for content, size in atom_bytes:
            digest.update(content[begin * size : end * size])
        digest.update(name.encode())
        digests.append(digest.hexdigest())
    return np.array(digests, dtype='S32')


def content_hash(digests: Iterable[NDArray[np.bytes_]]) -> str:
    """Hash the content of a dataset that is stored in one or more parts.

    The same rows in the same order have the same hash however they are divided into parts.

    :param digests: :func:`content_digests` of each part.
    """
    total = blake2b(digest_size=20)
    for part in digests:
        total.update(np.ascontiguousarray(part).data.cast('B'))
    return total.hexdigest()


def _as_bytes(structures: LabelledStructures, name: str, length: int) -> NDArray[np.uint8]:
    """Return a field as ``(length, width)`` bytes, the same on every machine; of width 0 where it is absent."""
    array = getattr(structures, name)
    if array is None:
        array = np.full((length, 6), np.nan) if name == 'stress' else np.empty((length, 0))
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<')).reshape(length, -1)
    return array.view(np.uint8) if array.size else np.empty((length, 0), dtype=np.uint8)
