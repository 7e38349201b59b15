"""Parser of a selection of structures."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import ArrayData, Dict
from numpy.typing import NDArray

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.commands import parse_parameters
from aiida_autopipec.pacemaker.errors import AutopipecError, OutputError
from aiida_autopipec.pacemaker.outputs import parse_select_log
from aiida_autopipec.pacemaker.pickles import read_frame
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.result import Explanation, read_explanation
from aiida_autopipec.parsers.common import LONGEST_LINE, PaceParser

PROGRAM = 'pace_select'
SCRIPT = 'select_structures'
NO_PYTHON = 'no Python with pyace was found'
"""Words of ``with_pacemaker_python.sh``."""
REFUSALS = {'unfulfillable': 'ERROR_SELECTION_IMPOSSIBLE', 'too_little_memory': 'ERROR_TOO_LITTLE_MEMORY'}
"""Exit codes by the state in which the travelling script ended."""


class PaceSelectParser(PaceParser):
    """Takes the selected structures out of the pool by the rows that the travelling script names.

    Where that script could not run, Pacemaker's own program selected, and names are read from its file.
    """

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach everything that is there, then return the exit code of what went wrong, if anything."""
        outcome = self.read_json(filenames.SELECTION)
        temporary = kwargs.get('retrieved_temporary_folder')
        done = outcome.get('state') == 'done'
        try:
            explanation = self.read_explanation(temporary) if done else None
            rows = self.read_rows(temporary) if explanation is None else explanation.rows
        except AutopipecError as exception:
            unreadable: ExitCode = self.exit_codes.ERROR_OUTPUT_UNREADABLE
            filename = filenames.EXPLANATION if outcome else filenames.SELECTED
            return self.scheduler_exit_code() or unreadable.format(filename=filename, reason=str(exception))
        if rows is None:
            return self.scheduler_exit_code() or self.inspect_failure(outcome)
        if len(rows) == 0:
            nothing: ExitCode = self.exit_codes.ERROR_NOTHING_SELECTED
            return self.scheduler_exit_code() or nothing
        self.out_selected(rows, outcome if done else {})
        if explanation is not None:
            self.out_explanation(explanation)
        return self.scheduler_exit_code()

    def read_explanation(self, temporary: str | None) -> Explanation:
        """Read what the travelling script says of each candidate.

        :raises OutputError: if it is not there, or is damaged.
        """
        path = self.temporary_file(temporary, filenames.EXPLANATION)
        if path is None:
            raise OutputError('it is missing, although the selection is done')
        return read_explanation(path, self._pool().n_structures)

    def read_rows(self, temporary: str | None) -> NDArray[np.int64] | None:
        """Return the rows that ``pace_select`` selected, best first; ``None`` if there is no file of it.

        :raises OutputError: if a name is not in the pool, or comes twice.
        """
        path = self.temporary_file(temporary, filenames.SELECTED)
        if path is None:
            return None
        frame = read_frame(path)
        if 'name' not in frame.columns:
            raise OutputError('the table of selected structures has no column `name`')
        row_of = {name: row for row, name in enumerate(self._pool().get_names().tolist())}
        names = [str(name) for name in frame.columns['name'].tolist()]
        unknown = [name for name in names if name not in row_of]
        if unknown:
            raise OutputError(f'`{unknown[0]}` was selected, but is not in the pool')
        if len(set(names)) != len(names):
            raise OutputError('a structure was selected twice')
        return np.array([row_of[name] for name in names], dtype=np.int64)

    def out_selected(self, rows: NDArray[np.int64], outcome: dict[str, Any]) -> None:
        """Attach the selected structures, and what is known of the selection.

        :param outcome: what the travelling script says; empty if it could not run.
        """
        pool = self._pool()
        selected = PaceDatasetData.from_structures(pool.iter_taken(rows), reference=pool.reference)
        self.out('selected', selected)
        problems: list[str] = []
        environment = self.parse_environment(problems)
        parameters: dict[str, Any] = {
            **({key: outcome[key] for key in outcome if key != 'state'} or self.parse_program_log(problems)),
            **self.compare_with_budget(len(rows), selected.n_atoms),
            'rows': rows.tolist(),
            'selected_structures': len(rows),
            'selected_atoms': selected.n_atoms,
            'pool_structures': pool.n_structures,
            'pool_atoms': pool.n_atoms,
            'environment': {} if environment is None else environment.as_dict(),
        }
        if problems:
            parameters['parser_warnings'] = problems
        self.out('output_parameters', Dict(parameters))

    def compare_with_budget(self, n_structures: int, n_atoms: int) -> dict[str, Any]:
        """Return what was asked for, and what is missing of it."""
        stated = self.node.inputs['parameters'].get_dict() if 'parameters' in self.node.inputs else {}
        parameters = parse_parameters(SelectParameters, stated)
        budget = parameters.budget(self._pool().n_atoms)
        strategy = parameters.chosen_strategy(with_active_set='active_set' in self.node.inputs)
        said: dict[str, Any] = {'strategy': strategy, 'seed': parameters.seed}
        if budget.amount is not None:
            missing = budget.amount - (n_atoms if budget.in_atoms else n_structures)
            said['asked_for'] = {'atoms' if budget.in_atoms else 'structures': budget.amount}
            said['missing'] = max(missing, 0)
        return said

    def out_explanation(self, explanation: Explanation) -> None:
        """Attach why each candidate was selected or not."""
        node = ArrayData()
        for name, array in explanation.arrays().items():
            node.set_array(name, array)
        self.out('explanation', node)

    def parse_program_log(self, problems: list[str]) -> dict[str, Any]:
        """Read how ``pace_select`` alone selected; its log may be cut off although the selection is there."""
        problems.append(
            "Pacemaker's Python was not found, so `pace_select` selected in one round: it may be fewer than asked for, "
            'and there is no explanation'
        )
        try:
            log = parse_select_log(self.read_text(filenames.stderr_of(PROGRAM)) or '')
        except (AutopipecError, ValueError) as exception:
            problems.append(f'{filenames.stderr_of(PROGRAM)}: {exception}')
            return {}
        return {
            'touched_by_maxvol': log.n_chosen,
            'n_functions': dict(log.n_functions),
            'used_active_set': log.used_active_set,
        }

    def inspect_failure(self, outcome: dict[str, Any]) -> ExitCode:
        """Say why nothing was selected: the basis may have failed before the selection."""
        state, reason = outcome.get('state'), str(outcome.get('reason', ''))[:LONGEST_LINE]
        code: ExitCode
        if state in REFUSALS:
            code = self.exit_codes[REFUSALS[state]]
            return code.format(reason=reason)
        for program in ('pacemaker', SCRIPT, PROGRAM):
            diagnosis = self.diagnose_program(program)
            if diagnosis is not None:
                return self.exit_code_of(diagnosis)
        if NO_PYTHON in (self.read_text(filenames.stderr_of(SCRIPT)) or ''):
            code = self.exit_codes.ERROR_PYTHON_NOT_FOUND
            return code
        code = self.exit_codes.ERROR_OUTPUT_MISSING
        return self.exit_code_of_end() or code.format(filename=filenames.EXPLANATION)

    def _pool(self) -> PaceDatasetData:
        pool: PaceDatasetData = self.node.inputs['dataset']
        return pool
