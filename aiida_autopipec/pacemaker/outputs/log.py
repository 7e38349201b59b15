"""What ``log.txt`` (or stderr, which has the same records) tells about a training."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from aiida_autopipec.pacemaker.outputs.records import LogRecord, parse_records


class StopReason(str, Enum):
    """Why a minimisation ended."""

    CONVERGED = 'converged'
    MAX_ITERATIONS = 'max_iterations'
    MAX_EVALUATIONS = 'max_evaluations'
    EARLY_STOPPING = 'early_stopping'
    PRECISION_LOSS = 'precision_loss'
    NAN = 'nan'
    UNKNOWN = 'unknown'


class LogHint(str, Enum):
    """Things that a log mentions and a user should know."""

    REFERENCE_SWITCHED_TO_AUTO = 'reference_switched_to_auto'
    EXTREME_ENERGIES = 'extreme_energies'
    CUTOFF_IGNORED = 'cutoff_ignored'
    DEFAULT_SEED = 'default_seed'
    DEFAULT_BACKEND = 'default_backend'
    DEFAULT_FIT_SETTING = 'default_fit_setting'
    BATCH_SIZE_REDUCED = 'batch_size_reduced'
    NO_GPU = 'no_gpu'


@dataclass(frozen=True)
class Optimisation:
    """The result of one minimisation, as SciPy reports it.

    :param success: the optimiser met its convergence criterion.
    :param status: SciPy's code; 99 stands for a stop by the callback, 3 (BFGS) for NaN.
    :param message: SciPy's words, which differ between BFGS and L-BFGS-B.
    :param n_evaluations: evaluations of the loss.
    """

    success: bool
    status: int
    message: str
    n_evaluations: int

    @property
    def stop_reason(self) -> StopReason:
        """Return why the minimisation ended; the words are those of SciPy's BFGS and L-BFGS-B."""
        words = self.message.upper()
        for pattern, reason in _STOP_WORDS:
            if pattern in words:
                return reason
        return StopReason.CONVERGED if self.success else StopReason.UNKNOWN


_STOP_WORDS = (
    ('STOPITERATION', StopReason.EARLY_STOPPING),
    ('NAN RESULT', StopReason.NAN),
    ('MAXIMUM NUMBER OF ITERATIONS', StopReason.MAX_ITERATIONS),
    ('ITERATIONS REACHED LIMIT', StopReason.MAX_ITERATIONS),
    ('MAXIMUM NUMBER OF FUNCTION EVALUATIONS', StopReason.MAX_EVALUATIONS),
    ('EVALUATIONS EXCEEDS LIMIT', StopReason.MAX_EVALUATIONS),
    ('PRECISION LOSS', StopReason.PRECISION_LOSS),
    ('ABNORMAL', StopReason.PRECISION_LOSS),
)


@dataclass(frozen=True)
class TrainingLog:
    """Facts from the log of one training; what the log does not say is ``None`` or empty.

    :param pacemaker_version: of python-ace.
    :param tensorpot_version: of tensorpotential.
    :param evaluator: ``pyace`` or ``tensorpot``.
    :param device: ``cpu``, or the name of the GPU as TensorFlow gives it; only stderr says so.
    :param cutoff: of the neighbour lists (Å).
    :param n_functions: size of the basis in the last minimisation; ``n_target_functions`` at the end of a ladder.
    :param n_parameters: coefficients in the last minimisation.
    :param n_train_structures: structures that are fitted; ``n_train_atoms`` their atoms, ``n_test_`` the test set's.
    :param starts_from_potential: the fit begins with coefficients of another potential.
    :param optimisations: one per finished minimisation.
    :param early_stopping: Pacemaker's words about the last early stop.
    :param reference_energy: single-atom energies (eV) that Pacemaker computed by least squares and subtracted, by
        element; ``shift`` is a constant per atom.
    :param batch_size_reductions: sizes before and after, each time that the GPU was out of memory.
    :param skipped: the fit was skipped because of the fit cycles in the potential's metadata.
    :param no_new_functions: the last ladder step added nothing; also the normal end of a ladder.
    :param dry_run: Pacemaker was told to stop before the fit.
    :param saved: the output potential was written.
    :param iteration_times: number of each iteration of the minimisation that ran last, and when it was logged, in the
        computer's local time.
    :param time_per_evaluation: the last time of one evaluation of the loss (µs/atom).
    :param start: first record of this run, in the computer's local time; ``end`` is the last.
    """

    pacemaker_version: str | None = None
    ace_evaluator_version: str | None = None
    tensorpot_version: str | None = None
    hostname: str | None = None
    evaluator: str | None = None
    device: str | None = None
    cutoff: float | None = None
    n_functions: int | None = None
    n_target_functions: int | None = None
    n_parameters: int | None = None
    n_train_structures: int | None = None
    n_train_atoms: int | None = None
    n_test_structures: int | None = None
    n_test_atoms: int | None = None
    starts_from_potential: bool = False
    optimisations: tuple[Optimisation, ...] = ()
    early_stopping: str | None = None
    reference_energy: Mapping[str, float] | None = None
    batch_size_reductions: tuple[tuple[int, int], ...] = ()
    skipped: bool = False
    no_new_functions: bool = False
    dry_run: bool = False
    saved: bool = False
    iteration_times: tuple[tuple[int, datetime], ...] = ()
    time_per_evaluation: float | None = None
    start: datetime | None = None
    end: datetime | None = None
    hints: frozenset[LogHint] = frozenset()

    @property
    def wall_seconds(self) -> float | None:
        """Return the time between the first and the last record (s)."""
        return (self.end - self.start).total_seconds() if self.start and self.end else None

    @property
    def optimisation(self) -> Optimisation | None:
        """Return the result of the last minimisation."""
        return self.optimisations[-1] if self.optimisations else None


_OPTIMISATION = re.compile(
    r'Optimization result\(success=(True|False), status=(-?\d+), message=(.*), nfev=(\d+), njev=\d+\)$', re.MULTILINE
)
#: A line per iteration, or a block of statistics every ``display_step``; that of the test set has another title.
_ITERATION = re.compile(r'\A(?:\n-+FIT STATS-+\nIteration:|Iteration) +#(\d+)')
_TARGET = r'^Target potential (?:shape constructed|loaded) from .*, it contains (\d+) functions'
_START = re.compile(r'^(?:Target potential loaded from|Initial potential provided)', re.MULTILINE)
_DEVICE = re.compile(r'Created device \S*GPU:\d+ .*?name: ([^,\n]+)')
#: TensorFlow's words for a computer without a usable GPU: no driver, or no libraries.
_NO_DEVICE = re.compile(r'failed call to cuInit|Cannot dlopen some GPU libraries|Could not find cuda drivers')
_HINTS = (
    (LogHint.REFERENCE_SWITCHED_TO_AUTO, re.compile('`reference_energy` will be computed automatically')),
    (LogHint.EXTREME_ENERGIES, re.compile('Some values of corrected energy')),
    (LogHint.CUTOFF_IGNORED, re.compile("Top-level 'cutoff' is deprecated")),
    (LogHint.DEFAULT_SEED, re.compile("No 'seed' provided")),
    (LogHint.DEFAULT_BACKEND, re.compile("'backend' is not specified|Couldn't find evaluator")),
    (LogHint.DEFAULT_FIT_SETTING, re.compile("'[^']*' is not (?:provided|specified), switch to default")),
    (LogHint.BATCH_SIZE_REDUCED, re.compile('Decrease batch size')),
    (LogHint.NO_GPU, _NO_DEVICE),
)


def parse_log(text: str) -> TrainingLog:
    """Read ``log.txt`` or the stderr of ``pacemaker``.

    Pacemaker appends to a ``log.txt`` that exists: only the last run in it is read. A log that breaks off gives what it
    has; a text without any record gives an empty :class:`TrainingLog`.

    :param text: content of the file. Which device TensorFlow found stands in stderr only.
    """
    records = _last_run(parse_records(text))
    body = '\n'.join(record.message for record in records)
    train = _last(r'^Fitting dataset size: (\d+) structures / (\d+) atoms', body)
    test = _last(r'^Test dataset size: (\d+) structures / (\d+) atoms', body)
    size = _last(r'^Total number of functions: (\d+) / number of parameters: (\d+)', body)
    target = _word(_TARGET, body)
    tensorpot = _word(r'^tensorpot_version: (\S+)', body)
    return TrainingLog(
        pacemaker_version=_word(r'^pacemaker/pyace version: (\S+)', body),
        ace_evaluator_version=_word(r'^ace_evaluator +version: (\S+)', body),
        tensorpot_version=tensorpot,
        hostname=_word(r'^Hostname: (\S+)', body),
        evaluator='tensorpot' if tensorpot else 'pyace' if _last(r'^pyace_version: (\S+)', body) else None,
        device=_device(body),
        cutoff=_number(r'^Cutoff for neighbour lists construction is .*: ([\d.]+) A', body),
        n_functions=int(size[0]) if size else None,
        n_target_functions=int(target) if target else None,
        n_parameters=int(size[1]) if size else None,
        n_train_structures=int(train[0]) if train else None,
        n_train_atoms=int(train[1]) if train else None,
        n_test_structures=int(test[0]) if test else None,
        n_test_atoms=int(test[1]) if test else None,
        starts_from_potential=bool(_START.search(body)) and 'Reset target potential' not in body,
        optimisations=tuple(
            Optimisation(success == 'True', int(status), message, int(evaluations))
            for success, status, message, evaluations in _OPTIMISATION.findall(body)
        ),
        early_stopping=_word(r'^EARLY STOPPING: (.*)$', body),
        reference_energy=_energies(_word(r'^Computed single-atom reference energy: (.*)$', body)),
        batch_size_reductions=tuple(
            (int(old), int(new)) for old, new in re.findall(r'^Decrease batch size \(.*\): (\d+) -> (\d+)', body, re.M)
        ),
        skipped='Number of finished fit cycles' in body,
        no_new_functions='No new function added after basis extension' in body,
        dry_run='Dry run is finished' in body,
        saved='Final potential is saved to' in body,
        iteration_times=_iteration_times(records),
        time_per_evaluation=_number(r'(?:Time/eval|Avg\. time): +([\d.]+) mcs/at', body),
        start=records[0].time if records else None,
        end=records[-1].time if records else None,
        hints=frozenset(hint for hint, pattern in _HINTS if pattern.search(body)),
    )


def _iteration_times(records: list[LogRecord]) -> tuple[tuple[int, datetime], ...]:
    """Return number and time of the iterations since their numbers last began anew."""
    found = [(int(match[1]), record.time) for record in records if (match := _ITERATION.match(record.message))]
    starts = [index for index in range(1, len(found)) if found[index][0] <= found[index - 1][0]]
    return tuple(found[starts[-1] :] if starts else found)


def _last_run(records: list[LogRecord]) -> list[LogRecord]:
    """Return the records from the last start of Pacemaker on."""
    starts = [index for index, record in enumerate(records) if record.first_line == 'Start pacemaker']
    return records[starts[-1] :] if starts else records


def _last(pattern: str, text: str) -> tuple[str, ...] | None:
    """Return the groups of the last match."""
    matches = deque(re.finditer(pattern, text, re.MULTILINE), maxlen=1)
    return matches[0].groups() if matches else None


def _word(pattern: str, text: str) -> str | None:
    """Return the first group of the last match."""
    groups = _last(pattern, text)
    return groups[0] if groups else None


def _number(pattern: str, text: str) -> float | None:
    """Return the first group of the last match as a number."""
    word = _word(pattern, text)
    return float(word) if word else None


def _energies(words: str | None) -> dict[str, float] | None:
    """Return the numbers of a printed dictionary; numpy 2 wraps each in ``np.float64()``."""
    if words is None:
        return None
    return {
        key: float(value) for key, value in re.findall(r"'(\w+)': (?:np\.float64\()?(-?[\d.]+(?:e[+-]?\d+)?)", words)
    }


def _device(text: str) -> str | None:
    """Return the device that TensorFlow found."""
    name = _DEVICE.search(text)
    if name:
        return name[1].strip()
    return 'cpu' if _NO_DEVICE.search(text) else None
