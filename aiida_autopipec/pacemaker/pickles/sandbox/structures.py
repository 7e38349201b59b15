"""Structures and attached labels from recorded ``ase.Atoms``, in the layouts of ase 3.17 to 3.29."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.pickles.sandbox.arrays import ArrayDecoder, damaged
from aiida_autopipec.pacemaker.pickles.sandbox.expressions import Structures
from aiida_autopipec.pacemaker.pickles.sandbox.records import has_role

_KEPT_ARRAYS = {'numbers', 'positions'}
_KEPT_RESULTS = {'energy', 'forces', 'stress', 'free_energy'}
_LONGEST_NAME = 40
_MAX_SENTENCES = 50
_VOIGT_ORDER = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])  # xx yy zz yz xz xy, as in ase.stress
_SAME_STRUCTURE = 1e-15  # the tolerance within which ase trusts a calculator's results (Calculator.check_state)


@dataclass(frozen=True, eq=False)
class Structure:
    """One structure."""

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]


class AtomsDecoder:
    """Decodes the ``ase_atoms`` column, and collects what calculators know.

    :param arrays: decodes the arrays in it.
    """

    def __init__(self, arrays: ArrayDecoder) -> None:
        self._arrays = arrays
        self._left_out: dict[str, int] = {}
        self.results: dict[int, dict[str, NDArray[np.float64]]] = {}

    def decode(self, column: list[Any]) -> Structures:
        """Return all structures.

        :raises DatasetError: if a row has none, or one whose arrays contradict each other.
        """
        structures = [self._row(row, atoms) for row, atoms in enumerate(column)]
        sizes = np.array([len(structure.numbers) for structure in structures], dtype=np.int64)
        return Structures(
            np.concatenate([s.numbers for s in structures] or [np.zeros(0, dtype=np.int64)]),
            np.concatenate([s.positions for s in structures] or [np.zeros((0, 3))]),
            np.array([s.cell for s in structures], dtype=np.float64).reshape(-1, 3, 3),
            np.array([s.pbc for s in structures], dtype=np.bool_).reshape(-1, 3),
            np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)]),
        )

    def ignored(self) -> list[str]:
        """Return a sentence for each thing that structures carry and that is not handed back."""
        sentences = [f'{what} of {count} structures' for what, count in sorted(self._left_out.items())]
        if len(sentences) > _MAX_SENTENCES:
            sentences[_MAX_SENTENCES:] = [f'{len(sentences) - _MAX_SENTENCES} more such things of structures']
        return sentences

    def _row(self, row: int, atoms: Any) -> Structure:
        if not has_role(atoms, 'atoms') or not isinstance(atoms.state, dict):
            raise DatasetError(f'Row {row} has no structure (ase.Atoms) in the column `ase_atoms`; drop or repair it.')
        structure = self._structure(row, atoms.state)
        for name in atoms.state['arrays']:
            if name not in _KEPT_ARRAYS:
                self._leave_out(f'the array `{_name(name)}`')
        for name in atoms.state.get('info') or ():
            self._leave_out(f'the info `{_name(name)}`')
        if atoms.state.get('_constraints') or atoms.state.get('constraints'):
            self._leave_out('the constraints')
        calculator = atoms.state.get('_calc', atoms.state.get('calc'))
        if calculator is not None:
            self._calculator(row, structure, calculator)
        return structure

    def _leave_out(self, what: str) -> None:
        self._left_out[what] = self._left_out.get(what, 0) + 1

    def _structure(self, row: int, state: dict[Any, Any]) -> Structure:
        content = state.get('arrays')
        if not isinstance(content, dict):
            raise damaged(f'the structure of row {row} has no arrays')
        numbers = self._arrays.numeric(content.get('numbers'))
        positions = self._arrays.numeric(content.get('positions'))
        if numbers.ndim != 1 or numbers.dtype.kind not in 'iu' or positions.shape != (len(numbers), 3):
            raise DatasetError(
                f'Row {row}: the structure has atomic numbers of shape {numbers.shape} and positions of shape '
                f'{positions.shape}; (n,) integers and (n, 3) are needed.'
            )
        return Structure(
            numbers.astype(np.int64, copy=False),
            positions.astype(np.float64, copy=False),
            self._cell(row, state.get('_cellobj', state.get('_cell'))),
            self._pbc(row, state.get('_pbc')),
        )

    def _cell(self, row: int, value: Any) -> NDArray[np.float64]:
        if has_role(value, 'cell'):
            value = value.state.get('array') if isinstance(value.state, dict) else (value.args or (None,))[0]
        cell = self._arrays.numeric(value).astype(np.float64, copy=False)
        if cell.shape == (3,):
            return np.diag(cell)
        if cell.shape != (3, 3):
            raise DatasetError(f'Row {row}: the cell of the structure has shape {cell.shape}; (3, 3) is needed.')
        return cell

    def _pbc(self, row: int, value: Any) -> NDArray[np.bool_]:
        pbc = np.asarray(value) if isinstance(value, (bool, int)) else self._arrays.numeric(value)
        if pbc.shape not in ((), (3,)):
            raise DatasetError(f'Row {row}: the pbc of the structure has shape {pbc.shape}; (3,) is needed.')
        return np.broadcast_to(pbc.astype(np.bool_), (3,))

    def _calculator(self, row: int, structure: Structure, calculator: Any) -> None:
        """Keep the energy, forces and stress of a calculator that was not overtaken by changes to the structure."""
        state = calculator.state if has_role(calculator, 'calculator') else None
        results = state.get('results') if isinstance(state, dict) else None
        if not isinstance(state, dict) or not isinstance(results, dict):
            self._leave_out('the calculator')
            return
        computed = state.get('atoms')
        if not has_role(computed, 'atoms') or not isinstance(computed.state, dict):
            self._leave_out('the calculator, which does not say for which structure it holds,')
            return
        if not _same(self._structure(row, computed.state), structure):
            self._leave_out('the calculator, whose results belong to another structure,')
            return
        kept = self.results.setdefault(row, {})
        for name, value in results.items():
            if name in _KEPT_RESULTS and value is not None:
                kept[name] = self._result(row, name, value, len(structure.numbers))
            elif name not in _KEPT_RESULTS:
                self._leave_out(f'the calculator result `{_name(name)}`')

    def _result(self, row: int, name: str, value: Any, size: int) -> NDArray[np.float64]:
        if isinstance(value, (int, float)) or has_role(value, 'scalar'):
            array = np.asarray(self._arrays.scalar(value), dtype=np.float64)
        else:
            array = self._arrays.numeric(value).astype(np.float64, copy=False)
        if name == 'stress' and array.shape == (3, 3):
            array = array[_VOIGT_ORDER]
        if name in ('energy', 'free_energy') and array.size == 1:
            array = array.reshape(())  # some programs give it as an array of one value
        wanted = {'forces': (size, 3), 'stress': (6,)}.get(name, ())
        if array.shape != wanted:
            raise DatasetError(
                f'Row {row}: the calculator of the structure gives `{name}` of shape {array.shape}; {wanted} is needed.'
            )
        return array


def _name(key: Any) -> str:
    return key[:_LONGEST_NAME] if isinstance(key, str) else '?'


def _same(one: Structure, other: Structure) -> bool:
    return (
        np.array_equal(one.numbers, other.numbers)
        and np.array_equal(one.pbc, other.pbc)
        and np.allclose(one.positions, other.positions, rtol=0, atol=_SAME_STRUCTURE)
        and np.allclose(one.cell, other.cell, rtol=0, atol=_SAME_STRUCTURE)
    )
