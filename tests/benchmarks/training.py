"""What a better start of a fit buys: plain training against `prefit` and `full`, everything counted.

    python tests/benchmarks/training.py run --results training.jsonl --pacemaker PATH [--data al-lda FILE.pckl.gzip …]
        [--protocol fast|balanced] [--functions 50] [--cutoff 5] [--iterations 150] [--accelerated-iterations 75]
        [--seeds 1 2 3] [--modes plain prefit full] [--minutes 15]
    python tests/benchmarks/training.py report --results training.jsonl [--markdown FILE] [--plot FILE]

Data: ``al-lda`` (``examples/data``), or any file of Pacemaker; ``foreign_data.py`` makes some. Each seed divides the
data anew, 80 % to train on, and settings are those of a protocol of the work chain. All runs on one thread.

Each fit is a line of ``--results``. What is there already is not done again, so a run can be ended and repeated, and
``--minutes`` begins no fit that would probably end later. `report` gives medians over the seeds: how many loss
evaluations, iterations and seconds each mode needs for the loss that the plain training ends with, and the errors on
the test set there and at the end. Seconds are processor time, all on one thread: the script,
starting Pacemaker, and the fit up to there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from training_clock import Clock
from training_report import MODES, Fit, load, plot, report

from aiida_autopipec.pacemaker import LabelledStructures, filenames, load_pacemaker_dataset
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.cost import DataFacts
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import Reference, single_atom_energies, subtract
from aiida_autopipec.pacemaker.dataset.split import split_structures
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.pacemaker.outputs import parse_metrics
from aiida_autopipec.workflows.protocols.inputs import settings_from_protocol

AL_LDA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
SCRIPTS = Path(str(resources.files('aiida_autopipec.remote')))
TEST_FRACTION = 0.2
TEST_EVERY = 10
"""Iterations between two looks at the test set, which all modes pay for alike."""
PROGRESS = re.compile(
    r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) .*(?:Initial state:|Iteration +)#(\d+) +\((\d+) evals\)', re.MULTILINE
)
ONE_THREAD = {
    'OMP_NUM_THREADS': '1',
    'TF_NUM_INTRAOP_THREADS': '1',
    'TF_NUM_INTEROP_THREADS': '1',
    'CUDA_VISIBLE_DEVICES': '-1',
    'MPLBACKEND': 'agg',
}


class NotUsedError(Exception):
    """The script has left the plain training as it is, for the reason that this says."""


def structures_of(data: str) -> LabelledStructures:
    """Return the data of that name or in that file, with energies relative to isolated atoms."""
    if data != 'al-lda':
        return without_mixed_periodicity(load_pacemaker_dataset(Path(data)))
    structures = LabelledStructures.from_atoms(ase.io.read(AL_LDA, ':'))
    energies = single_atom_energies(structures, Reference(method='isolated_atoms'), cutoff=6.0)
    return without_mixed_periodicity(subtract(structures, energies))


def settings_of(structures: LabelledStructures, seed: int, options: argparse.Namespace) -> TrainingConfig:
    """Return what the protocol makes of the data, for a plain training."""
    config: dict[str, Any] = {
        'seed': seed,
        'fit': {'maxiter': options.iterations},
        'backend': {'display_step': TEST_EVERY},
    }
    if options.cutoff is not None:
        config |= {'potential': {'bonds': {'ALL': {'rcut': options.cutoff}}}}
    settings = settings_from_protocol(
        DataFacts.of([structures]),
        protocol=options.protocol,
        evaluator=options.evaluator,
        overrides={'rules': {'largest_basis': options.functions, 'ladder_from_basis': 10_000}, 'config': config},
        has_test_data=True,
    )
    return TrainingConfig.model_validate(settings.config)


def prepare(folder: Path, structures: LabelledStructures, seed: int, config: TrainingConfig) -> None:
    """Write the input and both parts of the data."""
    parts = split_structures(structures, TEST_FRACTION, seed)
    for part, half in zip(('train', 'test'), parts, strict=True):
        save_to_pacemaker_format(half, folder / f'{part}.pckl.gzip')
    names = {'train_filename': 'train.pckl.gzip', 'test_filename': 'test.pckl.gzip'}
    (folder / 'input.yaml').write_text(render_input_yaml(config, **names))


def train(folder: Path, mode: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train in a folder that has been prepared, and return what a :class:`Fit` records of it."""
    hook = folder / filenames.HOOK_FOLDER
    hook.mkdir()
    shutil.copy(SCRIPTS / filenames.HOOK, hook)
    environment = {**os.environ, **ONE_THREAD, 'PYTHONPATH': str(hook)}
    clock = Clock(folder, environment)
    filename, outcome = 'input.yaml', {}
    if mode != 'plain':
        filename = 'accelerated.yaml'
        (folder / filename).write_text((folder / 'input.yaml').read_text())
        for script in filenames.ACCELERATION_SCRIPTS:
            shutil.copy(SCRIPTS / script, folder)
        script = filenames.ACCELERATION_SCRIPTS[0]
        command = [options.pacemaker.parent / 'python', script, 'input.yaml', filename, '--mode', mode]
        clock.run(command)
        outcome = json.loads((folder / 'acceleration.json').read_text())
        if not outcome['used']:
            raise NotUsedError(outcome['reason'])
    script_seconds = clock.seconds
    clock.run([options.pacemaker, filename])
    return {
        'script_seconds': script_seconds,
        'total_seconds': clock.seconds,
        'steps': outcome.get('seconds', {}),
        **progress(folder, clock),
        **errors_of_test_set(folder),
    }


def progress(folder: Path, clock: Clock) -> dict[str, list[float]]:
    """Return the loss after each iteration, and after how many seconds and evaluations that was.

    Some iterations have a block of statistics in the log instead of a line; they lie between their neighbours.
    """
    rows = [
        (int(number), clock.at(when), int(evaluations))
        for when, number, evaluations in PROGRESS.findall((folder / 'log.txt').read_text())
    ]
    numbers, seconds, evaluations = zip(*rows, strict=True)
    metrics = parse_metrics((folder / 'metrics.txt').read_text())
    iterations = metrics['iter_num']
    return {
        'losses': metrics['loss'].tolist(),
        'seconds': np.interp(iterations, numbers, seconds).tolist(),
        'evaluations': np.interp(iterations, numbers, evaluations).tolist(),
    }


def errors_of_test_set(folder: Path) -> dict[str, list[float]]:
    """Return root mean square errors in meV/atom and meV/Å, and at which iterations; `pyace` says only the last."""
    metrics = parse_metrics((folder / 'test_metrics.txt').read_text())
    if len(metrics):
        return {
            'test_iterations': metrics['iter_num'].tolist(),
            'test_mev_per_atom': (1e3 * metrics['rmse_epa']).tolist(),
            'test_mev_per_angstrom': (1e3 * metrics['rmse_f_comp']).tolist(),
        }
    last = parse_metrics((folder / 'metrics.txt').read_text())['iter_num'][-1]
    energy, force = errors_of_predictions(folder / 'test_pred.pckl.gzip')
    return {'test_iterations': [float(last)], 'test_mev_per_atom': [energy], 'test_mev_per_angstrom': [force]}


def errors_of_predictions(path: Path) -> tuple[float, float]:
    """Return root mean square errors in meV/atom and meV/Å of predictions that Pacemaker wrote."""
    import pandas as pd

    frame = pd.read_pickle(path, compression='gzip')
    sizes = frame['forces'].map(len).to_numpy()
    energy = (frame['energy_pred'].map(lambda value: float(np.ravel(value)[0])) - frame['energy_corrected']) / sizes
    pairs = zip(frame['forces'], frame['forces_pred'], strict=True)
    forces = np.concatenate([np.ravel(np.asarray(a) - np.asarray(b)) for a, b in pairs])
    return float(1e3 * np.sqrt((energy**2).mean())), float(1e3 * np.sqrt((forces**2).mean()))


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, int, str]]:
    """Yield data, seed and mode of each fit; all modes of a seed before the next seed."""
    for data in options.data:
        for seed in options.seeds:
            for mode in options.modes:
                yield data, seed, mode


def run(options: argparse.Namespace) -> None:
    """Do the fits that are not yet among the results, one after the other."""
    begin, longest = time.time(), 0.0
    done = {fit.identity for fit in load(options.results)} if options.results.exists() else set()
    for data, seed, mode in jobs(options):
        structures = structures_of(data)
        iterations = options.iterations if mode == 'plain' else options.accelerated_iterations or options.iterations
        config = settings_of(structures, seed, argparse.Namespace(**{**vars(options), 'iterations': iterations}))
        size = config.basis_size
        assert size is not None
        name = Path(data).name.removesuffix('.pckl.gzip')
        kind = f'{options.protocol}, {options.evaluator}'
        case = f'{name}, {kind}, {size.n_functions} functions, {options.iterations} iterations'
        if (case, mode, seed) in done:
            continue
        if time.time() - begin + longest > 60 * options.minutes:
            print('out of time; run this again for the rest', file=sys.stderr)
            return
        started = time.time()
        with tempfile.TemporaryDirectory() as temporary:
            prepare(Path(temporary), structures, seed, config)
            try:
                measured = train(Path(temporary), mode, options)
            except NotUsedError as reason:
                print(f'{case}, seed {seed}, {mode}: left out, because {reason}', file=sys.stderr)
                continue
        longest = max(longest, time.time() - started)
        fit = Fit(
            case=case,
            mode=mode,
            seed=seed,
            evaluator=options.evaluator,
            coefficients=size.n_parameters,
            structures=len(structures),
            atoms=structures.n_atoms,
            **measured,
        )
        with options.results.open('a') as lines:
            lines.write(f'{json.dumps(asdict(fit))}\n')
        print(f'{case}, seed {seed}, {mode}: {fit.losses[-1]:.4g} in {fit.total_seconds:.0f} s', file=sys.stderr)


def show(options: argparse.Namespace) -> None:
    """Print or write the table, and draw the plot."""
    fits = load(options.results)
    text = '\n'.join(report(fits)) + '\n'
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text, end='')
    if options.plot:
        plot(fits, options.plot)


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser('run', help='do fits')
    running.set_defaults(command=run)
    running.add_argument('--pacemaker', type=Path, required=True)
    running.add_argument('--evaluator', default='tensorpot', choices=('tensorpot', 'pyace'))
    running.add_argument('--data', nargs='+', default=['al-lda'])
    running.add_argument('--protocol', default='fast')
    running.add_argument('--functions', type=int, default=50, help='at most, each element')
    running.add_argument('--cutoff', type=float, help='Å; what the protocol chooses')
    running.add_argument('--iterations', type=int, default=150)
    running.add_argument('--accelerated-iterations', type=int, help='of other modes than plain; the same')
    running.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    running.add_argument('--modes', nargs='+', choices=MODES, default=list(MODES))
    running.add_argument('--minutes', type=float, default=float('inf'))
    showing = commands.add_parser('report', help='say what the fits amount to')
    showing.set_defaults(command=show)
    showing.add_argument('--markdown', type=Path)
    showing.add_argument('--plot', type=Path)
    for command in (running, showing):
        command.add_argument('--results', type=Path, required=True)
    options = parser.parse_args()
    if options.command is run:
        options.pacemaker = options.pacemaker.absolute()
    options.command(options)


if __name__ == '__main__':
    main()
