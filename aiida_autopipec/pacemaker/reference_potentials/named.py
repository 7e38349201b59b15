"""Any calculator of ASE as a reference potential."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError
from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential, ReferenceValues

if TYPE_CHECKING:
    import ase
    from ase.calculators.calculator import BaseCalculator

IN_PROCESS = ('asap', 'emt', 'kim', 'lj', 'morse', 'tip3p', 'tip4p')
"""Calculators that ASE knows by name and that need nothing but numbers: no program that they would start, and no file
that provenance would not hold."""
WANTS_MORE = {
    **dict.fromkeys(('eam', 'gpaw', 'hotbit', 'mace_mp', 'mattersim'), 'reads files that provenance would not hold'),
    **dict.fromkeys(('ff', 'tersoff'), 'is made of objects, which cannot be written down as numbers'),
    'lammpslib': 'runs whatever commands of LAMMPS it is given',
    'plumed': 'changes another calculator',
}
"""Why other calculators that run in the same process are not made from settings; all others start a program."""
IN_PYTHON = 'in Python, AseReference takes every calculator object'


class AseBased(ReferencePotential):
    """What a calculator of ASE gives, one structure after the other."""

    def evaluate(self, structures: LabelledStructures) -> ReferenceValues:
        """Return energies, forces and virials of all structures; see :meth:`ReferencePotential.evaluate`.

        :raises DatasetError: if the calculator fails, or gives no finite numbers.
        """
        calculator = self.calculator()
        energy, forces = np.zeros(len(structures)), np.zeros((structures.n_atoms, 3))
        virial = np.full((len(structures), 6), np.nan)
        for row, atoms in enumerate(structures.iter_atoms()):
            atoms.calc = calculator
            begin, end = structures.offsets[row : row + 2]
            try:
                energy[row] = atoms.get_potential_energy(force_consistent=_has_free_energy(calculator))
                forces[begin:end] = atoms.get_forces()
                virial[row] = _virial(atoms)
            except Exception as error:  # what third-party code raises cannot be listed
                raise DatasetError(
                    f'the calculator {type(calculator).__name__} fails for structure `{structures.names[row]}`: {error}'
                ) from error
            if not (np.isfinite(energy[row]) and np.isfinite(forces[begin:end]).all()):
                raise DatasetError(
                    f'the calculator {type(calculator).__name__} gives no finite energy and forces for structure '
                    f'`{structures.names[row]}`: remove it'
                )
        return ReferenceValues(energy=energy, forces=forces, virial=virial)

    def lammps_commands(self, elements: Sequence[str], potential: str | None = None) -> NoReturn:
        """Refuse: what LAMMPS would need for an arbitrary calculator is not known.

        :raises ConfigError: always.
        """
        raise ConfigError(
            f'no LAMMPS lines are known for the calculator {type(self.calculator()).__name__} of ASE: use ZBL or '
            'LennardJones as reference for simulations with LAMMPS'
        )


@dataclasses.dataclass(frozen=True)
class AseReference(AseBased):
    """A calculator of ASE that was made already, for use from Python.

    :param ase_calculator: whatever gives energies and forces; used again and again.
    """

    ase_calculator: BaseCalculator

    def calculator(self) -> BaseCalculator:
        """Return the calculator itself."""
        return self.ase_calculator

    def as_dict(self) -> dict[str, Any]:
        """Refuse: an object cannot be recorded.

        :raises ConfigError: always.
        """
        raise ConfigError(
            'a calculator object cannot be recorded in the provenance: name it, as in '
            "{'name': 'ase', 'calculator': 'emt', 'parameters': {}}"
        )


@dataclasses.dataclass(frozen=True)
class NamedCalculator(AseBased):
    """A calculator that ASE knows by name, made from numbers alone.

    :param name: one of ``IN_PROCESS``: ``asap``, ``emt``, ``kim``, ``lj``, ``morse``, ``tip3p``, ``tip4p``; or a name
        that was given to a class with ``ase.calculators.calculator.register_calculator_class``.
    :param parameters: keyword arguments of its class, in JSON's types.
    :raises ConfigError: if the name is another one, its package is missing, or it does not take the parameters.
    """

    name: str
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if problem := _name_problem(self.name):
            raise ConfigError(problem)
        if not isinstance(self.parameters, Mapping):
            raise ConfigError(f'`parameters` is {self.parameters!r}, but has to be a mapping of names to values')
        try:
            object.__setattr__(self, 'parameters', json.loads(json.dumps(dict(self.parameters), allow_nan=False)))
        except (TypeError, ValueError) as error:
            raise ConfigError(f'`parameters` of the calculator cannot be written as JSON: {error}') from error
        self.calculator()

    def calculator(self) -> BaseCalculator:
        """Return a new calculator.

        :raises ConfigError: if its package is missing, or it does not take the parameters.
        """
        from ase.calculators.calculator import get_calculator_class

        try:
            calculator: BaseCalculator = get_calculator_class(self.name)(**self.parameters)
        except ImportError as error:
            raise ConfigError(f'the calculator `{self.name}` needs a package that is not installed: {error}') from error
        except Exception as error:  # what third-party code raises cannot be listed
            raise ConfigError(f'the calculator `{self.name}` does not take `parameters`: {error}') from error
        return calculator

    def as_dict(self) -> dict[str, Any]:
        """Return the settings; see :meth:`ReferencePotential.as_dict`."""
        return {'name': 'ase', 'calculator': self.name, 'parameters': dict(self.parameters)}


def _name_problem(name: object) -> str | None:
    """Return why a name does not stand for a calculator that settings may make, if it does not.

    Settings and records of potentials come from other people, so a name imports and starts nothing else than what is
    listed; a name that was registered in this Python is the user's own.
    """
    from ase.calculators.calculator import external_calculators
    from ase.calculators.names import names

    if isinstance(name, str) and (name in IN_PROCESS or name in external_calculators):
        return None
    there = f'by name there are {", ".join(IN_PROCESS)}; {IN_PYTHON}'
    if name not in (*names, *WANTS_MORE):
        close = nearest(str(name), (*IN_PROCESS, *external_calculators))
        meant = f' (did you mean `{close}`?)' if close else ''
        return f'`calculator` is {name!r}, which ASE does not know{meant}: {there}'
    reason = WANTS_MORE.get(str(name), 'starts a program of its own')
    return f'`calculator` is {name!r}, which {reason}, so it is not made from settings: {there}'


def _has_free_energy(calculator: BaseCalculator) -> bool:
    """Tell whether the energy that the forces derive from has a name of its own."""
    return 'free_energy' in getattr(calculator, 'implemented_properties', ())


def _virial(atoms: ase.Atoms) -> Any:
    """Return ``(6,)`` in eV, NaN where the calculator gives no stress or there is no volume."""
    if 'stress' not in getattr(atoms.calc, 'implemented_properties', ()) or atoms.cell.rank < 3:
        return np.nan
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        return -atoms.get_volume() * atoms.get_stress()
    except PropertyNotImplementedError:  # some give it for periodic cells only
        return np.nan
