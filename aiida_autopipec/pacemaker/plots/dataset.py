"""What a dataset looks like: energies, forces, compositions and distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.plots import style
from aiida_autopipec.pacemaker.plots.groups import OTHER, Groups, group_structures
from aiida_autopipec.pacemaker.triage.alike import Compositions, compositions
from aiida_autopipec.pacemaker.triage.neighbours import nearest_neighbours
from aiida_autopipec.pacemaker.triage.statistics import baseline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
AT_REST = 1e-3
"""eV/Å. Smaller forces are zero by symmetry, or as small as the convergence of the calculation."""
MAX_ELEMENTS = 12
MAX_SIZES = 25


def plot_dataset(
    structures: LabelledStructures, path: Path | None = None, *, cutoff: float = 6.0, chosen_from: int | None = None
) -> Figure:
    """Draw energy against volume, sizes of forces, elements and sizes, and distances to nearest neighbours.

    :param path: where to write the figure, as ``.png``, ``.svg`` or ``.pdf``.
    :param cutoff: distance in Å within which neighbours are looked for.
    :param chosen_from: how many structures there are, where those that are drawn are only some of them.
    :raises InputError: if the path ends otherwise.
    """
    composition = compositions(structures)
    groups = group_structures(structures, composition)
    with style.look():
        figure = style.new_figure(9.0, 6.8)
        figure.suptitle(_title(structures, chosen_from), fontsize=10)
        grid = figure.add_gridspec(2, 2)
        _draw_energies(figure.add_subplot(grid[0, 0]), structures, composition, groups)
        _draw_forces(figure.add_subplot(grid[0, 1]), structures)
        lower = grid[1, 0].subgridspec(1, 2, width_ratios=(1, 2))
        _draw_elements(figure.add_subplot(lower[0]), structures, composition)
        _draw_sizes(figure.add_subplot(lower[1]), structures)
        _draw_distances(figure.add_subplot(grid[1, 1]), structures, composition, cutoff)
        style.save(figure, path)
    return figure


def _title(structures: LabelledStructures, chosen_from: int | None) -> str:
    n, atoms = len(structures), structures.n_atoms
    total = '' if chosen_from in (None, n) else f' of {chosen_from:,}'
    elements = ', '.join(structures.elements)
    return f'{n:,}{total} structure{"s" * ((chosen_from or n) != 1)}, {atoms:,} atom{"s" * (atoms != 1)}: {elements}'


def _draw_energies(axes: Axes, structures: LabelledStructures, composition: Compositions, groups: Groups) -> None:
    axes.set(title='Energy against volume', xlabel='volume (Å³/atom)')
    energies, label = _comparable_energies(structures, composition)
    axes.set_ylabel(label)
    crystals = structures.pbc.all(axis=1)
    if energies is None or not crystals.any():
        _empty(axes, 'no energies' if energies is None else 'nothing is periodic in all directions')
        return
    volumes = np.abs(np.linalg.det(structures.cells)) / structures.sizes
    for number, name in enumerate(groups.labels):
        rows = crystals & (groups.members == number)
        if rows.any():
            axes.scatter(
                volumes[rows],
                energies[rows],
                s=14,
                marker=style.MARKERS[number % len(style.MARKERS)],
                facecolors=style.OTHER_COLOUR if name == OTHER else style.COLOURS[number % len(style.COLOURS)],
                edgecolors='black',
                linewidths=0.3,
                label=f'{name} ({int(rows.sum())})',
                rasterized=len(structures) > style.MAX_VECTOR_POINTS,
            )
    if len(groups.labels) > 1:
        axes.legend(loc='best')
    left_out = int((~crystals).sum())
    style.remark(axes, f'{left_out:,} without volume not shown' if left_out else '')


def _comparable_energies(structures: LabelledStructures, composition: Compositions) -> tuple[Array | None, str]:
    """Return ``(n,)`` energies in eV/atom that have a common zero, and what to call them."""
    if structures.energy_corrected is not None:
        return structures.energy_corrected / structures.sizes, 'corrected energy (eV/atom)'
    if structures.energy is None:
        return None, 'energy (eV/atom)'
    per_atom = structures.energy / structures.sizes
    if len(composition.elements) == 1:
        return per_atom - per_atom.min(), 'energy above the lowest (eV/atom)'
    return per_atom - baseline(composition.fractions, per_atom), 'energy minus element baseline (eV/atom)'


def _draw_forces(axes: Axes, structures: LabelledStructures) -> None:
    axes.set(title='Forces', xlabel='force on an atom (eV/Å)', ylabel='atoms')
    if structures.forces is None:
        _empty(axes, 'no forces')
        return
    norms = np.linalg.norm(structures.forces, axis=1)
    moving = norms[norms >= AT_REST]
    at_rest = len(norms) - len(moving)
    if moving.size:
        low, high = np.log10(AT_REST), np.log10(max(float(moving.max()) * 1.01, 10 * AT_REST))
        axes.hist(
            moving, bins=np.logspace(low, high, 40).tolist(), color=style.COLOURS[0], edgecolor='white', linewidth=0.3
        )
        axes.set(xscale='log', yscale='log')
        axes.set_ylim(bottom=0.7)
        still = f'{at_rest:,} below {AT_REST:g} not shown' if at_rest else ''
        style.remark(axes, f'largest {moving.max():.2f} eV/Å', still)
    else:
        _empty(axes, 'all atoms are at rest')


def _draw_elements(axes: Axes, structures: LabelledStructures, composition: Compositions) -> None:
    present = (composition.counts > 0).sum(axis=0)
    order = np.argsort(-present, kind='stable')[:MAX_ELEMENTS]
    names = [composition.symbols[column] for column in order.tolist()]
    hidden = len(present) - len(order)
    axes.set(title='Elements' if not hidden else f'Elements ({hidden} more)', xlabel='structures')
    axes.barh(
        np.arange(len(names)), present[order], height=0.7, color=style.COLOURS[2], edgecolor='black', linewidth=0.3
    )
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(max(len(names), 4) - 0.4, -0.6)
    axes.set_xlim(0, len(structures) * 1.02)
    axes.grid(visible=False, axis='y')
    axes.locator_params(axis='x', nbins=3, integer=True)


def _draw_sizes(axes: Axes, structures: LabelledStructures) -> None:
    axes.set(title='Sizes', xlabel='atoms per structure', ylabel='structures')
    sizes, counts = np.unique(structures.sizes, return_counts=True)
    colours: dict[str, Any] = {'color': style.COLOURS[1], 'edgecolor': 'black', 'linewidth': 0.3}
    if len(sizes) <= MAX_SIZES:
        places = np.arange(len(sizes))
        axes.bar(places, counts, width=0.7, **colours)
        axes.set_xticks(places, [str(size) for size in sizes.tolist()], rotation=90 if len(sizes) > 10 else 0)
        axes.set_xlim(-0.6, max(len(sizes), 4) - 0.4)
    else:
        axes.hist(structures.sizes, bins=30, **colours)
    axes.grid(visible=False, axis='x')
    axes.locator_params(axis='y', integer=True)


def _draw_distances(axes: Axes, structures: LabelledStructures, composition: Compositions, cutoff: float) -> None:
    axes.set(title='Nearest neighbours', xlabel='distance to the nearest atom (Å)', ylabel='atoms')
    distances = nearest_neighbours(structures, cutoff).distances
    known = np.isfinite(distances)
    if known.any():
        bins = np.linspace(*_padded(float(distances[known].min()), float(distances[known].max())), 50).tolist()
        _draw_by_element(axes, structures, composition, np.where(known, distances, np.nan), bins)
        alone = f'{int((~known).sum()):,} without any within {cutoff:g} Å' if not known.all() else ''
        style.remark(axes, f'shortest {distances[known].min():.2f} Å', alone)
    else:
        _empty(axes, f'no atom has a neighbour within {cutoff:g} Å')


def _draw_by_element(
    axes: Axes, structures: LabelledStructures, composition: Compositions, distances: Array, bins: list[float]
) -> None:
    """Fill one histogram of all atoms, and draw an outline for each of a few elements."""
    heights = axes.hist(
        distances[np.isfinite(distances)], bins=bins, color=style.COLOURS[4], edgecolor='white', linewidth=0.3
    )
    several = 1 < len(composition.elements) <= len(style.COLOURS)
    # room for the legend above the highest bar
    axes.set(yscale='log', ylim=(0.7, (10 if several else 2) * float(np.max(heights[0]))))
    if not several:
        return
    dashes: Sequence[str] = ('-', '--', ':', '-.') * 2
    for number, element in enumerate(composition.elements.tolist()):
        values = distances[(structures.numbers == element) & np.isfinite(distances)]
        axes.hist(
            values,
            bins=bins,
            histtype='step',
            color='black' if number == 0 else style.COLOURS[number],
            linestyle=dashes[number],
            label=composition.symbols[number],
        )
    axes.legend(loc='upper left', ncols=4)


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = max(0.02 * (high - low), 0.05)
    return low - margin, high + margin


def _empty(axes: Axes, text: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha='center', va='center', color='#606060')
