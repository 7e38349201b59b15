"""The ``potential`` section: the shape of the B-basis, or the wish to start an existing shape from scratch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import Number, Section, SectionError, about
from aiida_autopipec.pacemaker.config.basis_size import BasisSize, basis_size
from aiida_autopipec.pacemaker.config.blocks import Bond, Embedding, FunctionBlock, PositiveInt
from aiida_autopipec.pacemaker.config.coverage import shape_problems
from aiida_autopipec.pacemaker.config.inheritance import bond_of
from aiida_autopipec.pacemaker.config.species import (
    BondKey,
    Elements,
    EmbeddingKey,
    FunctionKey,
    SpeciesMapping,
    pairs,
)

#: The only key of ``functions`` that stands for no elements.
FUNCTIONS_LIMIT = 'number_of_functions_per_element'


class Functions(Section):
    """The basis functions, by elements, and how many of them to keep."""

    SOURCE: ClassVar[str] = sources.POTENTIAL

    SPREAD: ClassVar[frozenset[str]] = frozenset({'blocks'})

    number_of_functions_per_element: PositiveInt | None = Field(
        default=None,
        description='Largest number of functions per element to keep, lowest power order first; default: all.',
        json_schema_extra=about(default='all'),
    )
    blocks: Annotated[dict[FunctionKey, FunctionBlock], SpeciesMapping] = Field(
        description='Functions by ALL, UNARY, …, QUINARY or elements (AlNi: Ni around Al); the specific key wins.'
    )

    @model_validator(mode='before')
    @classmethod
    def gather_blocks(cls, value: Any) -> Any:
        """Put the keys that stand for elements into a mapping of their own."""
        if not isinstance(value, dict):
            return value
        limit = {key: item for key, item in value.items() if key == FUNCTIONS_LIMIT}
        return {**limit, 'blocks': {key: item for key, item in value.items() if key != FUNCTIONS_LIMIT}}

    @model_serializer(mode='wrap')
    def spread_blocks(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return the keys as Pacemaker reads them, side by side."""
        values: dict[str, Any] = handler(self)
        blocks = values.pop('blocks')
        return {**values, **blocks}


class PotentialShape(Section):
    """The B-basis: elements, and their embeddings, bonds and functions."""

    SOURCE: ClassVar[str] = sources.POTENTIAL

    delta_spline_bins: Annotated[Number, Field(ge=1e-5, le=0.1)] = Field(
        default=0.001,
        alias='deltaSplineBins',
        description='Spacing in Å of the splines of the radial functions.',
        json_schema_extra=about(unit='Å'),
    )
    elements: Elements = Field(
        description='Chemical symbols of all elements, in any order.',
        json_schema_extra=about(kind='list of different chemical symbols'),
    )
    embeddings: Annotated[dict[EmbeddingKey, Embedding], SpeciesMapping] = Field(
        description='Embeddings by ALL, UNARY or element; the specific key overrides the general one.'
    )
    bonds: Annotated[dict[BondKey, Bond], SpeciesMapping] = Field(
        description='Bonds by ALL, UNARY, BINARY, element or pair (AlNi is NiAl); the specific key wins.'
    )
    functions: Functions = Field(description='Basis functions by elements, and how many of them to keep.')
    overwrite_blocks_from_initial_bbasis: bool = Field(
        default=False,
        description='Take the blocks of the initial potential as they are, instead of only those missing here.',
        json_schema_extra=about(source=sources.CODE_BASIS),
    )

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check that the elements agree and that everything they need is stated."""
        SectionError.raise_any(
            shape_problems(
                self.elements,
                self.embeddings,
                self.bonds,
                self.functions.blocks,
                self.functions.number_of_functions_per_element,
            )
        )
        return self

    @property
    def cutoff(self) -> float:
        """Return the largest outer cutoff in Å, from which Pacemaker builds its neighbour lists."""
        merged = (bond_of(pair, self.bonds) for pair in pairs(self.elements))
        return max(bond.rcut for bond in merged if bond.rcut is not None)

    @property
    def size(self) -> BasisSize:
        """Return the number of functions and parameters."""
        return basis_size(
            self.elements,
            self.embeddings,
            self.bonds,
            self.functions.blocks,
            self.functions.number_of_functions_per_element,
        )


class GivenPotential(Section):
    """The shape of the potential that the calculation is given, without its coefficients."""

    SOURCE: ClassVar[str] = sources.UPFIT

    reset: Literal[True] = Field(
        description='Start from the shape of the given potential with all functions at zero and default radials.'
    )


def _kind(value: Any) -> str:
    given = isinstance(value, GivenPotential) or (isinstance(value, dict) and 'reset' in value)
    return '<given>' if given else '<shape>'


def _refuse_file_name(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(
            f'must be a mapping, not the file name {value!r}: pass that potential as the input initial_potential '
            'and leave the section out'
        )
    return value


Potential = Annotated[
    Annotated[PotentialShape, Tag('<shape>')] | Annotated[GivenPotential, Tag('<given>')],
    Discriminator(_kind),
    BeforeValidator(_refuse_file_name),
]
