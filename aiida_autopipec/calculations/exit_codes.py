"""Exit codes of the calculation jobs: one per cause, named after the cause.

2xx: the input is to blame; 3xx: it failed for good; 4xx: going on from the last state may help; 7xx: finished, with a
warning. The codes of the scheduler (100 to 199) are AiiDA's and are kept.
"""

from __future__ import annotations

from aiida.engine import CalcJobProcessSpec
from aiida.orm import ProcessNode

from aiida_autopipec.pacemaker.outputs import Failure, Health
from aiida_autopipec.pacemaker.outputs.concerns import Concern
from aiida_autopipec.pacemaker.outputs.environment import EnvironmentVerdict

WARNINGS_FROM = 700
"""Exit codes from here on mean: finished, with a warning."""


def gave_result(process: ProcessNode) -> bool:
    """Return whether a process finished with its result, be it with a warning."""
    return process.is_finished_ok or (process.exit_status or 0) >= WARNINGS_FROM


FAILURES: dict[Failure, int] = {
    Failure.MISSING_ENERGY: 210,
    Failure.NO_REFERENCE_ENERGY: 211,
    Failure.EXTREME_ENERGY: 212,
    Failure.MISSING_FORCES: 213,
    Failure.MISSING_ATOMS: 214,
    Failure.NAN_ENERGY: 215,
    Failure.NAN_FORCES: 216,
    Failure.FORCE_SHAPE: 217,
    Failure.EMPTY_DATASET: 218,
    Failure.NO_NEIGHBOURS: 219,
    Failure.TRUNCATED_DATASET: 220,
    Failure.NOT_GZIP: 221,
    Failure.PICKLE_VERSION: 222,
    Failure.FILE_NOT_FOUND: 223,
    Failure.UNKNOWN_ELEMENT: 224,
    Failure.NEGATIVE_CUTOFF: 230,
    Failure.UNKNOWN_RADIAL_BASIS: 231,
    Failure.UNKNOWN_EVALUATOR: 232,
    Failure.INCOMPLETE_INPUT: 233,
    Failure.BAD_POTENTIAL: 234,
    Failure.TOO_FEW_ENVIRONMENTS: 240,
    Failure.SINGULAR_PROJECTIONS: 241,
    Failure.BATCH_NEEDS_ALL_ATOMS: 242,
    Failure.UNEXPECTED: 300,
    Failure.EVALUATOR_NOT_INSTALLED: 301,
    Failure.EVALUATOR_INCOMPATIBLE: 302,
    Failure.HOST_OUT_OF_MEMORY: 401,
    Failure.GPU_OUT_OF_MEMORY: 402,
    Failure.EARLY_STOPPING_CRASH: 403,
    Failure.DISK_FULL: 404,
}
"""Status by what a program printed when it failed."""

VERDICTS: dict[Health, int] = {
    Health.NOT_TRAINED: 330,
    Health.DIVERGED: 331,
    Health.SKIPPED: 332,
    Health.NO_NEW_FUNCTIONS: 333,
    Health.LOSS_ROSE: 334,
    Health.NOT_STARTED: 335,
    Health.DRY_RUN: 336,
    Health.INTERRUPTED: 400,
}
"""Status by what the metrics say of a training, whatever its exit code was."""

ENDS: dict[str, tuple[int, str]] = {
    'ERROR_CANCELLED': (420, 'The job was cancelled from outside; go on from its `interim_potential`. {detail}'),
    'ERROR_PREEMPTED': (421, 'The job had to make room for another one; go on from its `interim_potential`. {detail}'),
    'ERROR_VANISHED': (422, 'The job ended and left no file at all: its node, its folder or its disk is gone.'),
}
"""Status and message by how a job was ended from outside, where AiiDA has no code for it."""

TRANSIENT = frozenset(
    {
        Failure.HOST_OUT_OF_MEMORY,
        Failure.GPU_OUT_OF_MEMORY,
        Failure.DISK_FULL,
        Failure.FILE_NOT_FOUND,
        Failure.PICKLE_VERSION,
        Failure.EVALUATOR_NOT_INSTALLED,
        Failure.EVALUATOR_INCOMPATIBLE,
        Failure.UNEXPECTED,
        Health.NOT_STARTED,
        Health.INTERRUPTED,
    }
)
"""Causes that may lie with the computer, not with the inputs: such a result is never taken from the cache.

AiiDA caches failures too: without this, the same inputs would fail again after the computer has been mended.
"""


def define_failures(spec: CalcJobProcessSpec, failures: dict[Failure, int] | None = None) -> None:
    """Give a job an exit code for each way in which a program can fail."""
    for failure, status in (failures or FAILURES).items():
        _define(spec, failure, status)
    spec.exit_code(
        310,
        'ERROR_OUTPUT_MISSING',
        message='`{filename}` is missing although no program reported a failure.',
        invalidates_cache=True,
    )
    spec.exit_code(
        311, 'ERROR_OUTPUT_UNREADABLE', message='`{filename}` cannot be understood: {reason}', invalidates_cache=True
    )


def define_ends(spec: CalcJobProcessSpec) -> None:
    """Give a job an exit code for each way in which it can be ended from outside."""
    for label, (status, message) in ENDS.items():
        spec.exit_code(status, label, message=message, invalidates_cache=True)


def define_verdicts(spec: CalcJobProcessSpec) -> None:
    """Give a training an exit code for each way in which it can be useless although nothing failed."""
    for health, status in VERDICTS.items():
        _define(spec, health, status)


ENVIRONMENT: dict[EnvironmentVerdict, tuple[int, str]] = {
    EnvironmentVerdict.EVALUATOR_NOT_AVAILABLE: (
        303,
        'The evaluator is not installed where the job ran, so nothing was trained: {detail}',
    ),
    EnvironmentVerdict.UNSUITABLE_ENVIRONMENT: (
        304,
        'The packages where the job ran do not fit, so nothing was trained: {detail}',
    ),
    EnvironmentVerdict.GPU_NOT_FOUND: (
        305,
        'A GPU was asked for, but TensorFlow found none, so nothing was trained: {detail}',
    ),
}
"""Status and message by what the probe said before the training began."""


def define_environment(spec: CalcJobProcessSpec) -> None:
    """Give a training an exit code for each environment in which it is not begun, and for a GPU that was not used."""
    for verdict, (status, message) in ENVIRONMENT.items():
        spec.exit_code(status, f'ERROR_{verdict.name}', message=message, invalidates_cache=True)
    spec.exit_code(
        702,
        'WARNING_TRAINED_ON_CPU',
        message='The potential is trained, but on the CPU although a GPU was asked for: {detail}',
    )


STOPS: dict[Concern, int] = {
    Concern.LOSS_DIVERGING: 337,
    Concern.OVERFITTING: 338,
    Concern.LOSS_STALLED: 410,
    Concern.WALLTIME_TOO_SHORT: 411,
}
"""Status by why the monitor stopped a training; for a loss that is not finite there is ``ERROR_DIVERGED`` already."""


def define_stops(spec: CalcJobProcessSpec) -> None:
    """Give a training an exit code for each reason for which the monitor stops it."""
    for concern, status in STOPS.items():
        spec.exit_code(
            status,
            f'ERROR_{concern.name}',
            message=f'{concern.explanation} {{detail}}',
            invalidates_cache=concern is Concern.WALLTIME_TOO_SHORT,  # another computer may be faster
        )


def define_singular_active_set(spec: CalcJobProcessSpec) -> None:
    """Give a job that computes an active set a warning for one that is of no use; the program calls it a success."""
    spec.exit_code(
        701,
        'WARNING_ACTIVE_SET_SINGULAR',
        message='The active set is singular for {elements}: the data are too much alike to tell all functions of '
        'the basis apart, and extrapolation grades mean nothing there; add diverse structures or use fewer functions.',
    )


def define_selection_failures(spec: CalcJobProcessSpec) -> None:
    """Give a selection an exit code for each reason for which the travelling script selects nothing."""
    spec.exit_code(
        306,
        'ERROR_PYTHON_NOT_FOUND',
        message="The selection needs Pacemaker's own Python, which was not found from the program `pace_select`: give "
        'it as `codes.python`, or let MaxVol select by number alone, which `pace_select` does.',
        invalidates_cache=True,
    )
    spec.exit_code(340, 'ERROR_NOTHING_SELECTED', message='No structure of the pool adds anything to the active set.')
    spec.exit_code(341, 'ERROR_SELECTION_IMPOSSIBLE', message='The pool cannot give what was asked for: {reason}')
    spec.exit_code(
        342,
        'ERROR_TOO_LITTLE_MEMORY',
        message='The selection was not begun, as it would take too much memory: {reason}',
        invalidates_cache=True,
    )


def define_validation(spec: CalcJobProcessSpec) -> None:
    """Give a validation an exit code for each verdict, and for a computer that cannot run it."""
    spec.exit_code(
        306,
        'ERROR_PYTHON_NOT_FOUND',
        message="The validation needs Pacemaker's own Python, which was not found from `code`: give it as "
        '`codes.python`.',
        invalidates_cache=True,
    )
    spec.exit_code(350, 'ERROR_CHECKS_FAILED', message='The potential is not safe to use. {reason}')
    spec.exit_code(703, 'WARNING_CHECKS_FAILED', message='The potential failed checks that are not required. {reason}')


def _define(spec: CalcJobProcessSpec, cause: Failure | Health, status: int) -> None:
    spec.exit_code(
        status,
        f'ERROR_{cause.name}',
        message=f'{cause.explanation} {{detail}}',
        invalidates_cache=cause in TRANSIENT,
    )
