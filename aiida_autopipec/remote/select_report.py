"""What a selection covers and what it leaves uncovered.

Part of ``select_structures.py``; needs python-ace for MaxVol.
"""

import numpy as np
from select_maxvol import active_rows
from select_projections import largest_of


def grades(projections, inverses):
    """Return the ``(n,)`` largest extrapolation grade among the atoms of each structure.

    ``gamma`` of an atom is the largest part of ``|p A^-1|``: how much of each active row is needed to make its
    projections. NaN where an element has no active set.

    :param inverses: by element, ``(functions, active)``: ``A^-1``.
    """
    result = np.zeros(projections.n)
    for begin, end in projections.ranges():
        for element in projections.elements:
            starts = projections.starts[element]
            if element in inverses:
                rows = projections.rows(element, begin, end)
                gamma = np.abs(rows @ inverses[element]).max(axis=1)
            else:
                gamma = np.full(int(starts[end] - starts[begin]), np.nan)
            result[begin:end] = np.maximum(result[begin:end], largest_of(gamma, starts, begin, end))
    return result


def inverses_of(projections, space, chosen, settings):
    """Return ``A^-1`` of the active set of the chosen structures, for each element that they span.

    Where the pool spans fewer dimensions than there are functions, the grade is meant within what the pool spans. An
    element is left out where the chosen structures span less than the pool: some of it lies infinitely far outside.
    """
    inverses = {}
    for element in projections.elements:
        if space.rank[element] == 0:
            inverses[element] = np.zeros((space.functions(element), 1))
            continue
        rows, _ = active_rows(projections, space, element, chosen, known=space.known.get(element), **settings)
        span = space.span[element]
        reduced = rows @ span
        if len(rows) < space.rank[element] or np.linalg.matrix_rank(reduced) < space.rank[element]:
            continue
        inverses[element] = span @ np.linalg.pinv(reduced)
    return inverses


def rows_of(inverses):
    """Return the active rows ``A`` of an active set that is stored as ``A^-1``, by element.

    :param inverses: as ``numpy.load`` reads an ``.asi`` file.
    """
    return {element: np.linalg.pinv(inverses[element]) for element in sorted(inverses)}


def largest_by_element(projections, inverses, structures):
    """Return the largest grade among the atoms of each element in some structures; ``None`` without active set."""
    mask = np.zeros(projections.n, dtype=bool)
    mask[structures] = True
    largest = {}
    for element in projections.elements:
        if element not in inverses:
            largest[element] = None
            continue
        largest[element] = 0.0
        for begin, end in projections.ranges():
            of_these = np.repeat(mask[begin:end], projections.count(element, np.arange(begin, end)))
            rows = projections.rows(element, begin, end)[of_these]
            if len(rows):
                largest[element] = max(largest[element], float(np.abs(rows @ inverses[element]).max()))
    return largest
