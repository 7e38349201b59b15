"""The dimer of a potential with and without a reference potential: trains both with the real Pacemaker and draws them.

    python tests/benchmarks/dimer.py [--pacemaker PATH] [--picture FILE] [--iterations N] [--inner R] [--outer R]

Data and settings are those of `aiida-autopipec demo`. Prints the errors on structures set aside, and the energies of
the dimer, below the shortest distance in the data too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.cli.demo.settings import CONFIG, example_file
from aiida_autopipec.pacemaker import ZBL, LabelledStructures, TrainingConfig, total_calculator
from aiida_autopipec.pacemaker.config import render_input_yaml
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import parse_reference, subtract_all
from aiida_autopipec.pacemaker.dataset.split import mask_by_fingerprints
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.pacemaker.plots.style import COLOURS, look, new_figure, save
from aiida_autopipec.pacemaker.reference_potentials.pairs import iter_pairs

CUTOFF = CONFIG['potential']['bonds']['ALL']['rcut']


def train(structures: LabelledStructures, iterations: int, pacemaker: Path, folder: Path) -> Path:
    """Train on corrected energies and forces, and return the potential."""
    folder.mkdir()
    config = {**CONFIG, 'fit': {**CONFIG['fit'], 'maxiter': iterations}}
    save_to_pacemaker_format(structures, folder / 'train.pckl.gzip')
    text = render_input_yaml(TrainingConfig.model_validate(config), train_filename='train.pckl.gzip')
    (folder / 'input.yaml').write_text(text)
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'}
    done = subprocess.run([pacemaker], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / 'output_potential.yaml'


def errors(calculator: Any, structures: LabelledStructures) -> tuple[float, float]:
    """Return root mean square errors in meV/atom and meV/Å, of structures with energies relative to single atoms."""
    energies, forces = [], []
    for atoms in structures.iter_atoms():
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy() / len(atoms))
        forces.append(atoms.get_forces())
    energy = np.array(energies) - structures.energy_corrected / structures.sizes
    force = np.concatenate(forces) - structures.forces
    return 1e3 * float(np.sqrt(np.mean(energy**2))), 1e3 * float(np.sqrt(np.mean(force**2)))


def dimer(calculator: Any, distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return energies of two aluminium atoms in eV."""
    energies = []
    for distance in distances:
        atoms = ase.Atoms('Al2', positions=[[0, 0, 0], [0, 0, distance]])
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
    return np.array(energies)


def draw(path: Path, distances: NDArray[np.float64], curves: dict[str, NDArray[np.float64]], known: float) -> None:
    """Draw energies of the dimer, logarithmic where they are large."""
    with look():
        figure = new_figure(5.5, 3.2)
        axes = figure.add_subplot()
        styles = (('-', COLOURS[5]), ('-', COLOURS[0]), ('--', COLOURS[6]))
        for (name, energies), (line, colour) in zip(curves.items(), styles, strict=True):
            axes.plot(distances, energies, line, color=colour, label=name)
        axes.axvline(known, color=COLOURS[6], linewidth=0.8)
        axes.annotate('  data', (known, 0.95), xycoords=('data', 'axes fraction'), va='top', color=COLOURS[6])
        axes.set_yscale('asinh', linear_width=0.5)
        ticks = [-10, -1, 0, 1, 10, 100]
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel('distance of two aluminium atoms (Å)')
        axes.set_ylabel('energy (eV)')
        axes.legend()
        save(figure, path)


def main(argv: list[str] | None = None) -> None:
    """Train twice, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pacemaker', type=Path, default=Path(sys.executable).parent / 'pacemaker')
    parser.add_argument('--picture', type=Path)
    parser.add_argument('--iterations', type=int, default=60)
    parser.add_argument('--inner', type=float, default=1.0)
    parser.add_argument('--outer', type=float, default=2.5)
    options = parser.parse_args(argv)
    zbl = ZBL(options.inner, options.outer)
    data = without_mixed_periodicity(LabelledStructures.from_atoms(ase.io.read(example_file(), ':')))
    shortest = min(pairs.distances.min() for pairs in iter_pairs(data, CUTOFF))
    print(f'{len(data)} structures, shortest distance {shortest:.2f} Å')
    distances = np.arange(0.4, 5.0, 0.05)
    curves, held_out = {}, mask_by_fingerprints(data.fingerprints, 0.2, 3)
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in (('ACE alone', {}), ('ACE + ZBL', {'potential': zbl.as_dict()})):
            plain = parse_reference({'method': 'isolated_atoms'})
            stated = parse_reference({'method': 'isolated_atoms', **settings})
            _, (total,) = subtract_all(lambda: [data], plain, cutoff=CUTOFF)
            _, (reduced,) = subtract_all(lambda: [data], stated, cutoff=CUTOFF)
            potential = train(reduced.take(~held_out), options.iterations, options.pacemaker, Path(folder) / name[-3:])
            calculator = total_calculator(potential, zbl if settings else None)
            energy, force = errors(calculator, total.take(held_out))
            print(f'{name}: {energy:.1f} meV/atom, {force:.1f} meV/Å on {held_out.sum()} structures set aside')
            curves[name] = dimer(calculator, distances)
    curves['ZBL alone'] = dimer(zbl.calculator(), distances)
    print('distance (Å)  ' + '  '.join(f'{name:>12}' for name in curves))
    for at in (0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0):
        row = int(np.abs(distances - at).argmin())
        print(f'{distances[row]:12.2f}  ' + '  '.join(f'{energies[row]:12.3f}' for energies in curves.values()))
    if options.picture is not None:
        draw(options.picture, distances, curves, shortest)


if __name__ == '__main__':
    main()
