"""Structures by the thousand: converted in batches, with the provenance of each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiida.common.links import validate_link_label
from aiida.orm import Data, QueryBuilder, Str

from aiida_autopipec.calculations.functions.combine import merge_datasets
from aiida_autopipec.calculations.functions.convert import convert_structures
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.singles import read_singles
from aiida_autopipec.pacemaker.dataset.single import structures_from_singles
from aiida_autopipec.pacemaker.errors import DatasetError

STRUCTURES_PER_CONVERSION = 50
"""StructureData that one calculation function converts: the links take most of the time, whatever the batch, and a
function with very many inputs costs more than several with few."""

Row = tuple[str, str, str | None]
"""Name, UUID of the StructureData, UUID of the ArrayData with its labels."""


def convert_many_structures(
    rows: Iterable[Row],
    *,
    batch_size: int = STRUCTURES_PER_CONVERSION,
    on_conflict: str = 'error',
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Turn stored structures with labels into one dataset, in batches.

    Each batch is a call of :func:`~aiida_autopipec.calculations.functions.convert.convert_structures`, so every node
    is in the provenance, and one call of :func:`~aiida_autopipec.calculations.functions.combine.merge_datasets` puts
    the batches together. The nodes of a batch are let go before the next. Everything is read and checked before
    the first call, so that nothing is stored where a structure or label is wrong.

    :param rows: for each structure a unique name (it begins with a letter and has letters, digits and underscores), the
        UUID of the StructureData, and that of the ArrayData with its labels, or ``None`` for candidates without labels.
        What belongs together is stated here and never guessed.
    :param batch_size: number of structures in a batch.
    :param on_conflict: what happens to equal structures with different labels, see ``merge_datasets``.
    :param progress: called after each batch with the numbers of structures that are done and in total.
    :return: ``dataset``, in the order of the names, and the ``report`` of the merge.
    :raises DatasetError: if ``batch_size`` is less than 1, there is no structure, a name is not valid or not unique,
        only some have labels, there is no such node, or a label is missing, not finite or of the wrong shape.
    """
    if batch_size < 1:
        raise DatasetError(f'a batch of {batch_size} structures is not possible: `batch_size` is 1 or more')
    ordered = _checked(rows)
    batches = [ordered[begin : begin + batch_size] for begin in range(0, len(ordered), batch_size)]
    for batch in batches:
        structures_from_singles(read_singles(*_columns(batch)))
    uuids = []
    for batch in batches:
        uuids.append(_convert(batch))
        if progress is not None:
            progress(min(len(uuids) * batch_size, len(ordered)), len(ordered))
    parts: dict[str, Any] = {
        f'batch_{number:06d}': PaceDatasetData.collection.get(uuid=uuid) for number, uuid in enumerate(uuids)
    }
    merged: dict[str, Any] = merge_datasets(on_conflict=Str(on_conflict), **parts)
    return merged


def _checked(rows: Iterable[Row]) -> list[Row]:
    """Return the rows in the order of their names.

    :raises DatasetError: if there are none, a name cannot be used, or only some of them have labels.
    """
    ordered = sorted(rows, key=lambda row: row[0])
    if not ordered:
        raise DatasetError('the dataset is empty: there is no structure in it')
    for (name, *_), (following, *_) in itertools.pairwise(ordered):
        if name == following:
            raise DatasetError(f'the name `{name}` is given twice: give every structure a name of its own')
    unlabelled = [name for name, _, labels in ordered if labels is None]
    if unlabelled and len(unlabelled) < len(ordered):
        raise DatasetError(f'structure `{unlabelled[0]}` has no labels, but others have: give labels for all or none')
    for name, *_ in ordered:
        try:
            validate_link_label(name)
        except ValueError as exception:
            raise DatasetError(
                f'`{name}` cannot be the name of a structure: '
                'use letters, digits and underscores, and begin with a letter'
            ) from exception
    return ordered


def _columns(batch: Sequence[Row]) -> tuple[dict[str, str], dict[str, str] | None]:
    """Return the UUIDs of structures and of labels by name."""
    structures = {name: structure for name, structure, _ in batch}
    labels = {name: uuid for name, _, uuid in batch if uuid is not None}
    return structures, labels or None


def _convert(batch: Sequence[Row]) -> str:
    """Convert a batch and return the UUID of the dataset; the nodes are let go with the end of this function."""
    structures, labels = _columns(batch)
    uuids = sorted({*structures.values(), *(labels or {}).values()})
    query = QueryBuilder().append(Data, filters={'uuid': {'in': uuids}}, project=['uuid', '*'])
    nodes: dict[str, Data] = dict(query.all())
    inputs = {'structures': structures} if labels is None else {'structures': structures, 'labels': labels}
    outputs = convert_structures(
        **{port: {name: nodes[uuid] for name, uuid in column.items()} for port, column in inputs.items()}
    )
    return str(outputs['dataset'].uuid)
