"""Time and memory of everything that is done with datasets, as ratios to what was measured in the same run.

    python tests/benchmarks/datasets.py [--sizes 1000 10000 100000] [--atoms 32] [--markdown FILE]

Every measurement runs in a process of its own, so that its peak memory is its own, in a throw-away AiiDA profile
(SQLite, no daemon). Seconds depend on the machine and on what else it does; the ratios are what to look at:

- ``floor``: the raw arrays through the compressor of dataset files, into a file;
- ``storing``: AiiDA storing the TrajectoryData that is converted; ``making_and_storing`` with its arrays set before;
- ``obvious``: ``get_step_structure().get_ase()`` for each frame, and ``DataFrame.to_pickle``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

OBVIOUS_FRAMES = 500
"""Frames on which the obvious way is measured: it takes milliseconds for each."""


class Stopwatch:
    """Measures one stretch of work: seconds, and the peak of resident memory above where it began."""

    seconds = 0.0
    peak_bytes = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what happens inside."""
        before = int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
        start = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - start
        self.peak_bytes = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)


def make_arrays(n: int, atoms: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return ``n`` distinct structures of so many atoms each, as flat arrays."""
    rng = np.random.default_rng(seed)
    return {
        'numbers': np.full(n * atoms, 13, dtype=np.int32),
        'positions': rng.random((n * atoms, 3)) * 9.0,
        'cells': np.tile(np.eye(3) * 9.0, (n, 1, 1)),
        'pbc': np.ones((n, 3), dtype=bool),
        'offsets': np.arange(n + 1) * atoms,
        'energy': rng.random(n),
        'forces': rng.standard_normal((n * atoms, 3)),
    }


def make_structures(n: int, atoms: int, seed: int = 0) -> Any:
    """Return the same as labelled structures."""
    from aiida_autopipec.pacemaker import LabelledStructures

    return LabelledStructures(**make_arrays(n, atoms, seed), names=np.array([f'{seed}-{row}' for row in range(n)]))


def make_trajectory(n: int, atoms: int) -> Any:
    """Return the same as an unstored TrajectoryData, and the description of its arrays."""
    from aiida import orm

    arrays = make_arrays(n, atoms)
    trajectory = orm.TrajectoryData()
    trajectory.set_trajectory(
        symbols=['Al'] * atoms,
        positions=arrays['positions'].reshape(n, atoms, 3),
        cells=arrays['cells'],
        pbc=(True, True, True),
    )
    trajectory.set_array('energy', arrays['energy'])
    trajectory.set_array('forces', arrays['forces'].reshape(n, atoms, 3))
    description = {'energy': {'array': 'energy', 'unit': 'eV'}, 'forces': {'array': 'forces', 'unit': 'eV/Å'}}
    return trajectory, orm.Dict(description)


# What is measured: each function prepares, then works inside `watch.running()`


def floor(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Compress the raw arrays into a file."""
    from isal import isal_zlib

    arrays = make_arrays(n, atoms)
    with watch.running(), (folder / 'floor.gz').open('wb') as handle:
        stream = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
        for name in ('positions', 'forces', 'cells', 'energy', 'numbers'):
            handle.write(stream.compress(arrays[name].data.cast('B')))
        handle.write(stream.flush())


def to_uploaded_file(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Write the dataset of a stored node as a training job uploads it."""
    from aiida_autopipec.data.dataset import PaceDatasetData
    from aiida_autopipec.pacemaker.formats import save_shards

    node = PaceDatasetData.from_structures(make_structures(n, atoms)).store()
    with watch.running():
        save_shards(node.iter_shards(), folder / 'train.pckl.gzip')


def to_pickle_obvious(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Build an Atoms per structure and pickle a DataFrame."""
    import ase
    import pandas as pd

    arrays = make_arrays(n, atoms)
    shape = (n, atoms, 3)
    with watch.running():
        images = [
            ase.Atoms(numbers=arrays['numbers'][:atoms], positions=positions, cell=cell, pbc=True)
            for positions, cell in zip(arrays['positions'].reshape(shape), arrays['cells'], strict=True)
        ]
        frame = pd.DataFrame(
            {'ase_atoms': images, 'energy': arrays['energy'], 'forces': list(arrays['forces'].reshape(shape))}
        )
        frame.to_pickle(folder / 'train.pckl.gzip', compression='gzip', protocol=4)


def storing(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Let AiiDA store a TrajectoryData."""
    trajectory, _ = make_trajectory(n, atoms)
    with watch.running():
        trajectory.store()


def making_and_storing(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Let AiiDA take the arrays of a TrajectoryData and store it: what the conversion does for its own node."""
    with watch.running():
        trajectory, _ = make_trajectory(n, atoms)
        trajectory.store()


def trajectory_to_dataset(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Convert a stored TrajectoryData to a stored dataset: checked, without duplicates."""
    from aiida_autopipec.calculations.functions.convert import convert_trajectory

    trajectory, description = make_trajectory(n, atoms)
    trajectory.store()
    with watch.running():
        convert_trajectory(trajectory, description)


def trajectory_to_atoms_obvious(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Take the frames of a TrajectoryData out one by one."""
    trajectory, _ = make_trajectory(n, atoms)
    trajectory.store()
    with watch.running():
        for step in range(n):
            trajectory.get_step_structure(step).get_ase()


def structures_to_dataset(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Turn stored StructureData with labels into a dataset, in batches, with provenance."""
    from aiida_autopipec.calculations.functions.many import convert_many_structures

    structures, labels = store_structures(n, atoms)
    with watch.running():
        convert_many_structures((key, structures[key], labels[key]) for key in structures)


def structures_to_atoms_obvious(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Call ``get_ase`` on every StructureData."""
    from aiida.orm import load_node

    structures, _ = store_structures(n, atoms)
    nodes = [load_node(uuid) for uuid in structures.values()]
    with watch.running():
        for node in nodes:
            node.get_ase()


def store_structures(n: int, atoms: int) -> tuple[dict[str, str], dict[str, str]]:
    """Store StructureData and their labels, and return their UUIDs: so many live nodes would slow AiiDA down."""
    from aiida import orm

    structures, labels = {}, {}
    for row, image in enumerate(make_structures(n, atoms).iter_atoms()):
        key = f's{row:06d}'
        structures[key] = orm.StructureData(ase=image).store().uuid
        energy = np.array([image.calc.results['energy']])
        labels[key] = orm.ArrayData({'energy': energy, 'forces': image.calc.results['forces']}).store().uuid
    return structures, labels


def extxyz_to_dataset(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Read an extxyz file."""
    from ase.io import write

    from aiida_autopipec.pacemaker.dataset.files import read_structures

    path = folder / 'data.extxyz'
    write(path, make_structures(n, atoms).to_atoms(), format='extxyz')
    with watch.running():
        read_structures(path)


def read_back(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Read an uploaded file with the safe reader."""
    from aiida_autopipec.pacemaker import load_pacemaker_dataset, save_to_pacemaker_format

    path = save_to_pacemaker_format(make_structures(n, atoms), folder / 'data.pckl.gzip')
    with watch.running():
        load_pacemaker_dataset(path)


def fingerprint(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Hash every structure."""
    structures = make_structures(n, atoms)
    with watch.running():
        _ = structures.fingerprints


def merge_small_into_large(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Merge 1000 new structures into a stored dataset of ``n``."""
    from aiida_autopipec.calculations.functions.combine import merge_datasets
    from aiida_autopipec.data.dataset import PaceDatasetData

    large = PaceDatasetData.from_structures(make_structures(n, atoms)).store()
    small = PaceDatasetData.from_structures(make_structures(1000, atoms, seed=1)).store()
    with watch.running():
        merge_datasets(a=large, b=small)


def split(n: int, atoms: int, watch: Stopwatch, folder: Path) -> None:
    """Divide a stored dataset into training and test set."""
    from aiida import orm

    from aiida_autopipec.calculations.functions.combine import split_dataset
    from aiida_autopipec.data.dataset import PaceDatasetData

    node = PaceDatasetData.from_structures(make_structures(n, atoms)).store()
    with watch.running():
        split_dataset(node, orm.Float(0.1), orm.Int(0))


TASKS: dict[str, Callable[[int, int, Stopwatch, Path], None]] = {
    task.__name__: task
    for task in (
        floor,
        to_uploaded_file,
        to_pickle_obvious,
        storing,
        making_and_storing,
        trajectory_to_dataset,
        trajectory_to_atoms_obvious,
        structures_to_dataset,
        structures_to_atoms_obvious,
        extxyz_to_dataset,
        read_back,
        fingerprint,
        merge_small_into_large,
        split,
    )
}
SLOW = {
    'to_pickle_obvious': 20_000,
    'trajectory_to_atoms_obvious': OBVIOUS_FRAMES,
    'structures_to_dataset': 10_000,
    'structures_to_atoms_obvious': OBVIOUS_FRAMES,
    'extxyz_to_dataset': 20_000,
}
"""Largest number of structures on which a slow task is measured; it grows linearly beyond."""


def run_task(name: str, n: int, atoms: int) -> None:
    """Run one measurement in this process and print it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ['AIIDA_PATH'] = folder
        verdi = Path(sys.executable).parent / 'verdi'
        subprocess.run(
            [verdi, 'presto', '--use-zeromq'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        from aiida import load_profile

        load_profile()
        watch = Stopwatch()
        TASKS[name](n, atoms, watch, Path(folder))
        print(json.dumps({'seconds': watch.seconds, 'peak_bytes': watch.peak_bytes}))


def measure(name: str, n: int, atoms: int) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    count = min(n, SLOW.get(name, n))
    command = [sys.executable, '-W', 'ignore', __file__, '--task', name, '--sizes', str(count), '--atoms', str(atoms)]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    raw = sum(array.nbytes for array in make_arrays(10, atoms).values()) / 10 * count
    return {
        'structures': count,
        'microseconds': 1e6 * result['seconds'] / count,
        'peak_over_raw': result['peak_bytes'] / raw,
        'seconds': result['seconds'],
    }


def table(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        '| structures | task | µs per structure | against | ratio | peak memory over raw |',
        '|---:|---|---:|---|---:|---:|',
    ]
    against = {
        'to_uploaded_file': 'floor',
        'to_pickle_obvious': 'to_uploaded_file',
        'trajectory_to_dataset': 'storing',
        'trajectory_to_atoms_obvious': 'trajectory_to_dataset',
        'structures_to_dataset': 'structures_to_atoms_obvious',
        'read_back': 'floor',
    }
    for tasks in results.values():
        for name, result in tasks.items():
            base = against.get(name, '')
            ratio = f'{result["microseconds"] / tasks[base]["microseconds"]:.2f}' if base in tasks else ''
            lines.append(
                f'| {result["structures"]:.0f} | {name} | {result["microseconds"]:.1f} | {base} | {ratio} | '
                f'{result["peak_over_raw"]:.1f} |'
            )
    return '\n'.join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[1_000, 10_000, 100_000])
    parser.add_argument('--atoms', type=int, default=32)
    parser.add_argument('--tasks', nargs='+', choices=list(TASKS), default=list(TASKS))
    parser.add_argument('--task', choices=list(TASKS), help=argparse.SUPPRESS)
    parser.add_argument('--markdown', type=Path, help='also write the table to this file')
    arguments = parser.parse_args()
    if arguments.task:
        run_task(arguments.task, arguments.sizes[0], arguments.atoms)
        return
    results: dict[int, dict[str, dict[str, float]]] = {}
    for size in arguments.sizes:
        results[size] = {}
        for name in arguments.tasks:
            results[size][name] = measure(name, size, arguments.atoms)
            print(f'{size:>9} {name:<28} {results[size][name]["microseconds"]:>10.1f} µs', flush=True)
    text = table(results)
    print(f'\n{text}')
    if arguments.markdown:
        arguments.markdown.write_text(text + '\n')


if __name__ == '__main__':
    main()
