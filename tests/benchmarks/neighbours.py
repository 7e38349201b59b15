"""Which library finds all pairs of atoms within a cutoff: whether it is right, and what it costs.

    python tests/benchmarks/neighbours.py [--repeat N]

Needs `vesin` and `matscipy` beside ase. Each case is compared with a sum over all images that could be near enough;
pairs whose distance is within 1e-9 Å of the cutoff may differ. Prints a table: processor time in µs per structure, the
best of some repetitions, with how many pairs are wrong where any are.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.build import bulk
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

AL_LDA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
Search = Callable[[ase.Atoms, float], NDArray[np.float64]]


def with_vesin(atoms: ase.Atoms, cutoff: float) -> NDArray[np.float64]:
    """Return the sorted distances of a half list."""
    from vesin import NeighborList

    found = NeighborList(cutoff=cutoff, full_list=False)
    (distances,) = found.compute(atoms.positions, atoms.cell[:], atoms.pbc, quantities='d')
    return np.sort(distances)


def with_matscipy(atoms: ase.Atoms, cutoff: float) -> NDArray[np.float64]:
    """Return the sorted distances, each once."""
    from matscipy.neighbours import neighbour_list

    return np.sort(neighbour_list('d', atoms, cutoff))[::2]


def with_ase(atoms: ase.Atoms, cutoff: float) -> NDArray[np.float64]:
    """Return the sorted distances, each once."""
    return np.sort(neighbor_list('d', atoms, cutoff))[::2]


SEARCHES: dict[str, Search] = {'vesin': with_vesin, 'matscipy': with_matscipy, 'ase': with_ase}


def with_all_images(atoms: ase.Atoms, cutoff: float) -> NDArray[np.float64]:
    """Return the sorted distances, each once, by looking at every image that could be near enough."""
    from ase.geometry import complete_cell

    inverse = np.linalg.inv(complete_cell(atoms.cell))
    fractional = atoms.positions @ inverse
    spread = np.ptp(fractional, axis=0)
    reach = np.where(atoms.pbc, np.ceil(cutoff * np.linalg.norm(inverse, axis=0) + spread), 0).astype(int)
    difference = atoms.positions[None] - atoms.positions[:, None]
    distances = []
    for shift in itertools.product(*(range(-limit, limit + 1) for limit in reach)):
        length = np.linalg.norm(difference + np.array(shift) @ atoms.cell[:], axis=2)
        if not any(shift):
            np.fill_diagonal(length, np.inf)
        distances.append(length[length < cutoff])
    return np.sort(np.concatenate(distances))[::2]


def cases() -> dict[str, tuple[list[ase.Atoms], float]]:
    """Return structures and cutoffs by name."""
    rng = np.random.default_rng(1)

    def rattled(repeat: int, count: int) -> list[ase.Atoms]:
        images = [bulk('Cu', cubic=True).repeat(repeat) for _ in range(count)]
        for image in images:
            image.rattle(0.1, rng=rng)
        return images

    skewed = [ase.Atoms('Cu2', scaled_positions=[[0, 0, 0], [0.3, 0.4, 0.6]], cell=bulk('Cu').cell, pbc=True)]
    skewed[0].set_cell(skewed[0].cell[:] + np.array([[0, 0, 0], 3 * skewed[0].cell[0], -4 * skewed[0].cell[1]]))
    outside = rattled(2, 1)
    outside[0].positions += rng.integers(-3, 4, (32, 3)) @ outside[0].cell[:]
    mixed = rattled(2, 3)
    for image, pbc in zip(mixed, ([1, 1, 0], [1, 0, 0], [0, 1, 1]), strict=True):
        image.pbc = pbc
    wire = ase.Atoms(
        'Cu2', positions=[[0, 0, 0], [1.0, 0.5, 0.2]], cell=[[2.5, 0, 0], [0, 0, 0], [0, 0, 0]], pbc=[1, 0, 0]
    )
    molecule = ase.Atoms('Cu20', positions=5 * rng.random((20, 3)))
    far = ase.Atoms('Cu2', positions=[[0, 0, 0], [1e4, 0, 0]])
    return {
        'al-lda, 1 to 4 atoms': (ase.io.read(AL_LDA, ':'), 5.0),
        '32 atoms': (rattled(2, 20), 5.0),
        '256 atoms': (rattled(4, 3), 5.0),
        'cell smaller than the cutoff': ([bulk('Cu')], 8.0),
        'skewed': (skewed, 5.0),
        'atoms outside of the cell': (outside, 5.0),
        'mixed periodic': (mixed, 5.0),
        'wire, no other cell vectors': ([wire], 6.0),
        'molecule without cell': ([molecule], 4.0),
        'two atoms 10 000 Å apart': ([far], 4.0),
    }


def wrong_pairs(found: NDArray[np.float64], expected: NDArray[np.float64]) -> int:
    """Return how many distances are not those that they should be."""
    if len(found) != len(expected):
        return abs(len(found) - len(expected))
    return int(np.sum(np.abs(found - expected) > 1e-9))


def measure(search: Search, images: list[ase.Atoms], cutoff: float, repeat: int) -> str:
    """Return µs per structure, and what is wrong."""
    times = []
    for _ in range(repeat):
        begin = time.process_time()
        for image in images:
            search(image, cutoff)
        times.append((time.process_time() - begin) / len(images))
    wrong = sum(wrong_pairs(search(image, cutoff), with_all_images(image, cutoff)) for image in images)
    return f'{1e6 * min(times):.0f}' + (f' ({wrong} wrong)' if wrong else '')


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--repeat', type=int, default=20)
    repeat: int = parser.parse_args(argv).repeat
    rows: list[list[Any]] = [['case', *SEARCHES]]
    for name, (images, cutoff) in cases().items():
        row = [name]
        for search in SEARCHES.values():
            try:
                row.append(measure(search, images, cutoff, repeat))
            except Exception as error:
                row.append(type(error).__name__)
        rows.append(row)
    for row in rows:
        print(f'{row[0]:32}' + ''.join(f'{cell:>22}' for cell in row[1:]))


if __name__ == '__main__':
    main()
