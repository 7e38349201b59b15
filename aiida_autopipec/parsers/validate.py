"""Parser of a validation: what was measured is judged against the thresholds."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode
from aiida.orm import ArrayData, Dict

from aiida_autopipec.data.validation_inputs import PORTS, checks_of, parameters_of, subject_of
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import AutopipecError
from aiida_autopipec.pacemaker.validation import Measurements, Verdict, error_of, judge, read_arrays, read_facts
from aiida_autopipec.parsers.common import LONGEST_LINE, PaceParser

PROGRAM = 'validate'
MOST_REASONS = 3


class ValidateParser(PaceParser):
    """Attaches curves and report, and says whether the potential is good enough."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach everything that is there, then return the exit code of what went wrong, if anything."""
        written = self.read_json(filenames.VALIDATION)
        if not written:
            return self.scheduler_exit_code() or self.exit_code_of_end() or self.inspect_failure()
        try:
            measured = self.read_measurements(written, kwargs.get('retrieved_temporary_folder'))
        except AutopipecError as exception:
            return self.scheduler_exit_code() or self._unreadable(str(exception))
        if measured.arrays:
            self.out('curves', ArrayData(dict(measured.arrays)))
        if error := error_of(written):
            unexpected: ExitCode = self.exit_codes.ERROR_UNEXPECTED
            return self.scheduler_exit_code() or unexpected.format(detail=f'({error})')
        verdict = self.judge(measured)
        self.out_report(verdict)
        return self.scheduler_exit_code() or self.exit_code_of_verdict(verdict)

    def read_measurements(self, written: dict[str, Any], temporary: str | None) -> Measurements:
        """Read arrays and facts.

        :raises OutputError: if they have not the form that the travelling script writes.
        """
        path = self.temporary_file(temporary, filenames.VALIDATION_ARRAYS)
        arrays = {} if path is None else read_arrays(path.read_bytes())
        return Measurements(arrays, read_facts(written))

    def judge(self, measured: Measurements) -> Verdict:
        """Compare what was measured with the thresholds."""
        inputs = {port: self.node.inputs[port] for port in PORTS if port in self.node.inputs}
        return judge(measured, parameters_of(inputs), subject_of(inputs), checks_of(inputs))

    def out_report(self, verdict: Verdict) -> None:
        """Attach the verdict."""
        problems: list[str] = []
        environment = self.parse_environment(problems)
        report = verdict.as_dict() | {'environment': {} if environment is None else environment.as_dict()}
        if problems:
            report['parser_warnings'] = problems
        self.out('report', Dict(report))

    def exit_code_of_verdict(self, verdict: Verdict) -> ExitCode | None:
        """Return the exit code of checks that are not passed, required ones before others."""
        label, failed = 'ERROR_CHECKS_FAILED', verdict.failed(verdict.required)
        if not failed:
            label, failed = 'WARNING_CHECKS_FAILED', verdict.failed(verdict.checks)
        if not failed:
            return None
        reasons = [str(item) for item in failed[:MOST_REASONS]]
        if len(failed) > MOST_REASONS:
            reasons.append(f'and {len(failed) - MOST_REASONS} more')
        code: ExitCode = self.exit_codes[label]
        return code.format(reason='; '.join(reasons))

    def inspect_failure(self) -> ExitCode:
        """Say why there is no result."""
        text = (self.read_text(filenames.stderr_of(PROGRAM)) or '').strip()
        if 'no Python with pyace was found' in text:
            absent: ExitCode = self.exit_codes.ERROR_PYTHON_NOT_FOUND
            return absent
        diagnosis = self.diagnose_program(PROGRAM)
        if diagnosis is not None:
            return self.exit_code_of(diagnosis)
        missing: ExitCode = self.exit_codes.ERROR_OUTPUT_MISSING
        return missing.format(filename=filenames.VALIDATION)

    def _unreadable(self, reason: str) -> ExitCode:
        code: ExitCode = self.exit_codes.ERROR_OUTPUT_UNREADABLE
        return code.format(filename=filenames.VALIDATION, reason=reason[:LONGEST_LINE])
