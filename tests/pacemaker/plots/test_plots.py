"""Plots: what they show, that equal plots are equal files, and that no state of matplotlib is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.outputs import parse_metrics
from aiida_autopipec.pacemaker.plots import plot_dataset, plot_learning_curve, plot_parity
from aiida_autopipec.pacemaker.plots.groups import group_structures
from aiida_autopipec.pacemaker.triage.alike import compositions

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / 'tests' / 'fixtures' / 'pacemaker'


@pytest.fixture(scope='module')
def al_lda() -> LabelledStructures:
    """Return the real example data."""
    path = ROOT / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
    return LabelledStructures.from_atoms(read(path, index=':', format='extxyz'))


@pytest.fixture(scope='module')
def alloys() -> LabelledStructures:
    """Return cells of copper and gold of several compositions."""
    rng = np.random.default_rng(0)
    images = []
    for number in range(12):
        image = bulk('Cu', 'fcc', 3.8, cubic=True)
        image.numbers[: number % 4] = 79
        image.rattle(0.1, rng=rng)
        image.calc = EMT()
        image.get_forces()
        images.append(image)
    return LabelledStructures.from_atoms(images)


@pytest.fixture
def predictions() -> dict[str, Any]:
    """Return predictions whose errors are known: 10 meV/atom and 100 meV/Å in training, twice that in the test."""
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part, n, factor in (('train', 50, 1.0), ('test', 10, 2.0)):
        sizes = rng.integers(1, 6, n)
        energy, forces = rng.normal(size=n) * sizes, rng.normal(size=(int(sizes.sum()), 3))
        arrays |= {
            f'{part}_sizes': sizes,
            f'{part}_energy': energy,
            f'{part}_energy_predicted': energy + factor * 0.01 * sizes,
            f'{part}_forces': forces,
            f'{part}_forces_predicted': forces + factor * 0.1,
        }
    return arrays


def _texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_dataset_has_four_panels_with_units(al_lda: LabelledStructures) -> None:
    """Energy against volume, forces, elements and sizes, and distances, each with its unit."""
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in plot_dataset(al_lda).axes]
    assert labels == [
        ('volume (Å³/atom)', 'energy above the lowest (eV/atom)'),
        ('force on an atom (eV/Å)', 'atoms'),
        ('structures', ''),
        ('atoms per structure', 'structures'),
        ('distance to the nearest atom (Å)', 'atoms'),
    ]


def test_dataset_says_what_is_not_shown(al_lda: LabelledStructures) -> None:
    """Slabs and molecules have no volume, atoms at rest no logarithm, one atom no neighbour: all are counted."""
    remarks = [axes.get_title(loc='right') for axes in plot_dataset(al_lda).axes]
    assert remarks[0] == '24 without volume not shown'
    assert remarks[1] == 'largest 8.23 eV/Å, 93 below 0.001 not shown'
    assert remarks[4] == 'shortest 2.00 Å, 1 without any within 6 Å'


def test_dataset_shows_every_crystal_once(al_lda: LabelledStructures) -> None:
    """All periodic structures are points, and all atoms with a neighbour are counted in the histogram."""
    figure = plot_dataset(al_lda)
    assert sum(len(points.get_offsets()) for points in figure.axes[0].collections) == al_lda.pbc.all(axis=1).sum()
    assert sum(bar.get_height() for bar in figure.axes[4].patches) == al_lda.n_atoms - 1
    assert sum(bar.get_height() for bar in figure.axes[3].patches) == len(al_lda)


def test_families_of_names_are_groups(al_lda: LabelledStructures) -> None:
    """Structures of one composition are told apart by what their names begin with, the smallest groups together."""
    groups = group_structures(al_lda, compositions(al_lda))
    assert groups.labels[:3] == ('rattle-fcc', 'fcc-volume', 'dimer')
    assert groups.labels[-1] == 'other'
    assert groups.members[al_lda.names.tolist().index('fcc-volume-0.80')] == 1


def test_compositions_are_groups(alloys: LabelledStructures) -> None:
    """Structures of several compositions are told apart by formula, and energies have a common zero."""
    axes = plot_dataset(alloys).axes
    assert _texts(axes[0]) == ['Cu (3)', 'Cu3Au (3)', 'CuAu (3)', 'CuAu3 (3)']
    assert axes[0].get_ylabel() == 'energy minus element baseline (eV/atom)'
    assert _texts(axes[4]) == ['Cu', 'Au']


def test_names_without_families_are_one_group(al_lda: LabelledStructures) -> None:
    """Names that have nothing in common are no groups."""
    names = np.array([f'{chr(97 + row % 26)}{chr(97 + row // 26)}' for row in range(len(al_lda))])
    structures = al_lda.replace(names=names)
    assert group_structures(structures, compositions(structures)).labels == ('Al',)


def test_candidates_without_labels(tmp_path: Path) -> None:
    """Structures without labels, volume and neighbours have a plot that says so."""
    structures = LabelledStructures.from_atoms([Atoms('Al'), Atoms('Cu')], require_labels=False)
    figure = plot_dataset(structures, tmp_path / 'plot.png')
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ['no energies', 'no forces', 'no atom has a neighbour within 6 Å']


@pytest.mark.parametrize('suffix', ['.png', '.svg', '.pdf'])
def test_equal_plots_are_equal_files(predictions: dict[str, Any], tmp_path: Path, suffix: str) -> None:
    """Files hold no dates, versions and random names, so that the same plot is the same bytes."""
    first, second = tmp_path / f'first{suffix}', tmp_path / f'second{suffix}'
    plot_parity(predictions, first)
    plot_parity(predictions, second)
    assert first.read_bytes() == second.read_bytes()
    assert b'Date' not in first.read_bytes()
    assert mpl.__version__.encode() not in first.read_bytes()


def test_unknown_format_is_refused(alloys: LabelledStructures, tmp_path: Path) -> None:
    """A file name that is no picture is refused with what is possible."""
    with pytest.raises(InputError, match=r'ends with `.xyz`, but plots are written as .pdf, .png, .svg'):
        plot_dataset(alloys, tmp_path / 'plot.xyz')
    assert not list(tmp_path.iterdir())


def test_settings_of_the_caller_stay_and_do_not_matter(alloys: LabelledStructures, tmp_path: Path) -> None:
    """Plots look the same whatever the caller set, and leave that as it was."""
    plot_dataset(alloys, tmp_path / 'default.png')
    with mpl.rc_context({'font.size': 30, 'axes.grid': False}):
        plot_dataset(alloys, tmp_path / 'changed.png')
        assert mpl.rcParams['font.size'] == 30
    assert (tmp_path / 'default.png').read_bytes() == (tmp_path / 'changed.png').read_bytes()


def test_plots_do_not_import_pyplot() -> None:
    """No window and no global figure is ever made."""
    code = (
        'import sys; from ase.build import bulk; from aiida_autopipec.pacemaker.dataset.structures import *;'
        'from aiida_autopipec.pacemaker.plots import plot_dataset;'
        'plot_dataset(LabelledStructures.from_atoms([bulk("Al")], require_labels=False));'
        'print("matplotlib.pyplot" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'


def test_learning_curve_of_real_files(tmp_path: Path) -> None:
    """The metrics of a real training with a test set are drawn with units, training and test."""
    folder = FIXTURES / 'ok_tensorpot'
    training, test = (parse_metrics((folder / name).read_text()) for name in ('metrics.txt', 'test_metrics.txt'))
    arrays = dict(training.columns) | {f'test_{name}': values for name, values in test.columns.items()}
    figure = plot_learning_curve(arrays, tmp_path / 'curve.svg')
    assert [axes.get_ylabel() for axes in figure.axes] == [
        'loss',
        'RMSE of energies (meV/atom)',
        'RMSE of force components (meV/Å)',
    ]
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    np.testing.assert_allclose(lines['train'].get_ydata(), 1e3 * training['rmse_epa'])
    np.testing.assert_allclose(lines['test'].get_ydata(), 1e3 * test['rmse_epa'])


def test_learning_curve_follows_ladder_steps() -> None:
    """Iterations of ladder steps are counted on, those of the test metrics with them, and a line marks each step."""
    values = np.linspace(1, 0.1, 7)
    arrays = dict.fromkeys(('loss', 'rmse_epa', 'rmse_f_comp'), values)
    arrays |= {'iter_num': np.array([0, 1, 2, 3, 0, 1, 2]), 'ladder_step': np.array([0, 0, 0, 0, 1, 1, 1])}
    arrays |= {f'test_{name}': values[:4] for name in ('loss', 'rmse_epa', 'rmse_f_comp')}
    arrays |= {'test_iter_num': np.array([0, 2, 0, 2]), 'test_ladder_step': np.array([0, 0, 1, 1])}
    axes = plot_learning_curve(arrays).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines['train'].get_xdata()) == [0, 1, 2, 3, 3, 4, 5]
    assert list(lines['test'].get_xdata()) == [0, 2, 3, 5]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ':'] == [3]


def test_learning_curve_without_a_column_is_refused() -> None:
    """A missing or empty column is named."""
    with pytest.raises(InputError, match='no column `rmse_epa`'):
        plot_learning_curve({'iter_num': np.arange(2), 'loss': np.ones(2)})


def test_parity_shows_errors_in_units(predictions: dict[str, Any], tmp_path: Path) -> None:
    """Training and test are drawn with their errors in meV/atom and meV/Å."""
    figure = plot_parity(predictions, tmp_path / 'parity.png')
    energies, forces = figure.axes[:2]
    assert energies.get_xlabel() == 'reference energy (eV/atom)'
    assert forces.get_ylabel() == 'predicted force component (eV/Å)'
    assert _texts(energies) == ['train: RMSE 10 meV/atom', 'test: RMSE 20 meV/atom']
    assert _texts(forces) == ['train: RMSE 100 meV/Å', 'test: RMSE 200 meV/Å']


def test_parity_of_a_perfect_fit_without_test_set(predictions: dict[str, Any]) -> None:
    """No test set and no errors are drawn without a warning."""
    arrays = {key: value for key, value in predictions.items() if key.startswith('train')}
    arrays['train_energy_predicted'], arrays['train_forces_predicted'] = arrays['train_energy'], arrays['train_forces']
    assert _texts(plot_parity(arrays).axes[0]) == ['train: RMSE 0 meV/atom']


def test_parity_of_nothing_is_refused() -> None:
    """Without predictions there is nothing to draw."""
    with pytest.raises(InputError, match='nothing to draw'):
        plot_parity({})
