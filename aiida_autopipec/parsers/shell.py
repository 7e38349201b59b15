"""Parsers of the ShellJobs that run the small programs of Pacemaker.

They are entry points that stand in the option ``parser_name``, so no pickled function is stored or run.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from aiida.engine import ExitCode
from aiida.orm import Dict
from aiida_shell import ShellJob
from aiida_shell.parsers import ShellParser

from aiida_autopipec.pacemaker import commands, outputs
from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs import Failure

_LINK_LABELS = {
    commands.FILENAME_LAMMPS_POTENTIAL: 'lammps_potential',
    commands.FILENAME_CORE_REPULSION: 'potential',
    commands.FILENAME_COLLECTED: 'collected_dataset',
    commands.FILENAME_AUGMENTED: 'augmented_dataset',
}
_LONGEST_LINE = 500


class PaceShellParser(ShellParser):
    """aiida-shell's parser, for programs that log to stderr and say there why they fail.

    Differences: text on stderr is no failure, a failed program is explained in the exit message, its exit code is not
    hidden by that of the files it did not write, and the scheduler's verdict stays. Takes the place of the input
    ``parser``.
    """

    explanations: ClassVar[Mapping[Failure, str]] = {}
    """What a failure means for this program, where that differs from training."""

    # `None`, which `CalcJob.parse` understands, is left out of aiida-shell's annotation
    def parse(self, **kwargs: Any) -> ExitCode | None:  # type: ignore[override]
        """Attach the streams and files, judge the exit status, and attach what was printed."""
        dirpath = Path(kwargs['retrieved_temporary_folder'])
        missing = self.parse_custom_outputs(dirpath)
        exit_code = self.parse_default_outputs(dirpath)
        if self.node.exit_status:
            return None  # out of memory or time, says the scheduler: anything returned here would replace it
        if exit_code.status == self.exit_codes.ERROR_COMMAND_FAILED.status:
            return self._explain_failure(dirpath)
        if exit_code.status not in {0, self.exit_codes.ERROR_STDERR_NOT_EMPTY.status}:
            return exit_code
        if missing:
            return self.exit_code('ERROR_OUTPUT_FILEPATHS_MISSING', missing_filepaths=', '.join(missing))
        return self._attach_parameters(dirpath)

    @staticmethod
    def format_link_label(filename: str) -> str:
        """Return the output that a file becomes, named as in the other calculations of this package."""
        return _LINK_LABELS.get(filename) or str(ShellParser.format_link_label(filename))

    @abstractmethod
    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return what the program printed.

        :raises OutputError: if it did not finish.
        """

    def _attach_parameters(self, dirpath: Path) -> ExitCode:
        stdout, stderr = (_read(dirpath / name) for name in (ShellJob.FILENAME_STDOUT, ShellJob.FILENAME_STDERR))
        try:
            parameters = self.read_streams(stdout, stderr)
        except OutputError as error:
            code: ExitCode = self.exit_codes.ERROR_PARSER_HOOK_EXCEPTED
            return code._replace(message=str(error))
        self.out('output_parameters', Dict(parameters))
        return ExitCode(0)

    def _explain_failure(self, dirpath: Path) -> ExitCode:
        """Return aiida-shell's code for a failed program with the cause in its message."""
        status = _read(dirpath / ShellJob.FILENAME_STATUS).strip()
        diagnosis = outputs.diagnose(_read(dirpath / ShellJob.FILENAME_STDERR))
        reason = 'It says nothing on stderr.'
        if diagnosis is not None:
            explanation = self.explanations.get(diagnosis.failure, diagnosis.explanation)
            reason = f'{explanation} ({diagnosis.last_line[:_LONGEST_LINE]})'
        code: ExitCode = self.exit_codes.ERROR_COMMAND_FAILED
        return code._replace(message=f'The program failed with exit status {status}. {reason}')


class PaceInfoParser(PaceShellParser):
    """Reads what ``pace_info`` prints."""

    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return functions in all and per element, the cutoff (Å), and the shape by element and by bond."""
        info = outputs.parse_pace_info(stdout)
        return {
            'n_functions': info.total_functions,
            'functions_per_element': {element: sum(shape.n_functions) for element, shape in info.shapes.items()},
            'cutoff': info.cutoff,
            'elements': {element: asdict(shape) for element, shape in info.shapes.items()},
            'bonds': _by_pair({pair: asdict(bond) for pair, bond in info.bonds.items()}),
        }


class PaceTimingParser(PaceShellParser):
    """Reads what ``pace_timing`` prints."""

    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return the mean time, the time by crystal structure, and the functions that were timed."""
        timing = outputs.parse_pace_timing(stdout)
        return {
            'microseconds_per_atom': timing.time,
            'microseconds_per_atom_std': timing.time_std,
            'cutoff': timing.cutoff,
            'functions_of_order_one': dict(timing.functions_of_order_one),
            'functions_of_higher_order': dict(timing.functions_of_higher_order),
            'prototypes': {
                name: {
                    'microseconds_per_atom': prototype.time,
                    'microseconds_per_atom_std': prototype.time_std,
                    'atoms': prototype.n_atoms,
                    'neighbours_per_atom': prototype.n_neighbours,
                }
                for name, prototype in timing.prototypes.items()
            },
        }


class PaceYaml2YaceParser(PaceShellParser):
    """Reads what ``pace_yaml2yace`` prints."""

    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return the name of the file."""
        return {'file_name': outputs.parse_pace_yaml2yace(stdout)}


class PaceAugmentParser(PaceShellParser):
    """Reads what ``pace_augment`` logs."""

    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return how many structures there were at each step."""
        return asdict(outputs.parse_pace_augment(stderr))


class PaceCorerepParser(PaceShellParser):
    """Reads what ``pace_corerep`` logs."""

    explanations: ClassVar[Mapping[Failure, str]] = {
        Failure.UNKNOWN_ELEMENT: 'The dataset or `inner_cutoff` has an element that the potential lacks; leave it out.'
    }

    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return the inner cutoffs (Å) by pair of elements, and whether the program computed them."""
        repulsion = outputs.parse_pace_corerep(stderr)
        return {
            'inner_cutoffs': _by_pair(repulsion.inner_cutoffs),
            'automatic': repulsion.automatic,
            'file_name': repulsion.file_name,
        }


class PaceCollectParser(PaceShellParser):
    """Reads what ``pace_collect`` logs."""

    explanations: ClassVar[Mapping[Failure, str]] = {
        Failure.UNKNOWN_ELEMENT: 'The runs have an element that `free_atom_energy` lacks; state its energy or `auto`.'
    }

    def read_streams(self, stdout: str, stderr: str) -> dict[str, Any]:
        """Return counts, elements, the energies that were subtracted (eV), ranges, and what could not be read."""
        return asdict(outputs.parse_pace_collect(stderr))


def _read(path: Path) -> str:
    """Return text of a program that runs elsewhere: bytes that are no UTF-8 are no reason to fail."""
    return path.read_text(encoding='utf-8', errors='replace') if path.is_file() else ''


def _by_pair(mapping: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Return a mapping that JSON can hold."""
    return {'-'.join(pair): value for pair, value in mapping.items()}
