"""The leaves of the ``potential`` section: one embedding, one bond, one block of functions.

Meanings and defaults: Pacemaker's documentation (each class names the page) and
``pyace/multispecies_basisextension.py`` (python-ace 0.4.0rc1). Bounds that Pacemaker does not have are those beyond
which a value can only be a slip.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import (
    Integers,
    Number,
    Numbers,
    Section,
    SectionError,
    about,
    as_tuple,
)

#: Largest l by order in Pacemaker's table of basis functions (``pyace/data/mus_ns_uni_to_rawlsLS_np_rank.pckl``,
#: python-ace 0.4.0rc1). A larger lmax is cut to it without a word; order 12 is incomplete there.
LARGEST_L_BY_ORDER = (0, 10, 6, 4, 3, 2, 2, 1, 1, 1, 1)

#: Most radial functions; Pacemaker's own template has 15. More than that many oscillations within a cutoff fit noise.
LARGEST_N = 100

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]
#: A small number beside 1: a regularisation, a tolerance, a noise.
Small = Annotated[Number, Field(ge=0, le=1)]
#: A distance in Å between atoms; a larger one is another unit (pm, bohr), or a potential that no computer can evaluate.
Distance = Annotated[Number, Field(gt=0, le=30)]


class Embedding(Section):
    """How the densities of an atom become its energy."""

    SOURCE: ClassVar[str] = sources.POTENTIAL

    npot: Literal['FinnisSinclairShiftedScaled', 'FinnisSinclair'] | None = Field(
        default=None,
        description='Form of the embedding function; without it nothing is fitted.',
        json_schema_extra=about(default='required'),
    )
    fs_parameters: Annotated[Numbers, Field(min_length=2, max_length=20)] | None = Field(
        default=None,
        description='Prefactor and exponent of each density in turn, so twice ndensity numbers: [1, 1, 1, 0.5].',
        json_schema_extra=about(kind='list of 2 to 20 numbers, exponents > 0', default='required'),
    )
    ndensity: Annotated[int, Field(ge=1, le=10)] | None = Field(
        default=None,
        description='Number of densities: 1 is a linear potential.',
        json_schema_extra=about(default='required'),
    )
    rho_core_cut: Positive | None = Field(
        default=None,
        description='Core repulsion (eV) above which the embedding is switched off; default 100000.',
        json_schema_extra=about(default='100000', unit='eV'),
    )
    drho_core_cut: Positive | None = Field(
        default=None,
        description='Width (eV) over which rho_core_cut switches; default 250.',
        json_schema_extra=about(default='250', unit='eV'),
    )

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the pairs: a density to a power of zero or less is no energy that vanishes with its neighbours."""
        values = list(self.fs_parameters or ())
        if len(values) % 2:
            SectionError.raise_any([(('fs_parameters',), f'must hold pairs of prefactor and exponent, not {values}')])
        wrong = [value for value in values[1::2] if value <= 0]
        text = 'must hold a positive exponent at every second place'
        SectionError.raise_any((('fs_parameters',), f'{text}, not {value:g}') for value in wrong[:1])
        return self


class Bond(Section):
    """The radial functions between two elements."""

    SOURCE: ClassVar[str] = sources.POTENTIAL

    radbase: Literal['SBessel', 'ChebExpCos', 'ChebPow', 'ChebLinear'] | None = Field(
        default=None, description='Family of radial basis functions.', json_schema_extra=about(default='required')
    )
    radparameters: Annotated[tuple[Positive], BeforeValidator(as_tuple)] | None = Field(
        default=None,
        description='Parameter of the radial basis: one number, the decay or power of the distance.',
        json_schema_extra=about(kind='list of one number > 0', default='required'),
    )
    rcut: Distance | None = Field(
        default=None,
        description='Outer cutoff of the bond in Å.',
        json_schema_extra=about(default='required', unit='Å'),
    )
    dcut: Distance | None = Field(
        default=None,
        description='Width in Å over which the outer cutoff switches off, less than rcut; default 0.',
        json_schema_extra=about(default='0', unit='Å'),
    )
    name_of_cutoff_function: Literal['cos'] | None = Field(
        default=None,
        alias='NameOfCutoffFunction',
        description='Form of the outer cutoff function; only cos exists.',
        json_schema_extra=about(default='cos', source=sources.CODE_BASIS),
    )
    r_in: Distance | None = Field(
        default=None,
        description='Inner cutoff in Å, below which core repulsion replaces ACE; default: none.',
        json_schema_extra=about(default='none', unit='Å'),
    )
    delta_in: Distance | None = Field(
        default=None,
        description='Width in Å of the switch that ends at r_in, at most r_in.',
        json_schema_extra=about(default='none', unit='Å'),
    )
    core_repulsion: Annotated[tuple[NotNegative, NotNegative], BeforeValidator(as_tuple)] | None = Field(
        default=None,
        alias='core-repulsion',
        description='Prefactor (eV Å) and lambda (1/Å²) of prefactor*exp(-lambda*r²)/r; with zbl a scale and 1.',
        json_schema_extra=about(kind='list of two numbers ≥ 0', default='none', unit='eV Å, 1/Å²'),
    )
    inner_cutoff_type: Literal['distance', 'density', 'zbl'] | None = Field(
        default=None,
        description='What the inner cutoff acts on, the same for all bonds; default distance.',
        json_schema_extra=about(default='distance', source=sources.CODE_BASIS),
    )
    nradbase: Annotated[int, Field(ge=1, le=LARGEST_N)] | None = Field(
        default=None,
        description='Number of radial basis functions, at least what the functions need (the default).',
        json_schema_extra=about(default='as needed', source=sources.CODE_BASIS),
    )
    nradmax: Annotated[int, Field(ge=0, le=LARGEST_N)] | None = Field(
        default=None,
        description='Number of radial functions above order one; default: what the functions need.',
        json_schema_extra=about(default='as needed', source=sources.CODE_BASIS),
    )
    lmax: Annotated[int, Field(ge=0, le=max(LARGEST_L_BY_ORDER))] | None = Field(
        default=None,
        description='Largest angular momentum; default: what the functions need.',
        json_schema_extra=about(default='as needed', source=sources.CODE_BASIS),
    )

    def problems(self) -> list[tuple[tuple[str], str]]:
        """Return what is wrong between the keys of this bond."""
        found: list[tuple[tuple[str], str]] = []
        if self.dcut is not None and self.rcut is not None and self.dcut >= self.rcut:
            found.append((('dcut',), f'must be less than rcut = {self.rcut:g} Å, not {self.dcut:g}'))
        if self.r_in is not None and self.rcut is not None and self.r_in >= self.rcut:
            found.append((('r_in',), f'must be less than rcut = {self.rcut:g} Å, not {self.r_in:g}'))
        if self.delta_in is not None and self.r_in is not None and self.delta_in > self.r_in:
            found.append((('delta_in',), f'must be at most r_in = {self.r_in:g} Å, not {self.delta_in:g}'))
        return found

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the keys against each other."""
        SectionError.raise_any(self.problems())
        return self


class FunctionBlock(Section):
    """Which basis functions a combination of elements gets."""

    SOURCE: ClassVar[str] = sources.POTENTIAL

    nradmax_by_orders: Annotated[Integers, Field(min_length=1, max_length=len(LARGEST_L_BY_ORDER))] = Field(
        description='Number of radial functions for each order (two-body, three-body, …): [15, 6, 4].',
        json_schema_extra=about(kind='list of 1 to 11 integers, ≥ 0, ≤ 100'),
    )
    lmax_by_orders: Annotated[Integers, Field(min_length=1, max_length=len(LARGEST_L_BY_ORDER))] = Field(
        description='Largest angular momentum for each order, of the same length; the first is 0: [0, 3, 2].',
        json_schema_extra=about(kind='list of 1 to 11 integers, ≥ 0, ≤ 10 and less at higher orders'),
    )
    coefs_init: Literal['zero', 'random'] = Field(
        default='zero', description='Start of the coefficients: zero, or random with a width of 1e-4.'
    )

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the two lists against each other and against Pacemaker's table of functions."""
        SectionError.raise_any([*self._length_problems(), *self._radial_problems(), *self._angular_problems()])
        return self

    def _length_problems(self) -> list[tuple[tuple[str, ...], str]]:
        radial, angular = len(self.nradmax_by_orders), len(self.lmax_by_orders)
        if radial == angular:
            return []
        text = f'must be as long as nradmax_by_orders ({radial} orders), not {angular}'
        return [(('lmax_by_orders',), text)]

    def _radial_problems(self) -> list[tuple[tuple[str, ...], str]]:
        key = ('nradmax_by_orders',)
        values = list(self.nradmax_by_orders)
        if min(values) < 0:
            return [(key, f'must hold no negative number, not {values}')]
        if max(values) > LARGEST_N:
            return [(key, f'must hold numbers of radial functions of at most {LARGEST_N}, not {values}')]
        if values[0] == 0:
            return [(key, f'must start with at least 1, not {values} (are the two lists swapped?)')]
        return []

    def _angular_problems(self) -> list[tuple[tuple[str, ...], str]]:
        key = ('lmax_by_orders',)
        values = list(self.lmax_by_orders)
        if min(values) < 0:
            return [(key, f'must hold no negative number, not {values}')]
        if values[0] != 0:
            return [(key, f'must start with 0, for two-body functions have no angular part, not {values}')]
        return [
            (key, f'must be at most {limit} at order {order}, beyond which Pacemaker has no functions, not {value}')
            for order, (value, limit) in enumerate(zip(values, LARGEST_L_BY_ORDER, strict=False), start=1)
            if value > limit
        ]
