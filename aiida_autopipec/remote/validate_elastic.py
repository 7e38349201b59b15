"""Elastic constants of a crystal, from the stresses that ASE gets of strained cells.

Part of ``validate.py``; needs numpy and ase.
"""

import numpy as np
from validate_crystal import relax
from validate_curves import GPA

PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))  # Voigt's order

FORCE = 1e-4  # eV/Å: with 1e-2 atoms of hcp copper did not relax, and a constant was 20 GPa too stiff


def elastic(potential, settings, crystal):
    """Return the elastic constants (GPa), a 6 x 6 matrix in Voigt's order, with atoms relaxed in every cell.

    Central differences: what stress the cell has by itself does not enter.

    :param settings: ``elastic`` with ``strain``.
    """
    size = settings['elastic']['strain']
    relaxed = relax(potential, crystal, FORCE)
    columns = []
    for component in range(6):
        there, back = (stress(potential, strained(relaxed, component, sign * size)) for sign in (1, -1))
        columns.append((there - back) / (2 * size))
    return {'elastic_constants': GPA * np.array(columns).T}, {}


def strained(crystal, component, size):
    """Return the crystal under one component of strain, shear in the engineers' sense."""
    row, column = PAIRS[component]
    strain = np.zeros((3, 3))
    strain[row, column] += size / 2
    strain[column, row] += size / 2
    image = crystal.copy()
    image.set_cell(crystal.cell[:] @ (np.eye(3) + strain), scale_atoms=True)
    return image


def stress(potential, crystal):
    """Return the stress (eV/Å³) where no force acts on the atoms."""
    image = relax(potential, crystal, FORCE)
    image.calc = potential.calculator()
    return image.get_stress()
