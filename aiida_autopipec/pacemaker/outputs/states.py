"""Which state an unfinished training left behind, and how far it had come.

``interim_potential_<cycle>.yaml`` is rewritten after each iteration, so a job that was killed may leave half of one.
``interim_potential_best_cycle.yaml`` and ``interim_potential_ladder_step_<n>.yaml`` are written once, at the end of a
ladder step (``pyace/generalfit.py``, python-ace 0.4.0rc1).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiida_autopipec.pacemaker.errors import AutopipecError, OutputError
from aiida_autopipec.pacemaker.outputs.log import TrainingLog
from aiida_autopipec.pacemaker.outputs.metrics import Metrics
from aiida_autopipec.pacemaker.outputs.potential import PotentialInfo, parse_potential

_CYCLE = re.compile(r'interim_potential_(\d+)\.yaml\Z')
_LADDER_STEP = re.compile(r'interim_potential_ladder_step_(\d+)\.yaml\Z')
_BEST_CYCLE = 'interim_potential_best_cycle.yaml'


@dataclass(frozen=True)
class Position:
    """How far a training had come when it wrote a state.

    :param n_functions: functions of the state; ``n_target_functions`` those at the end of the ladder, where known.
    :param cycle: fit cycle that made it, from 0.
    :param iteration: iterations of this minimisation that are in the state.
    :param finished: the minimisation had come to its own end.
    :param iterations: all iterations of the run that led to the state.
    """

    n_functions: int
    cycle: int
    iteration: int
    finished: bool
    iterations: int
    n_target_functions: int | None = None

    @property
    def ladder_is_climbed(self) -> bool:
        """Return whether no function is left to add; unknown counts as no."""
        return self.n_target_functions is not None and self.n_functions >= self.n_target_functions

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, which the constructor takes back."""
        return dict(vars(self))


@dataclass(frozen=True)
class FitState:
    """A whole interim potential, where it was found, and how far the fit had come.

    :param filename: name of the file.
    :param content: the bytes of the file.
    :param position: how far it had come.
    """

    filename: str
    content: bytes
    position: Position


@dataclass(frozen=True)
class _Minimisation:
    """The rows of one ladder step and fit cycle; there are several stretches where a GPU ran out of memory.

    ``last_iteration`` is the number of the last row, as the log has it too.
    """

    cycle: int
    n_functions: int
    iterations: int
    last_iteration: int
    loss: float


def parse_whole_potential(text: str, metrics: Metrics) -> PotentialInfo:
    """Read a potential that may have been cut off while it was written, or that holds NaN.

    A file that ends between two lines is still a potential, but with fewer functions: the metrics know how many there
    should be.

    :param text: content of the file.
    :param metrics: of the run that wrote it.
    :raises AutopipecError: if it is not whole.
    """
    info = parse_potential(text)
    if not info.finite:
        raise OutputError('it has coefficients that are not finite')
    expected = {int(number) for number in metrics.columns.get('nfuncs', ()) if math.isfinite(number)}
    if expected and info.total_functions not in expected:
        raise OutputError(f'it is cut off: it has {info.total_functions} of {max(expected)} functions')
    return info


def newest_state(
    files: Mapping[str, bytes], metrics: Metrics, log: TrainingLog
) -> tuple[FitState | None, tuple[str, ...]]:
    """Return the state to go on from, and what is wrong with those that were passed over.

    The one with the most functions counts, and of several fit cycles the one with the lowest loss, as Pacemaker keeps
    that one too. Where none of the numbered files is whole, an older state of the same run takes their place.

    :param files: contents of ``interim_potential_*.yaml`` by name.
    :param metrics: of ``metrics.txt``; may be empty.
    :param log: of ``log.txt`` or stderr.
    """
    problems: list[str] = []
    minimisations = list(_minimisations(metrics))
    for names in _in_order(files):
        states = [
            state
            for name in names
            if (state := _read(name, files[name], metrics, minimisations, log, problems)) is not None
        ]
        if states:
            newest = max(states, key=lambda state: _rank(state, minimisations))
            return _as_it_ended(newest, files, metrics), tuple(problems)
    return None, tuple(problems)


def _as_it_ended(state: FitState, files: Mapping[str, bytes], metrics: Metrics) -> FitState:
    """Return a state that is complete as it was written at the end of its ladder step.

    With evaluator ``pyace`` the one that is written after each iteration differs in one coefficient by 1.5e-8, the step
    of the numerical gradient.
    """
    if not state.position.finished or _BEST_CYCLE not in files:
        return state
    try:
        info = parse_whole_potential(files[_BEST_CYCLE].decode(), metrics)
    except (AutopipecError, UnicodeDecodeError):
        return state
    same = info.total_functions == state.position.n_functions
    return FitState(_BEST_CYCLE, files[_BEST_CYCLE], state.position) if same else state


def _in_order(files: Mapping[str, bytes]) -> Iterator[list[str]]:
    """Yield names of equal standing, the newest first."""
    yield [name for name in sorted(files) if _CYCLE.match(name)]
    yield [_BEST_CYCLE] if _BEST_CYCLE in files else []
    steps = [(int(match[1]), name) for name in files if (match := _LADDER_STEP.match(name))]
    for _, name in sorted(steps, reverse=True):
        yield [name]


def _read(
    name: str,
    content: bytes,
    metrics: Metrics,
    minimisations: list[_Minimisation],
    log: TrainingLog,
    problems: list[str],
) -> FitState | None:
    try:
        info = parse_whole_potential(content.decode(), metrics)
    except (AutopipecError, UnicodeDecodeError) as exception:
        problems.append(f'{name} is not a whole potential and is left out: {exception}')
        return None
    number = _CYCLE.match(name)
    cycle = int(number[1]) if number else None
    return FitState(name, content, _position(info, cycle, minimisations, log))


def _position(info: PotentialInfo, cycle: int | None, minimisations: list[_Minimisation], log: TrainingLog) -> Position:
    """Return how far the fit had come in a state.

    :param cycle: fit cycle in the name of the file; ``None`` for a file that is written at the end of all cycles.
    """
    own = [
        index
        for index, fit in enumerate(minimisations)
        if fit.n_functions == info.total_functions and cycle in (None, fit.cycle)
    ]
    if not own:  # without metrics the log still counts; in a ladder and in cycles it counts the running minimisation
        logged = log.iteration_times[-1][0] if log.iteration_times else 0
        iteration = 0 if cycle is None else logged - _lag(info, log, logged)
        return Position(
            n_functions=info.total_functions,
            cycle=cycle or 0,
            iteration=max(0, iteration),
            finished=cycle is None,
            iterations=max(0, iteration),
            n_target_functions=log.n_target_functions,
        )
    index = own[-1]
    fit = minimisations[index]
    finished = cycle is None or _is_finished(index, minimisations, log)
    lag = 0 if finished else _lag(info, log, fit.last_iteration)
    return Position(
        n_functions=info.total_functions,
        cycle=fit.cycle,
        iteration=max(0, fit.iterations - lag),
        finished=finished,
        iterations=max(0, sum(fit.iterations for fit in minimisations[: index + 1]) - lag),
        n_target_functions=log.n_target_functions,
    )


def _is_finished(index: int, minimisations: list[_Minimisation], log: TrainingLog) -> bool:
    """Return whether a minimisation came to its own end; one that crashed by early stopping did too."""
    later = index < len(minimisations) - 1
    return later or index < len(log.optimisations) or log.early_stopping is not None


def _lag(info: PotentialInfo, log: TrainingLog, iteration: int) -> int:
    """Return how many iterations a state is behind the metrics; of damaged metrics only whole rows count.

    An iteration writes its row, then its line in the log, then its state, with the time in it. So the last line before
    that time says which iteration it is: a job that is killed in between leaves the state of the iteration before, and
    one that nobody could kill goes on while its files are retrieved, the states first.

    :param iteration: of the last row.
    """
    times = log.iteration_times
    if not times or times[-1][0] < iteration - 1:  # a log that breaks off says nothing of the end
        return 0
    logged = times[-1][0]
    written = _time_of(info)
    if written is None:
        return int(logged == iteration - 1)
    reached = [number for number, time in times if time <= written]
    if not reached:
        return iteration
    if reached[-1] == logged == iteration - 1 and len(times) > 1:
        # the line of the last row is missing: its state comes as much later as an iteration takes, the other at once
        length = times[-1][1] - times[-2][1]
        return int(written - times[-1][1] < length / 2)
    return max(0, iteration - reached[-1])


def _time_of(info: PotentialInfo) -> datetime | None:
    """Return when a state was written, in the local time of the computer as in the log."""
    try:
        written = datetime.fromisoformat(info.metadata.get('intermediate_time', ''))
    except ValueError:
        return None
    return None if written.tzinfo is not None else written


def _minimisations(metrics: Metrics) -> Iterator[_Minimisation]:
    """Yield the minimisations of a run in their order; none where the table is not that of ``metrics.txt``."""
    if any(name not in metrics.columns for name in ('ladder_step', 'cycle_step', 'iter_num', 'loss', 'nfuncs')):
        return
    grouped: dict[tuple[int, int], list[Metrics]] = {}
    for stretch in metrics.stretches():
        grouped.setdefault((int(stretch['ladder_step'][0]), int(stretch['cycle_step'][0])), []).append(stretch)
    for (_, cycle), stretches in grouped.items():
        last = stretches[-1].last
        yield _Minimisation(
            cycle=cycle,
            n_functions=int(last['nfuncs']) if math.isfinite(last['nfuncs']) else 0,
            iterations=sum(int(stretch['iter_num'].max()) for stretch in stretches),
            last_iteration=int(last['iter_num']),
            loss=last['loss'],
        )


def _rank(state: FitState, minimisations: Iterable[_Minimisation]) -> tuple[int, float, int]:
    """Return what the newest state has most of: functions, then a low loss, then cycles."""
    position = state.position
    losses = [
        fit.loss for fit in minimisations if (fit.n_functions, fit.cycle) == (position.n_functions, position.cycle)
    ]
    loss = losses[-1] if losses and math.isfinite(losses[-1]) else math.inf
    return position.n_functions, -loss, position.cycle
