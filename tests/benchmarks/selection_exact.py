"""Whether selections by jobs are exact, from pools of 50 to 20 000 structures of one to three elements.

    python tests/benchmarks/selection_exact.py [--sizes 50 500 20000] [--elements 1 2 3] [--strategies spread maxvol]

In a throw-away AiiDA profile, each pool is selected from twice by ``autopipec.pace_select`` on this computer: as it is,
and in another order and cut into five datasets that were merged. Demanded are: exactly the number of structures asked
for, a fifth of the pool; none twice; the same structures both times, and again in a third job with the first inputs;
each with the node that it came from. Cells of one to four rattled atoms, a few functions for each element.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk

ELEMENTS = ('Al', 'Cu', 'Ni')
FUNCTIONS = {1: ([8, 3], [0, 2]), 2: ([4, 1], [0, 1]), 3: ([3, 1], [0, 1])}


def make_pool(n: int, elements: tuple[str, ...]) -> Any:
    """Return rattled and strained cells whose atoms are of elements drawn at random, each from a source of its own."""
    from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

    rng = np.random.default_rng(n)
    images = []
    for number in range(n):
        image = bulk('Cu', 'fcc', 3.8 * (0.9 + 0.2 * rng.random())).repeat((1, 1, 1 + number % 4))
        image.symbols = rng.choice(elements, len(image)).tolist()
        image.rattle(0.05 + 0.2 * rng.random(), rng=rng)
        images.append(image)
    structures = LabelledStructures.from_atoms(images, require_labels=False)
    return structures.replace(sources=np.array([str(uuid.UUID(int=int(rng.integers(2**62)))) for _ in range(n)]))


def write_potential(path: Path, elements: tuple[str, ...]) -> None:
    """Write an untrained potential."""
    from pyace import create_multispecies_basis_config

    radial, angular = FUNCTIONS[len(elements)]
    bonds = {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 4.5, 'dcut': 0.01, 'NameOfCutoffFunction': 'cos'}
    config: Any = create_multispecies_basis_config(
        {
            'deltaSplineBins': 0.001,
            'elements': list(elements),
            'embeddings': {'ALL': {'npot': 'FinnisSinclair', 'fs_parameters': [1, 1], 'ndensity': 1}},
            'bonds': {'ALL': bonds},
            'functions': {'ALL': {'nradmax_by_orders': radial, 'lmax_by_orders': angular}},
        }
    )
    config.save(str(path))


class Bench:
    """A profile with the codes that a selection needs."""

    def __init__(self, folder: Path) -> None:
        os.environ['AIIDA_PATH'] = str(folder)
        subprocess.run([Path(sys.executable).parent / 'verdi', 'presto'], check=True, capture_output=True)
        from aiida import load_profile
        from aiida.orm import InstalledCode, load_computer

        load_profile()
        computer = load_computer('localhost')
        computer.configure(safe_interval=0.0)
        computer.set_minimum_job_poll_interval(0.5)
        program = str(Path(sys.executable).parent / 'pace_select')
        self.code = InstalledCode(
            label='pace_select', computer=computer, filepath_executable=program, prepend_text='export OMP_NUM_THREADS=1'
        ).store()

    def select(self, dataset: Any, potential: Any, strategy: str, amount: int) -> Any:
        """Return the job."""
        from aiida.engine import run_get_node

        from aiida_autopipec.calculations.pace_select import PaceSelectCalculation

        _, node = run_get_node(
            PaceSelectCalculation,
            code=self.code,
            dataset=dataset,
            potential=potential,
            parameters={'strategy': strategy, 'max_structures': amount},
        )
        if node.exit_status:
            sys.exit(f'{node.exit_status}: {node.exit_message}')
        return node

    def check(self, n: int, elements: tuple[str, ...], strategy: str, folder: Path) -> str:
        """Select three times, and return a row of the table.

        :raises AssertionError: if something is not exact.
        """
        from aiida.orm import SinglefileData

        from aiida_autopipec.calculations.functions.combine import merge_datasets
        from aiida_autopipec.data.dataset import PaceDatasetData

        structures, amount = make_pool(n, elements), n // 5
        write_potential(folder / 'potential.yaml', elements)
        potential = SinglefileData(folder / 'potential.yaml').store()
        whole = PaceDatasetData.from_structures(structures).store()
        order = np.random.default_rng(0).permutation(n)
        parts = {
            f'part_{number}': PaceDatasetData.from_structures(structures.take(rows)).store()
            for number, rows in enumerate(np.array_split(order, 5))
        }
        merged = merge_datasets(**parts)['dataset']
        begin = time.time()
        first, again = (self.select(whole, potential, strategy, amount) for _ in range(2))
        seconds = (time.time() - begin) / 2
        cut = self.select(merged, potential, strategy, amount)
        found = first.outputs.output_parameters.get_dict()
        rows = found['rows']
        assert len(rows) == len(set(rows)) == amount == first.outputs.selected.n_structures, 'not the number'
        assert again.outputs.output_parameters['rows'] == rows, 'not the same again'
        names = set(first.outputs.selected.get_names().tolist())
        assert set(cut.outputs.selected.get_names().tolist()) == names, 'it depends on how the pool is cut'
        for node in (first, cut):
            assert node.outputs.selected.get_source_uuids() == set(structures.sources[rows].tolist()), 'not its sources'
        functions, memory = sum(found['n_functions'].values()), found['memory']['measured_mb']
        cells = [
            n,
            whole.n_atoms,
            len(elements),
            functions,
            strategy,
            amount,
            found['rounds'],
            f'{seconds:.0f}',
            memory,
        ]
        return f'| {" | ".join(map(str, cells))} |'


def main() -> None:
    """Check, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[50, 500, 20000])
    parser.add_argument('--elements', type=int, nargs='+', default=[1, 2, 3])
    parser.add_argument('--strategies', nargs='+', default=['spread', 'maxvol'])
    options = parser.parse_args()
    print('| structures | atoms | elements | functions | strategy | selected | rounds | s per job | MB |')
    print('|---:|---:|---:|---:|---|---:|---:|---:|---:|', flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(folder)
        for n in options.sizes:
            for number in options.elements:
                for strategy in options.strategies:
                    print(bench.check(n, ELEMENTS[:number], strategy, folder), flush=True)


if __name__ == '__main__':
    main()
