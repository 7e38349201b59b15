"""One learning curve out of those of several runs, each of which went on from a state of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.outputs.metrics import Metrics

ATTEMPT = 'attempt'
"""Column of a stitched curve: which run a row comes from, counted from 1."""

#: Relative difference of the losses at the end of a run and at the start of the next one. With evaluator ``pyace`` a
#: state differs in one coefficient by 1.5e-8, the step of its numerical gradient (python-ace 0.4.0rc1).
_SAME_LOSS = 1e-5


@dataclass(frozen=True, eq=False)
class Attempt:
    """The curves of one run.

    :param number: counted from 1.
    :param metrics: of ``metrics.txt``.
    :param test_metrics: of ``test_metrics.txt``; may be empty.
    """

    number: int
    metrics: Metrics
    test_metrics: Metrics


@dataclass(frozen=True, eq=False)
class StitchedCurve:
    """The curve of the way to a result: what another run repeated or left aside is not in it.

    :param metrics: with the column ``attempt``; ``iter_num`` and ``ladder_step`` go on from run to run.
    :param test_metrics: the same for the test set.
    """

    metrics: Metrics
    test_metrics: Metrics


def stitch(attempts: Sequence[Attempt]) -> StitchedCurve:
    """Put the curves of runs together, each of which went on from a state of the one before.

    A run starts with the loss of the state that it goes on from: that finds the row where it sets in. What the run
    before had done after that row is lost and dropped, and the start is not repeated. So every iteration stands there
    once, and ``n_iterations`` of the resulting metrics counts those that led to it.

    :param attempts: runs in their order; those without a row are left out.
    """
    train: list[Metrics] = []
    test: list[Metrics] = []
    for attempt in attempts:
        if not len(attempt.metrics):
            continue
        own, own_test = _numbered(attempt.metrics, attempt.number), _numbered(attempt.test_metrics, attempt.number)
        if train:
            before = _joined(train)
            row = _row_of_start(before, own)
            kept = _rows(before, np.arange(len(before)) <= row)
            train, test = [kept], [_until(_joined(test), kept)]
            own, own_test = _shifted(own, own_test, kept)
        train.append(own)
        test.append(own_test)
    return StitchedCurve(_joined(train), _joined(test))


def _row_of_start(before: Metrics, after: Metrics) -> int:
    """Return the row of the state that a run started from: by its loss, preferably with as many functions."""
    start = float(after['loss'][0])
    distances = np.abs(before['loss'] - start)
    same_size = before['nfuncs'] == after['nfuncs'][0]
    for candidates in (same_size, np.ones(len(before), dtype=bool)):
        masked = np.where(candidates & np.isfinite(distances), distances, np.inf)
        nearest = len(masked) - 1 - int(np.argmin(masked[::-1]))
        if masked[nearest] <= _SAME_LOSS * abs(start):
            return nearest
    return len(before) - 1


def _shifted(own: Metrics, own_test: Metrics, kept: Metrics) -> tuple[Metrics, Metrics]:
    """Return the curves of a run with numbers that go on from those before it, without the start where it repeats."""
    last = kept.last
    grown = own['nfuncs'][0] != last['nfuncs']
    offsets = {'ladder_step': last['ladder_step'] + grown - own['ladder_step'][0]}
    if grown:
        return _moved(own, offsets, {}), _moved(own_test, offsets, {})
    first = {'cycle_step': last['cycle_step'], 'iter_num': last['iter_num']}
    train = _moved(own, offsets, first)
    test = _moved(own_test, offsets, first)
    return _without_start(train, own), _without_start(test, own_test)


def _moved(metrics: Metrics, offsets: dict[str, float], first: dict[str, float]) -> Metrics:
    """Add to columns, and in the first minimisation also what ``first`` says."""
    if not len(metrics):
        return metrics
    columns = dict(metrics.columns)
    for name, offset in offsets.items():
        columns[name] = columns[name] + offset
    in_first = _first_minimisation(metrics)
    for name, offset in first.items():
        where = in_first if name == 'iter_num' else metrics['ladder_step'] == metrics['ladder_step'][0]
        columns[name] = columns[name] + np.where(where, offset, 0.0)
    return Metrics(columns, metrics.truncated)


def _first_minimisation(metrics: Metrics) -> NDArray[np.bool_]:
    """Return which rows belong to the first minimisation."""
    length = len(next(metrics.stretches()))
    return np.arange(len(metrics)) < length


def _without_start(metrics: Metrics, original: Metrics) -> Metrics:
    """Drop the first row of a run, iteration 0, which is the last one of the run before."""
    if not len(metrics) or original['iter_num'][0] != 0:
        return metrics
    return _rows(metrics, np.arange(len(metrics)) > 0)


def _until(test: Metrics, kept: Metrics) -> Metrics:
    """Return the rows of the test set up to the last one that is kept of the training set."""
    if not len(test):
        return test
    last = kept.last
    order = ('ladder_step', 'cycle_step', 'iter_num')
    numbers = np.stack([test[name] for name in order], axis=1)
    return _rows(test, np.array([tuple(row) <= tuple(last[name] for name in order) for row in numbers], dtype=bool))


def _numbered(metrics: Metrics, number: int) -> Metrics:
    return Metrics({**metrics.columns, ATTEMPT: np.full(len(metrics), float(number))}, metrics.truncated)


def _rows(metrics: Metrics, mask: NDArray[np.bool_]) -> Metrics:
    return Metrics({name: values[mask] for name, values in metrics.columns.items()}, metrics.truncated)


def _joined(parts: Sequence[Metrics]) -> Metrics:
    """Put tables below each other; they share their columns, as one version of Pacemaker wrote them."""
    filled = [part for part in parts if len(part)]
    if not filled:
        return Metrics({})
    names = [name for name in filled[0].columns if all(name in part.columns for part in filled)]
    return Metrics({name: np.concatenate([part[name] for part in filled]) for name in names}, filled[-1].truncated)
