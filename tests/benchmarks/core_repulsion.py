"""What each kind of core repulsion does to two atoms: fits of real data, curves, jumps, and the picture of the docs.

    python tests/benchmarks/core_repulsion.py [--bin FOLDER] [--work FOLDER] [--plots docs/_static]

Trains on the data of aluminium in ``examples/data/al-lda`` without structures that have atoms closer than 2.6 Å, so
that nothing is known of short distances; eight fits of 40 iterations. Prints the table of
``docs/how-to/core-repulsion.md``, and draws a picture for that page and for each of the pages below it.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase.neighborlist import neighbor_list
from matplotlib.figure import Figure

from aiida_autopipec.pacemaker import (
    LabelledStructures,
    TrainingConfig,
    load_pacemaker_dataset,
    save_to_pacemaker_format,
)
from aiida_autopipec.pacemaker.config import render_input_yaml
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.dataset.reference import parse_reference, subtract_all
from aiida_autopipec.pacemaker.handoff import load_calculator
from aiida_autopipec.pacemaker.outputs.potential import with_metadata
from aiida_autopipec.pacemaker.plots import style

DATA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
CLOSEST = 2.6
STEP = 0.005
DISTANCES = np.arange(0.5, 4.5, STEP)
ZBL = {'name': 'zbl', 'inner': 3.0, 'outer': 4.0}
INNER = {
    'inner cutoff, distance': ('distance', 5.0),
    'inner cutoff, density': ('density', 5.0),
    'inner cutoff, density, 0.1 eV': ('density', 0.1),
    'inner cutoff, zbl': ('zbl', 5.0),
}
"""Type and ``rho_core_cut`` (eV) of inner cutoffs that are stated."""
MENDED = 'difference to ZBL'
PICTURES: dict[str, tuple[str, ...]] = {
    'core-repulsion': (
        'fit: repulsion: auto',
        'inner cutoff, distance',
        'pace_corerep',
        'pace_augment, trained again',
        MENDED,
    ),
    'repulsion-auto': ('fit: repulsion: auto', MENDED),
    'inner-cutoff': (*INNER, MENDED),
    'pace-corerep': ('pace_corerep', 'pace_corerep --inner-cutoff 1.9', MENDED),
    'pace-augment': ('pace_augment, trained again', MENDED),
}
"""What is drawn in which picture of the docs, beside the fit without any repulsion."""
CONFIG: dict[str, Any] = {
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
    'fit': {'loss': {'kappa': 0.3, 'L1_coeffs': 1e-8, 'L2_coeffs': 1e-8}, 'optimizer': 'BFGS', 'maxiter': 40},
    'backend': {'evaluator': 'pyace'},
}


def data(reference: dict[str, Any]) -> tuple[dict[str, Any], LabelledStructures]:
    """Return the structures without close contacts, relative to a reference, and what was subtracted."""
    images = ase.io.read(DATA, index=':', format='extxyz')
    far = [image for image in images if not (neighbor_list('d', image, 4.0) < CLOSEST).any()]
    structures = LabelledStructures.from_atoms(far)
    recorded, parts = subtract_all(lambda: [structures], parse_reference(reference), cutoff=4.5)
    return recorded, without_mixed_periodicity(next(iter(parts)))


class Fits:
    """Runs Pacemaker's programs in folders of their own."""

    def __init__(self, programs: Path, work: Path) -> None:
        self.programs = programs
        self.work = work

    def run(self, folder: Path, program: str, *arguments: str) -> None:
        """Run a program, and end with its last words if it fails."""
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f'{program} in {folder} failed:\n{done.stderr[-2000:]}')

    def train(
        self, name: str, structures: LabelledStructures, change: Callable[[dict[str, Any]], None] = lambda config: None
    ) -> Path:
        """Return the potential that a fit makes."""
        folder = self.work / name
        if (folder / 'output_potential.yaml').is_file():
            return folder / 'output_potential.yaml'  # of a run that was interrupted
        folder.mkdir(exist_ok=True)
        save_to_pacemaker_format(structures, folder / 'train.pckl.gzip')
        config = copy.deepcopy(CONFIG)
        change(config)
        text = render_input_yaml(TrainingConfig.model_validate(config), train_filename='train.pckl.gzip')
        (folder / 'input.yaml').write_text(text)
        self.run(folder, 'pacemaker', 'input.yaml')
        return folder / 'output_potential.yaml'

    def corerep(self, potential: Path, name: str, *arguments: str) -> Path:
        """Return a potential to which ``pace_corerep`` added its repulsion."""
        output = potential.with_name(f'{name}.yaml')
        if output.is_file():
            return output
        dataset, active_set = ('-d', 'train.pckl.gzip'), ('-a', potential.with_suffix('.asi').name)
        self.run(potential.parent, 'pace_corerep', potential.name, *dataset, *active_set, '-o', output.name, *arguments)
        return output

    def augmented(self, potential: Path, structures: LabelledStructures) -> Path:
        """Return a fit to the structures and to compressed ones that ``pace_augment`` made."""
        folder = potential.parent
        active_set = potential.with_suffix('.asi').name
        # the program compresses by the ending
        arguments = (potential.name, '-d', 'train.pckl.gzip', '-a', active_set, '-o', 'augmented.pkl.gz')
        if not (folder / 'augmented.pkl.gz').is_file():
            self.run(folder, 'pace_augment', *arguments)
        added = load_pacemaker_dataset(folder / 'augmented.pkl.gz', names='content')
        bare = structures.replace(energy=None, stress=None)
        return self.train('augmented', LabelledStructures.concatenate([bare, added.replace(energy=None, stress=None)]))


def inner_cutoff(kind: str, limit: float) -> Callable[[dict[str, Any]], None]:
    """Return what states Pacemaker's own repulsion below 2 Å, with an inner cutoff of some kind."""

    def state(config: dict[str, Any]) -> None:
        scale = [1.0, 1.0] if kind == 'zbl' else [100.0, 2.0]
        config['potential']['embeddings']['ALL'] |= {'rho_core_cut': limit, 'drho_core_cut': limit}
        config['potential']['bonds']['ALL'] |= {
            'r_in': 2.0,
            'delta_in': 0.3,
            'core-repulsion': scale,
            'inner_cutoff_type': kind,
        }

    return state


def make_potentials(fits: Fits) -> dict[str, Path]:
    """Return potentials by the kind of their repulsion."""
    _, plain = data({'method': 'isolated_atoms'})
    recorded, difference = data({'method': 'isolated_atoms', 'potential': ZBL})
    nothing = fits.train('plain', plain)
    fits.run(nothing.parent, 'pace_activeset', nothing.name, '-d', 'train.pckl.gzip')
    learned = fits.train('difference', difference)
    learned.write_text(with_metadata(learned.read_text(), METADATA_KEY, to_metadata(recorded)))
    return {
        'nothing': nothing,
        'fit: repulsion: auto': fits.train('auto', plain, lambda config: config['fit'].update(repulsion='auto')),
        **{name: fits.train(name.replace(' ', '_'), plain, inner_cutoff(*stated)) for name, stated in INNER.items()},
        'pace_corerep': fits.corerep(nothing, 'corerep', '-n', '8', '-nnstep', '0.1'),
        'pace_corerep --inner-cutoff 1.9': fits.corerep(nothing, 'corerep_stated', '--inner-cutoff', 'Al-Al:1.9'),
        'pace_augment, trained again': fits.augmented(nothing, plain),
        MENDED: learned,
    }


def curve(potential: Path) -> tuple[Any, Any]:
    """Return energies (eV) and outward forces (eV/Å) of two atoms."""
    calculator = load_calculator(potential)
    energies, forces = [], []
    for distance in DISTANCES:
        atoms = ase.Atoms('Al2', positions=[[0, 0, 0], [distance, 0, 0]])
        atoms.calc = calculator
        energies.append(atoms.get_potential_energy())
        forces.append(atoms.get_forces()[1, 0])
    return np.array(energies), np.array(forces)


def describe(name: str, energy: Any, force: Any) -> str:
    """Return a row of the table."""
    change = np.where(DISTANCES[1:] > 1.5, np.abs(np.diff(force)) / STEP, 0)
    steepest = int(change.argmax())
    at = [energy[np.argmin(np.abs(DISTANCES - distance))] for distance in (0.5, 1.0, 2.0)]
    cells = [
        name,
        f'{at[0]:.1f}',
        f'{at[1]:.1f}',
        f'{at[2]:.2f}',
        f'{jump(energy, force):.2f}',
        f'{peak(force):.1f}',
        f'{change[steepest]:.0f} at {DISTANCES[steepest]:.2f}',
    ]
    return f'| {" | ".join(cells)} |'


def jump(energy: Any, force: Any) -> float:
    """Return the largest change of the energy beyond 1.5 Å that no force accounts for (eV)."""
    work = (force[1:] + force[:-1]) / 2 * STEP
    return float(np.max(np.where(DISTANCES[1:] > 1.5, np.abs(np.diff(energy) + work), 0)))


def peak(force: Any) -> float:
    """Return by how much the force falls and rises again, at most, as the atoms part beyond 1.5 Å (eV/Å).

    Zero for a force that only falls up to the bond. A repulsion that replaces the potential peaks where it takes over.
    """
    outside = force[(DISTANCES > 1.5) & (DISTANCES < 2.9)]
    return float(np.max(outside - np.minimum.accumulate(outside)))


YARDSTICKS: dict[str, dict[str, Any]] = {
    'nothing': {'color': style.COLOURS[6], 'linestyle': '--'},
    MENDED: {'color': style.COLOURS[6], 'linestyle': ':'},
}
"""Grey, the same in every picture."""


def draw(curves: dict[str, Any], path: Path) -> Figure:
    """Draw energies and forces where the data end, with what is repelled by nothing and by ZBL as yardsticks."""
    with style.look():
        figure = style.new_figure(9.0, 3.8)
        energies, forces = figure.subplots(1, 2)
        for number, (name, (energy, force)) in enumerate(curves.items()):
            look = YARDSTICKS.get(name, {'color': style.COLOURS[number % len(style.COLOURS)]})
            energies.plot(DISTANCES, energy, label=name, **look)
            forces.plot(DISTANCES, force, **look)
        energies.set(xlabel='distance of two Al atoms (Å)', ylabel='energy (eV)', xlim=(1.0, 3.4), ylim=(-2, 8))
        forces.set(xlabel='distance of two Al atoms (Å)', ylabel='force that drives them apart (eV/Å)')
        forces.set(xlim=(1.0, 3.4), ylim=(-8, 60))
        for axes in (energies, forces):
            axes.axvspan(1.0, CLOSEST, color='#00000010', linewidth=0)
            axes.axhline(0, color='black', linewidth=0.5)
        energies.text(1.05, -1.8, 'no data below 2.6 Å', fontsize=7)
        energies.legend(loc='upper right')
        style.save(figure, path)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', type=Path, default=Path(sys.executable).parent, help="folder of Pacemaker's programs")
    parser.add_argument('--work', type=Path, help='folder for the fits; by default one that is removed')
    parser.add_argument('--plots', type=Path, help='folder to write the pictures into')
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp())
    work.mkdir(exist_ok=True, parents=True)
    try:
        curves = {
            name: curve(path) for name, path in make_potentials(Fits(options.bin.absolute(), work.absolute())).items()
        }
    finally:
        if options.work is None:
            shutil.rmtree(work)
    header = (
        'repulsion',
        'E at 0.5 Å (eV)',
        '1 Å',
        '2 Å',
        'jump of the energy (eV)',
        'peak of the force (eV/Å)',
        'steepest (eV/Å², at Å)',
    )
    print(f'| {" | ".join(header)} |\n{"|---" * len(header)}|')
    for name, values in curves.items():
        print(describe(name, *values))
    if options.plots:
        for name, drawn in PICTURES.items():
            chosen = {kind: curves[kind] for kind in ('nothing', *drawn)}
            draw(chosen, options.plots / f'{name}.png')


if __name__ == '__main__':
    main()
