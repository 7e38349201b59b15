"""The provenance of a training as nodes and links of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_autopipec.cli.provenance_svg import GraphNode, render_svg

if TYPE_CHECKING:
    from aiida.orm import Data, ProcessNode

LEFT_OUT = ('remote_folder', 'retrieved')
"""Outputs of every job that say nothing about where its results come from."""
MONITORS = 'monitors__'
"""How the links of monitors begin; they look on, and say nothing of it either."""


def provenance_picture(workchain: ProcessNode, *, title: str) -> str:
    """Return a picture of all calculations of a work chain, what went in and what came out, as SVG."""
    nodes: dict[str, GraphNode] = {}
    links: list[tuple[str, str]] = []
    for calculation in _calculations(workchain):
        nodes[calculation.uuid] = _process(calculation)
        for link in calculation.base.links.get_incoming().all():
            if isinstance(link.node, _data_class()) and not link.link_label.startswith(MONITORS):
                nodes.setdefault(link.node.uuid, _data(link.node, link.link_label))
                links.append((link.node.uuid, calculation.uuid))
        for link in calculation.base.links.get_outgoing().all():
            if isinstance(link.node, _data_class()) and link.link_label not in LEFT_OUT:
                nodes[link.node.uuid] = _data(link.node, link.link_label)
                links.append((calculation.uuid, link.node.uuid))
    return render_svg(list(nodes.values()), links, title=title)


def _data_class() -> type[Data]:
    from aiida.orm import Data

    return Data


def _calculations(workchain: ProcessNode) -> list[ProcessNode]:
    from aiida.orm import CalculationNode

    found = [node for node in workchain.called_descendants if isinstance(node, CalculationNode)]
    return sorted(found, key=lambda node: node.pk or 0)


def _process(node: ProcessNode) -> GraphNode:
    from aiida.orm import CalcJobNode

    is_job = isinstance(node, CalcJobNode)
    seconds = (node.mtime - node.ctime).total_seconds()
    label = (node.process_label or node.node_type).removesuffix('Calculation')
    return GraphNode(node.uuid, label, f'{seconds:.1f} s, pk {node.pk}', 'job' if is_job else 'function')


def _data(node: Data, link_label: str) -> GraphNode:
    """Describe a node by the label of its link: of the one that made it, or else of the first that used it."""
    from aiida.orm import AbstractCode, SinglefileData
    from aiida.orm.nodes.data.base import BaseType

    from aiida_autopipec.data.dataset import PaceDatasetData

    title = link_label.rpartition('__')[2]
    if isinstance(node, PaceDatasetData):
        return GraphNode(node.uuid, title, f'{node.n_structures} structures, {node.n_atoms} atoms', 'dataset')
    if isinstance(node, AbstractCode):
        return GraphNode(node.uuid, node.label, node.computer.label if node.computer else 'code', 'code')
    if isinstance(node, SinglefileData):
        return GraphNode(node.uuid, title, node.filename, 'file')
    if isinstance(node, BaseType):
        return GraphNode(node.uuid, title, str(node.value), 'data')
    return GraphNode(node.uuid, title, type(node).__name__, 'data')
