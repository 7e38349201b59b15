"""What the fits of ``training.py`` amount to: table, judgement and plot."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MODES = ('plain', 'prefit', 'full')
FEWER_EVALUATIONS, FEWER_SECONDS, SLOWEST = 1 / 3, 1 / 2, 1.1
"""Parts of those of plain training that a start is to stay below: medians, and seconds of each single fit."""


@dataclass(frozen=True)
class Fit:
    """One training.

    :param case: data, protocol, size and iterations of the plain training.
    :param losses: of each iteration, from the start on.
    :param seconds: of processor time since the job began, when each iteration was done.
    :param evaluations: of the loss until then.
    :param script_seconds: of dry run, prefit, self-tests and curvature.
    :param steps: seconds of each of these.
    :param test_iterations: after which the test errors are known.
    """

    case: str
    mode: str
    seed: int
    evaluator: str
    coefficients: int
    structures: int
    atoms: int
    losses: list[float]
    seconds: list[float]
    evaluations: list[float]
    script_seconds: float
    total_seconds: float
    steps: dict[str, float]
    test_iterations: list[float]
    test_mev_per_atom: list[float]
    test_mev_per_angstrom: list[float]

    @property
    def identity(self) -> tuple[str, str, int]:
        """Return what no other fit of the same results has."""
        return self.case, self.mode, self.seed

    def first_below(self, loss: float) -> int | None:
        """Return the iteration after which the loss is at or below a value, or ``None`` if it never is."""
        return next((number for number, value in enumerate(self.losses) if value <= loss * (1 + 1e-9)), None)

    def test_errors_at(self, iteration: int) -> tuple[float, float]:
        """Return energy and force error on the test set, between those that are known."""
        return (
            float(np.interp(iteration, self.test_iterations, self.test_mev_per_atom)),
            float(np.interp(iteration, self.test_iterations, self.test_mev_per_angstrom)),
        )

    def lowest_force_error(self) -> tuple[float, float]:
        """Return the lowest test error of forces, and after how many evaluations it was there."""
        place = int(np.argmin(self.test_mev_per_angstrom))
        evaluations = np.interp(self.test_iterations[place], range(len(self.evaluations)), self.evaluations)
        return self.test_mev_per_angstrom[place], float(evaluations)


@dataclass(frozen=True)
class Comparison:
    """A fit that reached the last loss of the plain training of the same case and seed, in parts of that one."""

    fit: Fit
    plain: Fit
    iteration: int

    @property
    def evaluations(self) -> float:
        """Return the part of the loss evaluations."""
        return self.fit.evaluations[self.iteration] / self.plain.evaluations[-1]

    @property
    def seconds(self) -> float:
        """Return the part of the seconds, with those of the script and of starting Pacemaker."""
        return self.fit.seconds[self.iteration] / self.plain.seconds[-1]

    @property
    def test_errors(self) -> tuple[float, float]:
        """Return the parts of the test errors, of energies and of forces."""
        own, other = self.fit.test_errors_at(self.iteration), self.plain.test_errors_at(len(self.plain.losses) - 1)
        return own[0] / other[0], own[1] / other[1]


def load(path: Path) -> list[Fit]:
    """Read results; a last line that was cut off is left out."""
    lines = path.read_text().split('\n')[:-1]
    return [Fit(**json.loads(line)) for line in lines]


def comparisons(fits: list[Fit], case: str, mode: str) -> list[Comparison | None]:
    """Return how each seed of a mode compares with its plain training, ``None`` where it does not get as far."""
    plain = {fit.seed: fit for fit in fits if (fit.case, fit.mode) == (case, 'plain')}
    result: list[Comparison | None] = []
    for fit in fits:
        if (fit.case, fit.mode) == (case, mode) and fit.seed in plain:
            iteration = fit.first_below(plain[fit.seed].losses[-1])
            result.append(None if iteration is None else Comparison(fit, plain[fit.seed], iteration))
    return result


def report(fits: list[Fit]) -> list[str]:
    """Return two tables with medians over the seeds, and the judgement of each case, in Markdown."""
    cases = list(dict.fromkeys(fit.case for fit in fits))
    lines = [*costs(fits, cases), '', *errors(fits, cases), '']
    for case in cases:
        for mode in MODES[1:]:
            compared = comparisons(fits, case, mode)
            if compared:
                lines.append(f'- {case}, `{mode}`: {judgement(compared)}')
    return lines


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def rows(fits: list[Fit], cases: list[str]) -> Iterator[tuple[str, str, list[Fit]]]:
    """Yield case, mode and fits of what there is."""
    for case in cases:
        for mode in MODES:
            chosen = [fit for fit in fits if (fit.case, fit.mode) == (case, mode)]
            if chosen:
                yield case, mode, chosen


def costs(fits: list[Fit], cases: list[str]) -> list[str]:
    """Return what it took to get as far as plain training, in brackets as part of it."""
    lines = [
        '| case | mode | seeds | first loss | last loss | evaluations to the last loss of `plain` | seconds | '
        'of the script |',
        '|---|---|---:|---:|---:|---:|---:|---:|',
    ]
    for case, mode, chosen in rows(fits, cases):
        compared = comparisons(fits, case, mode)
        reached = [one for one in compared if one is not None]
        if reached and len(reached) == len(compared):
            evaluations = middle(one.fit.evaluations[one.iteration] for one in reached)
            seconds = middle(one.fit.seconds[one.iteration] for one in reached)
            way = [
                f'{evaluations:.0f} ({middle(one.evaluations for one in reached):.2f})',
                f'{seconds:.0f} ({middle(one.seconds for one in reached):.2f})',
            ]
        else:
            way = [f'reached by {len(reached)} of {len(compared)}', '']
        losses = [f'{middle(fit.losses[place] for fit in chosen):.3g}' for place in (0, -1)]
        cells = [*losses, *way, f'{middle(fit.script_seconds for fit in chosen):.1f}']
        lines.append(f'| {case} | `{mode}` | {len(chosen)} | {" | ".join(cells)} |')
    return lines


def errors(fits: list[Fit], cases: list[str]) -> list[str]:
    """Return the errors on the test set: where the loss is that of plain training, at the end, and at their lowest."""
    lines = [
        '| case | mode | there, meV/atom | meV/Å | at the end, meV/atom | meV/Å | after evaluations | '
        'lowest, meV/Å | after evaluations |',
        '|---|---|---:|---:|---:|---:|---:|---:|---:|',
    ]
    for case, mode, chosen in rows(fits, cases):
        compared = comparisons(fits, case, mode)
        there = ['', '']
        if compared and None not in compared:
            pairs = [one.fit.test_errors_at(one.iteration) for one in compared if one is not None]
            there = [f'{middle(pair[place] for pair in pairs):.1f}' for place in (0, 1)]
        lowest = [fit.lowest_force_error() for fit in chosen]
        cells = [
            *there,
            f'{middle(fit.test_mev_per_atom[-1] for fit in chosen):.1f}',
            f'{middle(fit.test_mev_per_angstrom[-1] for fit in chosen):.1f}',
            f'{middle(fit.evaluations[-1] for fit in chosen):.0f}',
            f'{middle(error for error, _ in lowest):.1f}',
            f'{middle(evaluations for _, evaluations in lowest):.0f}',
        ]
        lines.append(f'| {case} | `{mode}` | {" | ".join(cells)} |')
    return lines


def judgement(compared: list[Comparison | None]) -> str:
    """Return which parts of the bar are met: medians of evaluations, seconds and test errors, and the slowest fit."""
    reached = [one for one in compared if one is not None]
    if len(reached) < len(compared):
        return f'**not met**: {len(compared) - len(reached)} of {len(compared)} never get as far as plain training'
    values = {
        'evaluations': (statistics.median(one.evaluations for one in reached), FEWER_EVALUATIONS),
        'seconds': (statistics.median(one.seconds for one in reached), FEWER_SECONDS),
        'test error of energies': (statistics.median(one.test_errors[0] for one in reached), 1.0),
        'test error of forces': (statistics.median(one.test_errors[1] for one in reached), 1.0),
        'slowest': (max(one.seconds for one in reached), SLOWEST),
    }
    parts = [
        f'{name} {value:.2f}{"" if value <= bar else f" (**above {bar:.2f}**)"}'
        for name, (value, bar) in values.items()
    ]
    met = all(value <= bar for value, bar in values.values())
    return f'{"met" if met else "**not met**"}: {", ".join(parts)}'


def plot(fits: list[Fit], path: Path) -> None:
    """Draw the loss against evaluations and seconds, and the test error of forces against evaluations."""
    import matplotlib as mpl

    mpl.use('agg')
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    cases = list(dict.fromkeys(fit.case for fit in fits))
    figure, axes = plt.subplots(len(cases), 3, figsize=(11, 2.9 * len(cases)), squeeze=False)
    for row, case in zip(axes, cases, strict=True):
        for fit in (fit for fit in fits if fit.case == case):
            style = {'color': f'C{MODES.index(fit.mode)}', 'alpha': 0.8, 'linewidth': 1.2}
            row[0].plot(fit.evaluations, fit.losses, **style)
            row[1].plot(fit.seconds, fit.losses, **style)
            looked_at = np.interp(fit.test_iterations, range(len(fit.evaluations)), fit.evaluations)
            single = 'o' if len(looked_at) == 1 else None
            row[2].plot(looked_at, fit.test_mev_per_angstrom, marker=single, **style)
        labels = ('loss evaluations', 'processor seconds, with script and start', 'loss evaluations')
        for axis, label in zip(row, labels, strict=True):
            axis.set(yscale='log', xlabel=label, xlim=(0, None))
        row[2].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        row[2].yaxis.set_major_formatter('{x:g}')
        row[2].yaxis.set_minor_formatter(NullFormatter())
        row[0].set_ylabel('loss')
        row[2].set_ylabel('test error, meV/Å')
        row[0].set_title(case, loc='left', fontsize=10)
    for mode in MODES:
        axes[0][1].plot([], [], color=f'C{MODES.index(mode)}', label=mode)
    axes[0][1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
