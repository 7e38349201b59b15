"""What a better start of a fit buys: plain training against `prefit` and `full`, everything counted.

    python tests/benchmarks/training.py --pacemaker PATH [--evaluator tensorpot] [--data FILE.pckl.gzip …]
        [--seeds 1 2 3] [--iterations 200] [--radial 6 3 2 1] [--angular 0 2 1 1] [--cutoff 6] [--kappa 0.3]
        [--json FILE] [--plot FILE]

Each seed divides the data anew, 80 % to train on. Without ``--data`` they are ``examples/data/al-lda``. Prints, as a
table in Markdown with medians over the seeds, how many iterations, loss evaluations and seconds each mode needs for the
loss that the plain training ends with, and the errors on the test set at the end. Seconds
are those of the script, of starting Pacemaker, and of the fit up to there, on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

from aiida_autopipec.pacemaker import LabelledStructures, load_pacemaker_dataset
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import Reference, single_atom_energies, subtract
from aiida_autopipec.pacemaker.dataset.split import split_structures
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.pacemaker.outputs import Metrics, parse_metrics

AL_LDA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
SCRIPT = Path(str(resources.files('aiida_autopipec.remote') / 'accelerate.py'))
MODES = ('plain', 'prefit', 'full')
ITERATION = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) .*Iteration +#(\d+) +\((\d+) evals\)', re.MULTILINE)


@dataclass(frozen=True)
class Fit:
    """One training.

    :param losses: of each iteration, from the start on.
    :param seconds: since the job began, when each iteration was done.
    :param evaluations: of the loss until then.
    :param script_seconds: of dry run, prefit and curvature.
    """

    data: str
    mode: str
    seed: int
    losses: list[float]
    seconds: list[float]
    evaluations: list[float]
    script_seconds: float
    total_seconds: float
    test_mev_per_atom: float
    test_mev_per_angstrom: float
    predicted_loss: float | None

    def first_below(self, loss: float) -> int | None:
        """Return the iteration after which the loss is at or below a value, or ``None`` if it never is."""
        return next((number for number, value in enumerate(self.losses) if value <= loss * (1 + 1e-9)), None)


def al_lda() -> LabelledStructures:
    """Return the example data with energies relative to the isolated atom."""
    structures = LabelledStructures.from_atoms(ase.io.read(AL_LDA, ':'))
    energies = single_atom_energies(structures, Reference(method='isolated_atoms'), cutoff=6.0)
    return subtract(structures, energies)


def settings(options: argparse.Namespace, elements: list[str]) -> dict[str, Any]:
    """Return the settings of the training."""
    bonds = {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': options.cutoff, 'dcut': 0.01}
    return {
        'seed': 1,
        'potential': {
            'deltaSplineBins': 0.001,
            'elements': elements,
            'embeddings': {
                'ALL': {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
            },
            'bonds': {'ALL': {**bonds, 'NameOfCutoffFunction': 'cos'}},
            'functions': {'ALL': {'nradmax_by_orders': options.radial, 'lmax_by_orders': options.angular}},
        },
        'fit': {
            'loss': {'kappa': options.kappa, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8},
            'optimizer': 'BFGS',
            'maxiter': options.iterations,
        },
        'backend': {'evaluator': options.evaluator, 'batch_size': 100, 'display_step': 10},
    }


def train(folder: Path, data: str, mode: str, seed: int, options: argparse.Namespace) -> Fit:
    """Train in a folder that has the input and both parts of the data."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg', 'CUDA_VISIBLE_DEVICES': '-1'}
    environment |= {'TF_NUM_INTRAOP_THREADS': '1', 'TF_NUM_INTEROP_THREADS': '1'}
    start = time.time()
    filename, outcome = 'input.yaml', {}
    if mode != 'plain':
        filename = 'accelerated.yaml'
        (folder / filename).write_text((folder / 'input.yaml').read_text())
        command = [options.pacemaker.parent / 'python', SCRIPT, 'input.yaml', filename, '--mode', mode]
        subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
        outcome = json.loads((folder / 'acceleration.json').read_text())
        if not outcome['used']:
            raise SystemExit(f'{data}, {mode}: {outcome["reason"]}')
    script_seconds = time.time() - start
    subprocess.run([options.pacemaker, filename], cwd=folder, env=environment, capture_output=True, check=True)
    total = time.time() - start
    log = (folder / 'log.txt').read_text()
    metrics = parse_metrics((folder / 'metrics.txt').read_text())
    errors = last_test_errors(folder)
    seconds, evaluations = progress_of(log, metrics, start)
    return Fit(
        data=data,
        mode=mode,
        seed=seed,
        losses=metrics['loss'].tolist(),
        seconds=seconds,
        evaluations=evaluations,
        script_seconds=script_seconds,
        total_seconds=total,
        test_mev_per_atom=errors[0],
        test_mev_per_angstrom=errors[1],
        predicted_loss=outcome.get('predicted_loss'),
    )


def progress_of(log: str, metrics: Metrics, start: float) -> tuple[list[float], list[float]]:
    """Return when each iteration was done, in seconds, and after how many loss evaluations.

    Some iterations have a block of statistics in the log instead of a line; they lie between their neighbours.
    """
    rows = [
        (int(number), datetime.strptime(when, '%Y-%m-%d %H:%M:%S,%f').timestamp() - start, int(evaluations))
        for when, number, evaluations in ITERATION.findall(log)
    ]
    numbers, seconds, evaluations = zip(*rows, strict=True)
    wanted = metrics['iter_num']
    return np.interp(wanted, numbers, seconds).tolist(), np.interp(wanted, numbers, evaluations).tolist()


def last_test_errors(folder: Path) -> tuple[float, float]:
    """Return root mean square errors on the test set in meV/atom and meV/Å, of the final potential."""
    import pandas as pd

    frame = pd.read_pickle(folder / 'test_pred.pckl.gzip', compression='gzip')
    sizes = frame['forces'].map(len).to_numpy()
    energy = (frame['energy_pred'].map(lambda value: float(np.ravel(value)[0])) - frame['energy_corrected']) / sizes
    pairs = zip(frame['forces'], frame['forces_pred'], strict=True)
    forces = np.concatenate([np.ravel(np.asarray(a) - np.asarray(b)) for a, b in pairs])
    return float(1e3 * np.sqrt((energy**2).mean())), float(1e3 * np.sqrt((forces**2).mean()))


def run_all(options: argparse.Namespace) -> list[Fit]:
    """Train on all data with all seeds and modes."""
    sources = {path.name: load_pacemaker_dataset(path) for path in options.data} or {'al-lda': al_lda()}
    fits = []
    for name, structures in sources.items():
        for seed in options.seeds:
            parts = split_structures(without_mixed_periodicity(structures), 0.2, seed)
            for mode in MODES:
                with tempfile.TemporaryDirectory() as temporary:
                    folder = Path(temporary)
                    for part, half in zip(('train', 'test'), parts, strict=True):
                        save_to_pacemaker_format(half, folder / f'{part}.pckl.gzip')
                    config = TrainingConfig.model_validate(settings(options, sorted(structures.elements)))
                    names = {'train_filename': 'train.pckl.gzip', 'test_filename': 'test.pckl.gzip'}
                    (folder / 'input.yaml').write_text(render_input_yaml(config, **names))
                    fits.append(train(folder, name, mode, seed, options))
                print(f'{name}, seed {seed}, {mode}: {fits[-1].total_seconds:.0f} s', file=sys.stderr)
    return fits


def table(fits: list[Fit]) -> list[str]:
    """Return the medians over seeds as a table in Markdown."""
    lines = [
        '| data | mode | first loss | last loss | iterations to plain | evaluations to plain | seconds to plain | '
        'total s | script s | test meV/atom | test meV/Å |',
        '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
    ]
    for data in dict.fromkeys(fit.data for fit in fits):
        goals = {fit.seed: fit.losses[-1] for fit in fits if fit.data == data and fit.mode == 'plain'}
        for mode in MODES:
            chosen = [fit for fit in fits if fit.data == data and fit.mode == mode]
            reached = [(fit, fit.first_below(goals[fit.seed])) for fit in chosen]
            lost = any(number is None for _, number in reached)
            numbers = [number for _, number in reached if number is not None]
            times = [fit.seconds[number] for fit, number in reached if number is not None]
            costs = [fit.evaluations[number] for fit, number in reached if number is not None]
            middle = statistics.median
            cells = [
                f'{middle(fit.losses[0] for fit in chosen):.4g}',
                f'{middle(fit.losses[-1] for fit in chosen):.4g}',
                'not always' if lost else f'{middle(numbers):.0f}',
                '' if lost else f'{middle(costs):.0f}',
                '' if lost else f'{middle(times):.0f}',
                f'{middle(fit.total_seconds for fit in chosen):.0f}',
                f'{middle(fit.script_seconds for fit in chosen):.1f}',
                f'{middle(fit.test_mev_per_atom for fit in chosen):.2f}',
                f'{middle(fit.test_mev_per_angstrom for fit in chosen):.1f}',
            ]
            lines.append(f'| {data} | {mode} | {" | ".join(cells)} |')
    return lines


def plot(fits: list[Fit], path: Path) -> None:
    """Draw the loss against iterations and against seconds."""
    import matplotlib as mpl

    mpl.use('agg')
    from matplotlib import pyplot as plt

    data = list(dict.fromkeys(fit.data for fit in fits))
    figure, axes = plt.subplots(len(data), 2, figsize=(9, 3.2 * len(data)), squeeze=False, sharey='row')
    for row, name in zip(axes, data, strict=True):
        for fit in (fit for fit in fits if fit.data == name):
            label = fit.mode if fit.seed == fits[0].seed else None
            color = f'C{MODES.index(fit.mode)}'
            row[0].plot(fit.losses, color=color, label=label, alpha=0.8)
            row[1].plot(fit.seconds, fit.losses, color=color, alpha=0.8)
        row[0].set(yscale='log', xlabel='iteration', ylabel=f'loss, {name}')
        row[1].set(yscale='log', xlabel='seconds')
        row[0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pacemaker', type=Path, required=True)
    parser.add_argument('--evaluator', default='tensorpot', choices=('tensorpot', 'pyace'))
    parser.add_argument('--data', type=Path, nargs='*', default=[])
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--iterations', type=int, default=200)
    parser.add_argument('--radial', type=int, nargs='+', default=[6, 3, 2, 1])
    parser.add_argument('--angular', type=int, nargs='+', default=[0, 2, 1, 1])
    parser.add_argument('--cutoff', type=float, default=6.0)
    parser.add_argument('--kappa', type=float, default=0.3)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--plot', type=Path)
    options = parser.parse_args()
    options.pacemaker = options.pacemaker.absolute()
    fits = run_all(options)
    if options.json:
        options.json.write_text(json.dumps([asdict(fit) for fit in fits], indent=1))
    if options.plot:
        plot(fits, options.plot)
    print('\n'.join(table(fits)))


if __name__ == '__main__':
    main()
