"""What is handed on of a training, or of a potential alone."""

from __future__ import annotations

from typing import Any

from aiida.orm import Dict, Node, ProcessNode, SinglefileData

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.handoff import Handoff
from aiida_autopipec.pacemaker.outputs.potential import parse_potential, with_metadata

BINARIES = ('lammps_potential', 'active_set')
DATASETS = {'training_set': 'training set', 'test_set': 'test set', 'dataset': 'dataset', 'test_dataset': 'test set'}


def nodes_of(node: Node) -> dict[str, Any]:
    """Return the nodes that are handed on, by what they are.

    :param node: a training of any kind, or a potential that may come from one.
    :return: ``potential``, and ``lammps_potential``, ``active_set``, ``output_parameters`` and ``process`` as far as
        they are there.
    :raises InputError: if it has no potential.
    """
    if isinstance(node, SinglefileData):
        origin = node.creator
        made = {} if origin is None else _outputs(origin)
        own = 'potential' in made and made['potential'].uuid == node.uuid
        return {**made, 'process': origin} if own else {'potential': node}
    found = _outputs(node) if isinstance(node, ProcessNode) else {}
    if 'potential' not in found:
        raise InputError(f'node {node.pk} is a {node.node_type.split(".")[-2]} without a potential: give a training')
    return {**found, 'process': node}


def make_handoff(nodes: dict[str, Any], name: str = '') -> Handoff:
    """Return what is handed on.

    :param nodes: as :func:`nodes_of` returns them.
    :param name: of the files; by default the elements.
    :raises InputError: if the potential is none, or the name would not do.
    """
    potential = nodes['potential']
    text = potential.get_content(mode='rb').decode(errors='replace')
    recorded = potential.base.attributes.get('reference', None)
    if recorded is not None and METADATA_KEY not in parse_potential(text).metadata:
        text = with_metadata(text, METADATA_KEY, to_metadata(recorded))
    parameters = nodes.get('output_parameters')
    return Handoff(
        potential=text,
        **{port: nodes[port].get_content(mode='rb') for port in BINARIES if port in nodes},
        name=name,
        errors={} if parameters is None else _errors(parameters),
        uuids=_uuids(nodes),
    )


def _outputs(process: Node) -> dict[str, Any]:
    outputs: Any = getattr(process, 'outputs', {})
    return {port: outputs[port] for port in ('potential', *BINARIES, 'output_parameters') if port in outputs}


def _errors(parameters: Dict) -> dict[str, dict[str, float]]:
    errors = parameters.get_dict().get('errors', {})
    return {part: errors[part] for part in ('train', 'test') if part in errors}


def _uuids(nodes: dict[str, Any]) -> dict[str, str]:
    """Return the UUIDs of what is handed on and of the data that it comes from."""
    uuids = {port.replace('_', ' '): nodes[port].uuid for port in ('potential', *BINARIES) if port in nodes}
    process = nodes.get('process')
    if process is None:
        return uuids
    uuids['training'] = process.uuid
    for links in (process.outputs, process.inputs):
        for port, what in DATASETS.items():
            if port in links and isinstance(links[port], PaceDatasetData):
                uuids.setdefault(what, links[port].uuid)
    return uuids
