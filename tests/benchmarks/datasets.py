"""Time and memory of everything that is done with datasets, as ratios to what was measured in the same run.

    python tests/benchmarks/datasets.py [--sizes 1000 10000 100000 1000000] [--atoms 32] [--tasks …]
                                        [--repeat 3] [--folder DIR] [--markdown FILE] [--json FILE]

Structures are rattled and strained crystals of aluminium. Each task runs in processes of its own, first to prepare what
it needs and then to do it, in a throw-away AiiDA profile (SQLite, no daemon), after having done the same with a few
structures: imports and first queries are not part of it. What it takes with these few structures, done again (the
median of three), is its fixed cost, most of it AiiDA's for each calculation function. Seconds depend on the machine and
its load, so every measurement can be repeated in new processes, and medians are shown; the ratios are what to look at:

- ``floor``: the raw arrays through the compressor of dataset files, into a file;
- ``storing``: AiiDA takes the arrays of the TrajectoryData that is converted, and stores it;
- ``…_obvious``: ``get_step_structure().get_ase()`` for each frame, an ``ase.Atoms`` for each structure and
  ``DataFrame.to_pickle``.

Peak memory is the largest resident memory while the task runs above that when it begins (``VmHWM`` of Linux, reset at
the beginning), over the size of the raw arrays; that of a child process, where it is larger.
"""

from __future__ import annotations

import argparse
import gc
import json
import mmap
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

OBVIOUS_FRAMES = 500
"""Frames on which the obvious way is measured: it takes milliseconds for each."""
WARM_UP = 20
"""Structures with which a task is done once before it is measured."""
NEW_STRUCTURES = 1000
"""Structures that are merged into a large dataset."""
DESCRIPTION = {'energy': {'array': 'energy', 'unit': 'eV'}, 'forces': {'array': 'forces', 'unit': 'eV/Å'}}

Prepared = dict[str, Any]
"""What a task needs: UUIDs and file names, so that it can be handed from process to process."""


class Stopwatch:
    """Measures one stretch of work: seconds, seconds of processor time, and peak memory above its start."""

    seconds = 0.0
    cpu_seconds = 0.0
    peak_bytes = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what happens inside; garbage from before (of AiiDA, a tenth of a second) does not count."""
        gc.collect()
        Path('/proc/self/clear_refs').write_text('5')
        before, of_children = _memory('VmRSS'), _memory_of_children()
        cpu, start = _cpu_seconds(), time.perf_counter()
        yield
        self.seconds = time.perf_counter() - start
        self.cpu_seconds = _cpu_seconds() - cpu
        # of children the largest so far is known, and what this process had when it started it counts as theirs:
        # that of the warm-up, which began as small, is what one without data takes
        self.peak_bytes = max(0, _memory('VmHWM') - before, _memory_of_children() - of_children)


def _cpu_seconds() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _memory(key: str) -> int:
    lines = Path('/proc/self/status').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f'{key}:'))


def _available() -> int:
    """Return how much memory is free, or can be made so."""
    lines = Path('/proc/meminfo').read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith('MemAvailable:'))


def _memory_of_children() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def make_arrays(n: int, atoms: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return ``n`` rattled and strained crystals of aluminium of so many atoms each, as flat arrays."""
    from ase.build import bulk

    crystal = bulk('Al', 'fcc', 4.05, cubic=True)
    while len(crystal) < atoms:
        crystal = crystal.repeat([2 if axis == int(np.argmin(crystal.cell.lengths())) else 1 for axis in range(3)])
    scaled, edges = crystal.get_scaled_positions()[:atoms], crystal.cell.array
    rng = np.random.default_rng(seed)
    cells = edges @ (np.eye(3) + rng.normal(0.0, 0.01, (n, 3, 3)))
    displacements = rng.normal(0.0, 0.1, (n, atoms, 3))
    forces = rng.normal(0.0, 0.2, (n, atoms, 3))
    forces -= 3.0 * displacements
    energy = -3.7 * atoms + 1.5 * np.einsum('nai,nai->n', displacements, displacements)
    displacements += scaled @ cells
    return {
        'numbers': np.full(n * atoms, 13, dtype=np.int32),
        'positions': displacements.reshape(-1, 3),
        'cells': cells,
        'pbc': np.ones((n, 3), dtype=bool),
        'offsets': np.arange(n + 1) * atoms,
        'energy': energy,
        'forces': forces.reshape(-1, 3),
    }


def bytes_of(n: int, atoms: int) -> int:
    """Return the size of the raw arrays of so many structures."""
    return sum(array.nbytes for array in make_arrays(10, atoms).values()) * n // 10


def touch_memory(size: int) -> None:
    """Have the system find so much memory, or as much as half of what is free, and give it back to it.

    Virtual machines that hand free memory back to their host get it again page by page when it is first used, which
    takes up to a second and a half for a gigabyte, three times what it takes otherwise, and has nothing to do with what
    is measured.
    """
    size = min(size, _available() // 2)
    with mmap.mmap(-1, max(size, mmap.PAGESIZE)) as memory:
        for begin in range(0, len(memory), mmap.PAGESIZE):
            memory[begin] = 1


def make_structures(n: int, atoms: int, seed: int = 0) -> Any:
    """Return the same as labelled structures."""
    from aiida_autopipec.pacemaker import LabelledStructures

    return LabelledStructures(**make_arrays(n, atoms, seed), names=np.array([f'{seed}-{row}' for row in range(n)]))


def make_trajectory(arrays: dict[str, np.ndarray], n: int, atoms: int) -> Any:
    """Return the same as an unstored TrajectoryData."""
    from aiida import orm

    trajectory = orm.TrajectoryData()
    trajectory.set_trajectory(
        symbols=['Al'] * atoms,
        positions=arrays['positions'].reshape(n, atoms, 3),
        cells=arrays['cells'],
        pbc=(True, True, True),
    )
    trajectory.set_array('energy', arrays['energy'])
    trajectory.set_array('forces', arrays['forces'].reshape(n, atoms, 3))
    return trajectory


# What tasks need: made in a process of its own, so that a measurement begins with nothing in memory


def prepare_nothing(n: int, atoms: int, folder: Path) -> Prepared:
    """Prepare nothing."""
    return {}


def prepare_trajectory(n: int, atoms: int, folder: Path) -> Prepared:
    """Store a trajectory."""
    return {'trajectory': make_trajectory(make_arrays(n, atoms), n, atoms).store().uuid}


def prepare_dataset(n: int, atoms: int, folder: Path) -> Prepared:
    """Store a dataset."""
    from aiida_autopipec.data.dataset import PaceDatasetData

    return {'dataset': PaceDatasetData.from_structures(make_structures(n, atoms)).store().uuid}


def prepare_two(n: int, atoms: int, folder: Path) -> Prepared:
    """Store a dataset, and a small one."""
    from aiida_autopipec.data.dataset import PaceDatasetData

    small = PaceDatasetData.from_structures(make_structures(NEW_STRUCTURES, atoms, seed=1)).store()
    return {**prepare_dataset(n, atoms, folder), 'small': small.uuid}


def prepare_copies(n: int, atoms: int, folder: Path) -> Prepared:
    """Store a dataset, and one of which every structure is a copy of one in the first, in another order."""
    from aiida_autopipec.data.dataset import PaceDatasetData

    order = np.random.default_rng(2).permutation(n // 2)
    copies = PaceDatasetData.from_structures(make_structures(n // 2, atoms).take(order)).store()
    return {
        'dataset': PaceDatasetData.from_structures(make_structures(n // 2, atoms)).store().uuid,
        'copies': copies.uuid,
    }


def prepare_singles(n: int, atoms: int, folder: Path) -> Prepared:
    """Store StructureData and their labels."""
    from aiida import orm

    rows = []
    for row, image in enumerate(make_structures(n, atoms).iter_atoms()):
        energy = np.array([image.calc.results['energy']])
        labels = orm.ArrayData({'energy': energy, 'forces': image.calc.results['forces']}).store()
        rows.append((f's{row:06d}', orm.StructureData(ase=image).store().uuid, labels.uuid))
    return {'rows': rows}


def prepare_extxyz(n: int, atoms: int, folder: Path) -> Prepared:
    """Store an extxyz file."""
    from aiida.orm import SinglefileData
    from ase.io import write

    path = folder / 'data.extxyz'
    for number, begin in enumerate(range(0, n, 10_000)):
        images = make_structures(min(10_000, n - begin), atoms, seed=number).to_atoms()
        write(path, images, format='extxyz', append=True)
    return {'file': SinglefileData(path).store().uuid}


def prepare_upload(n: int, atoms: int, folder: Path) -> Prepared:
    """Write a file as a training job uploads it."""
    from aiida_autopipec.pacemaker import save_to_pacemaker_format

    return {'path': str(save_to_pacemaker_format(make_structures(n, atoms), folder / 'data.pckl.gzip'))}


def load(prepared: Prepared, key: str) -> Any:
    """Load one of the nodes."""
    from aiida.orm import load_node

    return load_node(uuid=prepared[key])


# What is measured: each function works inside `watch.running()`


def floor(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Compress the raw arrays into a file."""
    from isal import isal_zlib

    arrays = make_arrays(n, atoms)
    with watch.running(), (folder / 'floor.gz').open('wb') as handle:
        stream = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
        for name in ('positions', 'forces', 'cells', 'energy', 'numbers'):
            memory = arrays[name].data.cast('B')
            for begin in range(0, len(memory), 1 << 20):
                handle.write(stream.compress(memory[begin : begin + (1 << 20)]))
        handle.write(stream.flush())


def to_uploaded_file(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Write the dataset of a stored node as a training job uploads it."""
    from aiida.common.folders import Folder

    from aiida_autopipec.calculations.common import write_dataset

    node = load(prepared, 'dataset')
    with watch.running():
        write_dataset(node, Folder(str(folder)), 'train.pckl.gzip')


def to_pickle_obvious(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Build an Atoms per structure and pickle a DataFrame, as Pacemaker's documentation shows."""
    import ase
    import pandas as pd

    arrays = make_arrays(n, atoms)
    shape = (n, atoms, 3)
    with watch.running():
        images = [
            ase.Atoms(numbers=arrays['numbers'][:atoms], positions=positions, cell=cell, pbc=True)
            for positions, cell in zip(arrays['positions'].reshape(shape), arrays['cells'], strict=True)
        ]
        columns = {
            'energy_corrected': arrays['energy'],
            'forces': list(arrays['forces'].reshape(shape)),
            'ase_atoms': images,
        }
        pd.DataFrame(columns).to_pickle(folder / 'obvious.pckl.gzip', compression='gzip', protocol=4)


def storing(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Let AiiDA take the arrays of a TrajectoryData and store it."""
    arrays = make_arrays(n, atoms)
    with watch.running():
        make_trajectory(arrays, n, atoms).store()


def trajectory_to_dataset(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Convert a stored TrajectoryData to a stored dataset, checked and without duplicates."""
    from aiida.orm import Dict

    from aiida_autopipec.calculations.functions.convert import convert_trajectory

    trajectory = load(prepared, 'trajectory')
    with watch.running():
        convert_trajectory(trajectory, Dict({**DESCRIPTION, 'remove_duplicates': True}))


def trajectory_to_node(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Do the same without provenance, as ``storing`` does: no calculation function is stored, but its dataset is."""
    from aiida.orm import Dict

    from aiida_autopipec.calculations.functions.convert import convert_trajectory

    trajectory = load(prepared, 'trajectory')
    parameters = Dict({**DESCRIPTION, 'remove_duplicates': True})
    with watch.running():
        convert_trajectory(trajectory, parameters, metadata={'store_provenance': False})['dataset'].store()


def trajectory_to_atoms_obvious(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Take the frames of a TrajectoryData out one by one."""
    trajectory = load(prepared, 'trajectory')
    with watch.running():
        for step in range(n):
            trajectory.get_step_structure(step).get_ase()


def structures_to_dataset(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Turn stored StructureData with labels into a dataset, in batches, with provenance."""
    from aiida_autopipec.calculations.functions.many import convert_many_structures

    with watch.running():
        convert_many_structures(tuple(row) for row in prepared['rows'])


def structures_to_atoms_obvious(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Call ``get_ase`` on every StructureData."""
    from aiida.orm import load_node

    with watch.running():
        for _, structure, _ in prepared['rows']:
            load_node(uuid=structure).get_ase()


def extxyz_to_dataset(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Turn a stored extxyz file into a stored dataset."""
    from aiida_autopipec.calculations.functions.convert import import_dataset

    file = load(prepared, 'file')
    with watch.running():
        import_dataset(file)


def read_back(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Read an uploaded file with the safe reader."""
    from aiida_autopipec.pacemaker import load_pacemaker_dataset

    with watch.running():
        load_pacemaker_dataset(prepared['path'])


def merge_small_into_large(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Merge 1000 new structures into a stored dataset of ``n``."""
    from aiida_autopipec.calculations.functions.combine import merge_datasets

    large, small = load(prepared, 'dataset'), load(prepared, 'small')
    with watch.running():
        merge_datasets(a=large, b=small)


def deduplicate(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Merge two datasets of ``n / 2`` structures each, all those of the second being copies from the first."""
    from aiida_autopipec.calculations.functions.combine import merge_datasets

    first, copies = load(prepared, 'dataset'), load(prepared, 'copies')
    with watch.running():
        merged = merge_datasets(a=first, b=copies)['dataset']
    if merged.n_structures != n // 2:
        raise RuntimeError(f'{merged.n_structures} structures are left of {n}')


def split(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Divide a stored dataset into training and test set."""
    from aiida import orm

    from aiida_autopipec.calculations.functions.combine import split_dataset

    node = load(prepared, 'dataset')
    with watch.running():
        split_dataset(node, orm.Float(0.3), orm.Int(0))


def subtract(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Subtract a reference from the energies."""
    from aiida import orm

    from aiida_autopipec.calculations.functions.reference import subtract_reference

    node = load(prepared, 'dataset')
    with watch.running():
        subtract_reference(node, orm.Dict({'method': 'least_squares'}), orm.Float(5.0))


def triage(n: int, atoms: int, watch: Stopwatch, folder: Path, prepared: Prepared) -> None:
    """Look for what is wrong with a dataset."""
    from aiida_autopipec.calculations.functions.triage import check_dataset

    node = load(prepared, 'dataset')
    with watch.running():
        check_dataset(node)


Task = Callable[[int, int, Stopwatch, Path, Prepared], None]
Preparation = Callable[[int, int, Path], Prepared]

PREPARATIONS: dict[Task, Preparation] = {
    floor: prepare_nothing,
    to_uploaded_file: prepare_dataset,
    to_pickle_obvious: prepare_nothing,
    storing: prepare_nothing,
    trajectory_to_dataset: prepare_trajectory,
    trajectory_to_node: prepare_trajectory,
    trajectory_to_atoms_obvious: prepare_trajectory,
    structures_to_dataset: prepare_singles,
    structures_to_atoms_obvious: prepare_singles,
    extxyz_to_dataset: prepare_extxyz,
    read_back: prepare_upload,
    merge_small_into_large: prepare_two,
    deduplicate: prepare_copies,
    split: prepare_dataset,
    subtract: prepare_dataset,
    triage: prepare_dataset,
}
TASKS = {task.__name__: task for task in PREPARATIONS}
SLOW = {
    'to_pickle_obvious': 20_000,
    'trajectory_to_atoms_obvious': OBVIOUS_FRAMES,
    'structures_to_dataset': 10_000,
    'structures_to_atoms_obvious': OBVIOUS_FRAMES,
}
"""Largest number of structures on which a slow task is measured; it grows linearly beyond."""
AGAINST = {
    'to_uploaded_file': 'floor',
    'to_pickle_obvious': 'to_uploaded_file',
    'trajectory_to_dataset': 'storing',
    'trajectory_to_node': 'storing',
    'trajectory_to_atoms_obvious': 'trajectory_to_dataset',
    'structures_to_dataset': 'structures_to_atoms_obvious',
    'read_back': 'floor',
}


def enter_profile(folder: Path) -> None:
    """Load a profile in a folder, made if need be."""
    os.environ['AIIDA_PATH'] = str(folder)
    if not (folder / '.aiida').exists():
        verdi = Path(sys.executable).parent / 'verdi'
        subprocess.run([verdi, 'presto', '--use-zeromq'], check=True, capture_output=True)
    from aiida import load_profile

    load_profile()


def prepare(name: str, n: int, atoms: int, folder: Path) -> None:
    """Prepare a task for its warm-up and for its measurement, and write down what it needs."""
    enter_profile(folder)
    for stem, count in (('warm-up', min(n, WARM_UP)), ('measured', n)):
        place = folder / stem
        place.mkdir()
        (folder / f'{stem}.json').write_text(json.dumps(PREPARATIONS[TASKS[name]](count, atoms, place)))


def run_task(name: str, n: int, atoms: int, folder: Path) -> None:
    """Run one measurement in this process and print it."""
    enter_profile(folder)
    watch = Stopwatch()
    few = min(n, WARM_UP)
    seconds = []
    for stem, count in (*[('warm-up', few)] * 4, ('measured', n)):
        prepared = json.loads((folder / f'{stem}.json').read_text())
        touch_memory(4 * bytes_of(count, atoms))
        TASKS[name](count, atoms, watch, folder / stem, prepared)
        seconds.append(watch.seconds)
    found = {'seconds': watch.seconds, 'cpu_seconds': watch.cpu_seconds, 'peak_bytes': watch.peak_bytes}
    print(json.dumps({**found, 'fixed_seconds': statistics.median(seconds[1:4])}))


def measure(name: str, n: int, atoms: int, base: Path | None, repeat: int) -> dict[str, float]:
    """Run a measurement some times and return the median of each figure."""
    results = [measure_once(name, n, atoms, base) for _ in range(repeat)]
    return {key: statistics.median(result[key] for result in results) for key in results[0]}


def measure_once(name: str, n: int, atoms: int, base: Path | None) -> dict[str, float]:
    """Run one measurement in processes of its own."""
    count = min(n, SLOW.get(name, n))
    with tempfile.TemporaryDirectory(dir=base) as folder:
        command = [sys.executable, '-W', 'ignore', __file__, '--sizes', str(count), '--atoms', str(atoms)]
        for step in ('prepare', 'run'):
            stated = ['--step', step, '--tasks', name, '--folder', folder]
            finished = subprocess.run([*command, *stated], check=True, capture_output=True, text=True)
            os.sync()  # what was written before is not to slow down what is measured
    result: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    raw = bytes_of(count, atoms)
    return {
        'structures': count,
        'microseconds': 1e6 * result['seconds'] / count,
        'beyond_fixed': 1e6 * (result['seconds'] - result['fixed_seconds']) / max(1, count - WARM_UP),
        'fixed_milliseconds': 1e3 * result['fixed_seconds'],
        'cpu_microseconds': 1e6 * result['cpu_seconds'] / count,
        'peak_over_raw': result['peak_bytes'] / raw,
        'peak_mib': result['peak_bytes'] / 1024**2,
        'seconds': result['seconds'],
    }


def table(results: dict[int, dict[str, dict[str, float]]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        '| structures | task | µs per structure | of processor | fixed ms | µs beyond it | against | ratio | beyond '
        '| peak MiB | over raw |',
        '|---:|---|---:|---:|---:|---:|---|---:|---:|---:|---:|',
    ]
    for tasks in results.values():
        for name, result in tasks.items():
            base = AGAINST.get(name, '')
            keys = ('microseconds', 'beyond_fixed')
            ratios = [f'{result[key] / tasks[base][key]:.2f}' if base in tasks else '' for key in keys]
            lines.append(
                f'| {result["structures"]:.0f} | {name} | {result["microseconds"]:.1f} | '
                f'{result["cpu_microseconds"]:.1f} | {result["fixed_milliseconds"]:.0f} | '
                f'{result["beyond_fixed"]:.1f} | {base if base in tasks else ""} | {" | ".join(ratios)} | '
                f'{result["peak_mib"]:.0f} | {result["peak_over_raw"]:.2f} |'
            )
    return '\n'.join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[1_000, 10_000, 100_000])
    parser.add_argument('--atoms', type=int, default=32)
    parser.add_argument('--tasks', nargs='+', choices=list(TASKS), default=list(TASKS))
    parser.add_argument('--repeat', type=int, default=1, help='how often to measure; medians are shown')
    parser.add_argument('--step', choices=['prepare', 'run'], help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help='where to make the throw-away profiles')
    parser.add_argument('--markdown', type=Path, help='also write the table to this file')
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    arguments = parser.parse_args()
    if arguments.step:
        step = prepare if arguments.step == 'prepare' else run_task
        step(arguments.tasks[0], arguments.sizes[0], arguments.atoms, arguments.folder)
        return
    results: dict[int, dict[str, dict[str, float]]] = {}
    for size in arguments.sizes:
        results[size] = {}
        for name in arguments.tasks:
            results[size][name] = result = measure(name, size, arguments.atoms, arguments.folder, arguments.repeat)
            print(f'{size:>9} {name:<28} {result["microseconds"]:>10.1f} µs {result["peak_mib"]:>8.0f} MiB', flush=True)
            if arguments.json:
                about = {
                    'command': ' '.join(sys.argv[1:]),
                    'date': datetime.now(timezone.utc).isoformat(timespec='minutes'),
                    'machine': f'{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}',
                    'atoms': arguments.atoms,
                }
                arguments.json.write_text(json.dumps({**about, 'results': results}, indent=1) + '\n')
    text = table(results)
    print(f'\n{text}')
    if arguments.markdown:
        arguments.markdown.write_text(text + '\n')


if __name__ == '__main__':
    main()
