"""Hashes of structures: what makes two of them the same, and where a structure belongs in a split."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

TEXT_DECIMALS = 8
"""Decimals of lengths in Å in a text file (ASE's extxyz): a copy through one is still the same structure."""
_STEPS = 100
"""Lengths are compared after rounding to so many units of the last of these decimals, 1e-6 Å."""

_HASHED_FIELDS = (
    'numbers', 'positions', 'cells', 'pbc', 'offsets', 'energy', 'energy_corrected', 'forces', 'stress',
    'energy_weights', 'force_weights', 'names',
)  # fmt: skip


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
    return np.array(digests, dtype='S32')


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


def content_hash(parts: Sequence[LabelledStructures]) -> str:
    """Hash the content of a dataset that is stored in one or more parts.

    Everything counts but the sources. The same rows in the same order have the same hash however they are divided into
    parts.
    """
    total = blake2b(digest_size=20)
    for name in _HASHED_FIELDS:
        field = blake2b(digest_size=20)
        for part in parts:
            for piece in _canonical_bytes(name, part):
                field.update(piece)
        total.update(name.encode())
        total.update(field.digest())
    return total.hexdigest()


def _canonical_bytes(name: str, part: LabelledStructures) -> list[Any]:
    """Return the bytes of a field, the same on every machine and in every division into parts."""
    array = part.sizes if name == 'offsets' else getattr(part, name)
    if name == 'stress' and array is None:
        array = np.full((len(part), 6), np.nan)  # absent and unknown for every structure are the same content
    if array is None:
        return []
    if name == 'names':
        return ['\0'.join(array.tolist()).encode(), b'\0']
    array = array.astype(array.dtype.newbyteorder('<'), copy=False)
    return [np.ascontiguousarray(array).data.cast('B')]
