"""Calculation function that subtracts reference energies and a reference potential."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, Float

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset import reference as references
from aiida_autopipec.pacemaker.dataset.recorded import describe
from aiida_autopipec.pacemaker.errors import DatasetError


@calcfunction
def subtract_reference(dataset: PaceDatasetData, reference: Dict, cutoff: Float) -> dict[str, Any]:
    """Give every structure an ``energy_corrected``: its energy minus that of its atoms alone.

    With a reference potential all labels become relative to it first: energies, forces and stresses.

    :param reference: a :class:`~aiida_autopipec.pacemaker.dataset.reference.Reference`.
    :param cutoff: distance in Å beyond which an atom counts as isolated: the largest ``rcut`` of the potential.
    :return: ``dataset``; what was subtracted is its attribute ``reference``, with the method, eV by element, and the
        settings of the potential.
    :raises InputError: if energies or the energy of an element are missing, if the labels are relative to another
        potential already, or if the result is so large that Pacemaker would silently replace it.
    """
    settings = references.parse_reference(reference.get_dict())
    recorded, corrected = references.subtract_all(
        dataset.iter_shards, settings, cutoff=cutoff.value, reduced=_is_reduced(dataset, settings)
    )
    return {'dataset': PaceDatasetData.from_structures(corrected, reference=recorded)}


def _is_reduced(dataset: PaceDatasetData, settings: references.Reference) -> bool:
    """Tell whether the labels are relative to the potential already.

    :raises DatasetError: if they are relative to another one.
    """
    before = (dataset.reference or {}).get('potential')
    wanted = None if settings.potential is None else settings.potential.as_dict()
    if before is not None and before != wanted:
        raise DatasetError(
            f'the labels of the dataset {dataset.uuid} are relative to {describe(dataset.reference)} already: give the '
            'dataset that it was made of, or state the same `potential`'
        )
    return before is not None
