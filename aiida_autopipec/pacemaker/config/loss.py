"""The loss function and the weighting of structures (``pyace/lossfuncspec.py``, ``pyace/preparedata.py``)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import Number, Section, SectionError, about, read_number
from aiida_autopipec.pacemaker.config.blocks import PositiveInt, Small

#: What ``numpy.random.seed`` takes.
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def read_kappa(value: object) -> float | Literal['auto']:
    """Return the weight of the forces.

    :raises ValueError: for anything but a number from 0 to 1 or ``auto``.
    """
    number = read_number(value)
    if number == 'auto':
        return 'auto'
    if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number <= 1:
        return float(number)
    raise ValueError(f'must be a number from 0 (energies only) to 1 (forces only), or auto, not {value!r}')


#: An energy (eV/atom) or force (eV/Å) that tells good structures from bad ones.
WeightingEnergy = Annotated[Number, Field(gt=0, le=1000)]


class Loss(Section):
    """The function that the fit minimises."""

    SOURCE: ClassVar[str] = sources.FIT

    kappa: Annotated[float | Literal['auto'], PlainValidator(read_kappa)] = Field(
        default=0.0,
        description='Weight of forces against energies: 0 energies only, 1 forces only, auto from their variances.',
        json_schema_extra=about(kind='number from 0 to 1, or `auto`'),
    )
    l1_coeffs: Small = Field(default=0.0, alias='L1_coeffs', description='L1 regularisation of coefficients.')
    l2_coeffs: Small = Field(default=0.0, alias='L2_coeffs', description='L2 regularisation of coefficients.')
    w0_rad: Small = Field(default=0.0, description='Smoothness of radial functions: weight of their values.')
    w1_rad: Small = Field(default=0.0, description='Smoothness of radial functions: weight of first derivatives.')
    w2_rad: Small = Field(default=0.0, description='Smoothness of radial functions: weight of second derivatives.')
    w_orth: Small = Field(
        default=0.0,
        description='Weight of orthogonality of radial functions (evaluator tensorpot only).',
        json_schema_extra=about(source=sources.CODE_LOSS),
    )


def read_policy(value: Any) -> Any:
    """Explain the policies that an input file cannot or need not name.

    :raises ValueError: for the uniform policy, which Pacemaker only knows as the absence of the section, and the
        external one, which reads another file.
    """
    policy = value.get('type') if isinstance(value, dict) else None
    if policy == 'UniformWeightingPolicy':
        raise ValueError('must be left out for uniform weights: Pacemaker refuses the name UniformWeightingPolicy')
    if policy == 'ExternalWeightingPolicy':
        raise ValueError('must not name ExternalWeightingPolicy: give the weights with the structures of the dataset')
    return value


def read_none(value: object) -> object:
    """Return nothing for the text ``None``, as ``EnergyBasedWeightingPolicy`` does with ``wlow``."""
    return None if isinstance(value, str) and value.lower() == 'none' else value


class EnergyWeighting(Section):
    """Weights that fall with the energy above the ground state, and a choice of structures."""

    SOURCE: ClassVar[str] = sources.FIT

    NULLABLE: ClassVar[frozenset[str]] = frozenset({'wlow'})

    type: Literal['EnergyBasedWeightingPolicy'] = Field(description='Name of the policy.')
    nfit: PositiveInt | None = Field(
        default=None,
        description='Number of structures to use, those below DElow first; default: all.',
        json_schema_extra=about(default='all'),
    )
    n_lower: PositiveInt | None = Field(
        default=None,
        description='Number of structures to use below DElow.',
        json_schema_extra=about(default='all', source=sources.CODE_DATA),
    )
    n_upper: PositiveInt | None = Field(
        default=None,
        description='Number of structures to use from DElow to DEup.',
        json_schema_extra=about(default='all', source=sources.CODE_DATA),
    )
    de_low: WeightingEnergy = Field(
        default=1.0,
        alias='DElow',
        description='Energy in eV/atom up to which all are used.',
        json_schema_extra=about(unit='eV/atom'),
    )
    de_up: WeightingEnergy = Field(
        default=10.0,
        alias='DEup',
        description='Energy in eV/atom from which structures are dropped, above DElow.',
        json_schema_extra=about(unit='eV/atom'),
    )
    df_up: WeightingEnergy | None = Field(
        default=None,
        alias='DFup',
        description='Force in eV/Å above which structures are dropped; default: none.',
        json_schema_extra=about(default='none', unit='eV/Å'),
    )
    de: WeightingEnergy = Field(
        default=1.0,
        alias='DE',
        description='Shift in eV/atom in the energy weights.',
        json_schema_extra=about(unit='eV/atom'),
    )
    df: WeightingEnergy = Field(
        default=1.0, alias='DF', description='Shift in the force weights.', json_schema_extra=about(unit='eV²/Å²')
    )
    wlow: Annotated[Annotated[Number, Field(gt=0, lt=1)] | None, BeforeValidator(read_none)] = Field(
        default=None,
        description='Total weight of the structures below DElow, between 0 and 1; null: not adjusted.',
        json_schema_extra=about(default='not adjusted'),
    )
    energy: Literal['convex_hull', 'cohesive'] = Field(
        default='convex_hull', description='Energies count from the convex hull or from the lowest energy per atom.'
    )
    reftype: Literal['all', 'bulk', 'cluster'] = Field(
        default='all', description='Use all structures, only periodic ones, or only those that are not.'
    )
    seed: Seed | None = Field(
        default=None,
        description='Seed of the choice of structures; default: the top seed.',
        json_schema_extra=about(default='the top seed'),
    )

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the thresholds and counts against each other."""
        problems: list[tuple[tuple[str, ...], str]] = []
        if self.de_up <= self.de_low:
            problems.append((('DEup',), f'must be above DElow = {self.de_low:g} eV/atom, not {self.de_up:g}'))
        if (self.n_lower is None) != (self.n_upper is None):
            key = 'n_upper' if self.n_lower is None else 'n_lower'
            problems.append(((key,), 'needs both n_lower and n_upper'))
        elif self.n_lower is not None and self.nfit is not None:
            problems.append((('nfit',), 'must not be given together with n_lower and n_upper'))
        SectionError.raise_any(problems)
        return self


Weighting = Annotated[EnergyWeighting, BeforeValidator(read_policy)]
