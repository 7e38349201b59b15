"""B-projections of many structures, kept in memory or on disk, and what is summed over them.

Part of ``select_structures.py``; needs numpy, and python-ace only to compute projections.

A projection is the row of numbers that a linear potential multiplies by its coefficients, one row for each atom. Rows
are kept by element, one structure after the other.
"""

import os
import shutil

import numpy as np

RIDGE = 1e-3  # added to the scaled Gram matrix: a thousandth of an atom for each function
EPSILON = 1e-15  # eigenvalues of a Gram matrix below this part of the largest, times its size, are rounding errors
PASS_BYTES = 8 * 2**20  # that the rows take which are looked at together


class Projections:
    """Rows by element, of ``n`` structures.

    :param counts: by element, ``(n,)`` atoms of it in each structure.
    :param functions: by element, the number of functions.
    :param folder: where the rows are put; in memory without.
    """

    def __init__(self, counts, functions, folder=None):
        self.elements = sorted(counts)
        self.functions = {element: int(functions[element]) for element in self.elements}
        self.starts = {
            element: np.concatenate([[0], np.cumsum(counts[element])]).astype(np.int64) for element in self.elements
        }
        self.n = len(next(iter(counts.values())))
        self.sizes = np.sum([np.asarray(counts[element], dtype=np.int64) for element in self.elements], axis=0)
        self.folder = folder
        self._filled = dict.fromkeys(self.elements, 0)
        self._rows = {}
        if folder is None:
            for element in self.elements:
                self._rows[element] = np.empty((int(self.starts[element][-1]), self.functions[element]))
        else:
            os.makedirs(folder, exist_ok=True)

    @classmethod
    def from_arrays(cls, rows, counts):
        """Return projections that are there already: by element, the rows and how many belong to each structure."""
        made = cls(counts, {element: array.shape[1] for element, array in rows.items()})
        for element, array in rows.items():
            made.append(element, array)
        return made

    def append(self, element, rows):
        """Take the next rows of an element."""
        begin = self._filled[element]
        self._filled[element] += len(rows)
        if self.folder is None:
            self._rows[element][begin : begin + len(rows)] = rows
            return
        with open(self._path(element), 'ab') as handle:
            handle.write(np.ascontiguousarray(rows, dtype=np.float64).tobytes())

    def rows(self, element, begin, end):
        """Return the rows of an element of the structures from ``begin`` up to ``end``."""
        first, last = int(self.starts[element][begin]), int(self.starts[element][end])
        if self.folder is None:
            return self._rows[element][first:last]
        width = self.functions[element]
        if first == last:
            return np.empty((0, width))
        array = np.fromfile(self._path(element), count=(last - first) * width, offset=first * width * 8)
        return array.reshape(-1, width)

    def rows_into(self, target, element, begin):
        """Copy the rows of an element from structure ``begin`` on into an array, as many as it has."""
        first = int(self.starts[element][begin])
        if self.folder is None:
            target[:] = self._rows[element][first : first + len(target)]
        elif len(target):
            with open(self._path(element), 'rb') as handle:
                handle.seek(first * self.functions[element] * 8)
                handle.readinto(target)

    def block(self, structure):
        """Return the rows of one structure by element, of those that it has."""
        return {
            element: self.rows(element, structure, structure + 1)
            for element in self.elements
            if self.starts[element][structure + 1] > self.starts[element][structure]
        }

    def count(self, element, structures):
        """Return the number of atoms of an element in each of the structures."""
        return self.starts[element][structures + 1] - self.starts[element][structures]

    def gather(self, element, structures):
        """Return the rows of an element of some structures, and for each row the structure."""
        counts = self.count(element, structures)
        rows = np.empty((int(counts.sum()), self.functions[element]))
        begin = 0
        for first, last in stretches(structures):
            end = begin + int(self.starts[element][last] - self.starts[element][first])
            self.rows_into(rows[begin:end], element, first)
            begin = end
        return rows, np.repeat(structures, counts)

    def ranges(self):
        """Yield ``(begin, end)`` of consecutive structures whose rows are looked at together."""
        atoms = PASS_BYTES // (8 * max(self.functions.values()))
        ends = np.cumsum(self.sizes)
        begin = 0
        while begin < self.n:
            used = ends[begin - 1] if begin else 0
            end = max(int(np.searchsorted(ends, used + atoms, side='right')), begin + 1)
            yield begin, end
            begin = end

    def remove(self):
        """Remove what lies on disk."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, element):
        return os.path.join(self.folder, element + '.bin')


def stretches(structures):
    """Return ``(begin, end)`` of runs of consecutive numbers in an ascending array."""
    if len(structures) == 0:
        return []
    breaks = np.flatnonzero(np.diff(structures) != 1) + 1
    edges = np.concatenate([[0], breaks, [len(structures)]])
    return [
        (int(structures[first]), int(structures[last - 1]) + 1)
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist())
    ]


class Space:
    """What the projections of a pool span, by element.

    Columns are scaled to a mean square of one over the atoms of the pool, so that the ridge means the same for each.

    :param projections: of the pool.
    :param known: by element, rows of an active set of other data, which count as atoms too.
    """

    def __init__(self, projections, known=None):
        self.elements = projections.elements
        self.known = {} if known is None else known
        self.gram, self.scale, self.rank, self.span = {}, {}, {}, {}
        grams = {element: self._gram_of_known(element, projections.functions[element]) for element in self.elements}
        for begin, end in projections.ranges():
            for element in self.elements:
                rows = projections.rows(element, begin, end)
                grams[element] += rows.T @ rows
        for element, gram in grams.items():
            atoms = int(projections.starts[element][-1]) + len(self.known.get(element, ()))
            scale = np.sqrt(np.diag(gram) / max(atoms, 1))
            self.scale[element] = np.where(scale > 0, scale, 1.0)
            self.gram[element] = gram / np.outer(self.scale[element], self.scale[element])
            values, vectors = np.linalg.eigh(self.gram[element])
            significant = values > rounding_error(values)
            self.rank[element] = int(significant.sum())
            self.span[element] = vectors[:, significant] / self.scale[element][:, None]

    def _gram_of_known(self, element, functions):
        rows = self.known.get(element, np.zeros((0, functions)))
        return rows.T @ rows

    def scaled(self, element, rows):
        """Return rows with scaled columns."""
        return rows / self.scale[element]

    def functions(self, element):
        """Return the number of functions of an element."""
        return len(self.scale[element])

    def start(self, element):
        """Return the scaled Gram matrix of what is known before anything is chosen, with the ridge."""
        rows = self.scaled(element, self.known[element]) if element in self.known else None
        ridge = RIDGE * np.eye(self.functions(element))
        return ridge if rows is None else rows.T @ rows + ridge


def rounding_error(eigenvalues):
    """Return the size below which an eigenvalue of a Gram matrix cannot be told from zero."""
    return EPSILON * len(eigenvalues) * max(eigenvalues.max(), 1e-300)


def leverages(projections, space):
    """Return the ``(n,)`` sums over the atoms of each structure of ``p G^-1 p``, G being the Gram matrix of the pool.

    The leverage of an atom lies between 0 and 1 and says how much of the fit hangs on it. Rows of an active set of
    other data count in G: what they span is known.
    """
    inverse = {
        element: np.linalg.inv(space.gram[element] + RIDGE * np.eye(space.functions(element)))
        for element in space.elements
    }
    total = np.zeros(projections.n)
    for begin, end in projections.ranges():
        for element in space.elements:
            rows = space.scaled(element, projections.rows(element, begin, end))
            total[begin:end] += sums_of(
                np.einsum('ij,ij->i', rows @ inverse[element], rows), projections.starts[element], begin, end
            )
    return total


def sums_of(values, starts, begin, end):
    """Return the sums over the atoms of each of the structures from ``begin`` up to ``end``."""
    return np.diff(np.concatenate([[0.0], np.cumsum(values)])[starts[begin : end + 1] - starts[begin]])


def largest_of(values, starts, begin, end):
    """Return the largest value among the atoms of each structure from ``begin`` up to ``end``; 0 where it has none."""
    counts = np.diff(starts[begin : end + 1])
    largest = np.zeros(end - begin)
    np.maximum.at(largest, np.repeat(np.arange(end - begin), counts), values)
    return largest


def components(projections, space, dimensions):
    """Return the ``(n, dimensions)`` first principal components of the mean scaled projections of each structure.

    The means over the atoms of each element stand beside each other, weighted by the part of the atoms that they are.
    """
    width = sum(space.functions(element) for element in space.elements)
    total, square = np.zeros(width), np.zeros((width, width))
    for begin, end in projections.ranges():
        means = _means(projections, space, begin, end)
        total += means.sum(axis=0)
        square += means.T @ means
    centre = total / projections.n
    values, vectors = np.linalg.eigh(square / projections.n - np.outer(centre, centre))
    axes = vectors[:, np.argsort(values)[::-1][:dimensions]]
    # the sign of an eigenvector is arbitrary: the largest entry is made positive
    largest = np.argmax(np.round(np.abs(axes), 9), axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    points = np.zeros((projections.n, dimensions))
    for begin, end in projections.ranges():
        points[begin:end, : axes.shape[1]] = (_means(projections, space, begin, end) - centre) @ axes
    return points


def _means(projections, space, begin, end):
    sizes = projections.sizes[begin:end, None]
    parts = []
    for element in space.elements:
        rows = space.scaled(element, projections.rows(element, begin, end))
        starts = projections.starts[element][begin : end + 1]
        sums = np.concatenate([np.zeros((1, rows.shape[1])), np.cumsum(rows, axis=0)])[starts - starts[0]]
        parts.append(np.diff(sums, axis=0) / sizes)
    return np.concatenate(parts, axis=1)


def log_determinant(projections, space, structures):
    """Return the log-determinant of the scaled Gram matrix of some structures and of what is known, with the ridge."""
    grams = {element: space.start(element) for element in space.elements}
    mask = np.zeros(projections.n, dtype=bool)
    mask[structures] = True
    for begin, end in projections.ranges():
        for element in space.elements:
            rows, _ = projections.gather(element, begin + np.flatnonzero(mask[begin:end]))
            rows = space.scaled(element, rows)
            grams[element] += rows.T @ rows
    return float(sum(np.linalg.slogdet(gram)[1] for gram in grams.values()))
