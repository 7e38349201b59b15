"""Parser of an active set calculation."""

from __future__ import annotations

from math import isfinite
from typing import Any

from aiida.engine import ExitCode
from aiida.orm import Dict

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import AutopipecError
from aiida_autopipec.pacemaker.outputs import ActiveSetInfo, parse_active_set, parse_activeset_log
from aiida_autopipec.parsers.common import PaceParser

PROGRAM = 'pace_activeset'


class PaceActivesetParser(PaceParser):
    """Attaches the active set and says whether it can be used."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach everything that is there, then return the exit code of what went wrong, if anything."""
        content = self.read_bytes(filenames.OUTPUT_ACTIVE_SET)
        if not content:
            return self.scheduler_exit_code() or self.inspect_failure()
        try:
            info = parse_active_set(content)
        except AutopipecError as exception:
            unreadable: ExitCode = self.exit_codes.ERROR_OUTPUT_UNREADABLE
            return self.scheduler_exit_code() or unreadable.format(
                filename=filenames.OUTPUT_ACTIVE_SET, reason=str(exception)
            )
        self.out_file('active_set', content, 'potential.asi')
        self.out_parameters(info)
        return self.scheduler_exit_code() or self.inspect_active_set(info)

    def out_parameters(self, info: ActiveSetInfo) -> None:
        """Attach what the program said about the active set."""
        problems: list[str] = []
        environment = self.parse_environment(problems)
        parameters: dict[str, Any] = {
            'n_functions': dict(info.n_functions),
            'singular_elements': list(info.singular_elements),
            'environment': {} if environment is None else environment.as_dict(),
        }
        try:
            parameters |= self.parse_program_log()
        except (AutopipecError, ValueError) as exception:
            problems.append(f'{filenames.stderr_of(PROGRAM)}: {exception}')
        if problems:
            parameters['parser_warnings'] = problems
        self.out('output_parameters', Dict(parameters))

    def parse_program_log(self) -> dict[str, Any]:
        """Read numbers of atoms and grades; the file may be cut off although the active set is there."""
        log = parse_activeset_log(self.read_text(filenames.stderr_of(PROGRAM)) or '')
        return {
            'n_structures': log.n_structures,
            'n_atoms': dict(log.n_atoms),
            'n_atoms_used': dict(log.n_used),
            # of a singular set the grades can be infinite, which no database takes
            'gamma_max': {key: value if isfinite(value) else None for key, value in log.gamma_max.items()},
        }

    def inspect_failure(self) -> ExitCode:
        """Say why there is no active set."""
        diagnosis = self.diagnose_program(PROGRAM)
        if diagnosis is not None:
            return self.exit_code_of(diagnosis)
        missing: ExitCode = self.exit_codes.ERROR_OUTPUT_MISSING
        return missing.format(filename=filenames.OUTPUT_ACTIVE_SET)

    def inspect_active_set(self, info: ActiveSetInfo) -> ExitCode | None:
        """Warn of a set that cannot tell all functions apart; the program calls that a success."""
        if not info.singular_elements:
            return None
        warning: ExitCode = self.exit_codes.WARNING_ACTIVE_SET_SINGULAR
        return warning.format(elements=', '.join(info.singular_elements))
