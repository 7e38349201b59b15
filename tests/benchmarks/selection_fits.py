"""Data, selections and fits of the benchmark in ``selection.py``."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin
from numpy.typing import NDArray
from pyace.basis import ACEBBasisSet

from aiida_autopipec.pacemaker import LabelledStructures, load_pacemaker_dataset
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.dataset.reference import Reference, single_atom_energies, subtract
from aiida_autopipec.pacemaker.dataset.split import mask_of_test_set
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

AL_LDA = Path(__file__).parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
MAXVOL = {'known': {}, 'tolerance': 1.01, 'iterations': 300, 'refinements': 2, 'memory': None}
Errors = dict[str, float]


def remote(name: str) -> Any:
    """Return a module of the scripts that travel with a job."""
    folder = str(resources.files('aiida_autopipec.remote'))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


# Data


def load(name: str, most: int) -> LabelledStructures:
    """Return labelled structures with corrected energies.

    :param name: ``al-lda``, ``emt-md`` or a file of Pacemaker.
    :param most: structures; of more, a part is drawn by their geometries.
    """
    if name == 'emt-md':
        return trajectory(min(most, 400))
    if name == 'al-lda':
        structures, method = LabelledStructures.from_atoms(ase.io.read(AL_LDA, ':')), 'isolated_atoms'
    else:
        structures, method = load_pacemaker_dataset(Path(name)), 'least_squares'
    if 'energy_corrected' not in structures.present:
        structures = subtract(structures, single_atom_energies(structures, Reference(method=method), cutoff=6.0))
    draws = [hashlib.sha256(bytes(one)).digest() for one in structures.fingerprints]
    rows = sorted(sorted(range(len(draws)), key=draws.__getitem__)[:most])
    return without_mixed_periodicity(structures.take(rows))


def trajectory(n: int) -> LabelledStructures:
    """Return snapshots of one molecular dynamics of solid aluminium at 800 K with ASE's EMT."""
    atoms = bulk('Al', cubic=True).repeat(2)
    atoms.calc = EMT()
    rng = np.random.RandomState(0)
    atoms.rattle(0.1, rng=rng)
    dynamics = Langevin(atoms, 5 * units.fs, temperature_K=800, friction=0.02 / units.fs, fixcm=False, rng=rng)
    dynamics.run(100)
    images = []
    for _ in range(n):
        dynamics.run(10)
        image = atoms.copy()
        image.info['energy'], image.arrays['forces'] = atoms.get_potential_energy(), atoms.get_forces()
        images.append(image)
    structures = LabelledStructures.from_atoms(images)
    return subtract(structures, {'Al': float(np.mean(structures.energy / structures.sizes))})


# Selections


class Pool:
    """The structures of a data set with the rows that a linear fit needs: projections, and derivatives of the labels.

    :param settings: of a training, which state the basis.
    """

    def __init__(self, structures: LabelledStructures, settings: dict[str, Any]) -> None:
        problem, linear = remote('accelerate_problem'), remote('accelerate_linear')
        self.structures = structures
        self.settings = settings
        self.fingerprints = structures.fingerprints
        self.images = structures.to_atoms()
        self._candidates: Candidates | None = None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'potential.yaml'
            _write_basis(settings, path)
            self.basis = remote('select_pool').Basis(str(path))
            basis = ACEBBasisSet(str(path))
        layout = problem.Layout(basis)
        design = linear.Design(basis, layout, problem.linear_factors(basis))
        self.n_functions = len(layout)
        self.by_energy = np.empty((len(structures), self.n_functions))
        self.by_forces = np.empty((3 * structures.n_atoms, self.n_functions))
        self.projections: list[dict[str, NDArray[np.float64]]] = []
        for row, image in enumerate(self.images):
            begin, end = structures.offsets[row : row + 2]
            environment = self.basis.surroundings(image)
            self.by_energy[row], self.by_forces[3 * begin : 3 * end] = design(environment)
            symbols = np.array(image.get_chemical_symbols())
            rows = design.calculator.projections
            self.projections.append(
                {str(symbol): np.array([rows[i] for i in np.flatnonzero(symbols == symbol)]) for symbol in set(symbols)}
            )

    def sides(self, split: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows to train on, and those of the test set."""
        mask = mask_of_test_set(self.structures, 0.2, split)
        return np.flatnonzero(~mask), np.flatnonzero(mask)

    def select(self, rows: NDArray[np.int64], strategy: str, n_atoms: int, seed: int) -> NDArray[np.int64]:
        """Return those of some rows that the travelling script selects, with its own code."""
        if self._candidates is None or not np.array_equal(self._candidates.rows, rows):
            self._candidates = Candidates(self, rows)
        pool, projections, space = self._candidates.pool, self._candidates.projections, self._candidates.space
        settings = {'strategy': strategy, 'amount': n_atoms, 'in_atoms': True, 'seed': seed, 'shares': None}
        kept = np.empty(0, dtype=np.int64)
        choice, _ = remote('select_structures').choose(settings, pool, projections, space, kept, MAXVOL)
        return np.sort(rows[pool.rows][choice.chosen])

    def force_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of ``by_forces`` that belong to some structures."""
        offsets = self.structures.offsets
        return np.concatenate([np.arange(3 * offsets[row], 3 * offsets[row + 1]) for row in rows])


class Candidates:
    """Some rows of a pool as the travelling script has them in memory."""

    def __init__(self, whole: Pool, rows: NDArray[np.int64]) -> None:
        unset = np.zeros(len(rows), dtype=np.int64)
        self.rows = rows
        self.pool = remote('select_pool').Pool(
            [whole.images[row] for row in rows],
            whole.structures.names[rows],
            whole.fingerprints[rows],
            unset.astype(bool),
            unset,
        )
        counts = self.pool.counts(sorted(whole.basis.functions))
        blocks = [whole.projections[row] for row in rows[self.pool.rows]]
        by_element = {
            element: np.concatenate([block[element] for block in blocks if element in block]) for element in counts
        }
        self.projections = remote('select_projections').Projections.from_arrays(by_element, counts)
        self.space = remote('select_projections').Space(self.projections)


def _write_basis(settings: dict[str, Any], path: Path) -> None:
    from pyace import create_multispecies_basis_config

    config: Any = create_multispecies_basis_config(settings['potential'])
    config.save(str(path))


# Fits


def fit_linear(pool: Pool, rows: NDArray[np.int64], test: NDArray[np.int64], kappa: float, l2: float) -> Errors:
    """Minimise Pacemaker's loss with uniform weights over the coefficients of the first density, and test."""
    begin = time.process_time()
    structures, forces = pool.structures, pool.force_rows(rows)
    assert structures.energy_corrected is not None
    assert structures.forces is not None
    targets = structures.energy_corrected / structures.sizes
    flat = structures.forces.ravel()
    by_energy, by_forces = pool.by_energy[rows], pool.by_forces[forces]
    energy_weight, force_weight = (1 - kappa) / len(rows), 3 * kappa / len(forces)
    matrix = energy_weight * by_energy.T @ by_energy + force_weight * by_forces.T @ by_forces
    vector = energy_weight * by_energy.T @ targets[rows] + force_weight * by_forces.T @ flat[forces]
    solve = remote('accelerate_linear').solve_symmetric
    coefficients = solve(matrix, np.full(len(vector), l2), vector)
    seconds = time.process_time() - begin
    tested = pool.force_rows(test)
    errors = pool.by_energy[test] @ coefficients - targets[test]
    return {**summary(errors, pool.by_forces[tested] @ coefficients - flat[tested]), 'seconds': seconds}


def summary(energy_errors: NDArray[np.float64], force_errors: NDArray[np.float64]) -> Errors:
    """Return root mean squares and largest errors, in meV per atom and meV/Å.

    :param energy_errors: eV per atom.
    :param force_errors: components in eV/Å.
    """
    return {
        'energy_rmse': 1e3 * float(np.sqrt((energy_errors**2).mean())),
        'force_rmse': 1e3 * float(np.sqrt((force_errors**2).mean())),
        'energy_worst': 1e3 * float(np.abs(energy_errors).max()),
        'force_worst': 1e3 * float(np.abs(force_errors).max()),
    }


def fit_pacemaker(pool: Pool, rows: NDArray[np.int64], test: NDArray[np.int64], pacemaker: Path) -> Errors:
    """Train with the real Pacemaker, and test by what it predicts; seconds are those of the processor."""
    import pandas as pd

    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, members in (('train', rows), ('test', test)):
            save_to_pacemaker_format(pool.structures.take(members), folder / f'{part}.pckl.gzip')
        config = TrainingConfig.model_validate(pool.settings)
        names = {'train_filename': 'train.pckl.gzip', 'test_filename': 'test.pckl.gzip'}
        (folder / 'input.yaml').write_text(render_input_yaml(config, **names))
        with (folder / 'log').open('w') as log:
            process = subprocess.Popen(
                [pacemaker, 'input.yaml'], cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit((folder / 'log').read_text()[-3000:])
        frame = pd.read_pickle(folder / 'test_pred.pckl.gzip', compression='gzip')
    sizes = frame['forces'].map(len).to_numpy()
    predicted = frame['energy_pred'].map(lambda value: float(np.ravel(value)[0]))
    pairs = zip(frame['forces'], frame['forces_pred'], strict=True)
    force_errors = np.concatenate([np.ravel(np.asarray(a) - np.asarray(b)) for a, b in pairs])
    energy_errors = ((predicted - frame['energy_corrected']) / sizes).to_numpy()
    return {**summary(energy_errors, force_errors), 'seconds': usage.ru_utime + usage.ru_stime}
