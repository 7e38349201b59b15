"""Plot of a validation: what was measured, with the limits that it was judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arrays = Mapping[str, NDArray[Any]]
DEEPEST_DRAWN = 6.0
"""eV above zero; the wall goes on to hundreds."""
ALMOST_ZERO = 1e-12


def plot_validation(arrays: Mapping[str, NDArray[Any]], path: Path | None = None) -> Figure:
    """Draw dimer curves, energy against volume, frequencies, and the hot simulation, as far as they were measured.

    :param arrays: as the output ``curves`` of a validation holds them. Energies eV, distances Å, frequencies meV.
    :param path: where to write the figure, as ``.png``, ``.svg`` or ``.pdf``.
    :raises InputError: if there is nothing to draw, or the path ends otherwise.
    """
    panels = [draw for needed, draw in _PANELS if needed in arrays and arrays[needed].size]
    if not panels:
        raise InputError('no check measured anything that could be drawn')
    rows = -(-len(panels) // 2)
    with style.look():
        figure = style.new_figure(9.0 if len(panels) > 1 else 4.5, 3.0 * rows)
        grid = figure.subplots(rows, min(2, len(panels)), squeeze=False).reshape(-1)
        for axes, draw in zip(grid, panels, strict=False):
            draw(axes, arrays)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        style.save(figure, path)
    return figure


def _dimers(axes: Axes, arrays: Arrays) -> None:
    distances = arrays['dimer_distances']
    names = sorted(name for name in arrays if name.startswith('dimer_') and name.endswith('_energy'))
    lowest = 0.0
    for number, name in enumerate(names):
        energy = arrays[name]
        label = name.removeprefix('dimer_').removesuffix('_energy').replace('_', '-')
        axes.plot(distances, energy, color=style.COLOURS[number % len(style.COLOURS)], label=label)
        lowest = min(lowest, float(np.nanmin(energy, initial=0.0)))
        if np.isfinite(energy[0]):
            style.remark(axes, f'{label}: {energy[0]:.3g} eV at {distances[0]:.2f} Å')
    axes.axhline(0, color='black', linewidth=0.5)
    bottom = max(lowest, -20.0) * 1.2 - 0.3
    axes.set(xlabel='distance of two atoms (Å)', ylabel='energy (eV)', ylim=(bottom, DEEPEST_DRAWN))
    axes.legend(loc='upper right')


def _volumes(axes: Axes, arrays: Arrays) -> None:
    energy = arrays['volume_energy']
    axes.plot(arrays['volume_volumes'], energy, color=style.COLOURS[0], marker='.', markersize=3)
    if np.isfinite(energy).any():
        axes.set_ylim(float(np.nanmin(energy)) - 0.2, min(float(np.nanmax(energy)), float(np.nanmin(energy)) + 4.0))
    axes.set(xlabel='volume (Å³/atom)', ylabel='energy (eV/atom)')


def _frequencies(axes: Axes, arrays: Arrays) -> None:
    frequencies = np.asarray(arrays['phonons_frequencies']).reshape(-1)
    axes.hist(frequencies[np.isfinite(frequencies)], bins=40, color=style.COLOURS[0], alpha=0.8)
    axes.axvline(0, color='black', linewidth=0.5)
    axes.set(xlabel='frequency (meV), imaginary ones negative', ylabel='modes')


def _heat(axes: Axes, arrays: Arrays) -> None:
    time = arrays['dynamics_time']
    axes.plot(time, arrays['dynamics_temperature'], color=style.COLOURS[5])
    axes.set(xlabel='time (fs)', ylabel='temperature (K)')
    style.remark(axes, f'highest {np.nanmax(arrays["dynamics_temperature"]):.0f} K')


def _closeness(axes: Axes, arrays: Arrays) -> None:
    time = arrays['dynamics_time']
    axes.plot(time, arrays['dynamics_distance'], color=style.COLOURS[0], label='shortest distance')
    axes.set(xlabel='time (fs)', ylabel='shortest distance (Å)')
    axes.set_ylim(bottom=0)
    texts = [f'shortest {np.nanmin(arrays["dynamics_distance"]):.2f} Å']
    if 'dynamics_gamma' in arrays:
        grades = axes.twinx()
        grades.plot(time, np.maximum(arrays['dynamics_gamma'], ALMOST_ZERO), color=style.COLOURS[1], linestyle='--')
        grades.set(ylabel='largest extrapolation grade (dashed)', yscale='log')
        grades.spines['right'].set_visible(True)
        grades.grid(visible=False)
        texts.append(f'largest grade {np.nanmax(arrays["dynamics_gamma"]):.3g}')
    style.remark(axes, *texts)


_PANELS: tuple[tuple[str, Callable[[Axes, Arrays], None]], ...] = (
    ('dimer_distances', _dimers),
    ('volume_volumes', _volumes),
    ('phonons_frequencies', _frequencies),
    ('dynamics_time', _heat),
    ('dynamics_time', _closeness),
)
