"""What a training has reached while it runs: a summary of bounded size that is kept up to date row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from typing_extensions import Self

from aiida_autopipec.pacemaker.config.fit import FitSettings
from aiida_autopipec.pacemaker.outputs.tail import Position, Row

CURVE_POINTS = 128
"""Most points of a curve: 5 kB of JSON, however long the training is."""
RECENT_ROWS = 10
LEAST_ITERATIONS_FOR_A_RATE = 3

Number = float | None
"""A number that a database can hold: ``None`` stands for NaN and infinity."""


@dataclass(frozen=True)
class TrainingPlan:
    """How long a training is meant to be.

    :param max_iterations: of each minimisation.
    :param fit_cycles: minimisations of each ladder step.
    :param ladder: the basis grows, in a number of steps that only Pacemaker knows.
    """

    max_iterations: int
    fit_cycles: int = 1
    ladder: bool = False

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TrainingPlan:
        """Read the plan from settings that have been validated."""
        fit = config.get('fit') or {}
        defaults = FitSettings()
        return cls(
            max_iterations=int(fit.get('maxiter') or defaults.maxiter),
            fit_cycles=int(fit.get('fit_cycles') or defaults.fit_cycles),
            ladder=fit.get('ladder_step') is not None,
        )


class Curve(BaseModel):
    """A curve that stays short: when it is full, every other point goes, and from then on only every other one comes.

    :param stride: rows between two points.
    :param points: lists of the row, its iteration and its values.
    """

    stride: int = Field(1, ge=1)
    points: list[tuple[int, int, Number, Number, Number]] = Field(default_factory=list, max_length=CURVE_POINTS)

    def add(self, number: int, row: Row) -> None:
        """Take a row, if it is its turn.

        :param number: of the row, counted from 0.
        """
        if number % self.stride:
            return
        if len(self.points) == CURVE_POINTS:
            self.points = self.points[::2]
            self.stride *= 2
            if number % self.stride:
                return
        values = (_rounded(row.loss), _rounded(row.rmse_energy), _rounded(row.rmse_forces))
        self.points.append((number, row.iteration, *values))


class TestProgress(BaseModel):
    """What the test set says; evaluator ``pyace`` writes no test metrics.

    :param best_loss: lowest loss in this minimisation.
    :param rows_since_best: how many test rows ago that was.
    """

    __test__ = False  # not a test of pytest's

    position: Position = Position()
    rows: int = 0
    loss: Number = None
    rmse_energy_ev_per_atom: Number = None
    rmse_forces_ev_per_angstrom: Number = None
    best_loss: Number = None
    rows_since_best: int = 0
    curve: Curve = Curve()

    def add(self, row: Row) -> None:
        """Take a row."""
        if row.iteration == 0:
            self.best_loss, self.rows_since_best = None, 0
        self.curve.add(self.rows, row)
        self.rows += 1
        self.loss = _finite(row.loss)
        self.rmse_energy_ev_per_atom = _finite(row.rmse_energy)
        self.rmse_forces_ev_per_angstrom = _finite(row.rmse_forces)
        if self.loss is not None and (self.best_loss is None or self.loss < self.best_loss):
            self.best_loss, self.rows_since_best = self.loss, 0
        else:
            self.rows_since_best += 1


class Progress(BaseModel):
    """What a training has reached.

    :param position: how far ``metrics.txt`` has been read.
    :param rows: how many of its rows, starts of minimisations included.
    :param iterations: of the optimiser, over all minimisations.
    :param ladder_step: where it is, from 0, as ``cycle_step``.
    :param iteration: where it is in this minimisation.
    :param loss: of the last row; ``None`` if it is not finite, see ``loss_kind``.
    :param best_loss: lowest loss in this minimisation.
    :param recent_losses: of the last rows of this minimisation.
    :param first_row: row with which this minimisation began.
    :param started: seconds since the epoch when a row was first seen.
    :param seen: when the newest row was first seen.
    :param rate_since: time and iteration from which the speed of this minimisation is measured.
    :param looks_not_finite: looks in a row that found a loss that is not finite.
    """

    version: Literal[1] = 1
    position: Position = Position()
    rows: int = Field(0, ge=0)
    iterations: int = Field(0, ge=0)
    ladder_step: int = 0
    cycle_step: int = 0
    iteration: int = 0
    loss: Number = None
    loss_kind: Literal['none', 'finite', 'infinite', 'nan'] = 'none'
    rmse_energy_ev_per_atom: Number = None
    rmse_forces_ev_per_angstrom: Number = None
    first_row: int = 0
    best_loss: Number = None
    recent_losses: list[Number] = Field(default_factory=list, max_length=RECENT_ROWS)
    curve: Curve = Curve()
    test: TestProgress = TestProgress()
    started: float | None = None
    seen: float | None = None
    rate_since: tuple[float, int] | None = None
    looks_not_finite: int = 0

    @classmethod
    def from_stored(cls, value: object) -> Self:
        """Return what was stored, or a new start if it is nothing of the kind."""
        try:
            return cls.model_validate(value)
        except ValidationError:
            return cls()

    def to_storable(self) -> dict[str, Any]:
        """Return a mapping that a database can hold."""
        return self.model_dump(mode='json')

    def look(self, data: bytes, test_data: bytes, *, now: float) -> Self:
        """Return what is known after a look at the new bytes of both tables.

        :param data: of ``metrics.txt`` from ``position.offset`` on.
        :param test_data: of ``test_metrics.txt`` from ``test.position.offset`` on.
        :param now: seconds since the epoch.
        """
        after = self.model_copy(deep=True)
        stretch = after.first_row
        new = after.position.read(data)
        for row in new:
            after.add(row)
        for row in after.test.position.read(test_data):
            after.test.add(row)
        if new:
            after.started = after.started or now
            after.seen = now
            # the speed is that of this minimisation alone: a ladder gets slower from step to step
            if after.rate_since is None or after.first_row != stretch:
                after.rate_since = (now, after.iteration)
        is_bad = after.loss_kind in ('infinite', 'nan')
        after.looks_not_finite = after.looks_not_finite + 1 if is_bad else 0
        return after

    def add(self, row: Row) -> None:
        """Take a row."""
        here = (row.ladder_step, row.cycle_step)
        if self.rows == 0 or here != (self.ladder_step, self.cycle_step) or row.iteration < self.iteration:
            self.first_row, self.best_loss, self.recent_losses = self.rows, None, []
        self.iterations += row.iteration > 0
        self.ladder_step, self.cycle_step, self.iteration = row.ladder_step, row.cycle_step, row.iteration
        self.curve.add(self.rows, row)
        self.rows += 1
        self.loss = _finite(row.loss)
        self.loss_kind = 'finite' if self.loss is not None else 'nan' if math.isnan(row.loss) else 'infinite'
        self.rmse_energy_ev_per_atom = _finite(row.rmse_energy)
        self.rmse_forces_ev_per_angstrom = _finite(row.rmse_forces)
        self.recent_losses = [*self.recent_losses, self.loss][-RECENT_ROWS:]
        if self.loss is not None and (self.best_loss is None or self.loss < self.best_loss):
            self.best_loss = self.loss

    @property
    def rows_not_finite(self) -> int:
        """Return how many of the last rows have a loss that is not finite, :data:`RECENT_ROWS` at most."""
        return next(
            (n for n, loss in enumerate(reversed(self.recent_losses)) if loss is not None), len(self.recent_losses)
        )

    def loss_before(self, iterations: int) -> float | None:
        """Return the loss so many iterations ago or earlier in this minimisation, as far as the curve tells."""
        earlier = [
            loss
            for number, iteration, loss, *_ in self.curve.points
            if number >= self.first_row and iteration <= self.iteration - iterations and loss is not None
        ]
        return earlier[-1] if earlier else None

    def seconds_per_iteration(self) -> float | None:
        """Return the time that an iteration of this minimisation takes, or ``None`` as long as that is not known."""
        if self.rate_since is None or self.seen is None:
            return None
        since, first = self.rate_since
        done = self.iteration - first
        return (self.seen - since) / done if done >= LEAST_ITERATIONS_FOR_A_RATE and self.seen > since else None

    def seconds_left(self, plan: TrainingPlan, *, now: float) -> float | None:
        """Return how long the fit may still take: at most, as the optimiser may converge before.

        With a ladder, whose length only Pacemaker knows, this is about the present step alone. What comes after the
        fit (predictions, exports, the active set) is not counted.
        """
        pace = self.seconds_per_iteration()
        if pace is None or self.seen is None:
            return None
        iterations = max(0, plan.max_iterations - self.iteration)
        iterations += max(0, plan.fit_cycles - self.cycle_step - 1) * plan.max_iterations
        return max(0.0, iterations * pace - (now - self.seen))


def _finite(number: float) -> Number:
    return number if math.isfinite(number) else None


def _rounded(number: float) -> Number:
    """Return a number with five digits, which is more than a curve shows."""
    return float(f'{number:.4e}') if math.isfinite(number) else None
