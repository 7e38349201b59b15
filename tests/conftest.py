"""Fixtures for all tests: codes of the real Pacemaker, small data, and cheap settings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

pytest_plugins = ['aiida.tools.pytest_fixtures']

PROGRAMS = ('pacemaker', 'pace_activeset', 'pace_select', 'pace_yaml2yace')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Pacemaker where it is not installed, and say how to get it."""
    if (Path(sys.executable).parent / 'pacemaker').exists():
        return
    for item in items:
        if 'pacemaker' in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs Pacemaker: pip install '.[pacemaker]'"))


@pytest.fixture(scope='session')
def make_atoms() -> Callable[..., list[Any]]:
    """Return a function that makes rattled cells of aluminium with energies, forces and stresses of EMT."""

    def make(n: int = 20, *, seed: int = 0, symbol: str = 'Al', labelled: bool = True) -> list[Any]:
        rng = np.random.default_rng(seed)
        images = []
        for number in range(n):
            image = bulk(symbol, 'fcc', 4.0 * (0.97 + 0.06 * rng.random()), cubic=bool(number % 2))
            image = image.repeat((1, 1, 2 - number % 2))
            image.rattle(0.1, rng=rng)
            if labelled:
                image.calc = EMT()
                image.get_potential_energy()
                image.get_forces()
                image.get_stress()
            images.append(image)
        return images

    return make


@pytest.fixture
def config() -> dict[str, Any]:
    """Return settings of a tiny aluminium potential that Pacemaker trains in seconds."""
    return tiny_config()


@pytest.fixture(scope='session')
def make_config() -> Callable[[], dict[str, Any]]:
    """Return a function that returns these settings anew, for runs that several tests look at."""
    return tiny_config


def tiny_config() -> dict[str, Any]:
    """Return settings of a tiny aluminium potential that Pacemaker trains in seconds."""
    return {
        'seed': 1,
        'potential': {
            'deltaSplineBins': 0.001,
            'elements': ['Al'],
            'embeddings': {
                'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
            },
            'bonds': {
                'ALL': {
                    'radbase': 'SBessel',
                    'radparameters': [5.25],
                    'rcut': 4.5,
                    'dcut': 0.01,
                    'NameOfCutoffFunction': 'cos',
                }
            },
            'functions': {'ALL': {'nradmax_by_orders': [4, 2, 1], 'lmax_by_orders': [0, 1, 1]}},
        },
        'fit': {'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8}, 'optimizer': 'BFGS', 'maxiter': 5},
        'backend': {'evaluator': 'pyace'},
    }


@pytest.fixture
def code(aiida_code_installed: Any, aiida_localhost: Any) -> Callable[[str], Any]:
    """Return a function that registers one of Pacemaker's programs, from this environment, on this computer."""
    aiida_localhost.set_minimum_job_poll_interval(0.2)
    aiida_localhost.configure(safe_interval=0.0)

    def register(program: str) -> Any:
        return aiida_code_installed(
            label=program,
            computer=aiida_localhost,
            default_calc_job_plugin=None,
            filepath_executable=str(Path(sys.executable).parent / program),
            prepend_text='export OMP_NUM_THREADS=1',
        )

    return register


@pytest.fixture
def codes(code: Callable[[str], Any]) -> dict[str, Any]:
    """Return the codes of all programs by name."""
    return {program: code(program) for program in PROGRAMS}


@pytest.fixture(scope='module')
def localhost(aiida_profile: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return this computer, for runs that several tests of a module look at."""
    from aiida.manage.manager import get_manager
    from aiida.orm import Computer

    # the default of a test profile, no pause at all, leaves less than one core to the jobs
    get_manager().set_runner(get_manager().create_runner(poll_interval=0.1))
    folder = tmp_path_factory.mktemp('work')
    computer = Computer(
        label=f'shared-{folder.name}-{id(folder)}',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(folder),
    ).store()
    computer.set_minimum_job_poll_interval(0.2)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0.0, use_login_shell=False)
    return computer


@pytest.fixture(scope='module')
def programs(localhost: Any) -> dict[str, Any]:
    """Return the codes of all programs by name, for runs that several tests of a module look at."""
    from aiida.orm import InstalledCode

    return {
        program: InstalledCode(
            label=program,
            computer=localhost,
            filepath_executable=str(Path(sys.executable).parent / program),
            prepend_text='export OMP_NUM_THREADS=1',
        ).store()
        for program in PROGRAMS
    }
