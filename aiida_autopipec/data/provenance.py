"""Queries between a potential and the nodes that went into it, one each way."""

from __future__ import annotations

from aiida.common import LinkType
from aiida.orm import CalcJobNode, Node, QueryBuilder, SinglefileData, StructureData, TrajectoryData


def sources_of(potential: SinglefileData) -> list[Node]:
    """Return all trajectories, structures and files that went into a potential, on whatever way.

    An earlier potential that it was updated from is one of the files.

    :param potential: the output ``potential``, ``lammps_potential`` or ``active_set`` of a training.
    :return: nodes of type TrajectoryData, StructureData and SinglefileData, each once, oldest first.
    """
    query = QueryBuilder()
    query.append(SinglefileData, filters={'uuid': potential.uuid}, tag='potential')
    query.append((TrajectoryData, StructureData, SinglefileData), with_descendants='potential', tag='source')
    query.add_projection('source', '*')
    query.order_by({'source': 'id'})
    return list(query.distinct().all(flat=True))


def potentials_from(source: Node) -> list[SinglefileData]:
    """Return all potentials that a node went into: the way back.

    :param source: a trajectory, structure or file, a dataset, or an earlier potential.
    :return: the outputs ``potential`` of trainings, each once, oldest first.
    """
    query = QueryBuilder()
    query.append(Node, filters={'uuid': source.uuid}, tag='source')
    query.append(CalcJobNode, with_ancestors='source', tag='training')
    query.append(
        SinglefileData,
        with_incoming='training',
        edge_filters={'type': LinkType.CREATE.value, 'label': 'potential'},
        tag='potential',
    )
    query.add_projection('potential', '*')
    query.order_by({'potential': 'id'})
    return list(query.distinct().all(flat=True))
