"""How a training went: learning curve and parity."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
PARTS = ('train', 'test')
MANY_POINTS = 500
"""Points beyond which they are drawn smaller."""
_COLOURS = {'train': style.COLOURS[0], 'test': style.COLOURS[5]}
_CURVES = (
    ('loss', 'loss', 1.0),
    ('rmse_epa', 'RMSE of energies (meV/atom)', 1e3),
    ('rmse_f_comp', 'RMSE of force components (meV/Å)', 1e3),
)


def plot_learning_curve(arrays: Mapping[str, NDArray[Any]], path: Path | None = None) -> Figure:
    """Draw loss and errors of energies and forces against iterations, for the training set and the test set.

    Ladder steps and fit cycles, which count their iterations from 0, follow each other; a line marks where one begins.

    :param arrays: columns of ``metrics.txt``, and of ``test_metrics.txt`` with ``test_`` before their names, as the
        output ``learning_curve`` of a training holds them. Energies eV/atom, forces eV/Å.
    :param path: where to write the figure, as ``.png``, ``.svg`` or ``.pdf``.
    :raises InputError: if a column is missing, or the path ends otherwise.
    """
    for name in ('iter_num', *(name for name, _, _ in _CURVES)):
        if name not in arrays or len(arrays[name]) == 0:
            raise InputError(f'the learning curve has no column `{name}`, so there is nothing to draw')
    x, starts = _running_iterations(arrays)
    with style.look():
        figure = style.new_figure(9.0, 3.0)
        for axes, (name, label, factor) in zip(figure.subplots(1, 3), _CURVES, strict=True):
            axes.set(xlabel='iteration', ylabel=label)
            for start in starts:
                axes.axvline(start, color='black', linewidth=0.5, linestyle=':')
            _draw_curve(axes, x, arrays[name] * factor, 'train')
            if f'test_{name}' in arrays and 'test_iter_num' in arrays:
                _draw_curve(axes, _iterations_of_test(arrays, x), arrays[f'test_{name}'] * factor, 'test')
        figure.axes[0].legend(loc='upper right')
        style.save(figure, path)
    return figure


def plot_parity(arrays: Mapping[str, NDArray[Any]], path: Path | None = None) -> Figure:
    """Draw predicted against reference energies and forces, and the distributions of the errors.

    :param arrays: ``train_sizes``, ``train_energy``, ``train_energy_predicted``, ``train_forces``,
        ``train_forces_predicted`` and the same of ``test``, as the output ``predictions`` of a training holds them;
        energies in eV per structure, forces in eV/Å.
    :param path: where to write the figure, as ``.png``, ``.svg`` or ``.pdf``.
    :raises InputError: if there are no predictions, or the path ends otherwise.
    """
    parts = [part for part in PARTS if f'{part}_energy_predicted' in arrays and len(arrays[f'{part}_sizes'])]
    if not parts:
        raise InputError('there are neither predictions of a training set nor of a test set, so nothing to draw')
    with style.look():
        figure = style.new_figure(9.0, 4.2)
        energies, forces = figure.subplots(1, 2)
        energies.set(xlabel='reference energy (eV/atom)', ylabel='predicted energy (eV/atom)')
        forces.set(xlabel='reference force component (eV/Å)', ylabel='predicted force component (eV/Å)')
        for axes, quantity, unit in ((energies, _energies, 'meV/atom'), (forces, _forces, 'meV/Å')):
            pairs = {part: quantity(arrays, part) for part in parts}
            _draw_diagonal(axes, np.concatenate([np.concatenate(pair) for pair in pairs.values()]))
            for part, (reference, predicted) in pairs.items():
                _draw_parity(axes, reference, predicted, part, unit)
            axes.legend(loc='upper left')
            _draw_errors(axes.inset_axes((0.62, 0.1, 0.36, 0.3)), pairs, unit)
        style.save(figure, path)
    return figure


def _running_iterations(arrays: Mapping[str, NDArray[Any]]) -> tuple[Array, list[float]]:
    """Return ``(n,)`` iterations counted through all ladder steps and cycles, and where a new one begins."""
    numbers = np.asarray(arrays['iter_num'], dtype=np.float64)
    begins = np.flatnonzero(_new_stretch(arrays, '')) + 1
    running = numbers.copy()
    starts = []
    for begin, end in itertools.pairwise([*begins.tolist(), len(numbers)]):
        starts.append(float(running[begin - 1]))
        running[begin:end] += starts[-1]
    return running, starts


def _new_stretch(arrays: Mapping[str, NDArray[Any]], prefix: str) -> NDArray[np.bool_]:
    """Return ``(n - 1,)``: whether a minimisation begins with the next row, which starts from a smaller iteration."""
    new = np.diff(arrays[f'{prefix}iter_num']) < 0
    for name in ('ladder_step', 'cycle_step'):
        if f'{prefix}{name}' in arrays:
            new |= np.diff(arrays[f'{prefix}{name}']) != 0
    return np.asarray(new, dtype=bool)


def _iterations_of_test(arrays: Mapping[str, NDArray[Any]], running: Array) -> Array:
    """Return ``(m,)`` running iterations of test metrics, which are written for some iterations only."""
    first_rows = np.concatenate([[0], np.flatnonzero(_new_stretch(arrays, '')) + 1])
    offsets = running[first_rows] - np.asarray(arrays['iter_num'])[first_rows]
    stretch = np.concatenate([[0], np.cumsum(_new_stretch(arrays, 'test_'))])
    result: Array = arrays['test_iter_num'] + offsets[np.minimum(stretch, len(offsets) - 1)]
    return result


def _draw_curve(axes: Axes, x: Array, y: Array, part: str) -> None:
    marker = '.' if part == 'test' else None
    axes.plot(x, y, color=_COLOURS[part], linestyle='--' if part == 'test' else '-', marker=marker, label=part)
    if np.any(y > 0):
        axes.set_yscale('log')


def _energies(arrays: Mapping[str, NDArray[Any]], part: str) -> tuple[Array, Array]:
    sizes = arrays[f'{part}_sizes']
    return arrays[f'{part}_energy'] / sizes, arrays[f'{part}_energy_predicted'] / sizes


def _forces(arrays: Mapping[str, NDArray[Any]], part: str) -> tuple[Array, Array]:
    return arrays[f'{part}_forces'].reshape(-1), arrays[f'{part}_forces_predicted'].reshape(-1)


def _draw_diagonal(axes: Axes, values: Array) -> None:
    low, high = float(values.min()), float(values.max())
    margin = max(0.04 * (high - low), 1e-3)
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color='black', linewidth=0.6, zorder=1)
    axes.set(xlim=ends, ylim=ends, aspect='equal')


def _draw_parity(axes: Axes, reference: Array, predicted: Array, part: str, unit: str) -> None:
    rmse = 1e3 * float(np.sqrt(np.mean((predicted - reference) ** 2)))
    axes.scatter(
        reference,
        predicted,
        s=(12 if part == 'test' else 8) * (1.0 if len(reference) < MANY_POINTS else 0.4),
        marker='^' if part == 'test' else 'o',
        facecolors=_COLOURS[part] if part == 'test' else 'none',
        edgecolors='black' if part == 'test' else _COLOURS[part],
        linewidths=0.3 if part == 'test' else 0.6,
        label=f'{part}: RMSE {rmse:.3g} {unit}',
        rasterized=len(reference) > style.MAX_VECTOR_POINTS,
        zorder=3 if part == 'test' else 2,
    )


def _draw_errors(axes: Axes, pairs: Mapping[str, tuple[Array, Array]], unit: str) -> None:
    errors = {part: 1e3 * (predicted - reference) for part, (reference, predicted) in pairs.items()}
    largest = max(float(np.quantile(np.abs(values), 0.98)) for values in errors.values()) or 1.0
    bins = np.linspace(-largest, largest, 31).tolist()
    for part, values in errors.items():
        # fractions of all, so that sets of different sizes can be compared
        weights = np.full(len(values), 1 / len(values))
        axes.hist(
            values, bins=bins, weights=weights, histtype='step', color=_COLOURS[part],
            linestyle='--' if part == 'test' else '-',
        )  # fmt: skip
    axes.set(yticks=[])
    axes.set_xlabel(f'error ({unit})', fontsize=7, labelpad=1)
    axes.tick_params(labelsize=6)
    axes.grid(visible=False)
    axes.patch.set_alpha(0.85)
