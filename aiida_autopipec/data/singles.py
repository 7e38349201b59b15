"""Reading many StructureData and their labels at once, without a node in memory for each.

An access to a node costs milliseconds, as the ORM asks the database anew after every commit. Here one query projects
the content of all structures, another where the arrays of all labels are, and the repository is asked once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from aiida.manage import get_manager
from aiida.orm import ArrayData, Data, Group, Kind, QueryBuilder, StructureData
from aiida.repository import Repository
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.single import SingleStructure
from aiida_autopipec.pacemaker.errors import DatasetError

Arrays = dict[str, NDArray[Any]]

_SUFFIX = '.npy'


def read_singles(structures: Mapping[str, str], labels: Mapping[str, str] | None) -> list[SingleStructure]:
    """Return stored structures with their labels as plain arrays, in the order of ``structures``.

    :param structures: the UUID of a StructureData for each name.
    :param labels: the UUID of an ArrayData for each of the same names, or ``None`` where there are no labels.
    :raises DatasetError: if there is no such node, a site is of mixed or partial occupation, or a label does not hold
        numbers.
    """
    if not structures:
        return []
    attributes = _project(StructureData, structures, 'attributes')
    arrays = None if labels is None else _read_arrays(labels)
    return [
        single_structure(name, uuid, attributes[uuid], None if arrays is None else arrays[name])
        for name, uuid in structures.items()
    ]


def single_structure(name: str, uuid: str, attributes: Mapping[str, Any], labels: Arrays | None) -> SingleStructure:
    """Return a structure as plain arrays.

    :param name: the name that it gets and that an error states.
    :param uuid: UUID of the StructureData.
    :param attributes: the attributes of the StructureData.
    :param labels: the arrays with its labels.
    :raises DatasetError: if a site is of mixed or partial occupation.
    """
    kinds = [Kind(raw=raw) for raw in attributes['kinds']]
    if any(kind.is_alloy or kind.has_vacancies for kind in kinds):
        raise DatasetError(f'structure `{name}` has sites of mixed or partial occupation, which cannot be trained on')
    symbols = {kind.name: kind.symbol for kind in kinds}
    sites = attributes['sites']
    return SingleStructure(
        name=name,
        symbols=[symbols[site['kind_name']] for site in sites],
        positions=np.array([site['position'] for site in sites], dtype=np.float64).reshape(-1, 3),
        cell=np.array(attributes['cell'], dtype=np.float64),
        pbc=(attributes['pbc1'], attributes['pbc2'], attributes['pbc3']),
        labels=labels,
        source=uuid,
    )


def rows_of_group(label: str) -> list[tuple[str, str, str]]:
    """Pair the StructureData of a group with the ArrayData that have the same label as node.

    :param label: label of the group.
    :return: for each structure its name, which is the label of both nodes, its UUID and that of its labels.
    :raises DatasetError: if there is no such group or no structure in it, or two nodes of a kind have one label, or a
        structure has no partner or labels have none.
    """
    if not QueryBuilder().append(Group, filters={'label': label}).count():
        raise DatasetError(f'there is no group `{label}`')
    structures, labels = _by_label(StructureData, label), _by_label(ArrayData, label)
    if not structures:
        raise DatasetError(f'the group `{label}` holds no StructureData')
    for name in sorted(structures.keys() ^ labels.keys()):
        has, lacks = ('a StructureData', 'ArrayData') if name in structures else ('an ArrayData', 'StructureData')
        raise DatasetError(f'the group `{label}` holds {has} with the label `{name}`, but no {lacks} of that label')
    return [(name, structures[name], labels[name]) for name in sorted(structures)]


def _by_label(kind: type[Data], group: str) -> dict[str, str]:
    """Return the UUIDs of the nodes of a kind in a group by their labels, subclasses not included.

    :raises DatasetError: if two have the same.
    """
    query = QueryBuilder().append(Group, filters={'label': group}, tag='group')
    query.append(kind, with_group='group', project=['label', 'uuid'], subclassing=False)
    found: dict[str, str] = {}
    for name, uuid in query.iterall():
        if found.setdefault(name, uuid) != uuid:
            raise DatasetError(
                f'two {kind.__name__} in the group `{group}` have the label `{name}`: give each structure a label of '
                'its own, and the same one to its energy and forces'
            )
    return found


def _project(kind: type[Data], uuids: Mapping[str, str], column: str) -> dict[str, Any]:
    """Return one column of each node, by UUID.

    :raises DatasetError: if a node does not exist or is of another kind.
    """
    query = QueryBuilder().append(kind, filters={'uuid': {'in': sorted(set(uuids.values()))}}, project=['uuid', column])
    found: dict[str, Any] = dict(query.all())
    for name, uuid in uuids.items():
        if uuid not in found:
            raise DatasetError(f'`{name}`: there is no {kind.__name__} with the UUID {uuid}')
    return found


def _read_arrays(uuids: Mapping[str, str]) -> dict[str, Arrays]:
    """Return the arrays of each ArrayData, by the names that belong to the UUIDs."""
    files = {uuid: _files_of(content) for uuid, content in _project(ArrayData, uuids, 'repository_metadata').items()}
    contents = _contents({key for arrays in files.values() for key in arrays.values()})
    return {
        name: {array: _load(name, array, contents[key]) for array, key in files[uuid].items()}
        for name, uuid in uuids.items()
    }


def _files_of(repository_metadata: dict[str, Any]) -> dict[str, str]:
    """Return the key in the repository of each array of a node."""
    return dict(_iter_arrays(Repository.flatten(repository_metadata)))


def _iter_arrays(files: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    for path, key in files.items():
        if key is not None and path.endswith(_SUFFIX):
            yield path.removesuffix(_SUFFIX), key


def _contents(keys: set[str]) -> dict[str, bytes]:
    """Return the content of files in the repository: asked for together, as each request queries its index."""
    repository = get_manager().get_profile_storage().get_repository()
    return {key: stream.read() for key, stream in repository.iter_object_streams(sorted(keys))}


def _load(name: str, array: str, content: bytes) -> NDArray[Any]:
    try:
        loaded: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    except ValueError as exception:
        raise DatasetError(f'the label `{array}` of structure `{name}` does not hold numbers') from exception
    return loaded
