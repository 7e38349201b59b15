"""The last steps of a training: is the potential safe, and what is handed on of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import ArrayData, Dict, FolderData

from aiida_autopipec.calculations.exit_codes import gave_result
from aiida_autopipec.calculations.functions.export import export_potential
from aiida_autopipec.calculations.validate import ValidateCalculation
from aiida_autopipec.data.validation_inputs import parameters_of
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.validation import possible_checks

OF_THE_POTENTIAL = ('potential', 'lammps_potential', 'active_set')


class GateSteps(WorkChain):
    """Steps that look at what was trained."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define ports and exit codes."""
        super().define(spec)
        spec.expose_inputs(
            ValidateCalculation,
            namespace='validate',
            exclude=(*OF_THE_POTENTIAL, 'test_dataset', 'reference_potential'),
            namespace_options={
                'required': False,
                'populate_defaults': False,
                'help': 'Check the potential before it is called finished: dimers, volumes, hot dynamics, errors.',
            },
        )
        spec.inputs['validate'].validator = None  # the potential is not there before
        spec.output('validation_report', valid_type=Dict, required=False, help='Passed or failed, check by check.')
        spec.output('validation_curves', valid_type=ArrayData, required=False, help='What the checks measured.')
        spec.output(
            'handoff',
            valid_type=FolderData,
            required=False,
            help='All files of the potential, lines for LAMMPS and a page; where a `.yace` was made.',
        )
        spec.exit_code(
            404,
            'ERROR_VALIDATION_FAILED',
            message='The potential is trained, but did not pass its validation: {reason}',
        )
        spec.exit_code(
            405,
            'ERROR_VALIDATION_BROKE',
            message='The potential is trained, but whether it is safe is not known, as its validation broke: {reason}',
        )
        warning: ExitCode = ValidateCalculation.exit_codes.WARNING_CHECKS_FAILED
        spec.exit_code(warning.status, 'WARNING_CHECKS_FAILED', message=warning.message or '')

    def should_hand_on(self) -> bool:
        """Tell whether the potential was exported."""
        return 'lammps_potential' in self.outputs and 'potential' in self.outputs

    def hand_on(self) -> None:
        """Put everything that belongs to the potential into one folder."""
        ports = (*OF_THE_POTENTIAL, 'output_parameters')
        self.out(
            'handoff',
            export_potential(**{port: self.outputs[port] for port in ports if port in self.outputs})['handoff'],
        )

    def should_validate(self) -> bool:
        """Tell whether a validation was asked for."""
        return 'validate' in self.inputs and 'potential' in self.outputs

    def run_validation(self) -> dict[str, Any]:
        """Check the trained potential, on the test set if there is one."""
        inputs = AttributeDict(self.exposed_inputs(ValidateCalculation, 'validate'))
        inputs.update({port: self.outputs[port] for port in OF_THE_POTENTIAL if port in self.outputs})
        if self.ctx.test_set is not None:
            inputs.test_dataset = self.ctx.test_set
        inputs.metadata.call_link_label = 'validate'
        return ToContext(validation=self.submit(ValidateCalculation, inputs))

    def inspect_validation(self) -> ExitCode | None:
        """Hand on what was found; end if a required check is not passed, or if nothing could be checked."""
        calculation = self.ctx.validation
        for port, name in (('report', 'validation_report'), ('curves', 'validation_curves')):
            if port in calculation.outputs:
                self.out(name, calculation.outputs[port])
        if gave_result(calculation):
            return None  # a warning is what the work chain ends with
        reason = (
            f'{calculation.process_label}<{calculation.pk}>: {calculation.exit_message or calculation.process_state}'
        )
        self.report(reason)
        judged = calculation.exit_status == ValidateCalculation.exit_codes.ERROR_CHECKS_FAILED.status
        failed: ExitCode = self.exit_codes['ERROR_VALIDATION_FAILED' if judged else 'ERROR_VALIDATION_BROKE']
        return failed.format(reason=reason)


def gate_problem(inputs: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the validation that is asked for, if anything.

    :param inputs: those of the whole training.
    """
    stated = inputs.get('validate', {})
    if not stated:
        return None
    if 'code' not in stated:
        return '`validate` needs `validate.code`, a program of Pacemaker such as `pacemaker`'
    given = ['crystal'] if 'crystal' in stated else []
    if 'split' in inputs or inputs.get('test_datasets'):
        given.append('dataset')
    if 'yaml2yace' in inputs.get('pace_train', {}).get('codes', {}):
        given.append('lammps_potential')
    try:
        possible_checks(parameters_of(stated), given)
    except InputError as exception:
        return f'`validate`: {exception}'
    return None
