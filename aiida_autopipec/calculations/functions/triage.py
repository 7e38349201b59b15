"""Calculation function that looks for what is wrong with a dataset."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.triage import TriageRules, find_problems
from aiida_autopipec.pacemaker.triage.check import check_report


@calcfunction
def check_dataset(dataset: PaceDatasetData, rules: Dict | None = None) -> dict[str, Any]:
    """Look for what is wrong with a dataset, and leave out what the rules say.

    Where nothing is dropped there is no new dataset, only the report: use the dataset that went in. Files of which
    nothing is dropped are stored as they are, so that they take no more space.

    :param rules: :class:`~aiida_autopipec.pacemaker.triage.rules.TriageRules`; without, all checks and no dropping.
    :return: ``report`` with findings, and each dropped structure with the reasons; ``kept`` and ``dropped``, which
        together are the dataset, if any structure is dropped.
    :raises InputError: if a rule is unknown or impossible, or the rules leave nothing.
    """
    settings = TriageRules.from_mapping({} if rules is None else rules.get_dict())
    found = find_problems(dataset.stored_shards(), settings)
    check_report(found, dataset.n_structures, settings)
    outputs: dict[str, Any] = {'report': Dict(found.as_dict(settings))}
    mask = found.drop_mask(settings)
    if mask.any():
        for name, rows in (('kept', ~mask), ('dropped', mask)):
            outputs[name] = PaceDatasetData.from_structures(dataset.iter_taken(rows), reference=dataset.reference)
    return outputs
