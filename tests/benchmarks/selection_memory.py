"""Memory, time and loss of selections from large pools, beside what was predicted and beside ``pace_select``.

    python tests/benchmarks/selection_memory.py 20000 --elements 1 --strategies maxvol leverage --limits 0 600 300

Structures are rattled cells of 4 to 16 atoms. Of each run stand there: structures and atoms selected, seconds of CPU,
predicted and measured peak memory, shards, and the loss against the run without a limit (part of its structures that
is the same, and difference of log-determinants). A limit of 0 is none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from pyace import create_multispecies_basis_config

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.formats import save_shards
from aiida_autopipec.pacemaker.selection.candidates import describe_candidates
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.result import loss_against, read_explanation
from aiida_autopipec.pacemaker.selection.script import script_settings

ELEMENTS = ('Al', 'Cu', 'Ni')
HEADER = f'{"run":>24} {"limit":>6} {"structures":>10} {"atoms":>7} {"CPU s":>6} {"predicted":>9} {"measured":>8}'


def make_pool(n: int, elements: tuple[str, ...]) -> LabelledStructures:
    """Return rattled and strained cells whose atoms are of elements drawn at random."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(n):
        image = bulk('Cu', 'fcc', 3.8 * (0.9 + 0.2 * rng.random()), cubic=True).repeat(
            (1, 1 + number % 2, 1 + number % 2)
        )
        image.symbols = rng.choice(elements, len(image)).tolist()
        image.rattle(0.05 + 0.2 * rng.random(), rng=rng)
        images.append(image)
    return LabelledStructures.from_atoms(images, require_labels=False)


def write_potential(path: Path, elements: tuple[str, ...], functions: int) -> None:
    """Write an untrained potential."""
    config: Any = create_multispecies_basis_config(
        {
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
            'functions': {
                'number_of_functions_per_element': functions,
                'ALL': {'nradmax_by_orders': [15, 6, 4, 3], 'lmax_by_orders': [0, 3, 3, 2]},
            },
        }
    )
    config.save(str(path))


def run(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a program; return seconds of CPU and peak memory in MB."""
    with (folder / 'log.txt').open('w') as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | {'OMP_NUM_THREADS': '1'}, stdout=log, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        files = [folder / name for name in ('log.txt', 'selection.json') if (folder / name).is_file()]
        sys.exit('\n'.join(file.read_text()[-2000:] for file in files))
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def select(folder: Path, pool: LabelledStructures, strategy: str, amount: int | None, limit: int) -> dict[str, Any]:
    """Run the script, print a line, and return what it says."""
    stated: dict[str, Any] = {'strategy': strategy, 'max_structures': amount}
    if limit:
        stated['memory_limit'] = f'{limit}MB'
    parameters = SelectParameters.model_validate(stated)
    np.savez(folder / 'candidates.npz', **describe_candidates([pool], parameters).arrays())
    settings = script_settings(
        parameters, potential='potential.yaml', n_atoms=pool.n_atoms, shares=(), with_active_set=False
    )
    (folder / 'selection_settings.json').write_text(json.dumps(settings))
    script = str(resources.files('aiida_autopipec.remote') / 'select_structures.py')
    seconds, _ = run([sys.executable, script], folder)
    outcome: dict[str, Any] = json.loads((folder / 'selection.json').read_text())
    rows = read_explanation(folder / 'selection.npz', len(pool)).rows
    memory = outcome['memory']
    print(
        f'{strategy:>24} {limit or "-":>6} {len(rows):>10} {pool.sizes[rows].sum():>7} {seconds:>6.0f} '
        f'{memory["predicted_mb"]:>9} {memory["measured_mb"]:>8}  {outcome["shards"]} shards, '
        f'projections {"on disk" if memory["projections_on_disk"] else "in memory"}, {outcome["rounds"]} rounds',
        flush=True,
    )
    return outcome | {'rows': rows.tolist()}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('structures', type=int)
    parser.add_argument('--elements', type=int, default=1)
    parser.add_argument('--functions', type=int, default=80)
    parser.add_argument('--strategies', nargs='+', default=['maxvol'])
    parser.add_argument('--select', type=int, help='structures to select; by default one round of MaxVol')
    parser.add_argument('--limits', nargs='+', type=int, default=[0], help='MB')
    parser.add_argument('--pace-select', action='store_true', help='run the program itself, too')
    asked = parser.parse_args()
    elements = ELEMENTS[: asked.elements]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pool = make_pool(asked.structures, elements)
        save_shards([pool], folder / 'candidates.pckl.gzip')
        write_potential(folder / 'potential.yaml', elements, asked.functions)
        print(f'{len(pool)} structures with {pool.n_atoms} atoms of {", ".join(elements)}')
        print(HEADER, flush=True)
        if asked.pace_select:
            program = str(Path(sys.executable).parent / 'pace_select')
            seconds, peak = run([program, '-p', 'potential.yaml', '-a', 'NONE', 'candidates.pckl.gzip'], folder)
            print(
                f'{"pace_select itself":>24} {"-":>6} {"":>10} {"":>7} {seconds:>6.0f} {"":>9} {peak:>8.0f}', flush=True
            )
        for strategy in asked.strategies:
            runs = [select(folder, pool, strategy, asked.select, limit) for limit in asked.limits]
            for limit, outcome in zip(asked.limits[1:], runs[1:], strict=True):
                loss = loss_against(outcome, runs[0])
                same, determinant = 100 * loss.overlap, -loss.log_determinant
                print(f'{"":>24} {limit}: {same:.0f} % the same, log-determinant {determinant:+.3f}', flush=True)


if __name__ == '__main__':
    main()
