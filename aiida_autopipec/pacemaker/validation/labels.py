"""What a potential has to predict: the labels of a dataset, relative to the same as its training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiida_autopipec.pacemaker.dataset import recorded as records
from aiida_autopipec.pacemaker.dataset.reference import subtract
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError


@dataclass(frozen=True)
class Labels:
    """How the labels of a dataset relate to a potential.

    :param totals: whether they contain the reference potential, so that predictions have to contain it too.
    :param energies: single-atom energies (eV) that are still to be subtracted, by chemical symbol.
    """

    totals: bool
    energies: dict[str, float] | None = None

    def apply(self, structures: LabelledStructures) -> LabelledStructures:
        """Return the structures with the energies that are to be predicted as ``energy_corrected``.

        :raises DatasetError: if the energy of an element is not known.
        """
        return structures if self.energies is None else subtract(structures, self.energies)


def relate_labels(
    potential: records.Recorded | None, dataset: records.Recorded | None, *, has_corrected: bool
) -> Labels:
    """Find out how the labels of a dataset relate to a potential.

    :param potential: what was subtracted when the potential was trained, ``None`` if it does not say.
    :param dataset: what was subtracted from the dataset, ``None`` if nothing is recorded.
    :param has_corrected: whether the dataset has corrected energies.
    :raises DatasetError: if they are relative to different things, or it is open to what.
    """
    of_potential, of_dataset = (record or {} for record in (potential, dataset))
    reduced = of_dataset.get('potential')
    if reduced is not None and reduced != of_potential.get('potential'):
        raise DatasetError(
            f'the test set is relative to {records.describe(dataset)}, but the potential to '
            f'{records.describe(potential)}: give the test set with its total forces and energies'
        )
    if has_corrected:
        if problem := records.difference(_energies_only(potential), _energies_only(dataset)):
            raise DatasetError(f'the corrected energies of potential and test set are relative to {problem}')
        return Labels(totals=reduced is None)
    energies: dict[str, Any] = dict(of_potential.get('single_atom_energies', {}))
    if not energies:
        raise DatasetError(
            'the test set has total energies only, and the potential does not say what was subtracted before its '
            'training: subtract the same reference from the test set'
        )
    return Labels(totals=reduced is None, energies=energies)


def _energies_only(recorded: records.Recorded | None) -> dict[str, Any] | None:
    """Return a record without the potential; one that has no energies says nothing about them."""
    return None if recorded is None else {**recorded, 'potential': None}
