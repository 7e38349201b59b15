"""What a selection is worth: fits to parts of the data by each strategy, beside random parts with as many atoms.

    python tests/benchmarks/selection.py linear    --data al-lda emt-md FILE.pckl.gzip … --results selection.jsonl
    python tests/benchmarks/selection.py pacemaker --data al-lda … --splits 4 --seeds 3  --results selection.jsonl
    python tests/benchmarks/selection.py report    --results selection.jsonl [--markdown FILE] [--plot FILE]

Data: ``al-lda`` (``examples/data``, DFT), ``emt-md`` (one molecular dynamics with ASE's EMT, made on the spot), or any
file of Pacemaker. Each split puts a fifth of the structures aside, by their geometries, as a test set that all fits of
the split share. Out of the rest, each strategy selects 10, 20 and 40 % of the *atoms*, with the code that travels with
a job; those that draw do so with several seeds. `linear` solves for the coefficients of the first density exactly, with
Pacemaker's loss and uniform weights; `pacemaker` runs the real program from zero. Its evaluator `pyace` computes
gradients by differences, so that even a small fit takes half a minute; larger ones want `--evaluator tensorpot`, and
`--pacemaker` from an environment that has it.

Each result is a line of ``--results``. What is there already is not done again, so a run can be ended and repeated.
`report` gives medians with the 10th and 90th percentile over splits and seeds, and ratios to `random`: mean over seeds
divided by that of `random` in the same split, then the geometric mean over the splits with its standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from selection_fits import Pool, fit_linear, fit_pacemaker, load
from selection_report import cases, draw, overview, table

STRATEGIES = ('random', 'spread', 'leverage', 'maxvol', 'greedy_logdet', 'farthest_point', 'kmeans')
DRAW = ('random', 'spread', 'leverage', 'kmeans')
IDENTITY = ('data', 'fit', 'functions', 'split', 'strategy', 'fraction', 'seed')
Run = dict[str, Any]


def settings(options: argparse.Namespace, elements: list[str]) -> dict[str, Any]:
    """Return the settings of a training."""
    bonds = {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': options.cutoff, 'dcut': 0.01}
    embedding = {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
    return {
        'seed': 1,
        'potential': {
            'deltaSplineBins': 0.001,
            'elements': elements,
            'embeddings': {'ALL': embedding},
            'bonds': {'ALL': {**bonds, 'NameOfCutoffFunction': 'cos'}},
            'functions': {'ALL': {'nradmax_by_orders': options.radial, 'lmax_by_orders': options.angular}},
        },
        'fit': {
            'loss': {'kappa': options.kappa, 'L1_coeffs': options.l2, 'L2_coeffs': options.l2},
            'optimizer': 'BFGS',
            'maxiter': options.iterations,
        },
        'backend': {'evaluator': options.evaluator, 'batch_size': 100, 'display_step': 50},
    }


def planned(options: argparse.Namespace, data: str, functions: int) -> Iterator[Run]:
    """Yield what identifies each run, such that an early end leaves whole splits behind."""
    for split in options.splits:
        common = {'data': data, 'fit': options.command, 'functions': functions, 'split': split}
        if 'all' in options.strategies:
            yield {**common, 'strategy': 'all', 'fraction': 1.0, 'seed': 0}
        for fraction in options.fractions:
            for strategy in (name for name in options.strategies if name != 'all'):
                for seed in range(options.seeds if strategy in DRAW else 1):
                    yield {**common, 'strategy': strategy, 'fraction': fraction, 'seed': seed}


def read(path: Path) -> list[Run]:
    """Return the results that are there; a line that was cut off is none."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith('}')]


def measure(options: argparse.Namespace) -> None:
    """Do the runs that are missing, until the time is over."""
    done = {tuple(run[key] for key in IDENTITY) for run in read(options.results)}
    end = time.time() + 60 * options.minutes
    for data in options.data:
        structures = load(data, options.structures)
        pool = Pool(structures, settings(options, sorted(structures.elements)))
        print(f'{data}: {len(structures)} structures, {structures.n_atoms} atoms, {pool.n_functions} functions')
        for run in planned(options, data, pool.n_functions):
            if tuple(run[key] for key in IDENTITY) in done:
                continue
            if time.time() > end:
                sys.exit('the time is over: run the same again to go on')
            with options.results.open('a') as handle:
                handle.write(json.dumps({**run, **result(options, pool, run)}) + '\n')


def result(options: argparse.Namespace, pool: Pool, run: Run) -> Run:
    """Select, train and test."""
    training, test = pool.sides(run['split'])
    sizes = pool.structures.sizes
    rows = training
    if run['strategy'] != 'all':
        rows = pool.select(training, run['strategy'], int(run['fraction'] * sizes[training].sum()), run['seed'])
    if options.command == 'linear':
        errors = fit_linear(pool, rows, test, options.kappa, options.l2)
    else:
        errors = fit_pacemaker(pool, rows, test, options.pacemaker)
    return {'structures': len(rows), 'atoms': int(sizes[rows].sum()), 'test_structures': len(test), **errors}


def report(options: argparse.Namespace) -> None:
    """Print the tables, and draw."""
    by_case = cases(read(options.results))
    names = ('all', *STRATEGIES)
    lines = [*overview(by_case, names), '']
    for case, runs in by_case.items():
        splits, tested = {run['split'] for run in runs}, np.median([run['test_structures'] for run in runs])
        seeds = 1 + max(run['seed'] for run in runs)
        lines += [f'## {case}', '', f'{len(splits)} splits, {seeds} seeds, about {tested:.0f} structures to test on.']
        lines += ['', *table(runs, names), '']
    text = '\n'.join(lines)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.plot:
        draw(by_case, names, options.plot)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=('linear', 'pacemaker', 'report'))
    parser.add_argument('--results', type=Path, required=True)
    parser.add_argument('--data', nargs='+', default=['al-lda'])
    parser.add_argument('--structures', type=int, default=2000, help='of larger data, so many are drawn')
    parser.add_argument('--splits', type=int, nargs='+', default=list(range(1, 21)), help='seeds of the test set')
    parser.add_argument('--seeds', type=int, default=10, help='draws of a strategy that draws')
    parser.add_argument('--strategies', nargs='+', choices=('all', *STRATEGIES), default=('all', *STRATEGIES))
    parser.add_argument('--fractions', type=float, nargs='+', default=[0.1, 0.2, 0.4])
    parser.add_argument('--radial', type=int, nargs='+', default=[6, 3, 2, 1])
    parser.add_argument('--angular', type=int, nargs='+', default=[0, 2, 1, 1])
    parser.add_argument('--cutoff', type=float, default=6.0)
    parser.add_argument('--kappa', type=float, default=0.3)
    parser.add_argument('--l2', type=float, default=1e-8, help='regularisation, L1 too in `pacemaker`')
    parser.add_argument('--iterations', type=int, default=100)
    parser.add_argument('--evaluator', choices=('pyace', 'tensorpot'), default='pyace', help='of `pacemaker`')
    parser.add_argument('--pacemaker', type=Path, default=Path(sys.executable).parent / 'pacemaker')
    parser.add_argument('--minutes', type=float, default=np.inf)
    parser.add_argument('--markdown', type=Path)
    parser.add_argument('--plot', type=Path)
    options = parser.parse_args()
    report(options) if options.command == 'report' else measure(options)


if __name__ == '__main__':
    main()
