"""Table and picture of the benchmark in ``selection.py``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.plots.style import COLOURS, MARKERS, look, new_figure, save

Run = dict[str, Any]
FIGURES = {'energy_rmse': 'energy RMSE', 'force_rmse': 'force RMSE', 'force_worst': 'largest force error'}
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 3, 5)
SIZES = ('atoms', 'structures')
LABELS = {'linear': 'linear', 'pacemaker': 'Pacemaker'}


def cases(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs of each data set, kind of fit and basis."""
    found = defaultdict(list)
    for run in runs:
        found[
            f'{Path(run["data"]).name.removesuffix(".pckl.gzip")}, {run["functions"]} functions, {LABELS[run["fit"]]}'
        ].append(run)
    return dict(found)


def ratios(runs: list[Run], strategy: str, fraction: float, figure: str) -> NDArray[np.float64]:
    """Return for each split the mean over seeds, divided by the mean over the seeds of `random`."""
    means = [_mean_by_split(runs, name, fraction, figure) for name in (strategy, 'random')]
    return np.array([means[0][split] / means[1][split] for split in sorted(set(means[0]) & set(means[1]))])


def _mean_by_split(runs: list[Run], strategy: str, fraction: float, figure: str) -> dict[int, float]:
    values = defaultdict(list)
    for run in runs:
        if (run['strategy'], run['fraction']) == (strategy, fraction):
            values[run['split']].append(run[figure])
    return {split: float(np.mean(some)) for split, some in values.items()}


def centre(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the geometric mean of ratios, and its standard error."""
    if len(values) == 0:
        return np.nan, np.nan
    logarithms = np.log(values)
    error = logarithms.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    mean = float(np.exp(logarithms.mean()))
    return mean, float(mean * error)


def table(runs: list[Run], strategies: Iterable[str]) -> list[str]:
    """Return the table of one case in Markdown."""
    lines = [
        '| part of the atoms | strategy | atoms | structures | energy RMSE, meV/atom | to random | force RMSE, meV/Å | '
        'to random | largest force error, meV/Å | to random | training s |',
        '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
    ]
    for fraction in sorted({run['fraction'] for run in runs}):
        for strategy in strategies:
            chosen = [run for run in runs if (run['strategy'], run['fraction']) == (strategy, fraction)]
            if not chosen:
                continue
            cells = [f'{100 * fraction:.0f} %', strategy, *(f'{_median(chosen, key):.0f}' for key in SIZES)]
            for figure in FIGURES:
                cells += [_spread(chosen, figure), _ratio(runs, strategy, fraction, figure)]
            lines.append(f'| {" | ".join(cells)} | {_median(chosen, "seconds"):.2g} |')
    return lines


def _median(runs: list[Run], key: str) -> float:
    return float(np.median([run[key] for run in runs]))


def _spread(runs: list[Run], figure: str) -> str:
    low, middle, high = np.percentile([run[figure] for run in runs], [10, 50, 90])
    return f'{_short(middle)} ({_short(low)} to {_short(high)})'


def _short(value: float) -> str:
    return f'{value:.0f}' if value >= 100 else f'{value:.3g}'


def _ratio(runs: list[Run], strategy: str, fraction: float, figure: str) -> str:
    if strategy in ('all', 'random'):
        return ''
    mean, error = centre(ratios(runs, strategy, fraction, figure))
    return f'{mean:.2f} ± {error:.2f}'


def overview(by_case: dict[str, list[Run]], strategies: Iterable[str]) -> list[str]:
    """Return a table for each figure in Markdown: ratios to `random` at each part of the atoms."""
    names = [name for name in strategies if name not in ('all', 'random')]
    lines = []
    for figure, label in FIGURES.items():
        lines += ['', f'| {label} / random | {" | ".join(names)} |', f'|---|{"---:|" * len(names)}']
        for case, runs in by_case.items():
            fractions = sorted({run['fraction'] for run in runs if run['strategy'] == 'random'})
            found = [[centre(ratios(runs, name, part, figure))[0] for part in fractions] for name in names]
            cells = [' / '.join('–' if np.isnan(one) else f'{one:.2f}' for one in row) for row in found]
            lines.append(f'| {case} | {" | ".join(cells)} |')
    return lines


def draw(by_case: dict[str, list[Run]], strategies: Iterable[str], path: Path) -> None:
    """Draw the ratios to `random` against the part of the atoms, a row for each case."""
    names = [name for name in strategies if name not in ('all', 'random')]
    with look():
        figure = new_figure(7.5, 1.75 * len(by_case) + 0.5)
        axes = figure.subplots(len(by_case), len(FIGURES), squeeze=False, sharex=True)
        for line, (case, runs) in enumerate(by_case.items()):
            fractions = sorted({run['fraction'] for run in runs if run['strategy'] == 'random'})
            for column, key in enumerate(FIGURES):
                ax = axes[line][column]
                ax.axhline(1.0, color='black', linewidth=0.8)
                for number, name in enumerate(names):
                    _line(ax, runs, name, fractions, key, number)
                _scale(ax, [centre(ratios(runs, name, part, key))[0] for name in names for part in fractions])
            axes[line][0].set_ylabel(case.replace(', ', '\n'))
        for column, label in enumerate(FIGURES.values()):
            axes[0][column].set_title(f'{label} / random')
            axes[-1][column].set_xlabel('part of the atoms, %')
            axes[-1][column].set_xticks([10, 20, 40])
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside lower center', ncols=len(names))
        save(figure, path)


def _scale(ax: Any, means: list[float]) -> None:
    """Scale an axis of ratios, such that small differences look small."""
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    if high / low > 2.5:
        ax.set_yscale('log')
        ax.set_ylim(low / 1.5, max(high, 1.0) * 1.5)
        ax.set_yticks([tick for tick in TICKS if low / 1.5 <= tick <= max(high, 1.0) * 1.5])
        ax.set_yticks([], minor=True)
    else:
        ax.set_ylim(min(low - 0.05, 0.9), max(high + 0.05, 1.1))
    ax.yaxis.set_major_formatter('{x:g}')


def _line(ax: Any, runs: list[Run], name: str, fractions: list[float], key: str, number: int) -> None:
    points = [(100 * part, *centre(values)) for part in fractions if len(values := ratios(runs, name, part, key))]
    if not points:
        return
    places, means, errors = np.array(points).T
    ax.errorbar(
        places * (1 + 0.02 * (number - 2)), means, yerr=np.nan_to_num(errors), label=name, color=COLOURS[number],
        marker=MARKERS[number], markersize=3.5, capsize=1.5,
    )  # fmt: skip
