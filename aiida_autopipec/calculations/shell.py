"""Ready-made inputs that run the small programs of Pacemaker with aiida-shell, on any computer.

Each function returns a plain dictionary for :class:`aiida_shell.ShellJob`: ``submit(ShellJob, **info_inputs(code,
potential))``, and likewise ``self.submit`` in a WorkChain. Besides ``stdout`` and ``stderr`` every job has the output
``output_parameters``; the files that it writes are outputs, too. Settings are checked before anything is submitted.

Node arguments are written under fixed names, so what the nodes' files were called does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import AbstractCode, Data, FolderData, RemoteData, SinglefileData

from aiida_autopipec.calculations.validation import recorded_reference
from aiida_autopipec.pacemaker import commands
from aiida_autopipec.pacemaker.config.twice import repels
from aiida_autopipec.pacemaker.errors import ConfigError, InputError

# the programs open a dataset of no other name, and pace_yaml2yace says which format a file has by its ending
_FILENAMES = {'potential': 'potential.yaml', 'dataset': 'dataset.pckl.gzip', 'active_set': 'active_set.asi'}
_PREFIX_RUN = 'run_'

Runs = RemoteData | FolderData


def info_inputs(
    code: AbstractCode, potential: SinglefileData, *, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return inputs that run ``pace_info``: the shape of a potential.

    Its ``output_parameters`` hold ``n_functions``, ``functions_per_element``, ``cutoff`` (Å), ``elements``, ``bonds``.

    :param code: the program on its computer.
    :param potential: a B-basis ``.yaml``.
    :param options: of the job, such as ``resources`` and ``queue_name``.
    """
    arguments = commands.info_arguments(potential='{potential}')
    return _inputs('info', code, arguments, {'potential': potential}, options=options)


def timing_inputs(
    code: AbstractCode, potential: SinglefileData, n_structures: int = 10, *, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return inputs that run ``pace_timing``: the speed of a potential on one core of the computer.

    Its ``output_parameters`` hold ``microseconds_per_atom`` and more.

    :param code: the program on its computer.
    :param potential: a B-basis ``.yaml``.
    :param n_structures: how many to time.
    :param options: of the job, such as ``resources`` and ``queue_name``.
    :raises ConfigError: if the number is not positive.
    """
    parameters = commands.parse_parameters(commands.TimingParameters, {'n_structures': n_structures})
    arguments = commands.timing_arguments(potential='{potential}', parameters=parameters)
    return _inputs('timing', code, arguments, {'potential': potential}, options=options)


def yaml2yace_inputs(
    code: AbstractCode, potential: SinglefileData, *, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return inputs that run ``pace_yaml2yace``: a potential from elsewhere becomes what LAMMPS reads.

    Further output: ``lammps_potential``.

    :param code: the program on its computer.
    :param potential: a B-basis ``.yaml``.
    :param options: of the job, such as ``resources`` and ``queue_name``.
    """
    output = commands.FILENAME_LAMMPS_POTENTIAL
    arguments = commands.yaml2yace_arguments(potential='{potential}', output=output)
    return _inputs('yaml2yace', code, arguments, {'potential': potential}, output=output, options=options)


def augment_inputs(
    code: AbstractCode,
    potential: SinglefileData,
    dataset: SinglefileData,
    active_set: SinglefileData | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return inputs that run ``pace_augment``: compressed copies of structures with energies of Pacemaker's ZBL.

    Further output: ``augmented_dataset``, a file that ``import_dataset`` reads.

    :param code: the program on its computer.
    :param potential: a B-basis ``.yaml``, trained.
    :param dataset: a ``.pckl.gzip`` with the structures to compress.
    :param active_set: the ``.asi`` of the potential; without it the shape of the energy curve says what to trust.
    :param parameters: :class:`~aiida_autopipec.pacemaker.commands.AugmentParameters`.
    :param options: of the job, such as ``resources`` and ``queue_name``.
    :raises ConfigError: if a setting is unknown or not possible.
    :raises InputError: if a potential that repels was subtracted before the training.
    """
    settings = commands.parse_parameters(commands.AugmentParameters, parameters or {})
    _refuse_second_repulsion('pace_augment', potential)
    nodes = {'potential': potential, 'dataset': dataset} | ({} if active_set is None else {'active_set': active_set})
    arguments = commands.augment_arguments(
        potential='{potential}',
        datasets=['{dataset}'],
        active_set=None if active_set is None else '{active_set}',
        output=commands.FILENAME_AUGMENTED,
        parameters=settings,
    )
    return _inputs('augment', code, arguments, nodes, output=commands.FILENAME_AUGMENTED, options=options)


def corerep_inputs(
    code: AbstractCode,
    potential: SinglefileData,
    active_set: SinglefileData | None = None,
    dataset: SinglefileData | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return inputs that run ``pace_corerep``: Pacemaker's core repulsion is added to a potential.

    Its ``output_parameters`` hold ``inner_cutoffs`` (Å) by pair of elements. Further output: ``potential``.

    :param code: the program on its computer.
    :param potential: a B-basis ``.yaml``, trained.
    :param active_set: the ``.asi`` of the potential; may be left out where ``inner_cutoff`` is given.
    :param dataset: a ``.pckl.gzip`` with training structures; may be left out likewise.
    :param parameters: :class:`~aiida_autopipec.pacemaker.commands.CoreRepulsionParameters`.
    :param options: of the job, such as ``resources`` and ``queue_name``.
    :raises ConfigError: if a setting is unknown or not possible.
    :raises InputError: if there is nothing to compute the inner cutoffs from, or something that would not be used; or
        if a potential that repels was subtracted before the training.
    """
    settings = commands.parse_parameters(commands.CoreRepulsionParameters, parameters or {})
    _refuse_second_repulsion('pace_corerep', potential)
    given = {'active_set': active_set, 'dataset': dataset}
    sources = {key: node for key, node in given.items() if node is not None}
    if settings.inner_cutoff is None and len(sources) < len(given):
        missing = ' and '.join(f'`{key}`' for key in given if key not in sources)
        raise InputError(f'pace_corerep needs {missing} to compute the inner cutoffs; or state them as `inner_cutoff`')
    if settings.inner_cutoff is not None and sources:
        unused = ' and '.join(f'`{key}`' for key in sources)
        raise InputError(f'with `inner_cutoff` pace_corerep does not use {unused}: leave out one or the other')
    # names that stand for no file: argparse wants them, nobody opens them
    names = {key: f'{{{key}}}' if key in sources else _FILENAMES[key] for key in given}
    arguments = commands.corerep_arguments(
        potential='{potential}',
        active_set=names['active_set'],
        datasets=[names['dataset']],
        output=commands.FILENAME_CORE_REPULSION,
        parameters=settings,
    )
    nodes = {'potential': potential, **sources}
    return _inputs('corerep', code, arguments, nodes, output=commands.FILENAME_CORE_REPULSION, options=options)


def collect_inputs(
    code: AbstractCode,
    runs: Runs | Mapping[str, Runs],
    parameters: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return inputs that run ``pace_collect``: the results of VASP in folders become a dataset.

    Its ``output_parameters`` hold ``n_structures``, the ``reference_energies`` that were subtracted, and what was
    ``unreadable`` and left out. Further output: ``collected_dataset``, a file that ``import_dataset`` reads.

    :param code: the program on its computer.
    :param runs: a folder that is searched with all below it, or several by name. One remote folder is linked, several
        are copied on the computer, as the program follows no links below the folder that it searches.
    :param parameters: :class:`~aiida_autopipec.pacemaker.commands.CollectParameters`.
    :param options: of the job, such as ``resources`` and ``queue_name``.
    :raises ConfigError: if a setting is unknown or not possible.
    :raises InputError: if there is no folder, or one lies on another computer than the code.
    """
    settings = commands.parse_parameters(commands.CollectParameters, parameters or {})
    several = isinstance(runs, Mapping)
    folders = runs if isinstance(runs, Mapping) else {'0': runs}
    nodes = {f'{_PREFIX_RUN}{key}': folder for key, folder in folders.items()}
    _check_runs(code, folders)
    arguments = commands.collect_arguments(
        folder='.' if several else next(iter(nodes)), output=commands.FILENAME_COLLECTED, parameters=settings
    )
    return _inputs(
        'collect',
        code,
        arguments,
        nodes,
        output=commands.FILENAME_COLLECTED,
        options={**(options or {}), 'use_symlinks': not several},
    )


def _check_runs(code: AbstractCode, runs: Mapping[str, Runs]) -> None:
    """Refuse what aiida-shell would look for in the wrong place."""
    if not runs:
        raise InputError('`runs` holds no folder; give at least one')
    for key, node in runs.items():
        if not isinstance(node, RemoteData | FolderData):
            raise InputError(f'`{key}` of `runs` is a {type(node).__name__}; give a RemoteData or FolderData')
        there, here = node.computer, code.computer
        if isinstance(node, RemoteData) and (there is None or here is None or there.uuid != here.uuid):
            raise InputError(
                f'`{key}` of `runs` lies on `{there and there.label}` and the code on `{here and here.label}`; '
                'use a code on that computer'
            )


def _refuse_second_repulsion(program: str, potential: SinglefileData) -> None:
    """Refuse to give Pacemaker's repulsion to a potential to which a simulation adds another one.

    :raises InputError: if that is so, or what the potential says of it cannot be read.
    """
    if name := repels(recorded_reference(potential)):
        raise InputError(
            f'the potential {name} was subtracted before `potential` was trained, and a simulation adds it again: '
            f'with {program} atoms would be kept apart twice; train without that reference to use {program}'
        )


def _inputs(
    program: str,
    code: AbstractCode,
    arguments: list[str],
    nodes: Mapping[str, Data],
    *,
    output: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the inputs of a ShellJob, with the parser of the program."""
    if options and 'parser_name' in options:
        raise ConfigError('`parser_name` is set here already: leave it out of the options')
    inputs: dict[str, Any] = {
        'code': code,
        'arguments': arguments,
        'nodes': dict(nodes),
        'filenames': {key: _FILENAMES.get(key, key) for key in nodes},
        'metadata': {'options': {**(options or {}), 'parser_name': f'autopipec.pace_{program}'}},
    }
    if output is not None:
        inputs['outputs'] = [output]
    return inputs
