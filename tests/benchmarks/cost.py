"""What trainings cost with the real Pacemaker, against what was predicted.

    python tests/benchmarks/cost.py [--evaluator pyace] [--pacemaker PATH] [--cases NAME …] [--markdown FILE]

Each case is trained twice, for a few and for more iterations. The difference in processor time over the difference in
evaluations of the loss is what one evaluation costs, without start and end. For `tensorpot`, name a `pacemaker` that
has TensorFlow; it runs on one thread of the CPU. Wall times are no use on a shared machine, and processor times of
TensorFlow are rough, because idle threads spin.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.cost import DataFacts, estimate_cost
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import Reference, single_atom_energies, subtract
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

AL_LDA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
ITERATIONS = {'pyace': (1, 3), 'tensorpot': (5, 45)}


def al_lda() -> LabelledStructures:
    """Return the example data: 106 small structures of aluminium."""
    return LabelledStructures.from_atoms(ase.io.read(AL_LDA, ':'))


def emt(n: int, repeat: int, *symbols: str) -> Callable[[], LabelledStructures]:
    """Return a function that makes rattled cells with labels of EMT, ``4 repeat³`` atoms each."""

    def make() -> LabelledStructures:
        rng = np.random.default_rng(1)
        images = []
        for _ in range(n):
            image = bulk('Al', 'fcc', 3.9 * (0.97 + 0.06 * rng.random()), cubic=True).repeat(repeat)
            image.symbols[:] = rng.choice(symbols, len(image))
            image.rattle(0.1, rng=rng)
            image.calc = EMT()
            labels = {'energy': image.get_potential_energy(), 'forces': image.get_forces()}
            image.calc = SinglePointCalculator(image, **labels)
            images.append(image)
        return LabelledStructures.from_atoms(images)

    return make


def config(
    structures: LabelledStructures, rcut: float, radial: list[int], angular: list[int], **others: Any
) -> dict[str, Any]:
    """Return settings with these functions for all elements."""
    densities = others.get('ndensity', 2)
    embedding = {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5][: 2 * densities]}
    functions: dict[str, Any] = {'ALL': {'nradmax_by_orders': radial, 'lmax_by_orders': angular}}
    if 'limit' in others:
        functions['number_of_functions_per_element'] = others['limit']
    return {
        'potential': {
            'elements': list(structures.elements),
            'embeddings': {'ALL': {**embedding, 'ndensity': densities}},
            'bonds': {'ALL': {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': rcut, 'dcut': 0.01}},
            'functions': functions,
        },
        'fit': {'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8}},
        'backend': {'batch_size': others.get('batch', 10), 'display_step': 1000},
    }


CASES: dict[str, tuple[Callable[[], LabelledStructures], dict[str, Any]]] = {
    'Al, 257 atoms, 12 functions': (al_lda, {'rcut': 4.5, 'radial': [4, 2, 1], 'angular': [0, 1, 1]}),
    'Al, 257 atoms, 17 functions, linear': (
        al_lda,
        {'rcut': 4.8, 'radial': [6, 2, 1], 'angular': [0, 2, 1], 'ndensity': 1},
    ),
    'Al, 257 atoms, 37 functions': (al_lda, {'rcut': 6.0, 'radial': [6, 3, 2, 1], 'angular': [0, 2, 1, 1]}),
    'Cu, 1280 atoms, 20 functions': (
        emt(40, 2, 'Cu'),
        {'rcut': 5.5, 'radial': [5, 3, 1], 'angular': [0, 2, 2], 'batch': 100},
    ),
    'CuPd, 320 atoms, 30 functions per element': (
        emt(10, 2, 'Cu', 'Pd'),
        {'rcut': 5.0, 'radial': [4, 2, 1], 'angular': [0, 1, 1], 'limit': 30, 'batch': 100},
    ),
    'NiPdPt, 256 atoms, 20 functions per element': (
        emt(8, 2, 'Ni', 'Pd', 'Pt'),
        {'rcut': 5.0, 'radial': [3, 1], 'angular': [0, 1], 'limit': 20, 'batch': 100},
    ),
}


def run(structures: LabelledStructures, checked: TrainingConfig, pacemaker: Path) -> tuple[float, int, float]:
    """Train, and return processor seconds, evaluations of the loss, and the peak of memory in MB."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg', 'CUDA_VISIBLE_DEVICES': '-1'}
    environment |= {'TF_NUM_INTRAOP_THREADS': '1', 'TF_NUM_INTEROP_THREADS': '1'}
    with tempfile.TemporaryDirectory() as folder:
        save_to_pacemaker_format(structures, Path(folder) / 'train.pckl.gzip')
        (Path(folder) / 'input.yaml').write_text(render_input_yaml(checked, train_filename='train.pckl.gzip'))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(
            [pacemaker], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert status == 0, (Path(folder) / 'log.txt').read_text()
        evaluations = re.search(r'nfev=(\d+)', (Path(folder) / 'log.txt').read_text())
    assert evaluations is not None
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, int(evaluations[1]), usage.ru_maxrss / 1024


def measure(name: str, evaluator: str, pacemaker: Path) -> list[str]:
    """Return a row: what one evaluation and the memory cost, measured and predicted."""
    make, settings = CASES[name]
    structures = without_mixed_periodicity(make())
    energies = single_atom_energies(structures, Reference(method='least_squares'), cutoff=6.0)
    structures = subtract(structures, energies)
    mapping = config(structures, **settings)
    mapping['backend']['evaluator'] = evaluator
    points = []
    for iterations in ITERATIONS[evaluator]:
        mapping['fit']['maxiter'] = iterations
        checked = TrainingConfig.model_validate(mapping)
        points.append(run(structures, checked, pacemaker))
    (seconds, evaluations, _), (more_seconds, more_evaluations, memory) = points
    measured = (more_seconds - seconds) / (more_evaluations - evaluations)
    found = estimate_cost(checked, DataFacts.of([structures]))
    assert found is not None
    return [
        name,
        str(found.n_parameters),
        f'{1e3 * measured:.1f}',
        f'{1e3 * found.seconds_per_evaluation:.1f}',
        f'{found.seconds_per_evaluation / measured:.2f}',
        f'{memory:.0f}',
        f'{found.memory_mb:.0f}',
        f'{found.memory_mb / memory:.2f}',
    ]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--evaluator', choices=list(ITERATIONS), default='pyace')
    parser.add_argument('--pacemaker', type=Path, default=Path(sys.executable).parent / 'pacemaker')
    parser.add_argument('--cases', nargs='*', default=list(CASES), choices=list(CASES))
    parser.add_argument('--markdown', type=Path)
    options = parser.parse_args()
    header = ['data', 'parameters', 'ms', 'predicted', 'ratio', 'MB', 'predicted', 'ratio']
    lines = [f'| {" | ".join(header)} |', '|---' + '|---:' * (len(header) - 1) + '|']
    print('\n'.join(lines), flush=True)
    for case in options.cases:
        lines.append(f'| {" | ".join(measure(case, options.evaluator, options.pacemaker))} |')
        print(lines[-1], flush=True)
    if options.markdown:
        options.markdown.write_text('\n'.join(lines) + '\n')


if __name__ == '__main__':
    main()
