"""Potentials that are subtracted from the labels, so that the fit learns the difference."""

from __future__ import annotations

from aiida_autopipec.pacemaker.reference_potentials.base import ReferencePotential, ReferenceValues
from aiida_autopipec.pacemaker.reference_potentials.choose import parse_reference_potential
from aiida_autopipec.pacemaker.reference_potentials.lennard_jones import LennardJones
from aiida_autopipec.pacemaker.reference_potentials.named import AseReference, NamedCalculator
from aiida_autopipec.pacemaker.reference_potentials.total import total_calculator
from aiida_autopipec.pacemaker.reference_potentials.zbl import ZBL

__all__ = [
    'ZBL',
    'AseReference',
    'LennardJones',
    'NamedCalculator',
    'ReferencePotential',
    'ReferenceValues',
    'parse_reference_potential',
    'total_calculator',
]
