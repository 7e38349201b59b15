"""What a selection covers: extrapolation grades before and after, and where the selected structures lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.plots import style
from aiida_autopipec.pacemaker.selection.result import KEPT, Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALLEST_GRADE = 1e-3
"""Grades below are drawn there: an isolated atom has none at all."""
BINS = 40


def plot_selection(explanation: Explanation, path: Path | None = None) -> Figure:
    """Draw extrapolation grades before and after, and the first two principal components with the selected marked.

    :param path: where to write the figure, as ``.png``, ``.svg`` or ``.pdf``.
    :raises InputError: if the path ends otherwise.
    """
    with style.look():
        figure = style.new_figure(8.0, 3.4)
        left, right = figure.subplots(1, 2)
        _draw_grades(left, explanation)
        _draw_components(right, explanation)
        style.save(figure, path)
    return figure


def _draw_grades(axes: Axes, explanation: Explanation) -> None:
    axes.set(title='Extrapolation', xlabel='largest γ in a structure', ylabel='structures')
    grades = {
        'all, before': explanation.gamma_before,
        'not selected, after': explanation.gamma_after[~explanation.selected],
    }
    known = {label: values[np.isfinite(values)] for label, values in grades.items()}
    known = {label: np.maximum(values, SMALLEST_GRADE) for label, values in known.items() if values.size}
    if not known:
        _empty(axes, 'the selected structures do not span the pool')
        return
    low, high = (pick([float(pick(values)) for values in known.values()]) for pick in (min, max))
    bins = np.geomspace(min(low, 0.5) / 1.1, max(high, 2.0) * 1.1, BINS).tolist()
    highest = 0.0
    for label, values in known.items():
        before = label.endswith('before')
        colour = style.OTHER_COLOUR if before else style.COLOURS[0]
        heights = axes.hist(values, bins=bins, histtype='stepfilled' if before else 'step', color=colour, label=label)[
            0
        ]
        highest = max(highest, float(np.max(heights)))
    axes.axvline(1.0, color='black', linestyle='--', linewidth=0.8)
    axes.set(xscale='log', ylim=(0, 1.3 * highest))
    _label_with_numbers(axes)
    axes.legend(loc='upper right')
    rest = known.get('not selected, after')
    style.remark(axes, '' if rest is None else f'largest γ left {rest.max():.2f}')


def _label_with_numbers(axes: Axes) -> None:
    """Write 0.5, 1, 2 along a logarithmic axis, not powers of ten, of which there may be only one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_components(axes: Axes, explanation: Explanation) -> None:
    axes.set(title='Projections', xlabel='first component', ylabel='second component')
    chosen, kept = explanation.round > KEPT, explanation.round == KEPT
    _dots(axes, explanation, ~explanation.selected, label='pool', s=8, color=style.OTHER_COLOUR, linewidths=0)
    outlined: dict[str, Any] = {'edgecolors': 'black', 'linewidths': 0.3}
    _dots(axes, explanation, chosen, label='selected', s=14, color=style.COLOURS[0], **outlined)
    _dots(axes, explanation, kept, label='kept in any case', s=22, marker='D', color=style.COLOURS[1], **outlined)
    axes.legend(loc='best')
    style.remark(axes, f'{int(explanation.selected.sum()):,} of {len(explanation.round):,} structures')


def _dots(axes: Axes, explanation: Explanation, rows: NDArray[np.bool_], **look: Any) -> None:
    """Draw some candidates, if there are any; very many as an image."""
    if rows.any():
        first, second = explanation.components[rows].T
        axes.scatter(first, second, rasterized=int(rows.sum()) > style.MAX_VECTOR_POINTS, **look)


def _empty(axes: Axes, text: str) -> None:
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha='center', va='center', color='#606060')
