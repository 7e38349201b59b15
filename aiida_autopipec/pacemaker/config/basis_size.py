"""How large the basis is that a potential section asks for: functions, radial coefficients, parameters.

The rules are those of ``create_multispecies_basis_config`` in ``pyace/multispecies_basisextension.py`` (python-ace
0.4.0rc1); the tests hold them against the real Pacemaker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aiida_autopipec.pacemaker.config.blocks import Bond, Embedding, FunctionBlock
from aiida_autopipec.pacemaker.config.counts import functions_of_order
from aiida_autopipec.pacemaker.config.inheritance import bond_of, embedding_of, keys_by_block
from aiida_autopipec.pacemaker.config.species import pairs

SpeciesBlock = tuple[str, ...]


class RadialShape(NamedTuple):
    """Numbers of radial functions of a bond.

    :param nradbase: radial basis functions, those of order one.
    :param nradmax: radial functions of the orders above.
    :param lmax: largest angular momentum.
    """

    nradbase: int = 0
    nradmax: int = 0
    lmax: int = 0

    def united(self, other: RadialShape) -> RadialShape:
        """Return the smallest shape that holds both."""
        return RadialShape(*(max(pair) for pair in zip(self, other, strict=True)))

    @property
    def coefficients(self) -> int:
        """Return the number of radial coefficients that are fitted."""
        return self.nradbase * self.nradmax * (self.lmax + 1)


@dataclass(frozen=True)
class BasisSize:
    """The size of a basis.

    :param functions: number of functions of each species block, such as ``('Al', 'Ni')``: Ni around Al.
    :param densities: number of densities of each element, which is the number of coefficients of a function.
    :param radial: radial coefficients of each pair of elements, both orders of a pair counted once; an upper bound
        if ``number_of_functions_per_element`` leaves functions out.
    """

    functions: Mapping[SpeciesBlock, int]
    densities: Mapping[str, int]
    radial: Mapping[tuple[str, str], int]

    @property
    def functions_per_element(self) -> dict[str, int]:
        """Return the number of functions around each element."""
        return {element: self._around(element) for element in self.densities}

    @property
    def n_functions(self) -> int:
        """Return the number of functions of the whole potential."""
        return sum(self.functions.values())

    @property
    def n_parameters(self) -> int:
        """Return the number of coefficients that a fit of everything changes."""
        linear = sum(count * self.densities[block[0]] for block, count in self.functions.items())
        return linear + sum(self.radial.values())

    def parameters_of(self, element: str) -> int:
        """Return the number of coefficients that the energy of an atom of this element depends on."""
        bonds = sum(count for pair, count in self.radial.items() if element in pair)
        return self._around(element) * self.densities[element] + bonds

    def _around(self, element: str) -> int:
        return sum(count for block, count in self.functions.items() if block[0] == element)


def basis_size(
    elements: tuple[str, ...],
    embeddings: Mapping[str, Embedding],
    bonds: Mapping[str, Bond],
    functions: Mapping[str, FunctionBlock],
    functions_per_element: int | None,
) -> BasisSize:
    """Return the size of the basis of a potential section that was checked.

    :param elements: chemical symbols.
    :param embeddings: by keyword or element.
    :param bonds: by keyword, element or pair.
    :param functions: by keyword or elements.
    :param functions_per_element: ``number_of_functions_per_element``; Pacemaker gives each block the same share.
    """
    blocks = {block: functions[key] for block, key in keys_by_block(elements, functions).items()}
    counts = {block: _count(spec, len(block)) for block, spec in blocks.items()}
    if functions_per_element is not None:
        share = functions_per_element * len(elements) // len(blocks)
        counts = {block: min(count, share) for block, count in counts.items()}
    shapes = needed_shapes(blocks)
    for pair in shapes:
        shapes[pair] = shapes[pair].united(_stated_shape(bond_of(pair, bonds)))
    return BasisSize(
        functions=counts,
        densities={element: embedding_of(element, embeddings).ndensity or 0 for element in elements},
        radial={pair: shape.coefficients for pair, shape in shapes.items()},
    )


def needed_shapes(blocks: Mapping[SpeciesBlock, FunctionBlock]) -> dict[tuple[str, str], RadialShape]:
    """Return what the functions need of each bond, as sorted pair of elements.

    :param blocks: the functions of each species block.
    """
    elements = sorted({element for block in blocks for element in block})
    shapes = {pair: RadialShape() for pair in pairs(elements) if pair[0] <= pair[1]}
    for block, spec in blocks.items():
        for pair, shape in _shapes_of_block(block, spec):
            shapes[pair] = shapes[pair].united(shape)
    return shapes


def _shapes_of_block(block: SpeciesBlock, spec: FunctionBlock) -> Iterator[tuple[tuple[str, str], RadialShape]]:
    central, *others = block
    radial = spec.nradmax_by_orders
    whole = RadialShape(radial[0], max(radial[1:], default=0), max(spec.lmax_by_orders))
    for other in others or [central]:
        yield (min(central, other), max(central, other)), whole
    # the central element is a neighbour too, in orders that have room for it beside the others
    if others:
        reached = [item for item in list(zip(radial, spec.lmax_by_orders, strict=True))[len(others) :] if item[0]]
        n_max, l_max = (max(column, default=0) for column in zip(*reached or [(0, 0)], strict=True))
        yield (central, central), RadialShape(0, n_max, l_max)


def _stated_shape(bond: Bond) -> RadialShape:
    return RadialShape(bond.nradbase or 0, bond.nradmax or 0, bond.lmax or 0)


def _count(spec: FunctionBlock, n_species: int) -> int:
    orders = zip(spec.nradmax_by_orders, spec.lmax_by_orders, strict=True)
    return sum(
        functions_of_order(order, n_radial, l_max, n_species) for order, (n_radial, l_max) in enumerate(orders, start=1)
    )
