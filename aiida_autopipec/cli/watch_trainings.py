"""What is known of trainings that run or ran, wherever they do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiida_autopipec.cli.progress import TRAINING, steps
from aiida_autopipec.cli.results import gave_result, reason_of_failure, warning_line
from aiida_autopipec.monitors.follow import (
    follow,
    is_monitored,
    plan_of,
    seconds_of_walltime_left,
    seconds_running,
    stored_progress,
)
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.outputs.progress import Progress, TrainingPlan

if TYPE_CHECKING:
    from aiida.orm import AuthInfo, CalcJobNode, ProcessNode


@dataclass(frozen=True)
class Snapshot:
    """What is known of one training at one moment.

    :param name: class and number of the process that was asked for.
    :param state: one word, or the step that it is at.
    :param run: number of its training jobs so far.
    :param place: computer, job of the scheduler and machine.
    :param progress: what the fit has reached; ``None`` if no fit has begun.
    :param seconds_running: of the job.
    :param seconds_left: of the fit, at most.
    :param walltime_left: of the job.
    :param concern: what the monitor does not like.
    :param problem: why the progress could not be read.
    :param errors: on each set, at the end; see ``output_parameters``.
    """

    name: str
    state: str
    ended: bool
    ok: bool
    run: int = 0
    place: str = ''
    progress: Progress | None = None
    plan: TrainingPlan | None = None
    seconds_running: float | None = None
    seconds_left: float | None = None
    walltime_left: float | None = None
    concern: str | None = None
    problem: str | None = None
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Trainings:
    """Trainings that are watched.

    What a monitor has stored is read from the database. Only for jobs without one their files are read, over one
    connection for each computer, and not more often than that computer allows its scheduler to be asked.

    :param interval: least seconds between two connections to a computer.
    """

    def __init__(self, processes: Sequence[ProcessNode], *, interval: float) -> None:
        self.processes = processes
        self.interval = interval
        self._read: dict[str, Progress] = {}
        self._final: dict[str, Progress] = {}
        self._problems: dict[str, str] = {}
        self._connected: dict[int, float] = {}

    def look(self) -> list[Snapshot]:
        """Return what is known now."""
        jobs = [training_jobs(process) for process in self.processes]
        self._follow(found[-1] for found in jobs if found)
        return [self._describe(process, found) for process, found in zip(self.processes, jobs, strict=True)]

    def _follow(self, jobs: Iterable[CalcJobNode]) -> None:
        """Read the files of the jobs that no monitor looks at."""
        from aiida.common.datastructures import CalcJobState

        by_computer: dict[int, tuple[AuthInfo, list[CalcJobNode]]] = {}
        for job in jobs:
            if job.get_state() is not CalcJobState.WITHSCHEDULER or is_monitored(job):
                continue
            info = job.get_authinfo()
            by_computer.setdefault(info.pk or 0, (info, []))[1].append(job)
        for key, (info, waiting) in by_computer.items():
            pause = max(self.interval, info.computer.get_minimum_job_poll_interval())
            if time.monotonic() - self._connected.get(key, float('-inf')) < pause:
                continue
            self._connected[key] = time.monotonic()
            self._read_files(info, waiting)

    def _read_files(self, info: AuthInfo, jobs: Sequence[CalcJobNode]) -> None:
        """Look into the folders of jobs over one connection."""
        try:
            with info.get_transport() as transport:
                for job in jobs:
                    known = self._read.get(job.uuid, Progress())
                    folder = str(job.get_remote_workdir())
                    self._read[job.uuid] = follow(transport, folder, known, test='test_dataset' in job.inputs)
                    self._problems.pop(job.uuid, None)
        except (
            Exception
        ) as exception:  # each transport has errors of its own; the user sees it, and the next look tries
            text = ' '.join(str(exception).split()) or type(exception).__name__
            self._problems |= {job.uuid: text for job in jobs}

    def _progress_of(self, job: CalcJobNode) -> Progress:
        """Return what a job has reached: what came back is the last word, and the monitor may have missed the end."""
        if 'retrieved' in job.outputs and job.uuid not in self._final:
            try:
                data = job.outputs['retrieved'].base.repository.get_object_content(filenames.METRICS, mode='rb')
            except FileNotFoundError:
                data = b''
            self._final[job.uuid] = Progress().look(data, b'', now=time.time())
        if job.uuid in self._final:
            return self._final[job.uuid]
        return stored_progress(job) if is_monitored(job) else self._read.get(job.uuid, Progress())

    def _describe(self, process: ProcessNode, jobs: Sequence[CalcJobNode]) -> Snapshot:
        ended = process.is_terminated
        name = f'{process.process_label}<{process.pk}>'
        if not jobs:
            return Snapshot(name, _state(process, None), ended=ended, ok=gave_result(process))
        job, now = jobs[-1], time.time()
        progress = self._progress_of(job)
        plan = plan_of(job)
        runs = not job.is_terminated
        return Snapshot(
            name=name,
            state=_state(process, job),
            ended=ended,
            ok=gave_result(process),
            run=len(jobs),
            place=place_of(job),
            progress=progress if progress.rows else None,
            plan=plan,
            seconds_running=seconds_running(job, progress, now=now) if runs else None,
            seconds_left=progress.seconds_left(plan, now=now) if runs else None,
            walltime_left=seconds_of_walltime_left(job, progress, now=now) if runs else None,
            concern=_concern(job) if runs else None,
            problem=self._problems.get(job.uuid) if runs else None,
            errors=_errors(job),
        )


def training_jobs(process: ProcessNode) -> list[CalcJobNode]:
    """Return the training jobs of a process, which may be one itself, in the order of their submission."""
    from aiida.orm import CalcJobNode

    found = [process, *(step for _, step in steps(process))]
    return [node for node in found if isinstance(node, CalcJobNode) and node.process_label == TRAINING]


def place_of(job: CalcJobNode) -> str:
    """Return where a job runs: computer, number of the scheduler, and machine, as far as they are known."""
    info = job.get_last_job_info()
    machines = None if info is None else info.get('allocated_machines_raw')
    parts = [
        job.computer.label if job.computer else '',
        f'job {job.get_job_id()}' if job.get_job_id() else '',
        f'on {machines}' if machines else '',
    ]
    return ' '.join(part for part in parts if part)


def _state(process: ProcessNode, job: CalcJobNode | None) -> str:
    """Return what a process does, in few words."""
    if process.is_terminated:
        if process.is_finished_ok:
            return 'finished'
        return warning_line(process) if gave_result(process) else f'failed: {reason_of_failure(process)}'
    if process.paused:
        return 'paused'
    if job is not None and not job.is_terminated:
        scheduled = job.get_scheduler_state()
        state = job.get_state()
        if state is None or scheduled is None:
            return 'created' if state is None else state.value
        return scheduled.value if state.value == 'withscheduler' else state.value
    running = [label for label, step in steps(process) if not step.is_terminated]
    return running[-1] if running else 'waiting'


def _concern(job: CalcJobNode) -> str | None:
    from aiida_autopipec.monitors.follow import PROGRESS_KEY

    stored: Any = job.base.extras.get(PROGRESS_KEY, None)
    detail = stored.get('detail') if isinstance(stored, dict) else None
    return detail if isinstance(detail, str) else None


def _errors(job: CalcJobNode) -> Mapping[str, Mapping[str, float]]:
    """Return the errors on both sets, if the job has ended so far."""
    if 'output_parameters' not in job.outputs:
        return {}
    errors: Mapping[str, Mapping[str, float]] = job.outputs['output_parameters'].get('errors', {})
    return errors
