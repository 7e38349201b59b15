"""The leaves of the ``potential`` section: one embedding, one bond, one block of functions.

Meanings and defaults: https://pacemaker.readthedocs.io/en/latest/pacemaker/inputfile/ and
``pyace/multispecies_basisextension.py`` (python-ace 0.4.0rc1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config.base import Integers, Number, Numbers, Section, SectionError

#: Largest l by order in Pacemaker's table of basis functions (``pyace/data/mus_ns_uni_to_rawlsLS_np_rank.pckl``,
#: python-ace 0.4.0rc1). A larger lmax is cut to it without a word; order 12 is incomplete there.
LARGEST_L_BY_ORDER = (0, 10, 6, 4, 3, 2, 2, 1, 1, 1, 1)

Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
PositiveInt = Annotated[int, Field(ge=1)]


class Embedding(Section):
    """How the densities of an atom become its energy."""

    npot: Literal['FinnisSinclairShiftedScaled', 'FinnisSinclair'] | None = Field(
        default=None, description='Form of the embedding function; without it nothing is fitted.'
    )
    fs_parameters: Annotated[Numbers, Field(min_length=2)] | None = Field(
        default=None,
        description='Prefactor and exponent of each density in turn, so twice ndensity numbers: [1, 1, 1, 0.5].',
    )
    ndensity: PositiveInt | None = Field(default=None, description='Number of densities: 1 is a linear potential.')
    rho_core_cut: Positive | None = Field(
        default=None, description='Core repulsion (eV) above which the embedding is switched off; default 100000.'
    )
    drho_core_cut: Positive | None = Field(
        default=None, description='Width (eV) over which rho_core_cut switches; default 250.'
    )


class Bond(Section):
    """The radial functions between two elements."""

    radbase: Literal['SBessel', 'ChebExpCos', 'ChebPow', 'ChebLinear'] | None = Field(
        default=None, description='Family of radial basis functions.'
    )
    radparameters: Annotated[Numbers, Field(min_length=1)] | None = Field(
        default=None, description='Parameters of the radial basis: one number, the decay or power of the distance.'
    )
    rcut: Positive | None = Field(default=None, description='Outer cutoff of the bond in Å.')
    dcut: Positive | None = Field(
        default=None, description='Width in Å over which the outer cutoff switches off, less than rcut; default 0.'
    )
    name_of_cutoff_function: Literal['cos'] | None = Field(
        default=None, alias='NameOfCutoffFunction', description='Form of the outer cutoff function; only cos exists.'
    )
    r_in: Positive | None = Field(
        default=None, description='Inner cutoff in Å, below which core repulsion replaces ACE; default: none.'
    )
    delta_in: Positive | None = Field(
        default=None, description='Width in Å of the switch that ends at r_in, at most r_in.'
    )
    core_repulsion: Annotated[Numbers, Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        alias='core-repulsion',
        description='Prefactor (eV Å) and lambda (1/Å²) of prefactor*exp(-lambda*r²)/r; with zbl a scale and 1.',
    )
    inner_cutoff_type: Literal['distance', 'density', 'zbl'] | None = Field(
        default=None, description='What the inner cutoff acts on, the same for all bonds; default distance.'
    )
    nradbase: PositiveInt | None = Field(
        default=None, description='Number of radial basis functions, at least what the functions need (the default).'
    )
    nradmax: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description='Number of radial functions above order one; default: what the functions need.'
    )
    lmax: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description='Largest angular momentum; default: what the functions need.'
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

    nradmax_by_orders: Annotated[Integers, Field(min_length=1, max_length=len(LARGEST_L_BY_ORDER))] = Field(
        description='Number of radial functions for each order (two-body, three-body, …): [15, 6, 4].'
    )
    lmax_by_orders: Annotated[Integers, Field(min_length=1, max_length=len(LARGEST_L_BY_ORDER))] = Field(
        description='Largest angular momentum for each order, of the same length; the first is 0: [0, 3, 2].'
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
