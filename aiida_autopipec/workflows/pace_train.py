"""Work chain that trains a potential and goes on where a training was cut off."""

from __future__ import annotations

from typing import Any

from aiida.common import AttributeDict
from aiida.engine import (
    BaseRestartWorkChain,
    ExitCode,
    ProcessHandlerReport,
    process_handler,
    while_,
)
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import CalcJobNode, Dict, SinglefileData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.config.potential import GivenPotential

WARNINGS_FROM = 700
"""Exit codes from here on mean: finished, with a warning."""


class PaceTrainBaseWorkChain(BaseRestartWorkChain):
    """Train a potential, whatever happens on the way.

    A training that runs into the walltime of the scheduler goes on from its last state, for the iterations that remain.
    """

    _process_class = PaceTrainCalculation

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.expose_inputs(PaceTrainCalculation, namespace='pace_train')
        spec.expose_outputs(PaceTrainCalculation)
        steps: Any = cls  # aiida-core annotates the steps of an outline as those of a plain WorkChain
        spec.outline(
            steps.setup,
            while_(steps.should_run_process)(
                steps.run_process,
                steps.inspect_process,
            ),
            steps.results,
        )
        spec.exit_code(
            403,
            'ERROR_NO_PROGRESS',
            message='The training was cut off by the walltime before its first iteration: ask for more time.',
        )

    def setup(self) -> None:
        """Collect the inputs of the first run."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(PaceTrainCalculation, 'pace_train'))

    @process_handler(
        priority=500,
        exit_codes=[PaceTrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME],
    )
    def continue_after_walltime(self, calculation: CalcJobNode) -> ProcessHandlerReport:
        """Go on from the last state for the iterations that remain."""
        done = int(calculation.outputs.output_parameters.get_dict().get('iterations') or 0)
        if 'potential' in calculation.outputs:
            return self._accept(calculation, 'was cut off after its potential was written')
        if done == 0 or 'interim_potential' not in calculation.outputs:
            return ProcessHandlerReport(do_break=True, exit_code=self.exit_codes.ERROR_NO_PROGRESS)
        self._go_on_from(calculation.outputs.interim_potential, done)
        self.report(
            f'{calculation.process_label}<{calculation.pk}> ran into the walltime after {done} iterations: going on '
            'from its last state'
        )
        return ProcessHandlerReport(do_break=True)

    @process_handler(priority=100)
    def accept_warnings(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Take a result that comes with a warning, and repeat the warning."""
        if calculation.exit_status is None or calculation.exit_status < WARNINGS_FROM:
            return None
        return self._accept(calculation, f'finished with a warning: {calculation.exit_message}')

    def _accept(self, calculation: CalcJobNode, reason: str) -> ProcessHandlerReport:
        """Take the outputs of a calculation that did not finish with 0."""
        self.report(f'{calculation.process_label}<{calculation.pk}> {reason}')
        self.ctx.is_finished = True
        return ProcessHandlerReport(do_break=True, exit_code=ExitCode(0))

    def _go_on_from(self, state: SinglefileData, done: int) -> None:
        """Start the next run from a state, for the iterations that remain in all."""
        self.ctx.inputs.config = Dict(config_for_the_rest(self.ctx.inputs.config.get_dict(), done))
        self.ctx.inputs.initial_potential = state
        self.ctx.inputs.pop('parent_folder', None)


def config_for_the_rest(stated: dict[str, Any], done: int) -> dict[str, Any]:
    """Return the settings of a training that goes on from its own state.

    :param stated: the settings that it began with.
    :param done: iterations that it has made since.
    """
    settings = TrainingConfig.model_validate(stated)
    config = {**stated, 'fit': dict(stated.get('fit') or {})}
    if isinstance(settings.potential, GivenPotential):
        del config['potential']  # `reset` would throw away what has been reached
    if settings.fit.ladder_step is None and settings.fit.fit_cycles == 1:
        # with several minimisations `maxiter` is a limit for each of them, and the one that was cut off starts anew
        config['fit']['maxiter'] = max(1, settings.fit.maxiter - done)
    return config
