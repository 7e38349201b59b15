"""A potential as it is handed on: files, lines for LAMMPS, a calculator for ASE, and a page that says what it is."""

from __future__ import annotations

from aiida_autopipec.pacemaker.handoff.calculator import load_calculator
from aiida_autopipec.pacemaker.handoff.folder import Handoff, handoff_files, write_handoff
from aiida_autopipec.pacemaker.handoff.lammps import extrapolation_lines, lammps_lines

__all__ = ['Handoff', 'extrapolation_lines', 'handoff_files', 'lammps_lines', 'load_calculator', 'write_handoff']
