"""The command lines of Pacemaker's programs: the only place that knows their flags.

Source: the programs' own ``--help`` and code, python-ace 0.4.0rc1 (``pyace/cli``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, ValidationInfo, field_validator

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.selection.parameters import MaxVolParameters, SelectParameters

NO_ACTIVE_SET = 'NONE'
"""Given to ``pace_select -a``: without it the program takes any ``.asi`` that lies beside the potential."""


class _Parameters(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class ActiveSetParameters(MaxVolParameters):
    """Settings of ``pace_activeset``."""

    maxvol_refinement: int = Field(5, ge=1, description='Passes over the batches.')
    all_atoms: bool = Field(False, description='Take all atoms, also those with large force errors.')
    force_error_threshold: float = Field(
        0.0, ge=0.0, description='eV/Å: leave out atoms with larger errors; 0: by the quartiles of the errors.'
    )


P = TypeVar('P', bound=BaseModel)


def parse_parameters(model: type[P], mapping: Mapping[str, Any]) -> P:
    """Read settings of a program, or of the monitor.

    :raises ConfigError: if a key is unknown or a value is not possible; the message names the key.
    """
    try:
        return model.model_validate(mapping)
    except ValidationError as exception:
        error = exception.errors(include_url=False)[0]
        if not error['loc']:  # keys that do not go together
            raise ConfigError(str(error['ctx']['error'])) from exception
        key = str(error['loc'][0])
        if error['type'] == 'extra_forbidden':
            known = ', '.join(model.model_fields)
            raise ConfigError(f'`{key}` is no parameter; the parameters are {known}') from exception
        raise ConfigError(f'`{key}` is {mapping.get(key)!r}: {error["msg"]}') from exception


def train_arguments(*, input_filename: str, dry_run: bool = False, verbose_tensorflow: bool = False) -> list[str]:
    """Return the arguments of ``pacemaker``; the names of all other files stand in its input.

    :param dry_run: build the basis and the neighbour lists, then stop.
    :param verbose_tensorflow: let TensorFlow log which devices it finds, which ``pacemaker`` hides otherwise.
    """
    flags = {'--dry-run': dry_run, '--verbose-tf': verbose_tensorflow}
    return [input_filename, *(flag for flag, wanted in flags.items() if wanted)]


def yaml2yace_arguments(*, potential: str, output: str) -> list[str]:
    """Return the arguments of ``pace_yaml2yace``."""
    return ['-o', output, potential]


def activeset_arguments(*, potential: str, datasets: Sequence[str], parameters: ActiveSetParameters) -> list[str]:
    """Return the arguments of ``pace_activeset``; it writes the ``.asi`` beside the potential."""
    arguments = [*_maxvol_arguments(parameters), '-r', str(parameters.maxvol_refinement), '-m', parameters.memory_limit]
    if parameters.all_atoms:
        arguments.append('-a')
    elif parameters.force_error_threshold:
        arguments += ['-e', repr(parameters.force_error_threshold)]
    for dataset in datasets:
        arguments += ['-d', dataset]
    return [*arguments, potential]


def select_arguments(
    *,
    potential: str,
    candidates: Sequence[str],
    output: str,
    parameters: SelectParameters,
    active_set: str | None = None,
) -> list[str]:
    """Return the arguments of ``pace_select``.

    :param active_set: what is known already; always stated, so that a file lying there by accident is never used.
    """
    arguments = [
        '-p', potential,
        '-a', NO_ACTIVE_SET if active_set is None else active_set,
        '-o', output,
        *_maxvol_arguments(parameters),
        '-r', str(parameters.maxvol_refinement),
        '-mem', parameters.memory_limit,
    ]  # fmt: skip
    if parameters.max_structures is not None:
        arguments += ['-m', str(parameters.max_structures)]
    return [*arguments, *candidates]


def _maxvol_arguments(parameters: MaxVolParameters) -> list[str]:
    return [
        '-g', repr(parameters.gamma_tolerance),
        '-i', str(parameters.maxvol_iters),
        '-b', str(parameters.batch_size),
    ]  # fmt: skip


# The small programs

FILENAME_LAMMPS_POTENTIAL = 'potential.yace'
FILENAME_CORE_REPULSION = 'corerep.yaml'
FILENAME_COLLECTED = 'collected.pckl.gzip'
FILENAME_AUGMENTED = 'augmented.pkl.gz'
"""pandas compresses by the ending, and does not know `.gzip`: `pace_augment` can only write this one readably."""

Symbol = Annotated[str, StringConstraints(pattern=r'^[A-Z][a-z]?$')]
Pair = Annotated[str, StringConstraints(pattern=r'^[A-Z][a-z]?(-[A-Z][a-z]?)?$')]
Positive = Annotated[float, Field(gt=0.0)]
Steps = Annotated[str, StringConstraints(pattern=r'^(first|last|all|first_and_last|-?\d*:-?\d*(:(-?[1-9]\d*)?)?)$')]


class TimingParameters(_Parameters):
    """Settings of ``pace_timing``."""

    n_structures: int = Field(10, ge=1, description='Structures to time, bcc or fcc by chance.')


class AugmentParameters(_Parameters):
    """Settings of ``pace_augment``; its ``--max-structures`` is missing here as version 0.4.0rc1 ignores it."""

    model_config = ConfigDict(allow_inf_nan=False)

    max_num_atoms: int | None = Field(32, ge=1, description='Largest structures to compress; `None`: any size.')
    max_seed_structures: int | None = Field(100, ge=1, description='Most structures to compress; `None`: all.')
    min_aug_epa: float | None = Field(None, description='eV/atom: leave out structures below.')
    max_aug_epa: float = Field(150.0, description='eV/atom: leave out structures above.')
    epa_reliable_max: float | None = Field(None, description='eV/atom: trust the potential up to here.')
    nn_dist_step: float = Field(0.1, gt=0.0, description="Å: step of the nearest neighbours' distance.")
    nn_dist_min: float = Field(1.0, gt=0.0, description='Å: smallest distance of nearest neighbours.')


class CoreRepulsionParameters(_Parameters):
    """Settings of ``pace_corerep``; with ``inner_cutoff`` the others have no effect."""

    model_config = ConfigDict(allow_inf_nan=False)

    inner_cutoff: dict[Pair, Positive] | None = Field(
        None, min_length=1, description='Å: by element or pair, e.g. `Al-Cu`; pairs left out get 0. `None`: computed.'
    )
    num_of_structures: int = Field(50, ge=1, description='Structures to compress.')
    gamma_max: float = Field(10.0, gt=0.0, description='Trust the potential up to this extrapolation grade.')
    nn_dist_step: float = Field(0.05, gt=0.0, description="Å: step of the nearest neighbours' distance.")
    nn_dist_min: float = Field(0.5, gt=0.0, description='Å: smallest distance of nearest neighbours.')
    nn_dist_max: float = Field(2.5, gt=0.0, validate_default=True, description='Å: largest distance of neighbours.')

    @field_validator('nn_dist_max')
    @classmethod
    def _above_minimum(cls, value: float, info: ValidationInfo) -> float:
        if value <= info.data.get('nn_dist_min', 0.0):
            raise ValueError('it should be larger than `nn_dist_min`')
        return value


class CollectParameters(_Parameters):
    """Settings of ``pace_collect``."""

    model_config = ConfigDict(allow_inf_nan=False)

    selection: Steps = Field('last', description='Ionic steps of a run: a name, or a slice such as `0:100:10`.')
    free_atom_energy: Literal['auto'] | dict[Symbol, float | Literal['auto']] | None = Field(
        None, description='eV to subtract by element; `auto`: of isolated atoms in the data, 0 where there is none.'
    )


def info_arguments(*, potential: str) -> list[str]:
    """Return the arguments of ``pace_info``."""
    return [potential]


def timing_arguments(*, potential: str, parameters: TimingParameters) -> list[str]:
    """Return the arguments of ``pace_timing``."""
    return [potential, '-n', str(parameters.n_structures)]


def augment_arguments(
    *,
    potential: str,
    datasets: Sequence[str],
    output: str,
    parameters: AugmentParameters,
    active_set: str | None = None,
) -> list[str]:
    """Return the arguments of ``pace_augment``.

    :param output: should end in ``.gz``; the program compresses by the ending.
    :param active_set: with it a structure is trusted by its extrapolation grade, else up to the curve's first kink.
    """
    arguments = [
        potential,
        '-o', output,
        f'-mnat={_or_all(parameters.max_num_atoms)}',
        f'-mss={_or_all(parameters.max_seed_structures)}',
        f'-maxepa={parameters.max_aug_epa!r}',
        f'-nnstep={parameters.nn_dist_step!r}',
        f'-nnmin={parameters.nn_dist_min!r}',
    ]  # fmt: skip
    if parameters.min_aug_epa is not None:
        arguments.append(f'-minepa={parameters.min_aug_epa!r}')
    if parameters.epa_reliable_max is not None:
        arguments.append(f'-eparmax={parameters.epa_reliable_max!r}')
    if active_set is not None:
        arguments += ['-a', active_set]
    return [*arguments, *(word for dataset in datasets for word in ('-d', dataset))]


def corerep_arguments(
    *, potential: str, active_set: str, datasets: Sequence[str], output: str, parameters: CoreRepulsionParameters
) -> list[str]:
    """Return the arguments of ``pace_corerep``.

    :param active_set: the program insists on it and on a dataset, but opens neither where ``inner_cutoff`` is given.
    """
    arguments = [potential, '-a', active_set, *(word for dataset in datasets for word in ('-d', dataset)), '-o', output]
    if parameters.inner_cutoff is not None:
        return [*arguments, '--inner-cutoff', *(f'{pair}:{value!r}' for pair, value in parameters.inner_cutoff.items())]
    return [
        *arguments,
        '-n', str(parameters.num_of_structures),
        f'-g={parameters.gamma_max!r}',
        f'-nnstep={parameters.nn_dist_step!r}',
        f'-nnmin={parameters.nn_dist_min!r}',
        f'-nnmax={parameters.nn_dist_max!r}',
    ]  # fmt: skip


def collect_arguments(*, folder: str, output: str, parameters: CollectParameters) -> list[str]:
    """Return the arguments of ``pace_collect``; it searches the folder and all below, but follows no links there."""
    arguments = ['-wd', folder, '--output-dataset-filename', output, f'--selection={parameters.selection}']
    energies = parameters.free_atom_energy
    if energies == 'auto':
        return [*arguments, '--free-atom-energy', 'auto']
    if energies:
        return [*arguments, '--free-atom-energy', *(f'{symbol}:{value}' for symbol, value in energies.items())]
    return arguments


def _or_all(number: int | None) -> int:
    """Return a limit, or what these programs take for none."""
    return -1 if number is None else number
