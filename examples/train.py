"""Train a potential: the shortest script that submits the whole way.

    python examples/train.py examples/data/al-lda/al-lda.extxyz --computer localhost

It needs an AiiDA profile, and the codes that `aiida-autopipec setup` registers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from aiida import load_profile, orm
from aiida.engine import ProcessBuilder, run_get_node, submit
from aiida.plugins import WorkflowFactory

CONFIG = {
    'seed': 1,
    'potential': {
        'elements': ['Al'],
        'embeddings': {'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}},
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
    'fit': {'loss': {'kappa': 0.3}, 'optimizer': 'BFGS', 'maxiter': 40},
    'backend': {'evaluator': 'pyace'},
}


def make_builder(data: orm.SinglefileData, computer: str, iterations: int) -> ProcessBuilder:
    """Return the inputs of the WorkChain."""
    config = {**CONFIG, 'fit': {**CONFIG['fit'], 'maxiter': iterations}}
    builder = WorkflowFactory('autopipec.train').get_builder()
    builder.datasets = {'data': data}
    builder.reference = {'method': 'isolated_atoms'}
    builder.split = {'test_fraction': 0.2, 'seed': 1}
    builder.config = config
    builder.pace_train.code = orm.load_code(f'pacemaker@{computer}')
    builder.pace_train.codes.yaml2yace = orm.load_code(f'pace_yaml2yace@{computer}')
    builder.pace_train.codes.activeset = orm.load_code(f'pace_activeset@{computer}')
    return builder


def main(arguments: list[str] | None = None) -> orm.WorkChainNode:
    parser = argparse.ArgumentParser(description='Train a potential of aluminium.')
    parser.add_argument('data', type=Path, help='extxyz, .pckl.gzip, or what else ASE reads')
    parser.add_argument('--computer', default='localhost', help='label of the computer that the codes are on')
    parser.add_argument('--iterations', type=int, default=40)
    parser.add_argument('--run', action='store_true', help='run in this process instead of the daemon, and wait')
    options = parser.parse_args(arguments)

    load_profile()
    data = orm.SinglefileData(options.data.absolute())
    builder = make_builder(data, options.computer, options.iterations)
    node = run_get_node(builder)[1] if options.run else submit(builder)
    print(f'submitted {node.process_label}<{node.pk}>: follow it with `aiida-autopipec watch {node.pk}`')
    return node


if __name__ == '__main__':
    main()
