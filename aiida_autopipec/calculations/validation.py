"""Validators and serializers of ports: a validator returns one sentence that names key, value and remedy.

They may be called on the ports of work chains too.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.orm import Data, Dict, SinglefileData, to_aiida_type

from aiida_autopipec.calculations.pacemaker_version import version_problem
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.commands import ActiveSetParameters, parse_parameters
from aiida_autopipec.pacemaker.config import TrainingConfig, config_problems, config_remarks
from aiida_autopipec.pacemaker.config.twice import repulsion_problem
from aiida_autopipec.pacemaker.cost import AssumedData, cost_remarks
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, difference, from_metadata
from aiida_autopipec.pacemaker.dataset.reference import EXTREME_ENERGIES
from aiida_autopipec.pacemaker.errors import ConfigWarning, DatasetError, FileFormatError, InputError
from aiida_autopipec.pacemaker.outputs import PotentialInfo, parse_potential
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters


def serialize_dict(value: Any) -> Data:
    """Turn a plain mapping into a node; what else there is is refused by its port."""
    if isinstance(value, Data):
        return value
    node: Data = Dict(dict(value)) if isinstance(value, Mapping) else to_aiida_type(value)
    return node


# Single ports


def validate_config(value: Dict, _: Any) -> str | None:
    """Check the settings of a training."""
    problems = config_problems(value.get_dict())
    return ' '.join(problems) or None


def validate_active_set_parameters(value: Dict, _: Any) -> str | None:
    """Check the settings of ``pace_activeset``."""
    return _problem(lambda: parse_parameters(ActiveSetParameters, value.get_dict()))


def validate_select_parameters(value: Dict, _: Any) -> str | None:
    """Check the settings of ``pace_select``."""
    return _problem(lambda: parse_parameters(SelectParameters, value.get_dict()))


def validate_labelled(value: PaceDatasetData, _: Any) -> str | None:
    """Check that every structure has an energy and forces."""
    if not value.labelled:
        return f'the dataset {value.uuid} has no energies or no forces, so nothing can be trained on it; label it first'
    return None


def validate_potential(value: SinglefileData, _: Any) -> str | None:
    """Check that a file is a potential."""
    return _problem(lambda: potential_info(value))


# Ports against each other


def validate_training(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Check datasets, config and initial potential of a training against each other.

    A training that is imported is over, whatever should have been done otherwise: its metrics judge it.
    """
    if 'remote_folder' in inputs:
        return None
    if any(port not in inputs for port in ('dataset', 'config')) or validate_config(inputs['config'], None):
        return None  # reported by the ports themselves
    config = TrainingConfig.model_validate(inputs['config'].get_dict())
    datasets = {port: inputs[port] for port in ('dataset', 'test_dataset') if port in inputs}
    problem = (
        computers_problem(inputs)
        or version_problem(config, inputs)
        or starting_point_problem(config, inputs)
        or stopping_problem(config, has_test_set='test_dataset' in inputs)
        or test_set_problem(datasets)
        or weights_problem(config, datasets)
        or repulsion_problem(config, inputs['dataset'].reference)
        or next(filter(None, (energies_problem(config, dataset) for dataset in datasets.values())), None)
        or elements_problem(_elements(config, inputs), datasets)
        or _problem(lambda: check_references(datasets, inputs.get('initial_potential', None)))
    )
    if problem is None:
        warn_about(config, inputs['dataset'])
    return problem


def warn_about(config: TrainingConfig, dataset: PaceDatasetData | None = None) -> None:
    """Warn of settings that are allowed and probably not meant.

    :param dataset: the training set, where that is known.
    """
    size = None if dataset is None else AssumedData(dataset.n_structures, dataset.n_atoms, tuple(dataset.elements))
    for remark in (*config_remarks(config), *cost_remarks(config, size)):
        warnings.warn(remark, ConfigWarning, stacklevel=2)


def stopping_problem(config: TrainingConfig, *, has_test_set: bool) -> str | None:
    """Return whether a setting waits for a test error that nobody computes."""
    if has_test_set or not config.needs_test_dataset:
        return None
    return (
        '`config` sets fit.min_relative_test_loss_per_iter, which never stops a fit without test structures: give '
        'some, or use fit.min_relative_train_loss_per_iter'
    )


def computers_problem(inputs: Mapping[str, Any]) -> str | None:
    """Return whether something lies on another computer than the program that needs it."""
    code = inputs.get('code', None)
    if code is None or code.computer is None:
        return None
    others = {f'codes.{name}': other for name, other in inputs.get('codes', {}).items()}
    others |= {port: inputs[port] for port in ('parent_folder',) if port in inputs}
    for port, node in others.items():
        if node.computer is not None and node.computer.uuid != code.computer.uuid:
            return (
                f'`{port}` is on the computer {node.computer.label}, but `code` on {code.computer.label}: one job runs '
                'on one computer'
            )
    return None


def starting_point_problem(config: TrainingConfig, inputs: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the potential that a training starts from, if anything."""
    given = [port for port in ('initial_potential', 'parent_folder') if port in inputs]
    if len(given) == 2:
        return 'both `initial_potential` and `parent_folder` are given: go on from one of them'
    if config.needs_initial_potential and not given:
        return '`config` states no `potential`: state its shape, or give an `initial_potential` to go on from'
    if given == ['parent_folder'] and (config.fit.fit_cycles or 1) > 1:
        return (
            'with `fit.fit_cycles` above 1 the newest state in `parent_folder` is not certain: give the '
            '`interim_potential` or `potential` of that calculation as `initial_potential`'
        )
    if given != ['initial_potential']:
        return None
    info = potential_info(inputs['initial_potential'])
    if config.elements and config.fit.ladder_step is None and tuple(sorted(info.elements)) != tuple(config.elements):
        return (
            f'`initial_potential` is for {", ".join(info.elements)} but `config` for {", ".join(config.elements)}: '
            'going on from a potential keeps its elements and basis; to enlarge the basis, set `fit.ladder_step`'
        )
    return None


def test_set_problem(datasets: Mapping[str, PaceDatasetData]) -> str | None:
    """Return whether structures stand on both sides."""
    if 'test_dataset' not in datasets:
        return None
    training, test = (datasets[port].get_fingerprints() for port in ('dataset', 'test_dataset'))
    common = int(np.isin(training, test).sum())
    if common == len(training):
        return '`test_dataset` holds every structure of `dataset`: nothing is left to train on'
    if common:
        return (
            f'{common} of {len(training)} structures of `dataset` are also in `test_dataset`, which would make the '
            'test errors too good: remove them from one of the two'
        )
    return None


def weights_problem(config: TrainingConfig, datasets: Mapping[str, PaceDatasetData]) -> str | None:
    """Return whether only one of the two sets has weights.

    Pacemaker weighs both sets as one table (``ACEDataset.prepare_datasets``, python-ace 0.4.0rc1), and then fails with
    ``object of type 'float' has no len()``.
    """
    if len({dataset.has_weights for dataset in datasets.values()}) < 2 or config.data.ignore_weights:
        return None
    without = next(port for port, dataset in datasets.items() if not dataset.has_weights)
    return (
        f'`{without}` has no weights, but the other set has: Pacemaker needs them in both or in none; add them there, '
        'or set data.ignore_weights in `config`'
    )


def energies_problem(config: TrainingConfig, dataset: PaceDatasetData) -> str | None:
    """Return whether it is open or twice stated which energies are trained on."""
    reference = config.data.reference_energy
    if dataset.has_energy_corrected and reference is not None:
        return (
            f'`config` sets data.reference_energy, but the dataset {dataset.uuid} already has corrected energies, '
            'which Pacemaker would replace: remove data.reference_energy, or give the dataset without them'
        )
    if not dataset.has_energy_corrected and reference is None:
        return (
            f'the dataset {dataset.uuid} has total energies only: subtract a reference from them (the input '
            '`reference` of the work chain, or the calculation function `autopipec.subtract_reference`), or set '
            'data.reference_energy in `config`'
        )
    if dataset.has_weights and config.fit.weighting is not None:
        return (
            f'`config` sets fit.weighting, but the dataset {dataset.uuid} brings its own weights, which Pacemaker '
            'would use instead: remove one of the two'
        )
    per_atom = dataset.energy_corrected_per_atom_range
    if per_atom is not None and (per_atom[0] < EXTREME_ENERGIES[0] or per_atom[1] > EXTREME_ENERGIES[1]):
        return (
            f'the corrected energies of the dataset {dataset.uuid} lie between {per_atom[0]:.3f} and {per_atom[1]:.3f} '
            f'eV/atom, but outside of {EXTREME_ENERGIES[0]:g} to {EXTREME_ENERGIES[1]:g} Pacemaker silently replaces '
            'them by its own: choose a reference that gives energies relative to isolated atoms'
        )
    return None


def check_references(datasets: Mapping[str, PaceDatasetData], initial_potential: SinglefileData | None) -> None:
    """Check that both sets, and the potential that is gone on from, are relative to the same.

    :raises InputError: if they are not, or what the potential says of it cannot be read.
    """
    training = datasets['dataset'].reference
    others = {'test_dataset': datasets['test_dataset'].reference} if 'test_dataset' in datasets else {}
    if initial_potential is not None and (recorded := recorded_reference(initial_potential)) is not None:
        others['initial_potential'] = recorded
    for port, recorded in others.items():
        differ = difference(recorded, training)
        if differ:
            raise DatasetError(f'`{port}` and `dataset` are relative to different references ({differ}): use the same')


def recorded_reference(potential: SinglefileData) -> dict[str, Any] | None:
    """Return what was subtracted from the labels that a potential was trained on, if that is recorded.

    :raises InputError: if the file has a record that cannot be read.
    """
    recorded: dict[str, Any] | None = potential.base.attributes.get('reference', None)
    if recorded is None and (written := potential_info(potential).metadata.get(METADATA_KEY)) is not None:
        return from_metadata(written)
    return recorded


def elements_problem(elements: tuple[str, ...], datasets: Mapping[str, PaceDatasetData]) -> str | None:
    """Return which elements the potential and the data do not share.

    :param elements: those of the potential; none if they are not known before the job runs.
    """
    if not elements:
        return None
    for port, dataset in datasets.items():
        lacking = sorted(set(dataset.elements) - set(elements))
        if lacking:
            return (
                f'`{port}` contains {", ".join(lacking)}, which the potential lacks (it has {", ".join(elements)}): '
                'Pacemaker would train on the wrong element; add it to potential.elements, or remove those structures'
            )
    trained = set(datasets['dataset'].elements) if 'dataset' in datasets else set(elements)
    surplus = sorted(set(elements) - trained)
    if surplus:
        return (
            f'the potential has {", ".join(surplus)}, which `dataset` lacks: nothing would be trained for it; remove '
            'it from potential.elements, or add structures that contain it'
        )
    return None


def potential_info(potential: SinglefileData) -> PotentialInfo:
    """Read what a potential is about.

    :raises InputError: if the file is no potential.
    """
    try:
        text = potential.get_content(mode='rb').decode()
    except UnicodeDecodeError as exception:
        raise FileFormatError(f'the file `{potential.filename}` is no potential: it is not even text') from exception
    return parse_potential(text)


def _elements(config: TrainingConfig, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    if config.elements:
        return tuple(config.elements)
    if 'initial_potential' in inputs:
        return tuple(potential_info(inputs['initial_potential']).elements)
    return ()


def _problem(check: Any) -> str | None:
    try:
        check()
    except InputError as exception:
        return str(exception)
    return None
