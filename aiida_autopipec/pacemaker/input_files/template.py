"""A new ``input.yaml`` to start from, with comments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.input_files.explain import explain_config

Evaluator = Literal['pyace', 'tensorpot']

_HEADER = """\
# Settings of Pacemaker 0.4, without names of files: data and potentials are inputs of the work chain.
#   aiida-autopipec config check FILE                          what is wrong, and what Pacemaker does silently
#   aiida-autopipec train launch --config FILE --dataset DATA  train in AiiDA
#   pacemaker FILE -d DATA.pckl.gzip                           train without AiiDA
# What is commented out is the default.

"""

#: Functions by number of elements: fewer radial functions where there are more combinations.
_FUNCTIONS = {
    'UNARY': {'nradmax_by_orders': [15, 6, 4, 3, 2], 'lmax_by_orders': [0, 3, 3, 2, 1]},
    'BINARY': {'nradmax_by_orders': [15, 6, 3, 2, 1], 'lmax_by_orders': [0, 3, 2, 1, 1]},
    'ALL': {'nradmax_by_orders': [15, 3, 2, 1], 'lmax_by_orders': [0, 2, 1, 1]},
}
#: Functions per element and iterations: pyace computes gradients by differences, so that every parameter costs a pass
#: over the data.
_SIZES = {'pyace': (30, 100), 'tensorpot': (300, 500)}


def template_config(elements: Sequence[str], evaluator: Evaluator = 'pyace') -> TrainingConfig:
    """Return plain settings for some elements, which know nothing of the data.

    :param elements: chemical symbols.
    :param evaluator: ``pyace`` for a CPU and a small basis, ``tensorpot`` for a GPU and a basis of medium size.
    :raises ConfigError: if a symbol is none.
    """
    keys = ['UNARY', 'BINARY', 'ALL'][: max(1, min(len(elements), 3))]
    n_functions, maxiter = _SIZES[evaluator]
    settings: dict[str, Any] = {
        'seed': 42,
        'potential': {
            'deltaSplineBins': 0.001,
            'elements': list(elements),
            'embeddings': {
                'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
            },
            'bonds': {
                'ALL': {
                    'radbase': 'SBessel',
                    'radparameters': [5.25],
                    'rcut': 6.0,
                    'dcut': 0.01,
                    'NameOfCutoffFunction': 'cos',
                }
            },
            'functions': {'number_of_functions_per_element': n_functions, **{key: _FUNCTIONS[key] for key in keys}},
        },
        'fit': {
            'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8},
            'optimizer': 'BFGS',
            'maxiter': maxiter,
        },
        'backend': {'evaluator': evaluator, 'display_step': 20},
    }
    return TrainingConfig.model_validate(settings)


def template_text(config: TrainingConfig, reasons: Sequence[str] = ()) -> str:
    """Return an ``input.yaml`` with comments, which is accepted as it stands.

    :param config: the settings.
    :param reasons: why some of them are as they are, for the head of the file.
    """
    chosen = ''.join(f'# {" ".join(reason.split())}\n' for reason in reasons)
    return _HEADER + (f'{chosen}\n' if chosen else '') + explain_config(config)
