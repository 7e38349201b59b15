"""What the fits of ``training.py`` amount to: table, judgement and plot."""

from __future__ import annotations

import json
import math
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

    def first_as_good(self, other: Fit) -> int | None:
        """Return the iteration after which the loss and both test errors are at or below the last ones of another fit.

        Before they are first known, test errors are not; between two times that they are known, they are on a line.
        """
        limits = other.losses[-1], *other.test_errors_at(len(other.losses) - 1)
        for number, loss in enumerate(self.losses):
            found = loss, *self.test_errors_at(number)
            known = number >= self.test_iterations[0]
            if known and all(value <= limit * (1 + 1e-9) for value, limit in zip(found, limits, strict=True)):
                return number
        return None

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
    """A fit beside the plain training of the same case and seed.

    :param loss_at: the iteration after which it has the last loss of that one, if ever.
    :param all_at: the same with its last test errors, too.
    """

    fit: Fit
    plain: Fit
    loss_at: int | None
    all_at: int | None

    def evaluations(self, iteration: int | None) -> float:
        """Return the loss evaluations until an iteration; infinity for none."""
        return math.inf if iteration is None else self.fit.evaluations[iteration]

    def seconds(self, iteration: int | None) -> float:
        """Return the seconds until then, with those of the script and of starting Pacemaker; infinity for none."""
        return math.inf if iteration is None else self.fit.seconds[iteration]

    def parts(self, iteration: int | None) -> tuple[float, float]:
        """Return both as parts of what plain training took in all."""
        plain = self.plain.evaluations[-1], self.plain.seconds[-1]
        return self.evaluations(iteration) / plain[0], self.seconds(iteration) / plain[1]

    @property
    def test_errors(self) -> tuple[float, float]:
        """Return the parts of the test errors, of energies and of forces, where the loss is reached, if it is."""
        if self.loss_at is None:
            raise ValueError('the loss is not reached')
        own, other = self.fit.test_errors_at(self.loss_at), self.plain.test_errors_at(len(self.plain.losses) - 1)
        return own[0] / other[0], own[1] / other[1]


def load(path: Path) -> list[Fit]:
    """Read results; a last line that was cut off is left out."""
    lines = path.read_text().split('\n')[:-1]
    return [Fit(**json.loads(line)) for line in lines]


def comparisons(fits: list[Fit], case: str, mode: str) -> list[Comparison]:
    """Return how each seed of a mode compares with its plain training."""
    plain = {fit.seed: fit for fit in fits if (fit.case, fit.mode) == (case, 'plain')}
    return [
        Comparison(fit, beside, fit.first_below(beside.losses[-1]), fit.first_as_good(beside))
        for fit in fits
        if (fit.case, fit.mode) == (case, mode) and (beside := plain.get(fit.seed))
    ]


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
        'evaluations to that and its test errors | seconds | of the script |',
        '|---|---|---:|---:|---:|---:|---:|---:|---:|---:|',
    ]
    for case, mode, chosen in rows(fits, cases):
        compared = comparisons(fits, case, mode)
        losses = [f'{middle(fit.losses[place] for fit in chosen):.3g}' for place in (0, -1)]
        way = [*_way(compared, [one.loss_at for one in compared]), *_way(compared, [one.all_at for one in compared])]
        cells = [*losses, *way, f'{middle(fit.script_seconds for fit in chosen):.1f}']
        lines.append(f'| {case} | `{mode}` | {len(chosen)} | {" | ".join(cells)} |')
    return lines


def _way(compared: list[Comparison], places: list[int | None]) -> list[str]:
    """Return medians of evaluations and seconds until these iterations, or how many fits get there."""
    there = [place for place in places if place is not None]
    median = (
        middle(one.evaluations(place) for one, place in zip(compared, places, strict=True)) if compared else math.inf
    )
    if not math.isfinite(median):
        return [f'{len(there)} of {len(places)} get there', '']
    parts = [one.parts(place) for one, place in zip(compared, places, strict=True)]
    seconds = middle(one.seconds(place) for one, place in zip(compared, places, strict=True))
    missing = '' if len(there) == len(places) else f', {len(there)} of {len(places)} get there'
    return [
        f'{median:.0f} ({middle(part[0] for part in parts):.2f}{missing})',
        f'{seconds:.0f} ({middle(part[1] for part in parts):.2f})',
    ]


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
        pairs = [one.fit.test_errors_at(one.loss_at) for one in compared if one.loss_at is not None]
        if pairs and len(pairs) == len(compared):
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


def judgement(compared: list[Comparison]) -> str:
    """Return which parts of the bar are met, as medians over the seeds.

    What counts is the first time that loss and both test errors are at or below those that plain training ends with;
    for the slowest of the seeds, that of the loss.
    """
    parts = [one.parts(one.all_at) for one in compared]
    values = {
        'evaluations': (middle(part[0] for part in parts), FEWER_EVALUATIONS),
        'seconds': (middle(part[1] for part in parts), FEWER_SECONDS),
        'slowest': (max(one.parts(one.loss_at)[1] for one in compared), SLOWEST),
    }
    told = [
        f'{name} {"never" if math.isinf(value) else f"{value:.2f}"}{"" if value <= bar else f" (**above {bar:.2f}**)"}'
        for name, (value, bar) in values.items()
    ]
    met = all(value <= bar for value, bar in values.values())
    there = sum(one.all_at is not None for one in compared)
    few = '' if there == len(compared) else f' ({there} of {len(compared)} get there)'
    text = f'{"met" if met else "**not met**"}: {", ".join(told)}{few}'
    reached = [one for one in compared if one.loss_at is not None]
    if not reached:
        return f'{text}; the loss is reached by none'
    energies, forces = (middle(one.test_errors[place] for one in reached) for place in (0, 1))
    evaluations = middle(one.parts(one.loss_at)[0] for one in reached)
    who = '' if len(reached) == len(compared) else f' by {len(reached)} of {len(compared)}'
    there = f'{evaluations:.2f}, test errors there {energies:.2f} and {forces:.2f}'
    return f'{text}; the loss alone is reached{who} at {there}'


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
