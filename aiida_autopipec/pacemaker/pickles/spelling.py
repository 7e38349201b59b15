"""Expressions of public names, and how they are spelled in a pickle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from aiida_autopipec.pacemaker.pickles.blocks import Blocks
from aiida_autopipec.pacemaker.pickles.opcodes import PickleStream


@dataclass(frozen=True)
class Name:
    """The object that ``from module import name`` gives."""

    module: str
    name: str

    def __call__(self, *arguments: Expression) -> Call:
        """Spell a call of this object."""
        return Call(self, arguments)


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a public name."""

    function: Name
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Shared:
    """An array that stands in several places and is written once."""

    blocks: Blocks


Expression: TypeAlias = (
    'Call | Name | Shared | Blocks | list[str] | dict[str, Expression] | tuple[int, ...] | str | int | None'
)

NDARRAY = Name('numpy', 'ndarray')
DTYPE = Name('numpy', 'dtype')
LIST = Name('builtins', 'list')
MAP = Name('builtins', 'map')
SLICE = Name('builtins', 'slice')
REPEAT = Name('itertools', 'repeat')
CHAIN = Name('itertools', 'chain')
GETITEM = Name('operator', 'getitem')
ATOMS = Name('ase.atoms', 'Atoms')
DATA_FRAME = Name('pandas', 'DataFrame')


def spell(out: PickleStream, expression: Expression) -> None:
    """Push ``expression`` on the reader's stack."""
    match expression:
        case None:
            out.none()
        case str():
            out.string(expression)
        case int():
            out.integer(expression)
        case Name(module, name):
            out.public_name(module, name)
        case Call(function, arguments):
            spell(out, function)
            _spell_tuple(out, arguments)
            out.call()
        case Shared(blocks):
            if not out.recall(expression):
                _spell_array(out, blocks)
                out.remember(expression)
        case Blocks():
            _spell_array(out, expression)
        case dict():
            out.empty_dict()
            out.mark()
            for key, value in expression.items():
                out.string(key)
                spell(out, value)
            out.end_items()
        case list():
            out.strings(expression)
        case tuple():
            _spell_tuple(out, expression)


def _spell_tuple(out: PickleStream, items: tuple[Expression, ...]) -> None:
    out.mark()
    for item in items:
        spell(out, item)
    out.end_tuple()


def _spell_array(out: PickleStream, blocks: Blocks) -> None:
    """Push ``ndarray((0,), 'b')`` with its state set: numpy's own way to unpickle, by public names."""
    spell(out, NDARRAY((0,), 'b'))
    out.mark()
    out.integer(1)  # the version of ndarray's state
    spell(out, blocks.shape)
    spell(out, DTYPE(blocks.dtype))
    out.false()  # not in Fortran order
    out.raw_bytes(blocks.arrays(), blocks.nbytes)
    out.end_tuple()
    out.build()
