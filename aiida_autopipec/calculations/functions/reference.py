"""Calculation function that subtracts reference energies."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, Float

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset import reference as references
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


@calcfunction
def subtract_reference(dataset: PaceDatasetData, reference: Dict, cutoff: Float) -> dict[str, Any]:
    """Give every structure an ``energy_corrected``, its energy minus that of its atoms alone.

    :param reference: a :class:`~aiida_autopipec.pacemaker.dataset.reference.Reference`.
    :param cutoff: distance in Å beyond which an atom counts as isolated: the largest ``rcut`` of the potential.
    :return: ``dataset``; what was subtracted is its attribute ``reference``, with the method and eV by element.
    :raises InputError: if total energies or the energy of an element are missing, or if the result is so large that
        Pacemaker would silently replace it.
    """
    settings = references.parse_reference(reference.get_dict())
    shards = list(dataset.iter_shards())
    energies = references.single_atom_energies(LabelledStructures.concatenate(shards), settings, cutoff=cutoff.value)
    corrected = [references.subtract(shard, energies) for shard in shards]
    recorded = {'method': settings.method, 'single_atom_energies': energies}
    return {'dataset': PaceDatasetData.from_structures(corrected, reference=recorded)}
