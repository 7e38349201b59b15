"""A trained potential and what was subtracted before its training, together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential
from aiida_autopipec.pacemaker.reference_potentials.choose import parse_reference_potential

if TYPE_CHECKING:
    from ase.calculators.calculator import BaseCalculator


def total_calculator(potential: Path | str, reference: ReferencePotential | None = None) -> BaseCalculator:
    """Return a calculator of ASE with energies and forces of a potential and its reference potential together.

    Energies are relative to single atoms, as those of LAMMPS are. Needs python-ace.

    :param potential: a ``.yaml``, whose metadata say what was subtracted; or a ``.yace``, which does not say it.
    :param reference: what was subtracted where the file does not say it.
    :raises FileFormatError: if the file is no potential, or its record cannot be read.
    :raises ConfigError: if the file records another reference potential than the one that is given.
    """
    from pyace import PyACECalculator

    path = Path(potential)
    recorded = recorded_potential(path.read_text()) if path.suffix == '.yaml' else None
    if None not in (recorded, reference) and recorded != reference:
        raise ConfigError(f'`{path.name}` was trained relative to {recorded}, not to {reference}: leave it out')
    fitted: BaseCalculator = PyACECalculator(str(path))
    added = recorded if reference is None else reference
    if added is None:
        return fitted
    from ase.calculators.mixing import SumCalculator

    total: BaseCalculator = SumCalculator([fitted, added.calculator()])
    return total


def recorded_potential(text: str) -> ReferencePotential | None:
    """Return the reference potential that the metadata of a potential name, if they do.

    :param text: content of the ``.yaml`` file.
    :raises FileFormatError: if it is no potential, or its record cannot be read.
    """
    from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, from_metadata
    from aiida_autopipec.pacemaker.outputs import parse_potential

    written = parse_potential(text).metadata.get(METADATA_KEY)
    settings = None if written is None else from_metadata(written).get('potential')
    return None if settings is None else parse_reference_potential(settings)
