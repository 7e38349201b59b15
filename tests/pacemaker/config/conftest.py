"""Configurations of the usual forms, complete enough that every section has keys."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml

Answer = dict[str, Any]

EMBEDDING = {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
BOND = {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 4.0, 'dcut': 0.01, 'NameOfCutoffFunction': 'cos'}
UNARY = {'nradmax_by_orders': [3, 2], 'lmax_by_orders': [0, 1]}
BINARY = {'nradmax_by_orders': [2, 1], 'lmax_by_orders': [0, 1], 'coefs_init': 'zero'}

CONFIGS: dict[str, dict[str, Any]] = {
    'unary': {
        'seed': 7,
        'metadata': {'purpose': 'a test'},
        'potential': {
            'deltaSplineBins': 0.001,
            'elements': ['Al'],
            'embeddings': {'Al': EMBEDDING},
            'bonds': {'Al': BOND},
            'functions': {'Al': UNARY},
        },
        'fit': {
            'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8, 'w0_rad': 1e-8, 'w1_rad': 0, 'w2_rad': 0},
            'optimizer': 'BFGS',
            'options': {'gtol': 1e-6, 'disp': True},
            'maxiter': 2,
            'repulsion': 'auto',
            'min_relative_train_loss_per_iter': 5e-5,
            'early_stopping_patience': 20,
        },
        'backend': {'evaluator': 'pyace', 'display_step': 5, 'parallel_mode': 'process', 'n_workers': 1},
    },
    'binary': {
        'seed': 1,
        'potential': {
            'elements': ['Ni', 'Al'],
            'embeddings': {'ALL': {**EMBEDDING, 'rho_core_cut': 3000.0, 'drho_core_cut': 150.0}},
            'bonds': {
                'ALL': BOND,
                'BINARY': {
                    'radbase': 'ChebPow',
                    'rcut': 4.5,
                    'r_in': 1.0,
                    'delta_in': 0.5,
                    'core-repulsion': [10.0, 5.0],
                    'inner_cutoff_type': 'distance',
                },
            },
            'functions': {'ALL': UNARY, 'BINARY': BINARY},
        },
        'data': {'aug_factor': 1e-4, 'ignore_weights': False, 'reference_energy': None},
        'fit': {
            'loss': {'kappa': 'auto'},
            'weighting': {
                'type': 'EnergyBasedWeightingPolicy',
                'DElow': 1.0,
                'DEup': 10.0,
                'DFup': 50.0,
                'DE': 1.0,
                'DF': 1.0,
                'wlow': 0.75,
                'energy': 'convex_hull',
                'reftype': 'all',
                'seed': 42,
            },
            'trainable_parameters': {'ALL': ['func', 'radial']},
            'maxiter': 2,
        },
        'backend': {'evaluator': 'pyace'},
    },
    'limited': {
        'potential': {
            'elements': ['Al', 'Ni'],
            'embeddings': {'ALL': EMBEDDING},
            'bonds': {'ALL': BOND, 'AlNi': {'rcut': 4.2, 'nradbase': 6, 'nradmax': 4, 'lmax': 3}},
            'functions': {'number_of_functions_per_element': 10, 'UNARY': UNARY, 'BINARY': BINARY, 'ALL': BINARY},
        },
        'fit': {'fit_cycles': 2, 'noise_relative_sigma': 0.01, 'maxiter': 2},
        'backend': {'evaluator': 'pyace', 'batch_size': 20},
    },
    'ladder': {
        'seed': 3,
        'potential': {
            'elements': ['Al'],
            'embeddings': {'ALL': EMBEDDING},
            'bonds': {'ALL': BOND},
            'functions': {'UNARY': UNARY},
        },
        'fit': {'ladder_step': [4, 0.2], 'ladder_type': 'power_order', 'maxiter': 2},
        'backend': {'evaluator': 'pyace'},
    },
}


def key_paths(mapping: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key of a nested mapping."""
    for key, value in mapping.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from key_paths(value, (*prefix, key))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that ask for ``config_name`` once per form, and those for ``key_path`` once per key of every form."""
    if 'key_path' in metafunc.fixturenames:
        cases = [(name, path) for name, config in CONFIGS.items() for path in key_paths(config)]
        # a note is called what the user likes: metadata has no names to misspell
        cases = [(name, path) for name, path in cases if path[:-1] != ('metadata',)]
        ids = [f'{name}-{".".join(path)}' for name, path in cases]
        metafunc.parametrize(('config_name', 'key_path'), cases, ids=ids)
    elif 'config_name' in metafunc.fixturenames:
        metafunc.parametrize('config_name', list(CONFIGS))


@pytest.fixture
def config(config_name: str) -> dict[str, Any]:
    """Return a fresh copy of the configuration of that name."""
    return copy.deepcopy(CONFIGS[config_name])


@pytest.fixture
def unary() -> dict[str, Any]:
    """Return a fresh configuration for one element."""
    return copy.deepcopy(CONFIGS['unary'])


@pytest.fixture
def binary() -> dict[str, Any]:
    """Return a fresh configuration for two elements."""
    return copy.deepcopy(CONFIGS['binary'])


@pytest.fixture(scope='module')
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[TrainingConfig], Answer]]:
    """Return what asks Pacemaker, in one process of its own, what it makes of a configuration."""
    folder = tmp_path_factory.mktemp('dry-run')
    with (folder / 'stderr.txt').open('w') as stderr:
        worker = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name('dry_run_worker.py'))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'},
            text=True,
        )

    def ask(config: TrainingConfig) -> Answer:
        data = folder / f'{"".join(config.elements)}.pckl.gzip'
        if not data.exists():
            write_dataset(data, config.elements)
        (folder / 'input.yaml').write_text(render_input_yaml(config, train_filename=data.name))
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(f'{folder / "input.yaml"}\n')
        worker.stdin.flush()
        line = worker.stdout.readline()
        assert line, f'Pacemaker died: {(folder / "stderr.txt").read_text()[-2000:]}'
        answer: Answer = json.loads(line)
        return answer

    with worker:
        yield ask
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait(timeout=30)


def write_dataset(path: Path, elements: tuple[str, ...]) -> None:
    """Write four small cells of all elements with made-up labels."""
    import pandas as pd
    from ase.build import bulk

    cells = [bulk(elements[0], 'fcc', a=4.0 + 0.1 * n, cubic=True) for n in range(4)]
    for n, atoms in enumerate(cells):
        atoms.set_chemical_symbols([elements[(site + n) % len(elements)] for site in range(len(atoms))])
        atoms.rattle(0.05, seed=n)
    columns = {
        'ase_atoms': cells,
        'energy_corrected': [-3.0 * len(atoms) + 0.1 * n for n, atoms in enumerate(cells)],
        'forces': [np.full((len(atoms), 3), 0.01 * (n + 1)) for n, atoms in enumerate(cells)],
    }
    pd.DataFrame(columns).to_pickle(path, compression='gzip', protocol=4)
