"""An inner cutoff of the type `density` whose energy jumps is told before anything is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest

from aiida_autopipec.pacemaker.config import config_remarks, validate_config
from aiida_autopipec.pacemaker.config.blocks import Bond
from aiida_autopipec.pacemaker.config.remarks import core_repulsion_energy

FIXTURE = Path(__file__).parents[2] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
CORE = {'r_in': 2.0, 'delta_in': 0.3, 'core-repulsion': [100.0, 2.0]}
HIGH, LOW = 5.0, 0.1
"""Values of `rho_core_cut` (eV), above and below the core repulsion at 1.7 Å."""


def remarks(kind: str, limit: float) -> list[str]:
    """Return what is said of a potential with a core repulsion."""
    config = {
        'potential': {
            'elements': ['Cu'],
            'embeddings': {
                'ALL': {
                    'npot': 'FinnisSinclairShiftedScaled',
                    'fs_parameters': [1, 1, 1, 0.5],
                    'ndensity': 2,
                    'rho_core_cut': limit,
                    'drho_core_cut': limit / 2,
                }
            },
            'bonds': {
                'ALL': {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 4.5, 'dcut': 0.01, **CORE,
                        'inner_cutoff_type': kind}
            },
            'functions': {'ALL': {'nradmax_by_orders': [3, 2], 'lmax_by_orders': [0, 1]}},
        },
        'fit': {'maxiter': 10},
        'backend': {'evaluator': 'pyace'},
    }  # fmt: skip
    return config_remarks(validate_config(config))


@pytest.mark.parametrize(('kind', 'limit', 'told'), [('density', HIGH, 1), ('density', LOW, 0), ('distance', HIGH, 0)])
def test_a_jump_is_told(kind: str, limit: float, told: int) -> None:
    """Only where the repulsion is cut off before it has switched the potential off."""
    found = remarks(kind, limit)
    assert len(found) == told
    assert all('at 1.7 Å (r_in - delta_in of Cu) the core repulsion is 0.125 eV' in remark for remark in found)


@pytest.fixture
def energy() -> Any:
    """Return a function that gives the energy (eV) of two atoms with Pacemaker's core repulsion."""
    pyace = pytest.importorskip('pyace', reason="needs the real Pacemaker: '.[pacemaker]'")

    def compute(kind: str, limit: float, distances: list[float]) -> list[float]:
        config = pyace.BBasisConfiguration(str(FIXTURE))
        (block,) = config.funcspecs_blocks
        block.r_in, block.delta_in, block.inner_cutoff_type = CORE['r_in'], CORE['delta_in'], kind
        block.core_rep_parameters = CORE['core-repulsion']
        block.rho_cut, block.drho_cut = limit, limit / 2
        calculator = pyace.PyACECalculator(config)
        energies = []
        for distance in distances:
            atoms = ase.Atoms('Cu2', positions=[[0, 0, 0], [distance, 0, 0]])
            atoms.calc = calculator
            energies.append(atoms.get_potential_energy())
        return energies

    return compute


@pytest.mark.pacemaker
@pytest.mark.parametrize(('kind', 'limit'), [('density', HIGH), ('density', LOW), ('distance', HIGH)])
def test_pacemaker_jumps_where_it_is_told(energy: Any, kind: str, limit: float) -> None:
    """Two atoms lose more than half an eV within 0.002 Å exactly where there is a remark."""
    inside, outside = energy(kind, limit, [1.699, 1.701])
    assert (abs(inside - outside) > 0.5) == bool(remarks(kind, limit))


@pytest.mark.pacemaker
def test_the_core_repulsion_is_that_of_pacemaker(energy: Any) -> None:
    """Far inside of `r_in` there is nothing else: both atoms get the same energy."""
    bond = Bond.model_validate({'rcut': 4.5, **CORE})
    distances = [0.5, 0.9, 1.2, 1.5]
    expected = [2 * core_repulsion_energy(bond, distance) for distance in distances]
    np.testing.assert_allclose(energy('distance', HIGH, distances), expected, rtol=1e-3)
