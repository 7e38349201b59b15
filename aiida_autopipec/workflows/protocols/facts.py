"""What the data of a training are, looked at before it starts and outside of the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiida.orm import Data, Dict, TrajectoryData

from aiida_autopipec.calculations.functions.convert import convert_structures, convert_trajectory, import_dataset
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.cost.facts import DataFacts
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


def facts_of(inputs: Mapping[str, Any]) -> DataFacts:
    """Return sizes, elements, distances and energies of the data that a training is given.

    Trajectories, files and single structures are converted as the work chain will convert them; nothing is stored.

    :param inputs: ``datasets``, ``structures``, ``labels`` and ``conversion`` as the work chain takes them.
    :raises InputError: if the data cannot be converted, or there are none.
    """
    return DataFacts.of(_parts(inputs))


def _parts(inputs: Mapping[str, Any]) -> Iterator[LabelledStructures]:
    conversion = inputs.get('conversion') or {}
    conversion = conversion.get_dict() if isinstance(conversion, Dict) else conversion
    for key, node in inputs.get('datasets', {}).items():
        yield from _as_dataset(node, conversion.get(key)).iter_shards()
    if inputs.get('structures'):
        singles = {key: dict(inputs.get(key, {})) for key in ('structures', 'labels')}
        yield from _converted(convert_structures, **singles).iter_shards()


def _as_dataset(node: Data, parameters: Mapping[str, Any] | None) -> PaceDatasetData:
    if isinstance(node, PaceDatasetData):
        return node
    stated: dict[str, Any] = {} if parameters is None else {'parameters': Dict(dict(parameters))}
    if isinstance(node, TrajectoryData):
        return _converted(convert_trajectory, trajectory=node, **stated)
    return _converted(import_dataset, file=node, **stated)


def _converted(function: Any, **inputs: Any) -> PaceDatasetData:
    """Call a calculation function without a trace in the graph."""
    dataset: PaceDatasetData = function(**inputs, metadata={'store_provenance': False})['dataset']
    return dataset
