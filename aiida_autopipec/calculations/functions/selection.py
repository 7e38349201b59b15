"""Calculation functions of a selection in parts: divide the pool, put together what is offered, say what came out."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict, Float, Int

from aiida_autopipec.calculations.pace_select import candidates_of
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.parts import divide_pool, last_settings, small_structures

PART, SETTINGS, OFFERED = 'part_', 'settings_', 'offered'
"""How the outputs of :func:`divide_for_selection` begin."""

OF_FINALISTS = ('rank', 'rank_deficient_elements', 'uncovered_elements', 'gamma_max_rest', 'log_determinant_pool')
"""What the last selection says of its pool, which is not the whole."""


@calcfunction
def divide_for_selection(dataset: PaceDatasetData, parameters: Dict, n_parts: Int, cutoff: Float) -> dict[str, Any]:
    """Divide a pool into parts with as many atoms each, and say what is to be selected out of each.

    :param parameters: :class:`~aiida_autopipec.pacemaker.selection.parameters.SelectParameters` of the whole.
    :param cutoff: of the basis in Å, within which atoms see each other.
    :return: ``part_000`` and so on with ``settings_000`` and so on; ``offered``: structures that need no selection, as
        they are taken in any case, or because all of a part is offered.
    :raises InputError: if what is to be kept is not in the pool, or there is no part.
    """
    settings = parse_parameters(SelectParameters, parameters.get_dict())
    candidates = candidates_of(dataset, settings)
    small = list(small_structures(dataset.iter_shards(), settings.keep, cutoff.value))
    kept = candidates.keep | np.concatenate(small)
    parts = divide_pool(
        candidates, dataset.get_names(), dataset.get_sizes(), settings, kept=kept, n_parts=n_parts.value
    )
    outputs: dict[str, Any] = {}
    offered = kept.copy()
    for number, part in enumerate(parts):
        if part.settings is None:
            offered[part.rows] = True
            continue
        outputs[f'{PART}{number:03d}'] = _taken(dataset, part.rows)
        outputs[f'{SETTINGS}{number:03d}'] = Dict(part.settings)
    if offered.any():
        outputs[OFFERED] = _taken(dataset, np.flatnonzero(offered))
    return outputs


@calcfunction
def gather_finalists(dataset: PaceDatasetData, parameters: Dict, **offered: PaceDatasetData) -> dict[str, Any]:
    """Put together what parts of a pool offer, in the order of the pool, and say what is to be selected out of that.

    :param dataset: the pool.
    :param parameters: of the selection from the whole pool.
    :param offered: structures of the pool.
    :return: ``dataset``, and the ``parameters`` of the selection out of it.
    :raises DatasetError: if a structure is not in the pool.
    """
    names = np.concatenate([one.get_names() for one in offered.values()])
    mask = np.zeros(dataset.n_structures, dtype=bool)
    mask[_rows_of(dataset, names)] = True
    settings = parse_parameters(SelectParameters, parameters.get_dict())
    last = last_settings(candidates_of(dataset, settings), dataset.get_sizes(), settings, mask)
    return {'dataset': _taken(dataset, mask), 'parameters': Dict(last)}


@calcfunction
def report_selection(
    dataset: PaceDatasetData, finalists: PaceDatasetData, outcome: Dict, parameters: Dict, **parts: Dict
) -> dict[str, Any]:
    """Say what was selected from the whole pool.

    :param outcome: ``output_parameters`` of the selection out of the finalists.
    :param parameters: of the selection from the whole pool.
    :param parts: ``output_parameters`` of the selection out of each part.
    :return: ``output_parameters``, with rows of the pool.
    """
    said: dict[str, Any] = outcome.get_dict()
    rows = _rows_of(dataset, finalists.get_names()[said['rows']])
    budget = parse_parameters(SelectParameters, parameters.get_dict()).budget(dataset.n_atoms)
    if budget.amount is not None:
        key = 'atoms' if budget.in_atoms else 'structures'
        said['asked_for'] = {key: budget.amount}
        said['missing'] = max(budget.amount - said[f'selected_{key}'], 0)
    said['of_finalists'] = {key: said.pop(key) for key in OF_FINALISTS if key in said}
    said.update(
        rows=rows.tolist(),
        pool_structures=dataset.n_structures,
        pool_atoms=dataset.n_atoms,
        finalists_structures=finalists.n_structures,
        finalists_atoms=finalists.n_atoms,
        parts=[_of_part(parts[key].get_dict()) for key in sorted(parts)],
    )
    return {'output_parameters': Dict(said)}


def _taken(dataset: PaceDatasetData, rows: Any) -> PaceDatasetData:
    return PaceDatasetData.from_structures(dataset.iter_taken(rows), reference=dataset.reference)


def _rows_of(dataset: PaceDatasetData, names: Any) -> Any:
    """Return the rows of a dataset in which some structures stand.

    :raises DatasetError: if one does not.
    """
    all_names = dataset.get_names()
    order = np.argsort(all_names)
    places = np.minimum(np.searchsorted(all_names, names, sorter=order), len(order) - 1)
    rows = order[places]
    strange = names[all_names[rows] != names]
    if len(strange):
        raise DatasetError(f'`{strange[0]}` is not in the pool that it was selected from')
    return rows


def _of_part(said: dict[str, Any]) -> dict[str, Any]:
    keys = ('pool_structures', 'pool_atoms', 'selected_structures', 'selected_atoms', 'missing', 'seconds', 'memory')
    return {key: said[key] for key in keys if key in said}
