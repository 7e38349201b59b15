"""Checks of what is given to the training work chain, port against port, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import Dict, TrajectoryData

from aiida_autopipec.calculations import validation
from aiida_autopipec.calculations.early_stopping import stopping_problem
from aiida_autopipec.calculations.gpu_option import gpus_problem
from aiida_autopipec.calculations.pace_select import candidates_problem
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.config.twice import repulsion_problem
from aiida_autopipec.pacemaker.dataset.conventions import stated_options
from aiida_autopipec.pacemaker.dataset.files import ImportOptions
from aiida_autopipec.pacemaker.dataset.recorded import reference_to_keep
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.triage import FindingKind, TriageRules


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Check everything that can be checked before a step is taken."""
    structures, labels = inputs.get('structures', {}), inputs.get('labels', {})
    if not inputs.get('datasets') and not structures:
        return 'there are no data: give `datasets` or `structures` with `labels`'
    different = sorted(set(structures) ^ set(labels))
    if different:
        has, lacks = ('structures', 'labels') if different[0] in structures else ('labels', 'structures')
        return f'`{different[0]}` is in `{has}` but not in `{lacks}`: give both under the same key'
    if 'split' in inputs and inputs.get('test_datasets'):
        return 'both `split` and `test_datasets` are given: choose one way to test'
    if 'selection' in inputs and 'code' not in inputs.get('pace_select', {}):
        return '`selection` needs `pace_select.code`, the program `pace_select`'
    parts = inputs.get('selection_parts')
    if parts is not None and parts.value > 1 and 'selection' not in inputs:
        return '`selection_parts` divides the pool of a `selection`, which is not given'
    if 'active_set' in inputs and 'initial_potential' not in inputs:
        return '`active_set` belongs to `initial_potential`, which is not given'
    if _drops_its_reference(inputs):
        return (
            '`triage` drops `no_neighbours`, but `reference` takes its energies from isolated atoms, which have none: '
            'do not drop them, or state `single_atom_energies`'
        )
    if problem := _conversion_problem(inputs):
        return problem
    if validation.validate_config(inputs['config'], None):
        return None  # reported by the port itself
    config = TrainingConfig.model_validate(inputs['config'].get_dict())
    has_test_set = 'split' in inputs or bool(inputs.get('test_datasets'))
    problem = (
        validation.starting_point_problem(config, inputs)
        or validation.stopping_problem(config, has_test_set=has_test_set)
        or _datasets_problem(config, inputs)
        or _energies_problem(config, inputs)
        or _pool_problem(inputs)
        or stopping_problem(inputs.get('pace_train', {}), config, has_test_set=has_test_set)
        or gpus_problem(inputs.get('pace_train', {}), config)
    )
    if problem is None:
        validation.warn_about(config)
    return problem


def _energies_problem(config: TrainingConfig, inputs: Mapping[str, Any]) -> str | None:
    """Check that it is stated once what energies are relative to, as far as the data are datasets already."""
    try:
        reference = reference_to_subtract(inputs)
    except InputError as exception:
        return str(exception)
    subtracts = reference is not None
    if reference is not None and (problem := repulsion_problem(config, reference.get_dict())):
        return problem
    if subtracts and config.data.reference_energy is not None:
        return (
            '`config` sets data.reference_energy, but a `reference` is subtracted from the energies already: remove '
            'one of the two'
        )
    datasets = [*inputs.get('datasets', {}).values(), *inputs.get('test_datasets', {}).values()]
    known = [] if subtracts else [node for node in datasets if isinstance(node, PaceDatasetData)]
    return next(filter(None, (validation.energies_problem(config, node) for node in known)), None)


def _pool_problem(inputs: Mapping[str, Any]) -> str | None:
    """Check whether as many structures can be selected as are asked for, where all data are datasets already."""
    datasets = list(inputs.get('datasets', {}).values())
    if inputs.get('structures') or not all(isinstance(node, PaceDatasetData) for node in datasets):
        return None
    return selection_problem(inputs, sum(node.n_structures for node in datasets))


def _conversion_problem(inputs: Mapping[str, Any]) -> str | None:
    """Check how trajectories and files are to be read."""
    data = {**inputs.get('datasets', {}), **inputs.get('test_datasets', {})}
    stated: dict[str, Any] = inputs['conversion'].get_dict() if 'conversion' in inputs else {}
    for key, settings in stated.items():
        if key not in data:
            return f'`conversion` has `{key}`, but neither `datasets` nor `test_datasets` has'
        if not isinstance(settings, Mapping) or isinstance(data[key], PaceDatasetData):
            return f'`conversion.{key}` has to be a mapping for a trajectory or a file, but is {settings!r}'
        try:
            if isinstance(data[key], TrajectoryData):
                stated_options(settings)
            else:
                ImportOptions.from_mapping(settings)
        except InputError as exception:
            return f'`conversion.{key}`: {exception}'
    return None


def _drops_its_reference(inputs: Mapping[str, Any]) -> bool:
    """Tell whether the rules of triage leave out the isolated atoms that the reference energies come from."""
    if 'triage' not in inputs or 'reference' not in inputs or 'initial_potential' in inputs:
        return False
    dropped = TriageRules.from_mapping(inputs['triage'].get_dict()).dropped_kinds
    return FindingKind.NO_NEIGHBOURS in dropped and inputs['reference'].get_dict()['method'] == 'isolated_atoms'


def _datasets_problem(config: TrainingConfig, inputs: Mapping[str, Any]) -> str | None:
    """Check the datasets that are already there."""
    for namespace in ('datasets', 'test_datasets'):
        for key, node in inputs.get(namespace, {}).items():
            if not isinstance(node, PaceDatasetData):
                continue
            problem = validation.validate_labelled(node, None)
            lacking = sorted(set(node.elements) - set(config.elements)) if config.elements else []
            if lacking:
                problem = (
                    f'it contains {", ".join(lacking)}, which `config` lacks (it has {", ".join(config.elements)}): '
                    'add it to potential.elements, or remove those structures'
                )
            if problem:
                return f'`{namespace}.{key}`: {problem}'
    return None


def data_problem(
    inputs: Mapping[str, Any], training_set: PaceDatasetData, test_set: PaceDatasetData | None
) -> str | None:
    """Check what will be trained on, as it is after merging and dividing."""
    training = {'dataset': training_set, 'config': inputs['config']}
    training |= {} if test_set is None else {'test_dataset': test_set}
    training |= {key: inputs[key] for key in ('initial_potential',) if key in inputs}
    return validation.validate_training(training, None)


def selection_problem(inputs: Mapping[str, Any], pool: int) -> str | None:
    """Check whether as many structures can be selected as are asked for.

    :param pool: number of structures to select from.
    """
    wanted = inputs['selection'].get_dict().get('max_structures') if 'selection' in inputs else None
    if wanted is not None and wanted > pool:
        return f'`selection.max_structures` is {wanted}, but the pool has only {pool} structures: choose fewer'
    return None


def pool_problem(inputs: Mapping[str, Any], pool: PaceDatasetData) -> str | None:
    """Check whether a pool can give what is to be selected from it, now that it is there."""
    if 'selection' not in inputs:
        return None
    parameters = parse_parameters(SelectParameters, inputs['selection'].get_dict())
    problem = selection_problem(inputs, pool.n_structures)
    return problem or candidates_problem(parameters, pool, with_active_set='active_set' in inputs)


# What follows from the inputs


def reference_to_subtract(inputs: Mapping[str, Any]) -> Dict | None:
    """Return the reference that training energies are relative to.

    An update keeps the reference of the potential that it goes on from.

    :raises DatasetError: if another one is asked for.
    """
    stated: Dict | None = inputs.get('reference', None)
    potential = inputs.get('initial_potential', None)
    recorded = None if potential is None else validation.recorded_reference(potential)
    if recorded is None:
        return stated
    return Dict(reference_to_keep(recorded, None if stated is None else stated.get_dict()))


def triage_rules(inputs: Mapping[str, Any]) -> Dict:
    """Return the rules of triage, with the cutoff of the potential unless they state their own."""
    stated: Dict | None = inputs.get('triage', None)
    rules = {} if stated is None else stated.get_dict()
    if stated is not None and 'cutoff_angstrom' in rules:
        return stated
    return Dict({**rules, 'cutoff_angstrom': cutoff_of(inputs)})


def cutoff_of(inputs: Mapping[str, Any]) -> float:
    """Return the distance in Å beyond which atoms do not see each other."""
    config = TrainingConfig.model_validate(inputs['config'].get_dict())
    if config.cutoff is not None:
        return config.cutoff
    return validation.potential_info(inputs['initial_potential']).cutoff
