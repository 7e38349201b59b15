"""What the demo trains, on what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiida_autopipec

DATA_FILENAME = 'al-lda.extxyz'

REFERENCE: dict[str, Any] = {'method': 'isolated_atoms'}
SPLIT: dict[str, Any] = {'test_fraction': 0.15, 'seed': 4}
SELECTION: dict[str, Any] = {'max_structures': 60}

CONFIG: dict[str, Any] = {
    'seed': 1,
    'potential': {
        # the evaluator pyace builds its splines anew for each of the thousands of evaluations of a fit: 0.02 Å instead
        # of the usual 0.001 Å makes them several times faster, and changes the potential by less than its errors
        'deltaSplineBins': 0.02,
        'elements': ['Al'],
        'embeddings': {'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1], 'ndensity': 1}},
        'bonds': {
            'ALL': {
                'radbase': 'SBessel',
                'radparameters': [5.25],
                'rcut': 5.5,
                'dcut': 0.01,
                'NameOfCutoffFunction': 'cos',
            }
        },
        'functions': {'ALL': {'nradmax_by_orders': [8, 4, 2], 'lmax_by_orders': [0, 2, 2]}},
    },
    'fit': {
        'loss': {'kappa': 0.1, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8},
        'optimizer': 'BFGS',
        'maxiter': 100,
        # with pyace a gradient takes one evaluation per parameter: the radial functions stay as they are
        'trainable_parameters': 'func',
    },
    'backend': {'evaluator': 'pyace'},
}
"""A linear potential of 64 functions: small enough for half a minute, large enough for errors of some 20 meV/atom."""


def example_file() -> Path:
    """Return the example data: beside this module in an installed package, in `examples/` in a checkout.

    :raises FileNotFoundError: if the package is neither.
    """
    installed = Path(__file__).parent / DATA_FILENAME
    checkout = Path(aiida_autopipec.__file__).parents[1] / 'examples' / 'data' / 'al-lda' / DATA_FILENAME
    for path in (installed, checkout):
        if path.is_file():
            return path
    raise FileNotFoundError(f'the example data {DATA_FILENAME} are not installed: install aiida-autopipec again')
