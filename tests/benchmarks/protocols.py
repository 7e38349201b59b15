"""What each protocol makes of the example data: sizes and errors.

    python tests/benchmarks/protocols.py --evaluator tensorpot --pacemaker PATH [--iterations 300] [--kappas 0.3 …]

Trains with the settings of each protocol on 80 % of ``examples/data/al-lda``, on one thread of the CPU, and prints root
mean square errors on both parts from Pacemaker's own predictions. With ``--kappas`` it instead trains the protocol
`balanced` with each kappa, and in two stages of half the iterations.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ase.io

from aiida_autopipec.pacemaker import LabelledStructures
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.cost import DataFacts
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import Reference, single_atom_energies, subtract
from aiida_autopipec.pacemaker.dataset.split import split_structures
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.workflows.protocols.inputs import settings_from_protocol
from aiida_autopipec.workflows.protocols.loading import merged, protocol_names
from aiida_autopipec.workflows.refinement import refined_config

AL_LDA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
Sides = tuple[LabelledStructures, LabelledStructures]


def data() -> tuple[LabelledStructures, Sides]:
    """Return the example data with energies relative to the isolated atom, and what to train and to test on."""
    structures = LabelledStructures.from_atoms(ase.io.read(AL_LDA, ':'))
    energies = single_atom_energies(structures, Reference(method='isolated_atoms'), cutoff=6.0)
    structures = subtract(without_mixed_periodicity(structures), energies)
    return structures, split_structures(structures, 0.2, 1)


def train(folder: Path, sides: Sides, settings: dict[str, Any], pacemaker: Path, start: Path | None = None) -> Path:
    """Train in a folder, and return the potential."""
    folder.mkdir()
    for name, part in zip(('train', 'test'), sides, strict=True):
        save_to_pacemaker_format(part, folder / f'{name}.pckl.gzip')
    checked = TrainingConfig.model_validate(settings)
    text = render_input_yaml(checked, train_filename='train.pckl.gzip', test_filename='test.pckl.gzip')
    (folder / 'input.yaml').write_text(text)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg', 'CUDA_VISIBLE_DEVICES': '-1'}
    environment |= {'TF_NUM_INTRAOP_THREADS': '1', 'TF_NUM_INTEROP_THREADS': '1'}
    arguments = [pacemaker, 'input.yaml', *([] if start is None else ['-p', start])]
    subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, check=True)
    return folder / 'output_potential.yaml'


def errors(folder: Path, part: str) -> list[str]:
    """Return root mean square errors in meV/atom and meV/Å, by the last row of a file of metrics."""
    lines = (folder / ('metrics.txt' if part == 'train' else 'test_metrics.txt')).read_text().splitlines()
    last = dict(zip(lines[0].split(), lines[-1].split(), strict=True))
    return [f'{1e3 * float(last["rmse_epa"]):.1f}', f'{1e3 * float(last["rmse_f_comp"]):.1f}']


def iterations(folder: Path) -> int:
    """Return how many iterations were made."""
    return len((folder / 'metrics.txt').read_text().splitlines()) - 2


def main() -> None:
    """Train and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--evaluator', choices=['tensorpot'], default='tensorpot')
    parser.add_argument('--pacemaker', type=Path, default=Path(sys.executable).parent / 'pacemaker')
    parser.add_argument('--iterations', type=int, default=300)
    parser.add_argument('--kappas', nargs='*', type=float, default=[])
    options = parser.parse_args()
    structures, sides = data()
    facts = DataFacts.of([structures])
    limit = {'config': {'fit': {'maxiter': options.iterations}}}
    print('| settings | functions | parameters | iterations | train meV/atom | meV/Å | test meV/atom | meV/Å |')
    print('|---|---:|---:|---:|---:|---:|---:|---:|', flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for number, (label, protocol, kappas) in enumerate(runs(options.kappas)):
            stated = merged(limit, {'config': {'fit': {'loss': {'kappa': kappas[0]}}}} if kappas else {})
            settings = settings_from_protocol(facts, protocol=protocol, evaluator=options.evaluator, overrides=stated)
            config = settings.config
            if len(kappas) == 2:
                config = merged(config, {'fit': {'maxiter': options.iterations // 2}})
            folder = Path(temporary) / f'{number}'
            start = train(folder, sides, config, options.pacemaker)
            done = iterations(folder)
            if len(kappas) == 2:
                folder = Path(temporary) / f'{number}-second'
                train(folder, sides, refined_config(config, {'loss': {'kappa': kappas[1]}}), options.pacemaker, start)
                done += iterations(folder)
            size = TrainingConfig.model_validate(config).basis_size
            assert size is not None
            sizes = [str(size.n_functions), str(size.n_parameters), str(done)]
            print(f'| {" | ".join([label, *sizes, *errors(folder, "train"), *errors(folder, "test")])} |', flush=True)


def runs(kappas: list[float]) -> list[tuple[str, str, list[float]]]:
    """Return what to train: label, protocol, and kappa of each stage."""
    if not kappas:
        return [(name, name, []) for name in protocol_names()]
    single = [(f'kappa {kappa:g}', 'balanced', [kappa]) for kappa in kappas]
    return [*single, ('kappa 0.9, then 0.05', 'balanced', [0.9, 0.05])]


if __name__ == '__main__':
    main()
