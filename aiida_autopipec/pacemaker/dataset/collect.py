"""Structures that come one by one as ``ase.Atoms``, put together in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ase
import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.naming import content_names
from aiida_autopipec.pacemaker.dataset.storage import size_of
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

SMEARING_TOLERANCE = 1e-6
"""eV: an energy and a free energy that differ by less are the same."""
_NEEDED = ('energy', 'forces')


class Collector:
    """Takes structures and their labels, hands out parts, and knows what has to hold for all of them."""

    def __init__(
        self, keys: Sequence[str | None], *, names: Sequence[str] | None, use_names: bool, require_labels: bool
    ) -> None:
        """Begin with nothing.

        :param keys: under which energies and forces are looked for, if under no usual ones.
        :param names: of all structures, which are one part then; without, those that they bring, if every one does and
            ``use_names``.
        :param require_labels: whether energies and forces have to be there; else either may be missing altogether.
        """
        self._keys = dict(zip(_NEEDED, keys, strict=False))
        self._given_names, self._require_labels = names, require_labels
        self._use_names = use_names
        self._rows = 0
        self._done = 0
        self._seen: dict[str, int] = {}
        self._known = dict.fromkeys(_NEEDED, 0)
        self._first_missing: dict[str, str] = {}
        self._alone: int | None = None
        self._smeared: int | None = None
        self._part = _Frames()

    def has_room(self, image: ase.Atoms, max_bytes: int) -> bool:
        """Tell whether a structure fits into the part that is not handed out yet, or comes into it in any case."""
        part = self._part
        return not part.numbers or size_of(len(part.numbers) + 1, part.n_atoms + len(image)) <= max_bytes

    def add(self, image: ase.Atoms, labels: Mapping[str, Any]) -> None:
        """Take a structure and its labels, ``None`` being one that is missing.

        :param labels: ``energy``, ``forces``, ``stress``, and ``smearing``, by how much a free energy differs from the
            energy where both are there.
        """
        smearing = labels['smearing']
        if smearing is None and self._alone is None:
            self._alone = self._rows
        if smearing is not None and abs(smearing) > SMEARING_TOLERANCE and self._smeared is None:
            self._smeared = self._rows
        for label in _NEEDED:
            if labels[label] is not None:
                self._known[label] += 1
            elif label not in self._first_missing:
                self._first_missing[label] = _description(image, row=self._rows)
        self._rows += 1
        if self.incomplete is None:  # else the rest is counted only
            self._part.add(image, labels)

    @property
    def incomplete(self) -> str | None:
        """A label that some structures lack and all should have."""
        wanted = (label for label in _NEEDED if self._require_labels or self._known[label])
        return next((label for label in wanted if self._known[label] < self._rows), None)

    def check(self) -> None:
        """Check what has to hold for all structures.

        :raises DatasetError: if there are none, names were given for others, one lacks a label, or energies are of
            different kinds.
        """
        if not self._rows:
            raise DatasetError('the dataset is empty: there is no structure in it')
        if self._given_names is not None and len(self._given_names) != self._rows:
            raise DatasetError(
                f'there are {len(self._given_names)} `names` for {self._rows} structures: give one for each'
            )
        label = self.incomplete
        if label is not None:
            asked = f' under the key `{self._keys[label]}`' if self._keys[label] else ''
            raise DatasetError(
                f'{self._rows - self._known[label]} of {self._rows} structures have no {label}{asked}, the first is '
                f'{self._first_missing[label]}'
            )
        if self._alone is not None and self._smeared is not None:
            raise DatasetError(
                f'structure {self._smeared} has a free energy besides another energy, and structure {self._alone} has '
                'only one energy, so it is not certain that they are of the same kind; choose one with `energy_key`, '
                'or give the structures without the energies that are not meant'
            )

    def hand_out(self) -> LabelledStructures:
        """Return the structures since the last part.

        :raises DatasetError: if one has no name and those of earlier parts have, or a value is wrong; the message then
            counts from the first structure of the part, and says so.
        """
        part, begin = self._part, self._done
        self._part, self._done = _Frames(), self._rows
        if self._use_names and self._given_names is None and None in part.names:
            if begin:
                raise DatasetError(
                    f'structure {begin + part.names.index(None)} has no name, but those before it have; set `names` to '
                    '`content` to give all of them names after what they are'
                )
            self._use_names = False
        try:
            return self._structures(part)
        except DatasetError as error:
            if not begin:
                raise
            raise DatasetError(f'counted from structure {begin} on: {error}') from error

    def _structures(self, part: _Frames) -> LabelledStructures:
        fields = part.fields()
        if self._given_names is not None:
            return LabelledStructures(**fields, names=np.array(self._given_names, dtype=np.str_))
        if self._use_names:
            return LabelledStructures(**fields, names=np.array(part.names, dtype=np.str_))
        structures = LabelledStructures(**fields)
        names = content_names(structures.numbers, structures.offsets, structures.fingerprints, self._seen)
        return structures.replace(names=names)


class _Frames:
    """What is kept of structures: their arrays, without the objects that brought them."""

    def __init__(self) -> None:
        self.numbers: list[NDArray[np.int64]] = []
        self.positions: list[NDArray[np.float64]] = []
        self.cells: list[NDArray[np.float64]] = []
        self.pbc: list[NDArray[np.bool_]] = []
        self.names: list[str | None] = []
        self.labels: dict[str, list[Any]] = {label: [] for label in ('energy', 'forces', 'stress')}
        self.n_atoms = 0

    def add(self, image: ase.Atoms, labels: Mapping[str, Any]) -> None:
        """Take a structure and its labels."""
        for label, values in self.labels.items():
            values.append(labels[label])
        self.numbers.append(image.numbers)
        self.positions.append(image.positions)
        self.cells.append(image.cell.array)
        self.pbc.append(image.pbc)
        self.names.append(str(image.info['name']) if 'name' in image.info else None)
        self.n_atoms += len(image)

    def fields(self) -> dict[str, Any]:
        """Return all but the names, as :class:`LabelledStructures` takes it."""
        energies, forces, stresses = self.labels['energy'], self.labels['forces'], self.labels['stress']
        blank = np.full(6, np.nan)
        fields = {
            'numbers': np.concatenate(self.numbers),
            'positions': np.concatenate(self.positions),
            'cells': np.array(self.cells),
            'pbc': np.array(self.pbc),
            'offsets': np.concatenate([[0], np.cumsum([len(numbers) for numbers in self.numbers])]),
        }
        if energies[0] is not None:
            fields['energy'] = np.array(energies, dtype=np.float64)
        if forces[0] is not None:
            fields['forces'] = np.concatenate(forces)
        if any(stress is not None for stress in stresses):
            fields['stress'] = np.array([blank if stress is None else stress for stress in stresses])
        return fields


def _description(image: ase.Atoms, row: int) -> str:
    name = image.info.get('name', image.get_chemical_formula())
    found = sorted({*image.info, *image.arrays} - {'numbers', 'positions', 'name'})
    return f'structure {row} (`{name}`); other values that it holds: {", ".join(found) or "none"}'
