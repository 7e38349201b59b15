"""Work chain that selects from a large pool: parts of it as jobs of their own, and then out of what they offer."""

from __future__ import annotations

from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import CalcJobNode, Dict, Float

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.functions.selection import (
    OFFERED,
    PART,
    SETTINGS,
    divide_for_selection,
    gather_finalists,
    report_selection,
)
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.workflows.data_steps import call_step

_CODES = PaceSelectCalculation.exit_codes


class SelectWorkChain(WorkChain):
    """Select from a pool in parts that run side by side, and then out of what they offer.

    Number, quotas, seed, active set and what is taken in any case mean the same as in one job.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.expose_inputs(PaceSelectCalculation, namespace='pace_select')
        ports.add_parts(spec, 'parts')
        ports.refuse_unknown(spec, 'pace_select')
        steps: Any = cls  # aiida-core annotates the steps of an outline as those of a plain WorkChain
        spec.outline(
            steps.begin,
            if_(steps.has_parts)(
                steps.divide,
                steps.run_parts,
                steps.gather,
            ),
            steps.run_last,
            steps.results,
        )
        spec.expose_outputs(PaceSelectCalculation, include=('selected', 'output_parameters', 'explanation'))
        spec.output(
            'finalists',
            valid_type=PaceDatasetData,
            required=False,
            help='What the parts offered, the pool of the last selection; `explanation` is about these.',
        )
        spec.exit_code(200, 'ERROR_INVALID_DATA', message='The pool cannot be divided: {reason}')
        spec.exit_code(401, 'ERROR_SELECTION_FAILED', message='The selection failed: {reason}')

    def begin(self) -> None:
        """Start from the whole pool."""
        self.ctx.pool = self.inputs.pace_select.dataset
        self.ctx.divided = {}

    def has_parts(self) -> bool:
        """Tell whether the pool is divided."""
        return bool(self.inputs.parts.value > 1)

    def divide(self) -> ExitCode | None:
        """Divide the pool, and say what is selected out of each part."""
        try:
            self.ctx.divided = call_step(
                divide_for_selection,
                'divide',
                dataset=self.ctx.pool,
                parameters=self._parameters(),
                n_parts=self.inputs.parts,
                cutoff=Float(self._cutoff()),
            )
        except InputError as exception:
            code: ExitCode = self.exit_codes.ERROR_INVALID_DATA.format(reason=str(exception))
            return code
        return None

    def _parameters(self) -> Dict:
        stated: Dict | None = self.inputs.pace_select.get('parameters', None)
        return Dict({}) if stated is None else stated

    def _cutoff(self) -> float:
        """Return the distance in Å beyond which atoms do not see each other."""
        config: Dict | None = self.inputs.pace_select.get('config', None)
        cutoff = None if config is None else TrainingConfig.model_validate(config.get_dict()).cutoff
        return validation.potential_info(self.inputs.pace_select.potential).cutoff if cutoff is None else cutoff

    def run_parts(self) -> dict[str, Any]:
        """Select out of all parts at the same time."""
        jobs = {}
        for key in sorted(self.ctx.divided):
            if not key.startswith(PART):
                continue
            inputs = AttributeDict(self.exposed_inputs(PaceSelectCalculation, 'pace_select'))
            inputs.dataset = self.ctx.divided[key]
            inputs.parameters = self.ctx.divided[key.replace(PART, SETTINGS)]
            inputs.metadata.call_link_label = key
            jobs[key] = self.submit(PaceSelectCalculation, inputs)
        self.report(f'{len(jobs)} parts of {self.ctx.pool.n_structures} structures are selected from side by side')
        self.ctx.jobs = sorted(jobs)
        return ToContext(**jobs)

    def gather(self) -> ExitCode | None:
        """Put together what the parts offer; one that has nothing to add to an active set offers nothing."""
        offered = {OFFERED: self.ctx.divided[OFFERED]} if OFFERED in self.ctx.divided else {}
        for key in self.ctx.jobs:
            calculation: CalcJobNode = self.ctx[key]
            if calculation.is_finished_ok:
                offered[key] = calculation.outputs.selected
            elif calculation.exit_status != _CODES.ERROR_NOTHING_SELECTED.status:
                return self._failed(calculation)
        if not offered:
            return self._failed(self.ctx[self.ctx.jobs[-1]])
        gathered = call_step(
            gather_finalists, 'gather_finalists', dataset=self.ctx.pool, parameters=self._parameters(), **offered
        )
        self.ctx.finalists = finalists = gathered['dataset']
        self.ctx.last_parameters = gathered['parameters']
        self.out('finalists', finalists)
        self.report(f'the parts offer {finalists.n_structures} structures with {finalists.n_atoms} atoms')
        return None

    def run_last(self) -> dict[str, Any]:
        """Select out of the finalists, or out of the pool where it has no parts."""
        inputs = AttributeDict(self.exposed_inputs(PaceSelectCalculation, 'pace_select'))
        inputs.metadata.call_link_label = 'select'
        if self.has_parts():
            inputs.dataset = self.ctx.finalists
            inputs.parameters = self.ctx.last_parameters
        return ToContext(last=self.submit(PaceSelectCalculation, inputs))

    def results(self) -> ExitCode | None:
        """Hand on what was selected, with rows of the whole pool."""
        calculation: CalcJobNode = self.ctx.last
        if not calculation.is_finished_ok:
            return self._failed(calculation)
        outputs = dict(self.exposed_outputs(calculation, PaceSelectCalculation))
        if self.has_parts():
            outputs['output_parameters'] = call_step(
                report_selection,
                'report_selection',
                dataset=self.ctx.pool,
                finalists=self.ctx.finalists,
                outcome=calculation.outputs.output_parameters,
                parameters=self._parameters(),
                **{
                    key: self.ctx[key].outputs.output_parameters
                    for key in self.ctx.jobs
                    if self.ctx[key].is_finished_ok
                },
            )['output_parameters']
        self.out_many(outputs)
        return None

    def _failed(self, calculation: CalcJobNode) -> ExitCode:
        reason = (
            f'{calculation.process_label}<{calculation.pk}>: {calculation.exit_message or calculation.process_state}'
        )
        code: ExitCode = self.exit_codes.ERROR_SELECTION_FAILED.format(reason=reason)
        return code
