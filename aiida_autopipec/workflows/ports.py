"""Ports of the training work chain, and the check of each by itself."""

from __future__ import annotations

from typing import Any

from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import ArrayData, Dict, SinglefileData, Str, StructureData, TrajectoryData

from aiida_autopipec.calculations import ports
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.merge import ON_CONFLICT
from aiida_autopipec.pacemaker.dataset.reference import parse_reference
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.triage import TriageRules

SPLIT_KEYS = ('test_fraction', 'seed')


def define_data_ports(spec: WorkChainSpec) -> None:
    """Define the ports that take data and say what is done with them."""
    kinds = (PaceDatasetData, TrajectoryData, SinglefileData)
    spec.input_namespace('datasets', dynamic=True, valid_type=kinds, required=False, help='Data, by any key.')
    spec.input_namespace(
        'structures', dynamic=True, valid_type=StructureData, required=False, help='Single structures, by any key.'
    )
    spec.input_namespace(
        'labels',
        dynamic=True,
        valid_type=ArrayData,
        required=False,
        help='Labels of `structures` under the same keys: arrays `energy` (eV), `forces` (eV/Å), optional `stress` '
        '(eV/Å³, negative when compressed).',
    )
    spec.input_namespace(
        'test_datasets', dynamic=True, valid_type=kinds, required=False, help='Data to test on, by any key.'
    )
    ports.add_dict(
        spec,
        'conversion',
        purpose='How trajectories and files are read: a mapping for each, under the key that it has in `datasets` or '
        '`test_datasets`; see TrajectoryConvention and ImportOptions.',
    )
    ports.add_config(spec)
    ports.add_dict(
        spec,
        'split',
        validator=validate_split,
        purpose='Set a test set aside: `test_fraction` and `seed`. By content, so that no structure ever changes '
        'sides.',
    )
    ports.add_select_parameters(
        spec,
        'selection',
        purpose='Train on a selection of the data; see SelectParameters. Needs `pace_select.code`.',
    )
    ports.add_dict(
        spec,
        'reference',
        validator=validate_reference,
        purpose='What is subtracted before training: energies of atoms, and a reference potential; see Reference.',
    )
    spec.input(
        'on_conflict',
        valid_type=Str,
        required=False,
        serializer=_serialize_str,
        validator=validate_on_conflict,
        help='What happens to equal structures with different labels: `error` (default), `keep_first`, `keep_last` or '
        '`keep_all`.',
    )
    ports.add_dict(
        spec,
        'triage',
        validator=validate_triage,
        purpose='What counts as wrong with the data, and which kinds of findings are dropped; see TriageRules. '
        'Without, the data are checked and nothing is dropped.',
    )
    ports.add_potential(
        spec,
        'initial_potential',
        purpose='Potential (`.yaml`) to update. Its reference energies are used again.',
    )
    ports.add_active_set(spec, purpose='Active set of `initial_potential`: a selection then chooses what adds to it.')


def _serialize_str(value: Any) -> Any:
    return Str(value) if isinstance(value, str) else value


def validate_split(value: Dict, _: Any) -> str | None:
    """Check how the test set is set aside."""
    split = value.get_dict()
    unknown = sorted(set(split) - set(SPLIT_KEYS))
    if unknown:
        return f'`{unknown[0]}` is unknown; the keys are {", ".join(SPLIT_KEYS)}'
    fraction, seed = split.get('test_fraction'), split.get('seed', 0)
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction < 1:
        return f'`test_fraction` is {fraction!r}, but has to lie between 0 and 1, both excluded'
    if isinstance(seed, bool) or not isinstance(seed, int):
        return f'`seed` is {seed!r}, but has to be a whole number'
    return None


def validate_reference(value: Dict, _: Any) -> str | None:
    """Check what is subtracted."""
    try:
        parse_reference(value.get_dict())
    except InputError as exception:
        return str(exception)
    return None


def validate_on_conflict(value: Str, _: Any) -> str | None:
    """Check the treatment of equal structures with different labels."""
    if value.value not in ON_CONFLICT:
        return f'`{value.value}` is unknown; possible are {", ".join(ON_CONFLICT)}'
    return None


def validate_triage(value: Dict, _: Any) -> str | None:
    """Check the rules of triage."""
    try:
        TriageRules.from_mapping(value.get_dict())
    except InputError as exception:
        return str(exception)
    return None
