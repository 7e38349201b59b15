"""A potential with its reference potential as one calculator of ASE."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.reference_potentials import ReferencePotential, total_calculator

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator


def load_calculator(path: Path | str, reference: ReferencePotential | None = None) -> BaseCalculator:
    """Return a calculator of ASE: energies, forces and stresses of a potential and its reference potential together.

    :param path: the potential: a ``.yaml``, which says itself what was subtracted before its training; or a ``.yace``
        that has its ``.yaml`` beside it, under the same name.
    :param reference: what was subtracted, where no ``.yaml`` says it.
    :raises InputError: if python-ace is not installed, there is no such file, or it is no potential.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f'there is no file `{file}`: give a potential, `.yaml` or `.yace`')
    if file.suffix not in {'.yaml', '.yace'}:
        raise InputError(f'`{file.name}` ends with {file.suffix!r}: give a potential, `.yaml` or `.yace`')
    twin = file.with_suffix('.yaml')
    try:
        # both give the same numbers to the last digit, and only the .yaml says what was subtracted
        return total_calculator(twin if reference is None and twin.is_file() else file, reference)
    except ImportError as error:
        raise InputError(
            f'a potential needs python-ace, which is not installed here ({error}): pip install python-ace'
        ) from error
