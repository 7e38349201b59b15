"""Hashes of structures: what makes two of them the same, and where a structure belongs in a split.

They are made for speed, of all structures at once: two sums, modulo 2**64, of 64-bit words times odd factors, a fixed
one for each place ("multilinear" hashing; Lemire and Kaser, Computer Journal 57, 1624 (2014)). With 128 bits chance
makes no two equal in practice, but somebody who wants to can. So whoever drops one of two structures for their hashes
compares the structures themselves first (``compare.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
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

BLOCK_ATOMS = 16384
"""Atoms whose rounded coordinates are in memory at once: half a megabyte stays in the processor's cache."""

_ROW_FIELDS = ('cells', 'energy', 'energy_corrected', 'stress', 'energy_weights')
_ATOM_FIELDS = ('positions', 'forces', 'force_weights')

_Words = NDArray[np.uint64]
_Rows = slice | NDArray[np.int64]


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
    lattices = np.concatenate([in_steps(cells.reshape(-1, 9)), pbc], axis=1)

    def atoms(chosen: _Rows) -> Iterable[_Words]:
        yield _whole(numbers[chosen])
        yield _whole(in_steps(positions[chosen]))

    return _hashes(_whole(lattices), atoms, offsets)


def blocks_of_one_size(sizes: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Divide structures into blocks that can be looked at as tables: one size, and few enough for the cache.

    :param sizes: ``(n,)`` numbers of atoms.
    :return: a size, and which structures, in ascending order.
    """
    for size in np.unique(sizes).tolist():
        structures = np.flatnonzero(sizes == size)
        step = max(1, BLOCK_ATOMS // size)
        for begin in range(0, len(structures), step):
            yield size, structures[begin : begin + step]


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

    :return: ``(n,)`` hexadecimal digests of 128 bits.
    """
    n = len(structures)
    present = [
        name for name in (*_ROW_FIELDS, *_ATOM_FIELDS) if name != 'stress' and getattr(structures, name) is not None
    ]
    which = np.frombuffer(blake2b(' '.join(present).encode(), digest_size=8).digest(), dtype='<u8')
    known = np.ascontiguousarray(structures.fingerprints).view('<u8').reshape(n, -1)  # numbers, pbc, order of atoms
    rows = [_bits(_row_field(structures, name)).reshape(n, -1) for name in _ROW_FIELDS]
    per_atom = [array for array in (getattr(structures, name) for name in _ATOM_FIELDS) if array is not None]

    def atoms(chosen: _Rows) -> Iterable[_Words]:
        return (_bits(array[chosen]) for array in per_atom)

    return _hashes(np.concatenate([np.broadcast_to(which, (n, 1)), known, *rows], axis=1), atoms, structures.offsets)


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


def _hashes(rows: _Words, atoms: Callable[[_Rows], Iterable[_Words]], offsets: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Hash what belongs to each structure.

    :param rows: ``(n, width)`` words of each structure.
    :param atoms: returns words of some atoms, one row for each, in one or more arrays.
    :param offsets: ``(n + 1,)`` where the atoms of each structure begin.
    :return: ``(n,)`` hexadecimal digests of 128 bits.
    """
    sizes = np.diff(offsets)
    sums = _sums(np.concatenate([_whole(sizes), rows], axis=1), 0)
    for size, chosen in blocks_of_one_size(sizes):
        first, last = int(chosen[0]), int(chosen[-1])
        among: _Rows = chosen
        of_atoms: _Rows
        if last - first + 1 == len(chosen):  # nothing of another size between them
            among, of_atoms = slice(first, last + 1), slice(int(offsets[first]), int(offsets[last + 1]))
        else:
            of_atoms = (offsets[chosen, np.newaxis] + np.arange(size)).reshape(-1)
        place = 1 + rows.shape[1]
        for words in atoms(of_atoms):
            table = words.reshape(len(chosen), -1)
            sums[among] += _sums(table, place)
            place += table.shape[1]
    first_half = _mixed(sums[:, 0])
    halves = np.stack([first_half, _mixed(sums[:, 1] + first_half)], axis=1)
    return np.frombuffer(halves.astype('<u8').tobytes().hex().encode(), dtype='S32')


def _sums(words: _Words, place: int) -> _Words:
    """Return ``(n, 2)`` sums of words times the factors of their places.

    :param words: ``(n, width)``.
    :param place: of the first word.
    """
    end = place + words.shape[1]
    factors = _factors(1 << (end - 1).bit_length())[:, place:end]
    return np.stack([np.einsum('nk,k->n', words, row) for row in factors], axis=1)


@lru_cache(maxsize=16)
def _factors(count: int) -> _Words:
    """Return ``(2, count)`` odd numbers; those of a smaller count are the first of a larger one."""
    counters = np.arange(1, 2 * count + 1, dtype=np.uint64).reshape(count, 2).T
    factors = np.ascontiguousarray(_mixed(counters * np.uint64(0x9E3779B97F4A7C15)) | np.uint64(1))
    factors.flags.writeable = False
    return factors


def _mixed(words: _Words) -> _Words:
    """Spread every bit of each word over all of it (the finaliser of SplitMix64; Steele, Lea, Flood, OOPSLA 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def in_steps(lengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round lengths in Å to whole steps, first as a text file does: then a copy through one is never split from it."""
    steps: NDArray[np.float64] = lengths * 10.0**TEXT_DECIMALS
    np.rint(steps, out=steps)  # in place: of a large dataset every temporary array costs as much as the arithmetic
    steps /= _STEPS
    np.rint(steps, out=steps)
    return steps


def _whole(numbers: NDArray[Any]) -> _Words:
    """Return whole numbers as words, one row of them for each row: -0.0 and 0.0 are the same."""
    return numbers.astype(np.int64).view(np.uint64).reshape(len(numbers), -1)


def _bits(array: NDArray[np.float64]) -> _Words:
    """Return the bits of numbers as words.

    Short numbers such as 0.25 differ in their upper bits only, which a product keeps there: they go into the lower
    bits, too.
    """
    words = np.ascontiguousarray(array).view(np.uint64)
    return words ^ (words >> np.uint64(32))


def _row_field(structures: LabelledStructures, name: str) -> NDArray[Any]:
    array: NDArray[Any] | None = getattr(structures, name)
    if array is not None:
        return array
    return np.full((len(structures), 6), np.nan) if name == 'stress' else np.empty((len(structures), 0))
