"""Hashes of structures: what makes two of them the same, and where a structure belongs in a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

_BLOCK_ATOMS = 16384
"""Atoms whose rounded coordinates are in memory at once: half a megabyte stays in the processor's cache."""

_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
"""Odd, with bits all over the word."""

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
    # integers, so that -0.0 and 0.0 are the same; little-endian, so that the hash is the same on every machine
    lattices = np.concatenate([_in_steps(cells.reshape(-1, 9)), pbc], axis=1).astype('<i8')

    def atoms(chosen: _Rows) -> NDArray[np.uint8]:
        lengths = _in_steps(positions[chosen])
        numbers_and_steps = np.empty((len(lengths), 4), dtype='<i8')
        numbers_and_steps[:, 0] = numbers[chosen]
        numbers_and_steps[:, 1:] = lengths
        return _as_bytes(numbers_and_steps, len(lengths))

    return _hashes(_as_bytes(lattices, len(lattices)), atoms, offsets)


_Rows = slice | NDArray[np.int64]


def _hashes(
    rows: NDArray[np.uint8], atoms: Callable[[_Rows], NDArray[np.uint8]], offsets: NDArray[np.int64]
) -> NDArray[np.bytes_]:
    """Hash what belongs to each structure.

    :param rows: ``(n, width)`` bytes that come first.
    :param atoms: returns the bytes of some atoms, one row for each; they come next.
    :param offsets: ``(n + 1,)`` where the atoms of each structure begin.
    :return: ``(n,)`` hexadecimal digests of 128 bits.
    """
    sizes = np.diff(offsets)
    digests = np.empty(len(sizes), dtype='V16')
    for size in np.unique(sizes).tolist():  # side by side in memory, structures of one size are hashed fastest
        structures = np.flatnonzero(sizes == size)
        step = max(1, _BLOCK_ATOMS // size)
        for begin in range(0, len(structures), step):
            chosen = structures[begin : begin + step]
            first, last = int(chosen[0]), int(chosen[-1])
            if last - first + 1 == len(chosen):  # nothing of another size between them
                of_atoms = atoms(slice(int(offsets[first]), int(offsets[last + 1])))
            else:
                of_atoms = atoms((offsets[chosen, np.newaxis] + np.arange(size)).reshape(-1))
            content = np.concatenate([rows[chosen], of_atoms.reshape(len(chosen), -1)], axis=1)
            memory, width = content.data.cast('B'), content.shape[1]
            hashes = [
                blake2b(memory[start : start + width], digest_size=16).digest()
                for start in range(0, len(memory), width)
            ]
            digests[chosen] = np.frombuffer(b''.join(hashes), dtype='V16')
    return np.frombuffer(digests.tobytes().hex().encode(), dtype='S32')


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
    """Hash everything that a structure is and carries but its name and source, to the last bit.

    Which labels there are counts too. A stress that is absent and one that is unknown are the same.

    The geometry counts by its fingerprint, which is known already; what that rounds away of the positions counts by a
    checksum, which is no cryptographic one: whoever sets his mind to it can make two sets with equal hashes, but no
    atom of theirs is farther apart than the fingerprint rounds, 1e-6 Å.

    :return: ``(n,)`` hexadecimal digests of 128 bits.
    """
    present = [
        name for name in (*_ROW_FIELDS, *_ATOM_FIELDS) if name != 'stress' and getattr(structures, name) is not None
    ]
    which = np.frombuffer(blake2b(' '.join(present).encode(), digest_size=16).digest(), dtype=np.uint8)
    rows = np.concatenate(
        [
            np.broadcast_to(which, (len(structures), len(which))),
            _as_bytes(structures.fingerprints, len(structures)),
            _as_bytes(_position_checksums(structures.positions, structures.offsets), len(structures)),
            *(_as_bytes(_row_field(structures, name), len(structures)) for name in _ROW_FIELDS),
        ],
        axis=1,
    )
    labels = [array for array in (structures.forces, structures.force_weights) if array is not None]

    def atoms(chosen: _Rows) -> NDArray[np.uint8]:
        parts = [_as_bytes(array[chosen], len(array[chosen])) for array in labels]
        return np.concatenate(parts, axis=1) if parts else np.empty((0, 0), dtype=np.uint8)

    return _hashes(rows, atoms, structures.offsets)


def content_hash(parts: Iterable[tuple[NDArray[np.bytes_], NDArray[np.str_]]]) -> str:
    """Hash the content of a dataset that is stored in one or more parts.

    The same rows in the same order have the same hash however they are divided into parts.

    :param parts: :func:`content_digests` and names of each part.
    """
    streams = [blake2b(digest_size=20) for _ in range(3)]
    for digests, names in parts:
        lengths = np.char.str_len(names).astype('<i8')
        contents = (digests.tobytes(), lengths.tobytes(), ''.join(names.tolist()).encode())
        for stream, content in zip(streams, contents, strict=True):
            stream.update(content)
    return blake2b(b''.join(stream.digest() for stream in streams), digest_size=20).hexdigest()


def _position_checksums(positions: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return ``(n,)`` sums, modulo 2**64, of the bits of all coordinates times odd numbers that depend on their place.

    A single coordinate that differs in any bit changes the sum.
    """
    bits = np.ascontiguousarray(positions, dtype='<f8').view('<u8')
    sums: NDArray[np.uint64] = np.einsum('ax,x->a', bits, _MULTIPLIERS)
    place = np.arange(len(positions)) - np.repeat(offsets[:-1], np.diff(offsets))
    sums *= (2 * place + 1).astype(np.uint64)
    return np.add.reduceat(sums, offsets[:-1])


def _row_field(structures: LabelledStructures, name: str) -> NDArray[Any]:
    array: NDArray[Any] | None = getattr(structures, name)
    if array is not None:
        return array
    return np.full((len(structures), 6), np.nan) if name == 'stress' else np.empty((len(structures), 0))


def _as_bytes(array: NDArray[Any], length: int) -> NDArray[np.uint8]:
    """Return an array as ``(length, width)`` bytes, the same on every machine."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder('<')).reshape(length, -1)
    return array.view(np.uint8) if array.size else np.empty((length, 0), dtype=np.uint8)
