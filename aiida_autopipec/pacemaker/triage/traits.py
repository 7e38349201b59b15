"""What triage needs to know of every structure: a few numbers each, so that the structures need not be in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.dataset.vectors import determinants, squared_lengths
from aiida_autopipec.pacemaker.triage.alike import Compositions, compositions, join_compositions
from aiida_autopipec.pacemaker.triage.neighbours import nearest_neighbours
from aiida_autopipec.pacemaker.triage.rules import TriageRules

Array = NDArray[np.float64]
LANDMARKS = 3
"""Atoms of a structure, besides the first, whose places are kept to find near copies."""


@dataclasses.dataclass(frozen=True)
class Traits:
    """Of ``n`` structures, about 400 bytes each whatever their sizes.

    :param names: ``(n,)``.
    :param sizes: ``(n,)`` numbers of atoms.
    :param pbc: ``(n, 3)``.
    :param composition: numbers of atoms by element.
    :param energies: ``(n,)`` energies in eV/atom, total ones where there are any; ``None`` without labels.
    :param forces: ``(n,)`` norms in eV/Å of the largest force on an atom; ``None`` without labels.
    :param isolated: ``(n,)``: whether no atom has a neighbour within the cutoff.
    :param contact_ratios: ``(n,)`` smallest distance over sum of covalent radii; infinite where it is not suspicious.
    :param contact_distances: ``(n,)`` that distance in Å.
    :param contact_atoms: ``(n, 2)`` numbers of the two atoms within the structure.
    :param contact_numbers: ``(n, 2)`` their atomic numbers.
    :param volumes: ``(n,)`` volumes of the cells in Å³; 0 for flat ones.
    :param spheres: ``(n,)`` volumes of the covalent spheres in Å³.
    :param flat: ``(n,)``: whether the periodic cell vectors are linearly dependent, or nearly.
    :param fingerprints: ``(n,)`` hashes of the geometries.
    :param kinds: ``(n,)`` hashes of elements, in their order, and boundary conditions.
    :param vectors: ``(n, 3, 3)`` of the lattices, in Å.
    :param heights: ``(n, 3)`` distances in Å between lattice planes.
    :param places: ``(n, LANDMARKS, 3)`` fractional coordinates of some atoms relative to the first; Å along open
        directions.
    """

    names: NDArray[np.str_]
    sizes: NDArray[np.int64]
    pbc: NDArray[np.bool_]
    composition: Compositions
    energies: Array | None
    forces: Array | None
    isolated: NDArray[np.bool_]
    contact_ratios: Array
    contact_distances: Array
    contact_atoms: NDArray[np.int64]
    contact_numbers: NDArray[np.int32]
    volumes: Array
    spheres: Array
    flat: NDArray[np.bool_]
    fingerprints: NDArray[np.bytes_]
    kinds: NDArray[np.bytes_]
    vectors: Array
    heights: Array
    places: Array

    def __len__(self) -> int:
        return len(self.sizes)


def traits_of(structures: LabelledStructures, rules: TriageRules) -> Traits:
    """Look at structures."""
    neighbours = nearest_neighbours(structures, rules.cutoff_angstrom, rules.min_distance_fraction or 0.0)
    lattice, begins = neighbours.lattices, structures.offsets[:-1]
    return Traits(
        names=structures.names,
        sizes=structures.sizes,
        pbc=structures.pbc,
        composition=compositions(structures),
        energies=_energies_per_atom(structures),
        forces=_largest_forces(structures),
        isolated=~np.isfinite(np.minimum.reduceat(neighbours.distances, begins)),
        contact_ratios=neighbours.contact_ratios,
        contact_distances=neighbours.contact_distances,
        contact_atoms=neighbours.contact_atoms,
        contact_numbers=structures.numbers[begins[:, None] + neighbours.contact_atoms],
        volumes=np.where(lattice.flat, 0.0, np.abs(determinants(structures.cells))),
        spheres=4 / 3 * np.pi * np.add.reduceat(covalent_radii[structures.numbers] ** 3, begins),
        flat=lattice.flat,
        fingerprints=structures.fingerprints,
        kinds=_kinds(structures),
        vectors=lattice.vectors,
        heights=lattice.heights,
        places=_places(structures, lattice.inverse),
    )


def join_traits(parts: Iterable[Traits], n: int) -> Traits:
    """Put those of several sets behind each other, each as it comes.

    :param n: number of structures in all sets.
    :raises ValueError: if the sets have another number of them.
    """
    joined: dict[str, Any] = {}
    apart: dict[str, list[Any]] = {'composition': [], 'names': []}  # these may get wider with every set
    begin = 0
    for part in parts:
        for name in (field.name for field in dataclasses.fields(Traits)):
            values = getattr(part, name)
            if name in apart:
                apart[name].append(values)
            elif values is None or joined.get(name, values) is None:
                joined[name] = None
            else:
                if name not in joined:
                    joined[name] = np.empty((n, *values.shape[1:]), dtype=values.dtype)
                joined[name][begin : begin + len(part)] = values
        begin += len(part)
    if begin != n:
        raise ValueError(f'{begin} structures came where {n} were announced')
    composition, names = join_compositions(apart['composition']), np.concatenate(apart['names'])
    return Traits(**joined, composition=composition, names=names)


def _energies_per_atom(structures: LabelledStructures) -> Array | None:
    energy = structures.energy if structures.energy is not None else structures.energy_corrected
    return None if energy is None else energy / structures.sizes


def _largest_forces(structures: LabelledStructures) -> Array | None:
    if structures.forces is None:
        return None
    largest: Array = np.maximum.reduceat(squared_lengths(structures.forces), structures.offsets[:-1])
    return np.sqrt(largest)


def _kinds(structures: LabelledStructures) -> NDArray[np.bytes_]:
    """Hash the elements in their order and the boundary conditions, each kind once."""
    known: dict[bytes, bytes] = {}
    kinds = []
    numbers, pbc = structures.numbers.tobytes(), structures.pbc.tobytes()
    for row, (begin, end) in enumerate(pairwise((structures.offsets * structures.numbers.itemsize).tolist())):
        key = pbc[3 * row : 3 * row + 3] + numbers[begin:end]
        kind = known.get(key)
        if kind is None:
            kind = known[key] = blake2b(key, digest_size=8).hexdigest().encode()
        kinds.append(kind)
    return np.array(kinds, dtype='S16')


def _places(structures: LabelledStructures, inverse: Array) -> Array:
    """Return ``(n, LANDMARKS, 3)`` coordinates of the second, the middle and the last atom."""
    begins, sizes = structures.offsets[:-1], structures.sizes
    chosen = np.stack([np.minimum(1, sizes - 1), sizes // 2, sizes - 1], axis=1)
    relative = structures.positions[begins[:, None] + chosen] - structures.positions[begins][:, None]
    return np.asarray(relative @ inverse)
