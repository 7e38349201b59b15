"""Prepare data and settings, run `pacemaker`, and judge the fit: without AiiDA.

Run it with `python examples/without_aiida.py examples/data/al-lda/al-lda.extxyz fit`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import ase.io

from aiida_autopipec.pacemaker import LabelledStructures, TrainingConfig, save_to_pacemaker_format
from aiida_autopipec.pacemaker.config import render_input_yaml
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import parse_reference, single_atom_energies, subtract
from aiida_autopipec.pacemaker.dataset.split import split_structures
from aiida_autopipec.pacemaker.outputs import judge_training, parse_log, parse_metrics

CUTOFF = 4.5


def make_config(iterations: int) -> TrainingConfig:
    embedding = {'npot': 'FinnisSinclairShiftedScaled', 'fs_parameters': [1, 1, 1, 0.5], 'ndensity': 2}
    bond = {
        'radbase': 'SBessel',
        'radparameters': [5.25],
        'rcut': CUTOFF,
        'dcut': 0.01,
        'NameOfCutoffFunction': 'cos',
    }
    return TrainingConfig.model_validate(
        {
            'seed': 1,
            'potential': {
                'elements': ['Al'],
                'embeddings': {'ALL': embedding},
                'bonds': {'ALL': bond},
                'functions': {'ALL': {'nradmax_by_orders': [4, 2], 'lmax_by_orders': [0, 1]}},
            },
            'fit': {'loss': {'kappa': 0.3}, 'maxiter': iterations},
            'backend': {'evaluator': 'pyace'},
        }
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description='Train a potential of aluminium.')
    parser.add_argument('data', type=Path)
    parser.add_argument('folder', type=Path, help='where everything is written')
    parser.add_argument('--iterations', type=int, default=40)
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)

    structures = LabelledStructures.from_atoms(ase.io.read(options.data, index=':'))
    energies = single_atom_energies(structures, parse_reference({'method': 'isolated_atoms'}), cutoff=CUTOFF)
    corrected = without_mixed_periodicity(subtract(structures, energies))  # Pacemaker knows no slabs
    training_set, test_set = split_structures(corrected, test_fraction=0.2, seed=1)
    save_to_pacemaker_format(training_set, folder / 'train.pckl.gzip')
    save_to_pacemaker_format(test_set, folder / 'test.pckl.gzip')

    config = make_config(options.iterations)
    text = render_input_yaml(config, train_filename='train.pckl.gzip', test_filename='test.pckl.gzip')
    (folder / 'input.yaml').write_text(text)
    pacemaker = Path(sys.executable).parent / 'pacemaker'
    subprocess.run(
        [pacemaker, 'input.yaml'],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )

    metrics = parse_metrics((folder / 'metrics.txt').read_text())
    log = parse_log((folder / 'log.txt').read_text())
    verdict = judge_training(metrics, log, has_output_potential=(folder / 'output_potential.yaml').exists())
    print(f'{verdict.health.value}: loss {verdict.initial_loss:.3g} -> {verdict.final_loss:.3g}')


if __name__ == '__main__':
    main()
