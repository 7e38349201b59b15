"""The course of a training over several jobs: what is still to do, where it stands, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport
from aiida.orm import CalcJobNode, Dict, Node, SinglefileData

from aiida_autopipec.calculations.functions.restart import change_config, combine_attempts
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.outputs import Position
from aiida_autopipec.pacemaker.restart import (
    difference,
    export_only,
    is_export_only,
    rest_of,
)
from aiida_autopipec.workflows.healing.best import OUTPUT as BEST
from aiida_autopipec.workflows.healing.best import best_job, early_stopping_over
from aiida_autopipec.workflows.healing.remedies import names_nodes, nodes_of, without_nodes

EXPORTS = {'yaml2yace': 'lammps_potential', 'activeset': 'active_set'}
"""Outputs by the port of the program that makes them."""


class TrainingCourse(BaseRestartWorkChain):
    """A training that goes on from job to job.

    ``ctx.todo`` holds the settings of the jobs that are left, that of the running one first; each starts from the
    result of the one before. ``ctx.state`` is the last state that a job was started from, ``ctx.newest`` the last one
    that there is, both with the number of the job that made it.
    """

    _process_class = PaceTrainCalculation

    def setup(self) -> None:
        """Begin with the training as it was asked for."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(PaceTrainCalculation, 'pace_train'))
        self.ctx.exports = AttributeDict(self.ctx.inputs.get('codes', {}))
        self.ctx.todo = [self.ctx.inputs.config.get_dict()]
        self.ctx.story = []
        self.ctx.state = self.ctx.state_from = None
        self.ctx.newest = self.ctx.newest_from = None
        self.ctx.fresh = None
        self.ctx.note = None
        self.ctx.stalled = 0
        self.ctx.tried = []
        self.ctx.rounds = 0
        self.ctx.final_code = None
        self.ctx.before = {}

    def run_process(self) -> Any:
        """Start the next job, which exports only if none comes after it."""
        self.ctx.inputs.config = self._config_node(self.ctx.todo[0])
        codes = AttributeDict(self.ctx.exports)
        if len(self.ctx.todo) > 1:
            for port in EXPORTS:
                codes.pop(port, None)
        self.ctx.inputs.codes = codes
        exports = is_export_only(self.ctx.todo[0])
        self.ctx.story.append({'goes_on_from': self.ctx.state_from, 'change': self.ctx.note, 'export_only': exports})
        self.ctx.note = None
        return super().run_process()

    def _config_node(self, config: dict[str, Any]) -> Dict:
        """Return settings as a node that comes from those of the user."""
        own: Dict = self.inputs.pace_train.config
        changes = difference(own.get_dict(), config)
        return change_config(own, Dict(changes)) if changes else own

    # Where it stands

    def inspect_process(self) -> ExitCode | None:
        """See how far the last job came, let the handlers decide, and keep what there is if they give up."""
        calculation: CalcJobNode = self.ctx.children[self.ctx.iteration - 1]
        self._take_stock(calculation)
        outcome: ExitCode | None = super().inspect_process()
        if outcome is not None and outcome.status != 0:
            self._attach_outputs(calculation)
        return outcome

    def _take_stock(self, calculation: CalcJobNode) -> None:
        number = self.ctx.iteration
        report = parameters_of(calculation)
        position = report.get('state') or {}
        self.ctx.fresh = None
        if 'interim_potential' in calculation.outputs and position.get('iterations', 0) > 0:
            self.ctx.fresh = {key: value for key, value in position.items() if key != 'filename'}
            self.ctx.newest, self.ctx.newest_from = calculation.outputs.interim_potential, number
        ended = 'potential' in calculation.outputs
        if ended:
            self.ctx.newest, self.ctx.newest_from = calculation.outputs.potential, number
        progressed = self.ctx.fresh is not None or (ended and not is_export_only(self.ctx.todo[0]))
        self.ctx.stalled = 0 if progressed else self.ctx.stalled + 1
        if progressed:
            self.ctx.tried = [name for name in self.ctx.tried if name != 'elsewhere']
        self.ctx.story[number - 1].update(
            job=calculation.uuid,
            exit_status=calculation.exit_status,
            exit_message=calculation.exit_message,
            iterations=int(report.get('iterations') or 0),
        )

    # What comes next

    def go_on(self, calculation: CalcJobNode, reason: str, change: str | None = None) -> ProcessHandlerReport:
        """Go on from the last state of a job, or repeat the job if it left none that is newer."""
        limit = int(self.inputs.max_attempts_without_progress.value)
        if self.ctx.stalled >= limit:
            return self.give_up('ERROR_NO_PROGRESS', calculation, attempts=self.ctx.stalled)
        if self.ctx.fresh is not None:
            self._start_from(calculation.outputs.interim_potential, self.ctx.iteration)
            position = Position(**self.ctx.fresh)
            rest = rest_of(self.ctx.todo[0], position)
            self.ctx.todo[:1] = [] if is_export_only(rest[0]) and len(self.ctx.todo) > 1 else rest
            where = f'going on from its state after {position.iterations} iterations'
        elif self.ctx.state_from is not None:
            where = f'going on from the state of attempt {self.ctx.state_from}'
        else:
            where = 'starting again'
        self.tell(calculation, f'{reason}: {where}' + (f', {change}' if change else ''))
        self.ctx.note = change
        return ProcessHandlerReport(do_break=True)

    def start_next(self, calculation: CalcJobNode, reason: str) -> ProcessHandlerReport:
        """Start the next of the jobs that are left from the potential of this one."""
        self._start_from(calculation.outputs.potential, self.ctx.iteration)
        self.ctx.todo.pop(0)
        self.tell(calculation, reason)
        return ProcessHandlerReport(do_break=True)

    def export_state(self, calculation: CalcJobNode, state: SinglefileData, reason: str) -> ProcessHandlerReport:
        """Write and export a state as it is."""
        if self.ctx.stalled >= int(self.inputs.max_attempts_without_progress.value):
            return self.give_up('ERROR_NO_PROGRESS', calculation, attempts=self.ctx.stalled)
        self._start_from(state, self.ctx.newest_from)
        self.ctx.todo = [export_only(self.ctx.todo[0])]
        self.tell(calculation, reason)
        return ProcessHandlerReport(do_break=True)

    def take_state(self, calculation: CalcJobNode, reason: str) -> ProcessHandlerReport:
        """Take the newest state for the end of what its job was to do: go on with what is left, or export it."""
        if len(self.ctx.todo) < 2:
            return self.export_state(calculation, self.ctx.newest, f'{reason}: the state is taken')
        self._start_from(self.ctx.newest, self.ctx.newest_from)
        self.ctx.todo.pop(0)
        self.tell(calculation, f'{reason}: the state is taken, and what is left of the fit follows')
        return ProcessHandlerReport(do_break=True)

    def change_rest(self, config: dict[str, Any]) -> None:
        """Take other settings for the backend of all jobs that are left."""
        backend = config.get('backend')
        self.ctx.todo = [{**left, 'backend': backend} for left in self.ctx.todo]

    def try_elsewhere(self, calculation: CalcJobNode) -> str:
        """Let the next job run on another node, where there is one and the scheduler can be told, and say so.

        SLURM refuses a job without a node that is left for it, and AiiDA then pauses the job until somebody looks.
        """
        nodes = nodes_of(calculation)
        computer = calculation.computer
        stated = self.inputs.pace_train.metadata.options.get('custom_scheduler_commands', '')
        if nodes is None or computer is None or computer.scheduler_type != 'core.slurm' or names_nodes(stated):
            return 'where the scheduler sends it'
        if not environment_of(calculation).get('other_nodes'):
            return 'where the scheduler sends it, as no other node like it is known'
        self.options['custom_scheduler_commands'] = without_nodes(stated, nodes)
        return f'on another node than {nodes}'

    def is_first(self, remedy: str) -> bool:
        """Tell whether a remedy has not been tried yet, and remember that it is now."""
        if remedy in self.ctx.tried:
            return False
        self.ctx.tried = [*self.ctx.tried, remedy]
        return True

    @property
    def options(self) -> Any:
        """Return the options of the next job, which are none of the node that was given."""
        metadata = AttributeDict(self.ctx.inputs.get('metadata', {}))
        metadata.options = AttributeDict(metadata.get('options', {}))
        self.ctx.inputs.metadata = metadata
        return metadata.options

    def _start_from(self, state: SinglefileData, number: int) -> None:
        """Let the next job start from a state.

        :param number: of the job that made it.
        """
        self.ctx.inputs.initial_potential = state
        self.ctx.inputs.pop('parent_folder', None)
        self.ctx.state, self.ctx.state_from = state, number

    # What comes out

    def accept(self, calculation: CalcJobNode, reason: str) -> ProcessHandlerReport:
        """Take the outputs of a job that did not finish with 0."""
        self.tell(calculation, reason)
        self.ctx.is_finished = True
        return ProcessHandlerReport(do_break=True, exit_code=ExitCode(0))

    def give_up(self, label: str, calculation: CalcJobNode, **facts: Any) -> ProcessHandlerReport:
        """End with the cause."""
        code: ExitCode = self.exit_codes[label]
        cause = calculation.exit_message or f'exit status {calculation.exit_status}'
        return ProcessHandlerReport(do_break=True, exit_code=code.format(cause=cause, **facts))

    def tell(self, calculation: CalcJobNode, text: str) -> None:
        """Report what a job did and what follows from it."""
        self.report(f'{calculation.process_label}<{calculation.pk}> {text}')

    def missing_exports(self, calculation: CalcJobNode) -> list[str]:
        """Return what was asked for beside the potential, and is not there."""
        asked = [output for port, output in EXPORTS.items() if port in self.ctx.exports]
        return [output for output in (*asked, 'predictions') if output not in calculation.outputs]

    def results(self) -> ExitCode | None:
        """Attach the outputs, and repeat a warning."""
        super().results()
        code: ExitCode | None = self.ctx.final_code
        return code

    def get_outputs(self, node: CalcJobNode) -> Mapping[str, Node]:
        """Return the outputs of the last job, with the learning curve and the numbers of all of them."""
        outputs: dict[str, Node] = dict(self.exposed_outputs(node, PaceTrainCalculation))
        outputs.update(self._combined(node))
        if 'potential' not in outputs and self.ctx.newest is not None:
            outputs['interim_potential'] = self.ctx.newest
        best = best_job(self._jobs_on_the_way())
        if best is not None:
            outputs[BEST] = self.ctx.children[best - 1].outputs[BEST]
        return outputs

    def _combined(self, node: CalcJobNode) -> dict[str, Node]:
        """Put together what the jobs gave that led to the result, or to the last state."""
        reported = [child for child in self.ctx.children if 'output_parameters' in child.outputs]
        if not reported:
            return {}
        made = [self.ctx.before, *(child.outputs for child in self.ctx.children)]
        curves = {
            f'attempt_{number:02d}': made[number]['learning_curve']
            for number in self._way()
            if 'learning_curve' in made[number]
        }
        source = node if node in reported else reported[-1]
        jobs = self._jobs_on_the_way()
        reports = {number: parameters_of(job) for number, job in jobs.items()}
        story = Dict({'attempts': self.ctx.story, **self.end_of_fit(), **early_stopping_over(reports, best_job(jobs))})
        combined: dict[str, Node] = combine_attempts(story, source.outputs.output_parameters, **curves)
        return combined

    def _way(self) -> list[int]:
        """Return the numbers of the jobs that led to the newest state."""
        last = self.ctx.iteration if self.ctx.newest_from is None else self.ctx.newest_from
        return way_to(last, [entry['goes_on_from'] for entry in self.ctx.story])

    def _jobs_on_the_way(self) -> dict[int, CalcJobNode]:
        """Return the jobs of this work chain that led to the newest state, by their numbers."""
        return {number: self.ctx.children[number - 1] for number in self._way() if number > 0}

    def end_of_fit(self) -> dict[str, Any]:
        """Return how the last minimisation ended: a job that only exports calls any state converged."""
        fits = [number for number in self._way() if number == 0 or not self.ctx.story[number - 1]['export_only']]
        report = parameters_of(self.ctx.children[fits[-1] - 1]) if fits and fits[-1] > 0 else {}
        return {key: report.get(key) for key in ('converged', 'stop_reason')}


def way_to(number: int, parents: list[int | None]) -> list[int]:
    """Return the numbers of the jobs that led to a result, the first one first.

    :param number: of the job that made the result, counted from 1; 0 is a job that ran before this work chain.
    :param parents: by job, the number of the one whose state it started from.
    """
    way: list[int] = []
    following: int | None = number
    while following is not None and following not in way:
        way.insert(0, following)
        following = parents[following - 1] if following > 0 else None
    return way


def environment_of(calculation: CalcJobNode) -> dict[str, Any]:
    """Return what the probe of a job said, empty if it said nothing."""
    found: dict[str, Any] = calculation.outputs.environment.get_dict() if 'environment' in calculation.outputs else {}
    return found


def parameters_of(calculation: CalcJobNode) -> dict[str, Any]:
    """Return the report of a job, empty if it left none."""
    if 'output_parameters' not in calculation.outputs:
        return {}
    report: dict[str, Any] = calculation.outputs.output_parameters.get_dict()
    return report
