"""One look for all plots: readable on paper, in grey and by the colour-blind; and files that depend on data alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_autopipec.pacemaker.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#5c5c5c', '#b8a600')
"""After Okabe and Ito, "Color Universal Design" (2008), whose yellow and black are too light and too strong here."""
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X', '*')
"""Shapes beside the colours, for print in grey."""
OTHER_COLOUR = '#b0b0b0'
MAX_VECTOR_POINTS = 2000
"""Points beyond which they are drawn as an image in vector formats, whose files would be huge."""

_RC: dict[Any, Any] = {
    'axes.axisbelow': True,
    'axes.grid': True,
    'axes.labelsize': 9,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlelocation': 'left',
    'axes.titlesize': 9,
    'figure.dpi': 100,
    'font.size': 8,
    'grid.alpha': 0.3,
    'grid.linewidth': 0.5,
    'hatch.linewidth': 0.5,
    'legend.fontsize': 7,
    'legend.frameon': False,
    'legend.handletextpad': 0.4,
    'lines.linewidth': 1.2,
    'savefig.dpi': 150,
    'svg.fonttype': 'path',
    # without a salt of its own matplotlib gives the parts of an SVG random names
    'svg.hashsalt': 'aiida-autopipec',
}
_METADATA: dict[str, dict[str, None]] = {
    '.png': {'Software': None},
    '.svg': {'Date': None, 'Creator': None},
    '.pdf': {'CreationDate': None, 'Creator': None, 'Producer': None},
}


@contextlib.contextmanager
def look() -> Iterator[None]:
    """Apply the common look to what is drawn within; no setting of the caller is read or changed."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        for key, value in _RC.items():
            mpl.rcParams[key] = value
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure that belongs to no window and no global state.

    :param width: in inches.
    :param height: in inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout='constrained')


def save(figure: Figure, path: Path | None) -> None:
    """Write a figure without dates and versions, so that equal plots are equal files.

    :param path: ends with ``.png``, ``.svg`` or ``.pdf``; nothing is written without.
    :raises InputError: if it ends otherwise.
    """
    if path is None:
        return
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise InputError(f'`{path}` ends with `{suffix}`, but plots are written as {", ".join(sorted(_METADATA))}')
    figure.savefig(path, format=suffix.removeprefix('.'), metadata=_METADATA[suffix])


def remark(axes: Axes, *texts: str) -> None:
    """Write what is not drawn, or a number to remember, at the right end of the title's line."""
    axes.set_title(', '.join(text for text in texts if text), loc='right', fontsize=7, color='#404040')
