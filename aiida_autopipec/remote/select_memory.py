"""How much memory a selection takes, and how it is done so that it takes no more than it may.

Part of ``select_structures.py``; needs numpy only.
"""

import json
import resource
import sys

import numpy as np
from select_maxvol import COPIES
from select_projections import PASS_BYTES
from select_sampling import SPREAD_DIMENSIONS
from select_strategies import CLUSTERS, DIMENSIONS

# of `pyace.atomicenvironment.aseatoms_to_atomicenvironment`, measured with python-ace 0.4.0rc1 for cutoffs from 4.5 to
# 8 Angstrom and cells of 4 to 256 atoms: bytes for each neighbour, each atom or image of one, and each atom
BYTES_PER_NEIGHBOUR, BYTES_PER_IMAGE, BYTES_PER_ATOM = 4.2, 50, 64
PASS_COPIES = 4  # arrays of the rows that are looked at together: themselves, scaled, multiplied, summed up
MATRICES = 10  # square matrices of the functions of each element: Gram matrix, its eigenvectors, inverses and work
CHUNK_BYTES = 64 * 2**20
LATE_BYTES = 16 * 2**20  # of parts of the libraries that are loaded when they are first used
SAFETY = 0.9  # part of the limit that is planned with
PART_OF_NODE = 0.8  # part of the memory of the node, or the job's control group, that is used where no limit is stated


class TooLittleMemoryError(ValueError):
    """Not even the smallest part of the work fits."""


def peak_bytes():
    """Return the most memory that this process has had so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024


def limit_bytes(stated_mb, environment='environment.json'):
    """Return the memory that may be used: what is stated, or a part of what the probe found; ``None`` if unknown."""
    if stated_mb is not None:
        return int(stated_mb * 2**20)
    try:
        with open(environment) as handle:
            found = json.load(handle)['memory_limit_mb']
        return int(PART_OF_NODE * found * 2**20)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def environment_bytes(neighbours, images):
    """Return the bytes that the surroundings of an atom take.

    :param neighbours: mean number within the cutoff.
    :param images: mean number of atoms and their periodic images in the box, for each atom.
    """
    return BYTES_PER_NEIGHBOUR * neighbours + BYTES_PER_IMAGE * images + BYTES_PER_ATOM


class Plan:
    """How the work is divided, and the memory that it is expected to take.

    :param base: bytes that are taken already, by libraries and structures.
    :param limit: bytes that may be taken; ``None``: any number.
    :param counts: by element, ``(n,)`` atoms of it in each structure.
    :param functions: by element.
    :param surroundings: bytes that the surroundings of an atom take.
    :param atoms: how many the largest MaxVol runs over; that of the chosen structures is one.
    :param structures: structures whose surroundings are in memory together, where that is stated.
    :param strategy: the name of the strategy.
    :raises TooLittleMemoryError: if the limit is too small for the largest structure, or for the matrices.
    """

    def __init__(self, *, base, limit, counts, functions, surroundings, atoms, structures=None, strategy=''):
        self.limit = limit
        sizes = np.sum(list(counts.values()), axis=0)
        widest = max(functions.values())
        self.rows = sum(8 * functions[element] * int(np.sum(counts[element])) for element in counts)
        per_atom = surroundings + 3 * 8 * widest
        fixed = (
            base + LATE_BYTES + _matrices(functions, len(sizes), strategy) + PASS_COPIES * min(PASS_BYTES, self.rows)
        )
        largest = int(sizes.max()) * per_atom
        smallest_maxvol = COPIES * 8 * 6 * widest**2
        usable = np.inf if limit is None else SAFETY * limit
        if fixed + largest + smallest_maxvol > usable:
            raise TooLittleMemoryError(
                'the selection needs at least %d MB for %d functions and structures of up to %d atoms, but may use %d '
                'MB: request more memory, or raise `memory_limit`'
                % ((fixed + largest + smallest_maxvol) / SAFETY / 2**20 + 1, widest, sizes.max(), limit / 2**20)
            )
        chunk = max(largest, min(CHUNK_BYTES, (usable - fixed - smallest_maxvol) / 4, int(sizes.sum()) * per_atom))
        self.chunk_atoms = int(chunk // per_atom)
        self.chunk_structures = structures
        if structures is not None:
            chunk = max(chunk, int(structures * sizes.mean()) * per_atom)
        share = max(np.sum(counts[element]) * functions[element] for element in counts) / max(sizes.sum(), 1)
        maxvol = COPIES * 8 * share * min(atoms, sizes.sum())
        # an allocator need not give back what the chunks took
        fixed += chunk
        self.on_disk = bool(fixed + self.rows + min(maxvol, (usable - fixed) / 2) > usable)
        left = usable - fixed - (0 if self.on_disk else self.rows)
        self.maxvol_bytes = None if maxvol <= left else int(max(left, smallest_maxvol))
        self.predicted = fixed + (0 if self.on_disk else self.rows) + min(maxvol, max(left, smallest_maxvol))

    def chunks(self, sizes):
        """Yield ``(begin, end)`` of the structures whose surroundings are in memory together."""
        begin = 0
        while begin < len(sizes):
            end, atoms = begin, 0
            while end < len(sizes) and (end == begin or self._fits(end - begin, atoms + int(sizes[end]))):
                atoms += int(sizes[end])
                end += 1
            yield begin, end
            begin = end

    def _fits(self, structures, atoms):
        if self.chunk_structures is not None:
            return structures < self.chunk_structures
        return atoms <= self.chunk_atoms


def _matrices(functions, n, strategy):
    """Return the bytes of what does not grow with the atoms."""
    squares = sum(MATRICES * 8 * width**2 for width in functions.values())
    together = 4 * 8 * sum(functions.values()) ** 2
    own = {'kmeans': 2 * DIMENSIONS + 3 * CLUSTERS, 'farthest_point': 2 * DIMENSIONS, 'spread': 3 * SPREAD_DIMENSIONS}
    numbers = own.get(strategy, 0) + 32
    return squares + together + 8 * n * numbers
