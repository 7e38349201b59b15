"""Calculation functions that merge and divide datasets."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Float, Int, Str

from aiida_autopipec.calculations.functions.reports import report_node
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.shards import tidy
from aiida_autopipec.pacemaker.dataset.checks import check_same_fields
from aiida_autopipec.pacemaker.dataset.merge import merged_parts, plan_merge
from aiida_autopipec.pacemaker.dataset.split import mask_by_fingerprints
from aiida_autopipec.pacemaker.errors import DatasetError


@calcfunction
def merge_datasets(on_conflict: Str | None = None, **datasets: PaceDatasetData) -> dict[str, Any]:
    """Put datasets together, in the order of their keys, and keep one of each exact duplicate.

    Files of which nothing is removed are shared with the new node: they are neither read nor stored again, except where
    many small ones follow each other, which are put together.

    :param on_conflict: what happens to equal structures with different labels: ``error`` (default), ``keep_first``,
        ``keep_last`` or ``keep_all``.
    :param datasets: by any key that is a valid link label.
    :return: ``dataset``, and a ``report`` that names the duplicates, the conflicts and what was renamed; long lists are
        complete in files of its repository.
    :raises DatasetError: if labels contradict each other, or if datasets have different labels or references.
    """
    if not datasets:
        raise DatasetError('there is no dataset to merge: give them as keyword arguments')
    ordered = [datasets[key] for key in sorted(datasets)]
    reference = _common_reference(datasets)
    parts = [shard for dataset in ordered for shard in dataset.stored_shards()]
    check_same_fields([shard.summary['labels'] for shard in parts])
    plan = plan_merge(parts, 'error' if on_conflict is None else on_conflict.value)
    merged = PaceDatasetData.from_structures(tidy(merged_parts(parts, plan)), reference=reference)
    return {'dataset': merged, 'report': report_node(plan.as_dict(), plan)}


@calcfunction
def split_dataset(dataset: PaceDatasetData, test_fraction: Float, seed: Int) -> dict[str, Any]:
    """Divide a dataset into a training set and a test set by the content of each structure.

    A structure never changes sides when data are added; copies of one structure are always on the same side.

    :param test_fraction: average fraction of structures in the test set.
    :param seed: another seed gives another division.
    :return: ``training_set``, ``test_set``.
    :raises DatasetError: if the fraction is out of range, or one side would be empty.
    """
    mask = mask_by_fingerprints(dataset.get_fingerprints(), test_fraction.value, seed.value)
    return {
        'training_set': PaceDatasetData.from_structures(dataset.iter_taken(~mask), reference=dataset.reference),
        'test_set': PaceDatasetData.from_structures(dataset.iter_taken(mask), reference=dataset.reference),
    }


def _common_reference(datasets: dict[str, PaceDatasetData]) -> dict[str, Any] | None:
    """Return the reference that all datasets share.

    :raises DatasetError: if they differ: energies relative to different zeros do not belong together.
    """
    first = min(datasets)
    for key, dataset in datasets.items():
        if dataset.reference != datasets[first].reference:
            raise DatasetError(
                f'the corrected energies of `{key}` and `{first}` are relative to different references '
                f'({dataset.reference} and {datasets[first].reference}): merge the datasets before subtracting one'
            )
    return datasets[first].reference
