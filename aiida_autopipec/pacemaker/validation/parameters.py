"""Settings of the checks of a potential: what is computed, and what is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.reference_potentials.elements import pair_key

Check = Literal['dimer', 'volume', 'elastic', 'phonons', 'dynamics', 'errors', 'export']
CHECKS: tuple[Check, ...] = ('dimer', 'volume', 'elastic', 'phonons', 'dynamics', 'errors', 'export')
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
ElasticConstant = Annotated[str, Field(pattern='^C[1-6][1-6]$')]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    """Refuse limits between which there is nothing."""
    if limits[0] > limits[1]:
        raise ValueError('the lowest value has to stand first')
    return limits


class _Settings(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)


class DimerCheck(_Settings):
    """Two atoms alone, for every pair of elements."""

    shortest: Annotated[float, Field(ge=0.1, le=2.0)] = Field(0.5, description='Shortest distance (Å).')
    step: Annotated[float, Field(ge=0.005, le=0.2)] = Field(0.02, description='Step (Å) up to the cutoff.')
    radius_factor: Annotated[float, Field(gt=0, le=1.5)] = Field(
        0.6,
        description='Below this part of the sum of the covalent radii the atoms must repel; shorter than any bond, '
        'that of Cr₂ included.',
    )
    distances: dict[str, Positive] = Field(
        default={}, description='Distances (Å) below which the atoms of a pair must repel, such as `{AlNi: 1.9}`.'
    )
    least_part_of_zbl: NotNegative = Field(
        0.1, description='Energy at the shortest distance, as part of that of the ZBL potential, which is about right.'
    )
    deepest_well: Positive = Field(15.0, description='Strongest bond (eV); that of CO, 11 eV, is the strongest known.')
    largest_jump: Positive = Field(
        0.3, description='Largest change of the energy (eV) from one step to the next that no force accounts for.'
    )
    barrier: Positive = Field(
        1.0, description='Energy (eV) above which the curve may not come down again as the atoms approach.'
    )

    @field_validator('distances')
    @classmethod
    def name_pairs_alike(cls, value: dict[str, float]) -> dict[str, float]:
        """Name every pair by its elements in alphabetical order."""
        return {'-'.join(pair_key(key)): distance for key, distance in value.items()}


class VolumeCheck(_Settings):
    """A crystal that is compressed and expanded alike in all directions."""

    smallest: Annotated[float, Field(ge=0.4, lt=0.98)] = Field(0.7, description='Smallest lengths, 1 as given.')
    largest: Annotated[float, Field(gt=1.02, le=2.0)] = Field(1.15, description='Largest lengths, 1 as given.')
    points: Annotated[int, Field(ge=10, le=1000)] = Field(46, description='Number of volumes.')
    max_volume_change: Positive | None = Field(
        0.1, description='Largest relative change from the given volume to the best one.'
    )
    bulk_modulus: Annotated[tuple[Positive, Positive], AfterValidator(_rising)] | None = Field(
        None, description='Lowest and highest bulk modulus (GPa).'
    )


class ElasticCheck(_Settings):
    """Elastic constants of the crystal at the best volume, from the stresses of strained cells."""

    strain: Annotated[float, Field(ge=1e-4, le=0.05)] = Field(0.005, description='Strain to either side.')
    softest: NotNegative = Field(
        0.0,
        description='Least eigenvalue (GPa) of the elastic constants: where one is negative, the crystal shears by '
        'itself.',
    )
    constants: dict[ElasticConstant, Annotated[tuple[Finite, Finite], AfterValidator(_rising)]] = Field(
        default={}, description='Lowest and highest value (GPa) of constants, such as `{C11: [100, 120]}`.'
    )


class PhononCheck(_Settings):
    """Vibrations of the crystal at the best volume, by finite displacements in a supercell."""

    max_atoms: Annotated[int, Field(ge=1, le=5000)] = Field(256, description='Most atoms in the supercell.')
    most_imaginary: NotNegative = Field(1.0, description='Largest imaginary frequency (meV) that is taken for noise.')


class DynamicsCheck(_Settings):
    """A short simulation at high temperature, at the best volume of the crystal."""

    temperature: Positive = Field(1000.0, description='Temperature of the thermostat (K).')
    timestep: Annotated[float, Field(gt=0, le=10)] = Field(1.0, description='Time step (fs).')
    steps: Annotated[int, Field(ge=10, le=1_000_000)] = Field(500, description='Number of steps.')
    every: Annotated[int, Field(ge=1, le=1000)] = Field(5, description='Steps from one look to the next.')
    min_atoms: Annotated[int, Field(ge=1, le=10_000)] = Field(32, description='The cell is repeated up to this size.')
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(0, description='Seed of velocities and thermostat.')
    max_temperature_ratio: Annotated[float, Field(gt=1)] = Field(
        2.0, description='Highest temperature, as a multiple of that of the thermostat.'
    )
    radius_factor: Annotated[float, Field(gt=0, le=1.5)] = Field(
        0.6, description='Shortest distance between atoms, as part of the smallest sum of two covalent radii.'
    )
    max_gamma: Positive | None = Field(
        None, description='Largest extrapolation grade; LAMMPS users stop at 25. Needs an active set.'
    )


class ErrorsCheck(_Settings):
    """Errors on structures that were not trained on."""

    max_rmse_energy: Positive | None = Field(None, description='Largest RMSE of energies (meV/atom).')
    max_rmse_forces: Positive | None = Field(None, description='Largest RMSE of force components (meV/Å).')
    max_error_forces: Positive | None = Field(None, description='Largest error of any force component (meV/Å).')
    max_group_rmse_energy: Positive | None = Field(
        None, description='Largest RMSE of energies of any source (meV/atom).'
    )
    max_element_rmse_forces: Positive | None = Field(
        None, description='Largest RMSE of force components of any element (meV/Å).'
    )


class ExportCheck(_Settings):
    """Agreement of the file for LAMMPS with the potential."""

    max_energy: Positive = Field(1e-6, description='Largest difference of energies (eV/atom).')
    max_forces: Positive = Field(1e-5, description='Largest difference of force components (eV/Å).')


class ValidationParameters(_Settings):
    """What is checked, which checks have to be passed, and the thresholds of each."""

    checks: tuple[Check, ...] | None = Field(None, description='Checks to run; by default all that the inputs allow.')
    required: tuple[Check, ...] | None = Field(
        None, description='Checks that have to be passed; by default all that are run. Others only warn.'
    )
    dimer: DimerCheck = Field(default=DimerCheck(), description='Two atoms alone.')
    volume: VolumeCheck = Field(default=VolumeCheck(), description='Energy against volume.')
    elastic: ElasticCheck = Field(default=ElasticCheck(), description='Elastic constants.')
    phonons: PhononCheck = Field(default=PhononCheck(), description='Vibrations.')
    dynamics: DynamicsCheck = Field(default=DynamicsCheck(), description='Hot dynamics.')
    errors: ErrorsCheck = Field(default=ErrorsCheck(), description='Held-out errors.')
    export: ExportCheck = Field(default=ExportCheck(), description='The file for LAMMPS.')

    @model_validator(mode='after')
    def require_what_runs(self) -> Self:
        """Refuse to require a check that is not run."""
        if self.checks is not None and self.required is not None:
            idle = [check for check in self.required if check not in self.checks]
            if idle:
                raise ValueError(f'`required` names {idle[0]}, which is not among `checks`')
        if self.checks is not None and not self.checks:
            raise ValueError('`checks` is empty: leave it out, or name at least one')
        return self

    def needed_to_pass(self, run: tuple[Check, ...]) -> tuple[Check, ...]:
        """Return the checks that have to be passed.

        :param run: those that are run.
        """
        return run if self.required is None else self.required


def parse_validation_parameters(mapping: Mapping[str, Any]) -> ValidationParameters:
    """Read the settings of the checks.

    :raises ConfigError: if a key is unknown or a value is not possible; the message names the key.
    """
    try:
        return ValidationParameters.model_validate(mapping)
    except ValidationError as exception:
        error = exception.errors(include_url=False)[0]
        key = '.'.join(map(str, error['loc'])) or 'parameters'
        if error['type'] == 'extra_forbidden':
            raise ConfigError(f'`{key}` is no parameter of a validation') from exception
        raise ConfigError(f'`{key}`: {error["msg"].removeprefix("Value error, ")}') from exception
