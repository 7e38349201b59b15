"""Going on from the folder of a training that an earlier work chain began and did not finish."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ToContext
from aiida.orm import CalcJobNode, Dict, RemoteData
from aiida.plugins import CalculationFactory

from aiida_autopipec.calculations.functions.restart import read_unfinished
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.outputs import Position
from aiida_autopipec.pacemaker.restart import rest_of
from aiida_autopipec.workflows.healing.course import TrainingCourse

INTERIM_POTENTIAL = 'interim_potential_{}.yaml'


class ContinuedCourse(TrainingCourse):
    """A training that may have been begun before: what the job in ``parent_folder`` did is counted on.

    A job of a killed work chain leaves its folder and nothing else. What is needed of it is copied in a job of AiiDA's
    own, so that a connection that fails is tried again.
    """

    def goes_on_from_folder(self) -> bool:
        """Tell whether `parent_folder` is that of a job of this very training: with the same data and settings."""
        folder: RemoteData | None = self.ctx.inputs.get('parent_folder', None)
        job = None if folder is None else folder.creator
        if not isinstance(job, CalcJobNode) or 'config' not in job.inputs or 'dataset' not in job.inputs:
            return False
        own = self.ctx.inputs.config.get_dict()
        stated = [node.get_dict() for node in (job.inputs.config, _config_of(job.caller)) if node is not None]
        return own in stated and job.inputs.dataset.uuid == self.ctx.inputs.dataset.uuid

    def fetch_folder(self) -> Any:
        """Copy metrics, log and states out of the folder."""
        folder: RemoteData = self.ctx.inputs.parent_folder
        cycles = TrainingConfig.model_validate(self.ctx.inputs.config.get_dict()).fit.fit_cycles
        names = [
            filenames.METRICS,
            filenames.LOG,
            INTERIM_POTENTIAL.format('best_cycle'),
            *(INTERIM_POTENTIAL.format(cycle) for cycle in range(cycles)),
        ]
        instructions = {'retrieve_files': True, 'remote_files': [('folder', name, name) for name in names]}
        process: Any = CalculationFactory('core.transfer')
        node = self.submit(
            process,
            instructions=Dict(instructions),
            source_nodes={'folder': folder},
            metadata={'computer': folder.computer, 'call_link_label': 'fetch'},
        )
        return ToContext(fetched=node)

    def read_folder(self) -> ExitCode | None:
        """Take the state, and find out what is left of the training."""
        fetched: CalcJobNode = self.ctx.fetched
        if 'retrieved' not in fetched.outputs:
            return self._no_state('the folder cannot be read')
        found = read_unfinished(fetched.outputs.retrieved)
        report = found['output_parameters'].get_dict()
        if 'interim_potential' not in found:
            return self._no_state('; '.join(report['problems']) or 'there is none')
        folder: RemoteData = self.ctx.inputs.pop('parent_folder')
        position = Position(**{key: value for key, value in report['state'].items() if key != 'filename'})
        stated = folder.creator.inputs.config.get_dict()
        own = self.ctx.inputs.config.get_dict()
        self.ctx.todo = rest_of(stated, position)
        if 'ladder_step' in (own.get('fit') or {}) and 'ladder_step' not in (stated.get('fit') or {}):
            self.ctx.todo.append(own)  # that job was to finish one step of the ladder
        self.ctx.before = found
        self.ctx.state = self.ctx.newest = self.ctx.inputs.initial_potential = found['interim_potential']
        self.ctx.state_from = self.ctx.newest_from = 0
        self.report(f'going on from {folder.get_remote_path()} after {position.iterations} iterations')
        return None

    def _no_state(self, problems: str) -> ExitCode:
        code: ExitCode = self.exit_codes['ERROR_NO_STATE']
        return code.format(problems=problems)


def _config_of(workchain: Any) -> Dict | None:
    """Return the settings that a work chain was given for its training, if it is one."""
    if workchain is None:
        return None
    link = workchain.base.links.get_incoming(link_label_filter='pace_train__config').first()
    return None if link is None else link.node
