"""What the parsers have in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida.engine import ExitCode
from aiida.orm import SinglefileData
from aiida.parsers import Parser

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import Diagnosis, SchedulerEnd, diagnose, scheduler_end
from aiida_autopipec.pacemaker.outputs.environment import Environment, parse_environment

LONGEST_LINE = 500

EXIT_CODES_OF_ENDS = {
    SchedulerEnd.TIME_LIMIT: 'ERROR_SCHEDULER_OUT_OF_WALLTIME',
    SchedulerEnd.OUT_OF_MEMORY: 'ERROR_SCHEDULER_OUT_OF_MEMORY',
    SchedulerEnd.NODE_FAILURE: 'ERROR_SCHEDULER_NODE_FAILURE',
    SchedulerEnd.PREEMPTED: 'ERROR_PREEMPTED',
    SchedulerEnd.CANCELLED: 'ERROR_CANCELLED',
    SchedulerEnd.KILLED: 'ERROR_HOST_OUT_OF_MEMORY',
}
"""Exit codes by how the scheduler, or the kernel, ended a job."""


class PaceParser(Parser):
    """Reads retrieved files and turns failures into exit codes."""

    def read_text(self, filename: str) -> str | None:
        """Return the content of a retrieved text file, or ``None`` if it is not there."""
        content = self.read_bytes(filename)
        return None if content is None else content.decode('utf-8', errors='replace')

    def read_bytes(self, filename: str) -> bytes | None:
        """Return the content of a retrieved file, or ``None`` if it is not there."""
        try:
            return self.retrieved.base.repository.get_object_content(filename, mode='rb')
        except (FileNotFoundError, IsADirectoryError):
            return None

    def has(self, filename: str) -> bool:
        """Tell whether a file was retrieved and is not empty."""
        return bool(self.read_bytes(filename))

    def read_json(self, filename: str) -> dict[str, Any]:
        """Return a retrieved JSON object, empty if it is not there, damaged, or nothing that a database can hold."""
        try:
            value = json.loads(self.read_text(filename) or '{}')
            # Python reads NaN, Infinity and lone surrogates, which no database takes
            stored = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return {}
        if b'\\u0000' in stored:  # the one character that PostgreSQL refuses
            return {}
        return value if isinstance(value, dict) else {}

    def parse_environment(self, problems: list[str]) -> Environment | None:
        """Read what the probe wrote, or ``None`` where it could not run; what is wrong with it is reported."""
        content = self.read_bytes(filenames.ENVIRONMENT)
        if content is None and self.node.is_imported:
            return None  # the fit was made without AiiDA
        if content is None:
            said = (self.read_text(filenames.stderr_of('probe')) or '').strip().splitlines()
            problems += [f'{filenames.PROBE_SCRIPT}: {line[:LONGEST_LINE]}' for line in said[-1:]]
            return None
        try:
            return parse_environment(content)
        except OutputError as exception:
            problems.append(f'{filenames.ENVIRONMENT}: {exception}')
            return None

    def collect_problems(self) -> list[str]:
        """Return why the travelling script failed, if it did: what it should have written may be missing."""
        error = self.read_json(filenames.COLLECT_OUTCOME).get('error', '')
        lines = str(error).strip().splitlines()
        return [f'{filenames.COLLECT_SCRIPT}: {lines[-1]}'] if lines else []

    def temporary_file(self, folder: str | None, filename: str) -> Path | None:
        """Return a file that was retrieved for parsing only, or ``None`` if it is not there."""
        path = Path(folder) / filename if folder else None
        return path if path is not None and path.is_file() else None

    def diagnose_program(self, program: str) -> Diagnosis | None:
        """Return why a program failed, or ``None`` if it printed no failure."""
        text = self.read_text(filenames.stderr_of(program))
        return None if not text else diagnose(text)

    def exit_code_of(self, diagnosis: Diagnosis) -> ExitCode:
        """Return the exit code of a failure; one that belongs to another program's job is reported as unexpected."""
        codes = self.exit_codes
        label = f'ERROR_{diagnosis.failure.name}'
        code: ExitCode = codes[label] if label in codes else codes['ERROR_UNEXPECTED']
        return code.format(detail=f'({diagnosis.last_line})')

    def scheduler_exit_code(self) -> ExitCode | None:
        """Return the verdict of the scheduler (walltime, memory, node failure), which no parser may mask."""
        if self.node.exit_status is None:
            return None
        return ExitCode(self.node.exit_status, self.node.exit_message)

    def exit_code_of_end(self) -> ExitCode | None:
        """Return how the job was ended from outside, where AiiDA did not take it from the scheduler's accounting."""
        end = scheduler_end(
            accounting=str((self.node.get_detailed_job_info() or {}).get('stdout', '')),
            stderr=self.node.get_scheduler_stderr() or '',
            stdout=self.node.get_scheduler_stdout() or '',
        )
        if end is None:
            return None
        code: ExitCode = self.exit_codes[EXIT_CODES_OF_ENDS[end]]
        return code.format(detail='(the shell says: Killed)' if end is SchedulerEnd.KILLED else '')

    def out_file(self, port: str, content: bytes, filename: str, **attributes: Any) -> None:
        """Attach a file as an output, with attributes that queries can use."""
        node = SinglefileData.from_bytes(content, filename=filename)
        node.base.attributes.set_many(attributes)
        self.out(port, node)
