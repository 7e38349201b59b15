"""What the arrays of a trajectory mean: by which name, in which unit and with which sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from ase.units import Bohr, GPa, Hartree, Rydberg
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.pacemaker.dataset.merge import OnConflict
from aiida_autopipec.pacemaker.errors import DatasetError

ENERGY_UNITS = {'eV': 1.0, 'Hartree': Hartree, 'Rydberg': Rydberg, 'meV': 1e-3}
FORCES_UNITS = {'eV/Å': 1.0, 'eV/A': 1.0, 'Hartree/Bohr': Hartree / Bohr, 'Rydberg/Bohr': Rydberg / Bohr}
STRESS_UNITS = {'eV/Å³': 1.0, 'eV/A^3': 1.0, 'GPa': GPa, 'kbar': 0.1 * GPa, 'Hartree/Bohr^3': Hartree / Bohr**3}

EnergyUnit = Literal['eV', 'Hartree', 'Rydberg', 'meV']
ForcesUnit = Literal['eV/Å', 'eV/A', 'Hartree/Bohr', 'Rydberg/Bohr']
StressUnit = Literal['eV/Å³', 'eV/A^3', 'GPa', 'kbar', 'Hartree/Bohr^3']


class _Strict(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class EnergyArray(_Strict):
    """Where the energies of the frames are, and in which unit."""

    array: str
    unit: EnergyUnit


class ForcesArray(_Strict):
    """Where the forces of the frames are, and in which unit."""

    array: str
    unit: ForcesUnit


Label = TypeVar('Label', EnergyArray, ForcesArray)
AnyModel = TypeVar('AnyModel', bound=_Strict)


class StressArray(_Strict):
    """Where the stresses of the frames are, in which unit and with which sign.

    :param compressed: sign of a component when the structure is compressed along it; ASE's is negative.
    """

    array: str
    unit: StressUnit
    compressed: Literal['negative', 'positive']


class TrajectoryConvention(_Strict):
    """What the arrays of a trajectory mean.

    :param energy: the energies that the forces derive from; absent only for candidates that are not labelled yet.
    :param forces: the forces; likewise.
    :param stress: the stresses, if any.
    :param positions: whether positions are Cartesian in Å or fractions of the cell vectors.
    :param pbc: periodic boundary conditions of all frames, where the trajectory does not know them.
    :param extra_labels: how many more labels than positions there may be at the end; they are left out and reported.
    """

    energy: EnergyArray | None = None
    forces: ForcesArray | None = None
    stress: StressArray | None = None
    positions: Literal['cartesian', 'fractional'] = 'cartesian'
    pbc: tuple[bool, bool, bool] | None = None
    extra_labels: int = Field(0, ge=0)


CONVENTIONS: dict[str, TrajectoryConvention] = {
    # measured with Quantum ESPRESSO 6.7 through aiida-quantumespresso 5.1: `energy` is the free energy F = E - TS, the
    # stress is positive when compressed, and vc-relax adds the labels of a final scf with a new basis
    'quantumespresso.pw': TrajectoryConvention(
        energy=EnergyArray(array='energy', unit='eV'),
        forces=ForcesArray(array='forces', unit='eV/Å'),
        stress=StressArray(array='stress', unit='GPa', compressed='positive'),
        pbc=(True, True, True),
        extra_labels=1,
    ),
    # measured with CP2K 2023.1 through aiida-cp2k 2.1: atomic units; cells only if printed, forces likewise, and the
    # boundary conditions stand in the input
    'cp2k': TrajectoryConvention(
        energy=EnergyArray(array='energies', unit='Hartree'),
        forces=ForcesArray(array='forces', unit='Hartree/Bohr'),
    ),
    # read in aiida-vasp 5.1 and parsevasp 3.4: arrays as in vasprun.xml, so positions are fractions of the cell
    # vectors, the stress is in kbar and positive when compressed; forces derive from the free energy
    'vasp.vasp': TrajectoryConvention(
        energy=EnergyArray(array='energy_free', unit='eV'),
        forces=ForcesArray(array='forces', unit='eV/Å'),
        stress=StressArray(array='stress', unit='kbar', compressed='positive'),
        positions='fractional',
        pbc=(True, True, True),
    ),
}
"""What trajectories mean that the calculation of a given entry point (group ``aiida.calculations``) created."""


UNCONVERGED: dict[str, frozenset[int]] = {
    'quantumespresso.pw': frozenset({410, 510, 710}),  # read in aiida-quantumespresso 5.1
    'cp2k': frozenset({450}),  # read in aiida-cp2k 2.1
    'vasp.vasp': frozenset({701}),  # read in aiida-vasp 5.1
}
"""Exit codes, by entry point, of calculations with labels that are not those of converged electrons."""


class TrajectoryOptions(_Strict):
    """What a trajectory has to have and what becomes of its frames, stated beside or without a convention.

    :param require_labels: whether energies and forces have to be there; without, frames are candidates for selection.
    :param remove_duplicates: whether one is kept of frames with equal geometry and equal labels.
    :param on_conflict: with that, what happens to frames with equal geometry and different labels.
    """

    require_labels: bool = True
    remove_duplicates: bool = False
    on_conflict: OnConflict = 'error'


def stated_options(parameters: Mapping[str, Any]) -> tuple[TrajectoryOptions, TrajectoryConvention | None]:
    """Read what the user states of a trajectory.

    :return: the options, and the convention if there is any word of it.
    :raises DatasetError: if something is unknown, incomplete or contradicts itself.
    """
    names = TrajectoryOptions.model_fields
    options = _validated(TrajectoryOptions, {key: value for key, value in parameters.items() if key in names})
    if 'on_conflict' in parameters and not options.remove_duplicates:
        raise DatasetError(
            '`on_conflict` in the description of the trajectory needs `remove_duplicates: true`: without, every frame '
            'is kept'
        )
    rest = {key: value for key, value in parameters.items() if key not in names}
    return options, stated_convention(rest) if rest else None


def stated_convention(parameters: Mapping[str, Any]) -> TrajectoryConvention:
    """Read a convention that the user states.

    :raises DatasetError: if it is incomplete or has unknown keys.
    """
    return _validated(TrajectoryConvention, parameters)


def _validated(model: type[AnyModel], parameters: Mapping[str, Any]) -> AnyModel:
    try:
        return model.model_validate(parameters)
    except ValidationError as exception:
        error = exception.errors(include_url=False)[0]
        key = '.'.join(str(part) for part in error['loc'])
        raise DatasetError(f'`{key}` in the description of the trajectory: {error["msg"]}') from exception
