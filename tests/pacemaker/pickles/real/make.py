"""Let the real Pacemaker write the files of this folder: ``python make.py FOLDER``, with python-ace installed.

A training of two iterations on six structures of examples/data/al-lda, with a test set of two, then ``pace_select`` and
``pace_augment``. The corrected energies are so far from zero that Pacemaker computes a reference of its own, and leaves
the compositions that this takes (``collections.Counter``) in its tables. The files here are those of python-ace
0.4.0rc1, pandas 3.1.1, numpy 2.4.6 and ase 3.29.0.
"""

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import yaml

from aiida_autopipec.pacemaker import LabelledStructures, save_to_pacemaker_format

DATA = Path(__file__).parents[4] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
SETTINGS = {
    'seed': 1,
    'potential': {
        'deltaSplineBins': 0.001,
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
    'fit': {'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8}, 'optimizer': 'BFGS', 'maxiter': 2},
    'backend': {'evaluator': 'pyace'},
    'data': {'filename': 'train.pckl.gzip', 'test_filename': 'test.pckl.gzip'},
}
RUNS = (
    ['pacemaker', 'input.yaml'],
    ['pace_activeset', 'output_potential.yaml', '-d', 'train.pckl.gzip'],
    ['pace_select', '-p', 'output_potential.yaml', '-m', '10', 'train.pckl.gzip'],
    ['pace_augment', 'output_potential.yaml', '-d', 'train.pckl.gzip', '-a', 'output_potential.asi'],
)


def main(folder):
    """Write the two sets and run the programs."""
    folder = Path(folder)
    structures = LabelledStructures.from_atoms([a for a in ase.io.read(DATA, ':') if 1 < len(a) <= 8])
    structures = structures.replace(energy_corrected=structures.energy + 2.0 * structures.sizes)
    save_to_pacemaker_format(structures.take(np.arange(6)), folder / 'train.pckl.gzip')
    save_to_pacemaker_format(structures.take(np.arange(-2, 0) + len(structures)), folder / 'test.pckl.gzip')
    (folder / 'input.yaml').write_text(yaml.safe_dump(SETTINGS))
    for program, *arguments in RUNS:
        subprocess.run([Path(sys.executable).parent / program, *arguments], cwd=folder, check=True)


if __name__ == '__main__':
    main(sys.argv[1])
