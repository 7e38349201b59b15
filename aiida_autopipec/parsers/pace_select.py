"""Parser of a selection of structures."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import Dict
from numpy.typing import NDArray

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import AutopipecError, OutputError
from aiida_autopipec.pacemaker.outputs import parse_select_log
from aiida_autopipec.pacemaker.pickles import read_frame
from aiida_autopipec.parsers.common import PaceParser

PROGRAM = 'pace_select'


class PaceSelectParser(PaceParser):
    """Takes the selected structures out of the pool by their names."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach everything that is there, then return the exit code of what went wrong, if anything."""
        try:
            names = self.parse_names(kwargs.get('retrieved_temporary_folder'))
            rows = None if names is None else self.find_rows(names)
        except AutopipecError as exception:
            unreadable: ExitCode = self.exit_codes.ERROR_OUTPUT_UNREADABLE
            return self.scheduler_exit_code() or unreadable.format(filename=filenames.SELECTED, reason=str(exception))
        if rows is None:
            return self.scheduler_exit_code() or self.inspect_failure()
        if len(rows) == 0:
            nothing: ExitCode = self.exit_codes.ERROR_NOTHING_SELECTED
            return self.scheduler_exit_code() or nothing
        self.out_selected(rows)
        return self.scheduler_exit_code()

    def parse_names(self, temporary: str | None) -> list[str] | None:
        """Read the names that the travelling script wrote, or the pickle by the safe reader where it could not run."""
        names = self.read_json(filenames.SELECTED_NAMES).get('names')
        if isinstance(names, list):
            return [str(name) for name in names]
        path = self.temporary_file(temporary, filenames.SELECTED)
        if path is None:
            return None
        frame = read_frame(path)
        if 'name' not in frame.columns:
            raise OutputError('the table of selected structures has no column `name`')
        return [str(name) for name in frame.columns['name'].tolist()]

    def find_rows(self, names: list[str]) -> NDArray[np.int64]:
        """Return the rows of the pool that were selected, best first.

        :raises OutputError: if a name is not in the pool, or comes twice.
        """
        row_of = {name: row for row, name in enumerate(self._pool().get_names().tolist())}
        unknown = [name for name in names if name not in row_of]
        if unknown:
            raise OutputError(f'`{unknown[0]}` was selected, but is not in the pool')
        if len(set(names)) != len(names):
            raise OutputError('a structure was selected twice')
        return np.array([row_of[name] for name in names], dtype=np.int64)

    def out_selected(self, rows: NDArray[np.int64]) -> None:
        """Attach the selected structures, and what the program said about the pool."""
        pool = self._pool()
        selected = PaceDatasetData.from_structures(pool.iter_taken(rows), reference=pool.reference)
        self.out('selected', selected)
        problems: list[str] = []
        environment = self.parse_environment(problems)
        parameters: dict[str, Any] = {
            'rows': rows.tolist(),
            'selected_structures': len(rows),
            'selected_atoms': selected.n_atoms,
            'pool_structures': pool.n_structures,
            'pool_atoms': pool.n_atoms,
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
        """Read how the selection went; the file may be cut off although the selection is there."""
        log = parse_select_log(self.read_text(filenames.stderr_of(PROGRAM)) or '')
        return {
            'touched_by_maxvol': log.n_chosen,
            'n_functions': dict(log.n_functions),
            'used_active_set': log.used_active_set,
        }

    def inspect_failure(self) -> ExitCode:
        """Say why nothing was selected: the basis may have failed before the selection."""
        for program in ('pacemaker', PROGRAM):
            diagnosis = self.diagnose_program(program)
            if diagnosis is not None:
                return self.exit_code_of(diagnosis)
        missing: ExitCode = self.exit_codes.ERROR_OUTPUT_MISSING
        return missing.format(filename=filenames.SELECTED)

    def _pool(self) -> PaceDatasetData:
        pool: PaceDatasetData = self.node.inputs['dataset']
        return pool
