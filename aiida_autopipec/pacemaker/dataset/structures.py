"""Labelled atomic structures as flat arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset import checks
from aiida_autopipec.pacemaker.dataset.fingerprint import (
    BLOCK_ATOMS,
    content_digests,
    content_hash,
    structure_fingerprints,
)
from aiida_autopipec.pacemaker.dataset.naming import content_names

if TYPE_CHECKING:
    import ase
    import pandas as pd

PER_STRUCTURE = ('cells', 'pbc', 'energy', 'energy_corrected', 'stress', 'energy_weights', 'names', 'sources')
"""Fields with one row per structure."""
PER_ATOM = ('numbers', 'positions', 'forces', 'force_weights')
"""Fields with one row per atom of all structures, one structure after the other."""
OPTIONAL = ('energy', 'energy_corrected', 'forces', 'stress', 'energy_weights', 'force_weights')
"""Fields that may be absent as a whole."""
GEOMETRY = frozenset({'numbers', 'positions', 'cells', 'pbc', 'offsets'})
"""Fields that fingerprints are made of."""
_HASHES = ('fingerprints', 'digests')


def _filled_in() -> Any:
    """Stand for a field that the constructor fills in where it is not given."""
    return None


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledStructures:
    """Structures of any sizes and compositions with their energies and forces.

    For ``n`` structures of ``a`` atoms in total. The arrays are read-only here, and not copied where they already have
    the right type: whoever passes an array gives it away, and must not change it afterwards.

    :param numbers: ``(a,)`` atomic numbers.
    :param positions: ``(a, 3)`` Cartesian positions in Å.
    :param cells: ``(n, 3, 3)`` cell vectors as rows in Å; zero vectors where there is no cell.
    :param pbc: ``(n, 3)`` periodic boundary conditions.
    :param offsets: ``(n + 1,)``: the atoms of structure ``i`` are ``offsets[i]:offsets[i + 1]``.
    :param energy: ``(n,)`` total energies in eV, the ones that the forces derive from.
    :param forces: ``(a, 3)`` forces in eV/Å.
    :param energy_corrected: ``(n,)`` energies in eV minus an explicit reference, as Pacemaker trains on.
    :param stress: ``(n, 6)`` Voigt stress (xx, yy, zz, yz, xz, xy) in eV/Å³ with the sign of ASE (negative when
        compressed); a row of NaN where it is not known. Pacemaker does not train on it; it is kept.
    :param energy_weights: ``(n,)`` weights of energies, Pacemaker's ``w_energy``.
    :param force_weights: ``(a,)`` weights of forces, Pacemaker's ``w_forces``.
    :param names: ``(n,)`` unique names; made from formula and content where none are given.
    :param sources: ``(n,)`` UUIDs of the nodes that the structures come from, empty where there is none. Not content.
    :raises DatasetError: if an array has the wrong shape, or a value is missing, not finite, or not unique; the message
        names the first structure concerned.
    """

    numbers: NDArray[np.int32]
    positions: NDArray[np.float64]
    cells: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    energy: NDArray[np.float64] | None = None
    forces: NDArray[np.float64] | None = None
    energy_corrected: NDArray[np.float64] | None = None
    stress: NDArray[np.float64] | None = None
    energy_weights: NDArray[np.float64] | None = None
    force_weights: NDArray[np.float64] | None = None
    names: NDArray[np.str_] = dataclasses.field(default_factory=_filled_in)
    sources: NDArray[np.str_] = dataclasses.field(default_factory=_filled_in)

    def __post_init__(self) -> None:
        arrays = checks.coerce({field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        checks.check_shapes(arrays)
        checks.check_values(arrays)
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        if 'sources' not in arrays:
            object.__setattr__(self, 'sources', np.zeros(len(self), dtype='U1'))
        if 'names' not in arrays:
            object.__setattr__(self, 'names', content_names(self.numbers, self.offsets, self.fingerprints))
        for field in dataclasses.fields(self):
            array = getattr(self, field.name)
            if array is not None and array.flags.writeable:
                view = array.view()
                view.flags.writeable = False
                object.__setattr__(self, field.name, view)

    # Sizes and composition

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""
        return int(self.offsets[-1])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``(n,)`` number of atoms of each structure."""
        return np.diff(self.offsets)

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that occur, in alphabetical order."""
        from ase.data import chemical_symbols

        occurs = np.zeros(len(chemical_symbols), dtype=bool)
        for begin in range(0, self.n_atoms, BLOCK_ATOMS):  # numpy copies what it counts or looks up with
            occurs[self.numbers[begin : begin + BLOCK_ATOMS]] = True
        return tuple(sorted(chemical_symbols[z] for z in np.flatnonzero(occurs)))

    @property
    def is_labelled(self) -> bool:
        """Whether every structure has an energy (total or corrected) and forces."""
        return self.forces is not None and (self.energy is not None or self.energy_corrected is not None)

    @property
    def has_stress(self) -> bool:
        """Whether any structure has a stress."""
        return self.stress is not None and bool(np.isfinite(self.stress).any())

    # Content

    @cached_property
    def fingerprints(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of the geometry alone: equal structures have equal ones, whatever their labels and names."""
        return structure_fingerprints(self.numbers, self.positions, self.cells, self.pbc, self.offsets)

    @cached_property
    def digests(self) -> NDArray[np.bytes_]:
        """``(n,)`` hashes of all that a structure is and carries but its name and source, to the last bit."""
        return content_digests(self)

    @cached_property
    def content_hash(self) -> str:
        """Hash of everything but the sources; it does not depend on how the rows are stored."""
        return content_hash([(self.digests, self.names)])

    def load(self) -> LabelledStructures:
        """Return the structures themselves; see :class:`~aiida_autopipec.pacemaker.dataset.merge.Mergeable`."""
        return self

    @property
    def present(self) -> frozenset[str]:
        """Which fields there are."""
        return frozenset(self.fields())

    def field(self, name: str) -> NDArray[Any]:
        """Return the array of a field that is present."""
        array: NDArray[Any] = getattr(self, name)
        return array

    def fields(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that are present by field name."""
        present = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: array for name, array in present.items() if array is not None}

    # New objects from parts

    def take(self, rows: Sequence[int] | NDArray[Any]) -> LabelledStructures:
        """Return the structures of the given rows, in that order.

        :param rows: indices, or a boolean mask of length ``n``.
        """
        index = np.asarray(rows)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        sizes = self.sizes[index]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        # the atoms of the chosen structures: a running number plus the shift of the structure that each belongs to
        atoms = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][index] - offsets[:-1], sizes)
        changes: dict[str, Any] = {'offsets': offsets}
        for name, array in self.fields().items():
            if name in PER_STRUCTURE:
                changes[name] = array[index]
            elif name in PER_ATOM:
                changes[name] = array[atoms]
        taken = LabelledStructures(**changes)
        taken.know(**{name: hashes[index] for name, hashes in self._known_hashes().items()})
        return taken

    def stretch(self, begin: int, end: int) -> LabelledStructures:
        """Return consecutive structures, as views: nothing is copied, nor checked again.

        :param begin: first row; ``end`` is the row after the last.
        """
        atoms = slice(int(self.offsets[begin]), int(self.offsets[end]))
        part = object.__new__(LabelledStructures)
        for field in dataclasses.fields(self):
            array = getattr(self, field.name)
            if field.name == 'offsets':
                array = array[begin : end + 1] - array[begin]
                array.flags.writeable = False
            elif array is not None:
                array = array[atoms] if field.name in PER_ATOM else array[begin:end]
            object.__setattr__(part, field.name, array)
        part.know(**{name: hashes[begin:end] for name, hashes in self._known_hashes().items()})
        return part

    def replace(self, **changes: Any) -> LabelledStructures:
        """Return a copy with some fields exchanged."""
        copy = dataclasses.replace(self, **changes)
        if not GEOMETRY & set(changes):
            copy.know(fingerprints=self._known_hashes().get('fingerprints'))
        return copy

    # Hashes cost more than anything else that is computed of a structure: they go along where rows do

    def know(
        self, fingerprints: NDArray[np.bytes_] | None = None, digests: NDArray[np.bytes_] | None = None
    ) -> LabelledStructures:
        """Take over hashes that were computed of the very same structures before.

        :param fingerprints: ``(n,)`` as :attr:`fingerprints`.
        :param digests: ``(n,)`` as :attr:`digests`.
        :return: this object.
        """
        for name, hashes in (('fingerprints', fingerprints), ('digests', digests)):
            if hashes is not None and len(hashes) == len(self):
                self.__dict__[name] = hashes
        return self

    def _known_hashes(self) -> dict[str, NDArray[np.bytes_]]:
        return {name: self.__dict__[name] for name in _HASHES if name in self.__dict__}

    @classmethod
    def concatenate(cls, parts: Sequence[LabelledStructures]) -> LabelledStructures:
        """Put several sets behind each other.

        See :func:`~aiida_autopipec.pacemaker.dataset.merge.merge_structures` for removal of duplicates.

        :raises DatasetError: if a label or weight is present in some parts only (stress apart, which becomes NaN).
        """
        return concatenate(parts)

    # ASE and pandas

    @classmethod
    def from_atoms(
        cls, atoms: Sequence[ase.Atoms], *, names: Sequence[str] | None = None, require_labels: bool = True
    ) -> LabelledStructures:
        """Take structures and labels from ASE.

        See :func:`aiida_autopipec.pacemaker.dataset.atoms.structures_from_atoms`.
        """
        from aiida_autopipec.pacemaker.dataset.atoms import structures_from_atoms

        return structures_from_atoms(atoms, names=names, require_labels=require_labels)

    def to_atoms(self) -> list[ase.Atoms]:
        """Return ``ase.Atoms`` with the labels attached as a ``SinglePointCalculator``."""
        return list(self.iter_atoms())

    def iter_atoms(self) -> Iterator[ase.Atoms]:
        """Yield what :meth:`to_atoms` returns, one at a time."""
        from aiida_autopipec.pacemaker.dataset.atoms import iter_atoms

        return iter_atoms(self)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the table that Pacemaker reads: ``ase_atoms``, ``energy``, ``forces`` and so on."""
        from aiida_autopipec.pacemaker.dataset.atoms import to_dataframe

        return to_dataframe(self)


def concatenate(parts: Sequence[LabelledStructures]) -> LabelledStructures:
    """Put several sets behind each other.

    :raises DatasetError: if there is nothing to concatenate, names clash, or a label is present in some parts only.
    """
    checks.check_same_labels(parts)
    offsets, start = [np.zeros(1, dtype=np.int64)], 0
    for part in parts:
        offsets.append(part.offsets[1:] + start)
        start += part.n_atoms
    fields: dict[str, Any] = {'offsets': np.concatenate(offsets)}
    for name in (*PER_STRUCTURE, *PER_ATOM):
        arrays = [getattr(part, name) for part in parts]
        if name == 'stress' and any(array is not None for array in arrays):
            missing = [np.full((len(part), 6), np.nan) for part in parts]
            arrays = [blank if array is None else array for array, blank in zip(arrays, missing, strict=True)]
        if all(array is not None for array in arrays):
            fields[name] = np.concatenate(arrays)
    known = [part._known_hashes() for part in parts]
    hashes = {name: [part[name] for part in known] for name in _HASHES if all(name in part for part in known)}
    return LabelledStructures(**fields).know(**{name: np.concatenate(arrays) for name, arrays in hashes.items()})
