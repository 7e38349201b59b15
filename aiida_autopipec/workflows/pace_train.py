"""Work chain that trains a potential, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.engine import ExitCode, ProcessHandlerReport, if_, process_handler, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import CalcJobNode

from aiida_autopipec.calculations.exit_codes import WARNINGS_FROM, gave_result
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.calculations.ports import refuse_unknown
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.config.potential import PotentialShape
from aiida_autopipec.pacemaker.restart import another_round, from_scratch, is_export_only, with_fit, with_noise
from aiida_autopipec.workflows.healing import remedies
from aiida_autopipec.workflows.healing.course import parameters_of
from aiida_autopipec.workflows.healing.earlier import ContinuedCourse
from aiida_autopipec.workflows.healing.ports import define_exit_codes, define_limits

_CODES = PaceTrainCalculation.exit_codes


class PaceTrainBaseWorkChain(ContinuedCourse):
    """Train a potential, whatever happens on the way.

    Each way in which a training is cut off or goes wrong has one handler, which makes one change and reports it. A
    training that gets further with each job is never given up; the table in the documentation ("When a training is
    disturbed") lists symptoms, changes and limits.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.expose_inputs(PaceTrainCalculation, namespace='pace_train')
        refuse_unknown(spec, 'pace_train')
        define_limits(spec)
        spec.expose_outputs(PaceTrainCalculation)
        steps: Any = cls  # aiida-core annotates the steps of an outline as those of a plain WorkChain
        spec.outline(
            steps.setup,
            if_(steps.goes_on_from_folder)(
                steps.fetch_folder,
                steps.read_folder,
            ),
            while_(steps.should_run_process)(
                steps.run_process,
                steps.inspect_process,
            ),
            steps.results,
        )
        define_exit_codes(spec)

    # A result is there

    @process_handler(priority=900)
    def start_what_is_left(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Go on with the next fit cycle or ladder step once the one that was cut off is finished."""
        if len(self.ctx.todo) < 2 or 'potential' not in calculation.outputs:
            return None
        return self.start_next(calculation, 'finished what was cut off: going on with what is left of the fit')

    @process_handler(priority=890)
    def finish_exports(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Take a potential whose job was cut off after the fit, and make the exports that are missing."""
        status = calculation.exit_status or 0
        if status == 0 or status >= WARNINGS_FROM or 'potential' not in calculation.outputs:
            return None
        missing = self.missing_exports(calculation)
        if not missing:
            return self.accept(calculation, 'was cut off after everything was written')
        failed = status in (_CODES.ERROR_EXPORT_FAILED.status, _CODES.ERROR_ACTIVE_SET_FAILED.status)
        if failed and is_export_only(self.ctx.todo[0]):
            return self.give_up('ERROR_EXPORT_FAILED', calculation)
        place = self.try_elsewhere(calculation) if failed else 'again'
        reason = f'trained the potential, but lacks {", ".join(missing)}: these are made {place}'
        return self.export_state(calculation, calculation.outputs.potential, reason)

    @process_handler(priority=100)
    def go_on_at_maxiter(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Go on with a fit that reached ``maxiter``, as often as the input asks for."""
        if not gave_result(calculation) or 'extra_rounds' not in self.inputs:
            return None
        if self.end_of_fit().get('stop_reason') != 'max_iterations':
            return None
        rounds = int(self.inputs.extra_rounds.value)
        if self.ctx.rounds >= rounds:
            self.ctx.final_code = self.exit_codes.WARNING_NOT_CONVERGED.format(rounds=rounds)
            return self.accept(calculation, f'has not converged {calculation.exit_message or ""}'.rstrip())
        self.ctx.rounds += 1
        own = self.inputs.pace_train.config.get_dict()
        extra = another_round({**own, 'backend': self.ctx.todo[0].get('backend', {})})
        self.ctx.todo.append(self._with_bfgs(extra) if 'BFGS' in self.ctx.tried else extra)
        return self.start_next(calculation, f'has not converged: extra round {self.ctx.rounds} of {rounds}')

    @process_handler(priority=90)
    def accept_warnings(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Take a result that comes with a warning, and finish with the same warning."""
        status = calculation.exit_status or 0
        if status < WARNINGS_FROM:
            return None
        self.ctx.final_code = ExitCode(status, calculation.exit_message)
        return self.accept(calculation, f'finished with a warning: {calculation.exit_message}')

    # It was cut off

    @process_handler(priority=700, exit_codes=[_CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME])
    def continue_after_walltime(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last state for the iterations that remain."""
        if not parameters_of(calculation).get('iterations'):  # the same walltime would only be met again
            return self.give_up('ERROR_NO_PROGRESS', calculation, attempts=self.ctx.stalled)
        return self.go_on(calculation, 'ran into the walltime')

    @process_handler(
        priority=690,
        exit_codes=[
            _CODES.ERROR_NO_RETRIEVED_FOLDER,
            _CODES.ERROR_SCHEDULER_NODE_FAILURE,
            _CODES.ERROR_CANCELLED,
            _CODES.ERROR_PREEMPTED,
            _CODES.ERROR_VANISHED,
            _CODES.ERROR_INTERRUPTED,
            _CODES.ERROR_NOT_STARTED,
        ],
    )
    def continue_after_loss(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Go on where a job was ended from outside, or vanished."""
        return self.go_on(calculation, f'was lost ({(calculation.exit_message or "").strip()})')

    @process_handler(priority=680, exit_codes=[_CODES.ERROR_SCHEDULER_OUT_OF_MEMORY, _CODES.ERROR_HOST_OUT_OF_MEMORY])
    def give_more_memory(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Ask for more memory where that is allowed, else make batches smaller, else try another node once."""
        options = self.options
        if 'max_memory_kb' in self.inputs:
            memory = remedies.memory_to_ask_for(options, int(self.inputs.max_memory_kb.value))
            if memory is not None:
                options['max_memory_kb'] = memory
                self.ctx.stalled = 0  # another job, and there are only so many of them
                return self.go_on(calculation, 'ran out of memory', f'with {memory} kB of memory')
        smaller = remedies.with_smaller_batches(self.ctx.todo[0])
        if smaller is not None:
            return self._with_batches_of(smaller, calculation, 'ran out of memory')
        if self.is_first('elsewhere'):
            return self.go_on(calculation, 'ran out of memory', self.try_elsewhere(calculation))
        return self.give_up('ERROR_OUT_OF_MEMORY', calculation)

    @process_handler(priority=670, exit_codes=[_CODES.ERROR_GPU_OUT_OF_MEMORY])
    def use_smaller_batches(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Make batches smaller when the GPU is out of memory."""
        smaller = remedies.with_smaller_batches(self.ctx.todo[0])
        if smaller is None:
            return self.give_up('ERROR_OUT_OF_MEMORY', calculation)
        return self._with_batches_of(smaller, calculation, 'ran out of the memory of the GPU')

    def _with_batches_of(
        self, config: Mapping[str, Any], calculation: CalcJobNode, reason: str
    ) -> ProcessHandlerReport:
        self.change_rest(dict(config))
        self.ctx.stalled = 0  # another job, and there are only so many of them
        return self.go_on(calculation, reason, f'with batches of {config["backend"]["batch_size"]} structures')

    @process_handler(priority=660, exit_codes=[_CODES.ERROR_EARLY_STOPPING_CRASH])
    def continue_after_early_stopping(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Take the state of a fit that was complete when Pacemaker crashed (python-ace#86)."""
        return self.go_on(calculation, 'crashed by early stopping at the last iteration (python-ace#86)')

    # It went wrong

    @process_handler(
        priority=600, exit_codes=[_CODES.ERROR_DIVERGED, _CODES.ERROR_LOSS_ROSE, _CODES.ERROR_LOSS_DIVERGING]
    )
    def calm_down(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Change what usually helps against a loss that is not finite or grows, each once."""
        config = self.ctx.todo[0]
        report = parameters_of(calculation)
        if self.ctx.fresh is not None and _fell(report) and self.is_first('new_curvature'):
            return self.go_on(calculation, 'diverged', 'without what the optimizer remembers of the curvature')
        self.ctx.fresh = None  # its coefficients are no place to go on from
        if (plain := self._try_without_acceleration(calculation, 'diverged')) is not None:
            return plain
        if config.get('fit', {}).get('optimizer', 'BFGS') != 'BFGS' and self.is_first('BFGS'):
            self.ctx.todo = [self._with_bfgs(left) for left in self.ctx.todo]
            return self.go_on(calculation, 'diverged', 'with the optimizer BFGS')
        if 'initial_potential' in self.ctx.inputs and self.is_first('from_scratch'):
            return self._start_from_scratch(calculation)
        return self.give_up('ERROR_DIVERGED', calculation)

    def _try_without_acceleration(self, calculation: CalcJobNode, reason: str) -> ProcessHandlerReport | None:
        """Train in the plain way where the acceleration may be to blame, once."""
        accelerated = (parameters_of(calculation).get('acceleration') or {}).get('used')
        if not accelerated or not self.is_first('plain'):
            return None
        self.ctx.inputs.pop('acceleration', None)
        return self.go_on(calculation, reason, 'without acceleration')

    @staticmethod
    def _with_bfgs(config: dict[str, Any]) -> dict[str, Any]:
        changed = with_fit(config, optimizer='BFGS')
        changed['fit'].pop('options', None)  # they belong to the other optimizer
        return changed

    def _start_from_scratch(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Keep the shape of the potential and leave the coefficients of the start."""
        own = self.inputs.pace_train.config.get_dict()
        given_shape = not isinstance(TrainingConfig.model_validate(own).potential, PotentialShape)
        self.ctx.todo = [from_scratch({**own, 'backend': self.ctx.todo[0].get('backend', {})}, given_shape=given_shape)]
        start = self.inputs.pace_train.get('initial_potential', None)
        if given_shape and start is not None:
            self.ctx.inputs.initial_potential = start
        elif not given_shape:
            self.ctx.inputs.pop('initial_potential', None)
        self.ctx.state = self.ctx.state_from = None
        return self.go_on(calculation, 'diverged', 'without the coefficients of the start potential')

    @process_handler(priority=590, exit_codes=[_CODES.ERROR_NOT_TRAINED])
    def shake(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Leave a point where no gradient acts; a fit that goes on from a state of its own is at its end there."""
        if (plain := self._try_without_acceleration(calculation, 'did not move')) is not None:
            return plain
        if self.ctx.state_from is not None:
            self.ctx.newest, self.ctx.newest_from = self.ctx.state, self.ctx.state_from
            return self.take_state(calculation, 'found nothing to improve')
        if not self.is_first('noise'):
            return self.give_up('ERROR_NOT_TRAINED', calculation)
        self.ctx.todo[0] = with_noise(self.ctx.todo[0], remedies.NOISE)
        return self.go_on(calculation, 'did not move', f'with noise of {remedies.NOISE:g} on the coefficients')

    @process_handler(priority=580, exit_codes=[_CODES.ERROR_NO_NEW_FUNCTIONS, _CODES.ERROR_SKIPPED])
    def take_a_climbed_ladder(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Take the state of a ladder that turns out to have been climbed already."""
        if self.ctx.state_from is None:
            return None
        self.ctx.newest, self.ctx.newest_from = self.ctx.state, self.ctx.state_from
        return self.take_state(calculation, 'has no function left to add')

    @process_handler(priority=570, exit_codes=[_CODES.ERROR_LOSS_STALLED])
    def start_optimizer_anew(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Give a fit that hardly moves one new start of the optimizer, then take it for finished."""
        if self.ctx.newest is None:
            return self.give_up('ERROR_STOPPED', calculation)
        if self.is_first('new_optimizer'):
            return self.go_on(calculation, 'hardly moves', 'without what the optimizer remembers of the curvature')
        if self.ctx.fresh is None:
            return self.take_state(calculation, 'hardly moves again')
        self.ctx.fresh = {**self.ctx.fresh, 'finished': True}
        return self.go_on(calculation, 'hardly moves again, so this minimisation is taken for finished')

    @process_handler(priority=560, exit_codes=[_CODES.ERROR_OVERFITTING, _CODES.ERROR_WALLTIME_TOO_SHORT])
    def end_as_asked(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """End a fit that gets worse on the test set, or whose walltime is too short where that was to stop it.

        Another job with the same walltime would be stopped as early, so the training would go on in many short jobs.
        """
        return self.give_up('ERROR_STOPPED', calculation)

    # The computer is to blame

    @process_handler(
        priority=500,
        exit_codes=[_CODES.ERROR_DISK_FULL, _CODES.ERROR_OUTPUT_MISSING, _CODES.ERROR_OUTPUT_UNREADABLE],
    )
    def repeat_elsewhere(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Repeat a job whose files are lost or cut off, once."""
        if not self.is_first('elsewhere'):
            return self.give_up('ERROR_STORAGE', calculation)
        return self.go_on(calculation, f'lost files ({calculation.exit_message})', self.try_elsewhere(calculation))

    @process_handler(priority=490, exit_codes=[_CODES.ERROR_GPU_NOT_FOUND])
    def find_gpu_elsewhere(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Repeat a job that found no GPU on another node, once."""
        if not self.is_first('elsewhere'):
            return self.give_up('ERROR_ENVIRONMENT', calculation)
        return self.go_on(calculation, 'found no GPU', self.try_elsewhere(calculation))

    @process_handler(
        priority=480,
        exit_codes=[
            _CODES.ERROR_EVALUATOR_NOT_INSTALLED,
            _CODES.ERROR_EVALUATOR_INCOMPATIBLE,
            _CODES.ERROR_EVALUATOR_NOT_AVAILABLE,
            _CODES.ERROR_UNSUITABLE_ENVIRONMENT,
        ],
    )
    def end_with_wrong_environment(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """End at once: no repetition installs what is missing."""
        return self.give_up('ERROR_ENVIRONMENT', calculation)


def _fell(report: Mapping[str, Any]) -> bool:
    """Return whether the last finite loss of a job lies below its first."""
    first, last = report.get('initial_loss'), report.get('final_loss')
    return first is not None and (last is None or last < first)
