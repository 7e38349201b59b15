"""From options of the command line to the inputs of the training work chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_autopipec.pacemaker.config import validate_config
from aiida_autopipec.pacemaker.dataset.reference import parse_reference
from aiida_autopipec.pacemaker.errors import AutopipecError, ConfigError, InputError
from aiida_autopipec.pacemaker.input_files.document import read_mapping

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer, Node

PROGRAM_OF_OPTION = {
    'pacemaker': 'pacemaker',
    'yaml2yace': 'pace_yaml2yace',
    'activeset': 'pace_activeset',
    'select': 'pace_select',
}
METHODS = ('isolated_atoms', 'least_squares')


@dataclass(frozen=True)
class TrainingRequest:
    """What the user wants to be trained.

    :param datasets: datasets, trajectories and files.
    :param config: Pacemaker's settings.
    :param codes: by the names of the options.
    :param split: ``test_fraction`` and ``seed``.
    :param max_structures: structures that a selection takes; without it there is none.
    :param triage: rules that say what counts as wrong with the data, and what of it is dropped.
    :param refinement: what a second training from the first result does otherwise; without it there is none.
    :param description: of the process.
    :param options: of all jobs.
    :param gpus: that the training asks for; by default what the code says.
    :param training: further inputs of the training job.
    """

    datasets: Sequence[Node]
    config: Mapping[str, Any]
    codes: Mapping[str, AbstractCode]
    reference: Mapping[str, Any] | None = None
    split: Mapping[str, Any] | None = None
    max_structures: int | None = None
    on_conflict: str = 'error'
    triage: Mapping[str, Any] = field(default_factory=dict)
    initial_potential: Node | None = None
    refinement: Mapping[str, Any] | None = None
    description: str = ''
    options: Mapping[str, Any] = field(default_factory=dict)
    gpus: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)


def check_config(config: Mapping[str, Any]) -> None:
    """Check Pacemaker's settings.

    :raises ConfigError: with one sentence for each key that is wrong.
    """
    validate_config(dict(config))


def check_choice(config: Mapping[str, Any] | None, protocol: str | None, belonging: Mapping[str, Any]) -> None:
    """Check that settings are stated or a protocol is named, and not both.

    :param belonging: options that mean something with a protocol only, by name.
    :raises click.UsageError: if not; the message names the option.
    """
    if (config is None) == (protocol is None):
        raise click.UsageError('give --config or --protocol, one of the two')
    idle = [option for option, value in belonging.items() if value]
    if protocol is None and idle:
        raise click.UsageError(f'{idle[0]} belongs to --protocol, which is not given')


def follow_protocol(
    request: TrainingRequest,
    protocol: str,
    overrides: Mapping[str, Any],
    *,
    evaluator: str | None,
    two_stages: bool,
) -> TrainingRequest:
    """Return a request with the settings that a protocol makes for its data.

    Reference and division that the request states itself stay.

    :raises InputError: if the protocol or an override is unknown, or the data cannot be used.
    """
    from aiida_autopipec.workflows.protocols.builder import default_evaluator
    from aiida_autopipec.workflows.protocols.facts import facts_of
    from aiida_autopipec.workflows.protocols.inputs import CHOSEN, settings_from_protocol
    from aiida_autopipec.workflows.protocols.overrides import check_overrides
    from aiida_autopipec.workflows.train import TrainPotentialWorkChain

    check_overrides(overrides, TrainPotentialWorkChain.spec().inputs)
    foreign = sorted(set(overrides) - set(CHOSEN))
    if foreign:
        raise ConfigError(f'`overrides.{foreign[0]}` is not for --overrides, which takes {", ".join(CHOSEN)}')
    stated = {'reference': request.reference, 'split': request.split}
    inputs = training_inputs(request)
    settings = settings_from_protocol(
        facts_of(inputs),
        protocol=protocol,
        evaluator=evaluator or default_evaluator(inputs['pace_train']),
        overrides={**overrides, **{key: value for key, value in stated.items() if value is not None}},
        two_stages=two_stages,
    )
    chosen = {**settings.as_inputs(), 'training': settings.training}
    return replace(request, **chosen, description='; '.join(settings.reasons))


def parse_reference_option(text: str) -> dict[str, Any]:
    """Return the reference that an option states: a method, or a YAML file of eV by element or of a whole reference.

    :raises ConfigError: if it is none of them.
    """
    if text in METHODS:
        return {'method': text}
    if not Path(text).is_file():
        raise ConfigError(f'`{text}` is neither {" nor ".join(METHODS)} nor a file of single-atom energies')
    try:
        stated = read_mapping(Path(text).read_text())
    except (AutopipecError, UnicodeDecodeError) as exception:
        raise ConfigError(f'`{text}` is no file of energies: {exception}') from exception
    energies_only = {'method': 'single_atom_energies', 'single_atom_energies': stated}
    reference = dict(stated) if 'method' in stated else energies_only
    parse_reference(reference)
    return reference


def training_codes(
    computer: Computer | None, stated: Mapping[str, AbstractCode | None], *, with_selection: bool
) -> dict[str, AbstractCode]:
    """Return the codes to use: those that are stated, else those labelled by program name on the computer.

    :param computer: by default that of the stated code of `pacemaker`.
    :raises InputError: if one is not there.
    """
    codes = {option: code for option, code in stated.items() if code is not None}
    if computer is None and 'pacemaker' in codes:
        computer = codes['pacemaker'].computer
    if computer is None:
        raise InputError('name the computer that the programs are registered on, or --pacemaker')
    needed = [option for option in PROGRAM_OF_OPTION if option != 'select' or with_selection]
    for option in needed:
        if option not in codes:
            codes[option] = _code_on(computer, PROGRAM_OF_OPTION[option], option)
    return {option: codes[option] for option in needed}


def _code_on(computer: Computer, program: str, option: str) -> AbstractCode:
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_code

    try:
        return load_code(f'{program}@{computer.label}')
    except (NotExistent, MultipleObjectsError) as exception:
        raise InputError(
            f'there is no single code `{program}@{computer.label}`: register the programs with `aiida-autopipec '
            f'setup`, or give --{option}'
        ) from exception


def job_options(
    *,
    num_cores: int | None = None,
    resources: Mapping[str, Any] | None = None,
    walltime: int | None = None,
    queue: str | None = None,
    account: str | None = None,
    custom_scheduler_commands: str | None = None,
) -> dict[str, Any]:
    """Return the options of a job.

    :param num_cores: of one node, for one process.
    :param resources: instead, in the words of the scheduler.
    :param walltime: minutes.
    """
    if resources is None and num_cores is not None:
        resources = {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': num_cores}
    stated = {
        'resources': resources,
        'max_wallclock_seconds': None if walltime is None else 60 * walltime,
        'queue_name': queue,
        'account': account,
        'custom_scheduler_commands': custom_scheduler_commands,
    }
    return {key: value for key, value in stated.items() if value is not None}


def training_inputs(request: TrainingRequest) -> dict[str, Any]:
    """Return the inputs of :class:`~aiida_autopipec.workflows.train.TrainPotentialWorkChain`."""
    from aiida.orm import Dict, Str

    codes = dict(request.codes)
    metadata = {'options': dict(request.options)}
    training = metadata if request.gpus is None else {'options': {**request.options, 'gpus': request.gpus}}
    extra = {key: codes[key] for key in ('yaml2yace', 'activeset') if key in codes}
    inputs: dict[str, Any] = {
        'datasets': {f'data_{number:03d}': node for number, node in enumerate(request.datasets)},
        'config': Dict(dict(request.config)),
        'on_conflict': Str(request.on_conflict),
        'pace_train': {
            'code': codes['pacemaker'],
            'codes': extra,
            'metadata': training,
            **{key: Dict(dict(value)) for key, value in request.training.items()},
        },
    }
    if request.split is not None:
        inputs['split'] = Dict(dict(request.split))
    if request.reference is not None:
        inputs['reference'] = Dict(dict(request.reference))
    if request.refinement is not None:
        inputs['refinement'] = Dict(dict(request.refinement))
    if request.description:
        inputs['metadata'] = {'description': request.description}
    if request.triage:
        inputs['triage'] = Dict(dict(request.triage))
    if request.initial_potential is not None:
        inputs['initial_potential'] = request.initial_potential
    if request.max_structures is not None:
        inputs['selection'] = Dict({'max_structures': request.max_structures})
        inputs['pace_select'] = {'code': codes['select'], 'metadata': metadata}
    return inputs


def check_inputs(inputs: Mapping[str, Any]) -> None:
    """Check the inputs as the work chain would.

    :raises InputError: with the sentence of the first port that is not content.
    """
    from aiida_autopipec.workflows.train import TrainPotentialWorkChain

    ports = TrainPotentialWorkChain.spec().inputs
    problem = ports.validate(ports.pre_process(_copy(inputs)))
    if problem is not None:
        port = problem.port.removeprefix('inputs').removeprefix('.')
        raise InputError(f'`{port}`: {problem.message}' if port else problem.message)


def _copy(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a namespace with those in it: ``pre_process`` changes them in place."""
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in inputs.items()}
