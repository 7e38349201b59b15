"""Configurations of the usual forms, complete enough that every section has keys."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

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
