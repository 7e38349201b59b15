"""Elastic constants that the travelling script gets out of stresses."""

from __future__ import annotations

import sys
from functools import partial
from importlib import resources
from types import SimpleNamespace
from typing import Any

import ase
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.eos import EquationOfState

from aiida_autopipec.pacemaker.reference_potentials import LennardJones, ReferencePotential, parse_reference_potential

GPA = 160.21766208
SETTINGS = {'elastic': {'strain': 0.005}}
ARGON = LennardJones({'Ar': {'epsilon': 0.0104, 'sigma': 3.4, 'cutoff': 8.5}}, shift=True)
EMT_BY_NAME = parse_reference_potential({'name': 'ase', 'calculator': 'emt'})


@pytest.fixture
def elastic(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that gives the elastic constants (GPa) as the script computes them."""
    monkeypatch.syspath_prepend(str(resources.files('aiida_autopipec.remote')))
    import validate_elastic

    def compute(reference: ReferencePotential, crystal: ase.Atoms) -> np.ndarray:
        arrays, facts = validate_elastic.elastic(SimpleNamespace(calculator=reference.calculator), SETTINGS, crystal)
        assert facts == {}
        return arrays['elastic_constants']

    yield compute
    for module in ('validate_elastic', 'validate_crystal', 'validate_curves'):
        sys.modules.pop(module, None)


def test_a_cubic_crystal_has_three_constants_and_the_modulus_of_its_equation_of_state(elastic: Any) -> None:
    """Symmetry, which nothing imposes, and the bulk modulus, which comes from energies, are both found."""
    crystal = bulk('Cu', 'fcc', 3.59)
    constants = elastic(EMT_BY_NAME, crystal)
    c11, c12, c44 = constants[0, 0], constants[0, 1], constants[3, 3]
    expected = np.diag([c11 - c12] * 3 + [c44] * 3)
    expected[:3, :3] += c12
    np.testing.assert_allclose(constants, expected, atol=1e-3 * c11)
    volumes, energies = [], []
    for scale in np.linspace(0.98, 1.02, 9):
        image = crystal.copy()
        image.set_cell(crystal.cell * scale, scale_atoms=True)
        image.calc = EMT()
        volumes.append(image.get_volume())
        energies.append(image.get_potential_energy())
    modulus = EquationOfState(volumes, energies, eos='birchmurnaghan').fit()[2] * GPA
    assert (c11 + 2 * c12) / 3 == pytest.approx(modulus, rel=0.01)
    assert c44 > 0
    assert c11 > c12


def test_a_sum_of_pairs_obeys_cauchy(elastic: Any) -> None:
    """Central forces at zero pressure make C12 and C44 of a cubic crystal equal."""
    constants = elastic(ARGON, bulk('Ar', 'fcc', 5.256))
    assert constants[0, 1] == pytest.approx(constants[3, 3], rel=0.02)
    assert 2 < constants[0, 1] < 3


def test_atoms_relax_inside_of_the_cell(elastic: Any) -> None:
    """With two atoms in a cell of low symmetry the constants are those of relaxed energies, which are softer."""
    crystal = bulk('Cu', 'hcp', a=2.53, c=4.1)
    c11 = elastic(EMT_BY_NAME, crystal)[0, 0]
    energies = {relaxed: [energy_under_strain(crystal, size, relaxed=relaxed) for size in (-0.01, 0, 0.01)]
                for relaxed in (False, True)}  # fmt: skip
    curvature = {key: (low - 2 * middle + high) / 0.01**2 / crystal.get_volume() * GPA
                 for key, (low, middle, high) in energies.items()}  # fmt: skip
    assert c11 == pytest.approx(curvature[True], rel=0.02)
    assert curvature[False] > 1.02 * curvature[True]


@pytest.mark.parametrize('crystal', [bulk('Cu', 'fcc', 3.59), bulk('Cu', 'hcp', a=2.53, c=4.1)], ids=['fcc', 'hcp'])
def test_matscipy_finds_the_same(elastic: Any, crystal: ase.Atoms) -> None:
    """A library that fits stresses against strains agrees to 0.1 GPa, where both take the symmetric part."""
    elasticity = pytest.importorskip('matscipy.elasticity', reason="needs matscipy: pip install '.[tests]'")
    from ase.optimize import BFGS

    mine = elastic(EMT_BY_NAME, crystal)
    image = crystal.copy()
    image.calc = EMT()
    theirs, _ = elasticity.fit_elastic_constants(
        image,
        symmetry='triclinic',
        delta=0.0025,
        N_steps=5,
        optimizer=partial(BFGS, logfile=None),
        fmax=1e-5,
        verbose=False,
    )
    np.testing.assert_allclose((mine + mine.T) / 2, GPA * np.asarray(theirs), atol=0.1)


def energy_under_strain(crystal: ase.Atoms, size: float, *, relaxed: bool) -> float:
    """Return the energy (eV) of a crystal that is strained along x."""
    from ase.optimize import BFGS

    image = crystal.copy()
    image.set_cell(crystal.cell[:] @ np.diag([1 + size, 1, 1]), scale_atoms=True)
    image.calc = EMT()
    if relaxed:
        BFGS(image, logfile=None).run(fmax=1e-4)
    return float(image.get_potential_energy())
