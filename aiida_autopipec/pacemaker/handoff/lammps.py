"""Lines that give a potential to LAMMPS, its reference potential included.

Syntax: https://docs.lammps.org/pair_pace.html, https://docs.lammps.org/pair_hybrid.html,
https://docs.lammps.org/fix_pair.html. LAMMPS adds up the styles of ``hybrid/overlay``, so that the potential is the sum
that was fitted.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiida_autopipec.pacemaker.reference_potentials import ReferencePotential

LEAST_VERSION = '23 Jun 2022'
"""The first stable release after the library of ML-PACE learned to read ``.yace`` (25 Oct 2021)."""
LEAST_VERSION_GRADES = '21 Nov 2023'
"""The first release after a fix without which grades were zero (https://github.com/lammps/lammps/pull/3966, of 7 Nov
2023); ``fix pair`` itself is of 15 Sep 2022."""
SETUP = ('units metal', 'atom_style atomic', 'newton on')
"""What the style insists on: it stops with an error in other units, or without Newton's third law for pairs."""


def lammps_lines(elements: Sequence[str], potential: str, reference: ReferencePotential | None = None) -> list[str]:
    """Return the lines for energies and forces.

    :param elements: chemical symbols in the order of the atom types.
    :param potential: name of the ``.yace``.
    :param reference: what was subtracted before training, and is added again.
    :raises ConfigError: if LAMMPS has no such reference potential.
    """
    if reference is not None:
        return reference.lammps_commands(elements, potential)
    return ['pair_style pace', f'pair_coeff * * {potential} {" ".join(elements)}']


def extrapolation_lines(
    elements: Sequence[str],
    potential: str,
    active_set: str,
    reference: ReferencePotential | None = None,
    *,
    every: int = 10,
    dump_above: float = 5.0,
    stop_above: float = 25.0,
) -> list[str]:
    """Return the lines for energies, forces, and the extrapolation grade of every atom.

    The grade of an atom is ``f_gamma``, the largest of all ``c_max_gamma``. What extrapolates is written to a file, and
    a simulation that leaves the training set behind is ended.

    :param elements: chemical symbols in the order of the atom types.
    :param potential: name of the ``.yaml``; this style reads no ``.yace``.
    :param active_set: name of the ``.asi``.
    :param reference: what was subtracted before training, and is added again.
    :param every: steps from one computation of grades to the next, as they cost more than forces.
    :param dump_above: grade from which on structures are written.
    :param stop_above: grade that ends the simulation.
    :raises ConfigError: if LAMMPS has no such reference potential.
    """
    style = 'pace/extrapolation'
    files = f'{potential} {active_set}'
    if reference is None:
        lines = [f'pair_style {style}', f'pair_coeff * * {files} {" ".join(elements)}']
    else:
        lines = [line.replace(' pace ', f' {style} ', 1) for line in reference.lammps_commands(elements, files)]
    return [
        *lines,
        f'fix gamma all pair {every} {style} gamma 1',
        'compute max_gamma all reduce max f_gamma',
        f'variable skip_dump equal "c_max_gamma < {dump_above:g}"',
        f'dump extrapolative all custom {every} extrapolative.dump id type x y z f_gamma',
        'dump_modify extrapolative skip v_skip_dump',
        'variable max_gamma equal c_max_gamma',
        f'fix stop all halt {every} v_max_gamma > {stop_above:g}',
    ]
