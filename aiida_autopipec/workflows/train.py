"""Work chain from labelled structures to a trained potential."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, ToContext, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import CalcJobNode, Dict, ProcessNode

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.exit_codes import gave_result
from aiida_autopipec.calculations.functions.restart import change_config
from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.restart import difference
from aiida_autopipec.workflows import inputs as checks
from aiida_autopipec.workflows.data_steps import DataSteps
from aiida_autopipec.workflows.gate import GateSteps, gate_problem
from aiida_autopipec.workflows.healing.ports import define_warnings
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain
from aiida_autopipec.workflows.protocols.builder import TrainingProtocols
from aiida_autopipec.workflows.refinement import refined_config, refinement_problem
from aiida_autopipec.workflows.select import SelectWorkChain

RESULTS = (
    'potential',
    'lammps_potential',
    'active_set',
    'interim_potential',
    'best_potential',
    'output_parameters',
    'learning_curve',
    'predictions',
)
"""Outputs of the training that are outputs of the work chain too."""


class TrainPotentialWorkChain(TrainingProtocols, GateSteps, DataSteps):
    """Convert, merge, divide, select, train: from data of any kind to a potential, every step a node in the graph.

    Called again with its own ``dataset`` and ``potential`` and new data it updates the potential.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define ports, outline and exit codes."""
        super().define(spec)
        spec.expose_inputs(
            PaceTrainCalculation,
            namespace='pace_train',
            exclude=('dataset', 'test_dataset', 'config', 'initial_potential', 'parent_folder'),
        )
        spec.expose_inputs(
            PaceTrainBaseWorkChain,
            namespace='restart',
            exclude=('pace_train', 'metadata'),
            namespace_options={'help': 'How a training is repeated or continued when it is cut off.'},
        )
        spec.expose_inputs(
            PaceSelectCalculation,
            namespace='pace_select',
            exclude=('dataset', 'potential', 'config', 'active_set', 'parameters', 'codes.pacemaker'),
            namespace_options={'required': False, 'populate_defaults': False, 'help': 'Needed with `selection`.'},
        )
        ports.add_parts(spec, 'selection_parts')
        spec.expose_inputs(
            PaceActivesetCalculation,
            namespace='pace_activeset',
            exclude=('dataset', 'potential'),
            namespace_options={
                'required': False,
                'populate_defaults': False,
                'help': 'Compute the active set in a job of its own, instead of `pace_train.codes.activeset`.',
            },
        )
        ports.add_dict(
            spec,
            'refinement',
            purpose='Train a second time from the first result, with these keys of `fit` otherwise: '
            '`{loss: {kappa: 0.05}}`. Ladder, cycles and noise are of the first training only.',
        )
        ports.refuse_unknown(spec, 'pace_train', 'restart', 'pace_select', 'pace_activeset', 'validate')
        spec.inputs['pace_train'].validator = None  # its data are made by the steps before it
        spec.inputs['pace_select'].validator = None
        spec.inputs['pace_activeset'].validator = None
        spec.inputs.validator = validate_inputs
        steps: Any = cls  # aiida-core annotates the steps of an outline as those of a plain WorkChain
        spec.outline(
            steps.convert,
            steps.merge,
            steps.check_for_problems,
            steps.subtract_reference,
            steps.divide,
            steps.check_data,
            if_(steps.should_select)(
                steps.run_selection,
                steps.inspect_selection,
            ),
            steps.run_training,
            steps.inspect_training,
            if_(steps.should_refine)(
                steps.run_refinement,
                steps.inspect_refinement,
            ),
            if_(steps.should_compute_active_set)(
                steps.run_active_set,
                steps.inspect_active_set,
            ),
            if_(steps.should_hand_on)(steps.hand_on),
            steps.results,
            if_(steps.should_validate)(
                steps.run_validation,
                steps.inspect_validation,
            ),
            steps.repeat_warning,  # at the very end, as it ends the work chain
        )
        spec.output('selected', valid_type=PaceDatasetData, required=False, help='What a selection chose.')
        spec.expose_outputs(PaceTrainBaseWorkChain, include=RESULTS)
        spec.exit_code(401, 'ERROR_SELECTION_FAILED', message='The selection failed: {reason}')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', message='The training failed: {reason}')
        spec.exit_code(403, 'ERROR_ACTIVE_SET_FAILED', message='The active set could not be computed: {reason}')
        define_warnings(spec)

    # Selection

    def should_select(self) -> bool:
        """Tell whether a selection was asked for."""
        return 'selection' in self.inputs

    def run_selection(self) -> dict[str, Any]:
        """Select out of the training data."""
        inputs = AttributeDict(self.exposed_inputs(PaceSelectCalculation, 'pace_select'))
        inputs.dataset = self.ctx.training_set
        inputs.parameters = self.inputs.selection
        if 'initial_potential' in self.inputs:
            inputs.potential = self.inputs.initial_potential
        else:
            inputs.config = self.inputs.config
            inputs.setdefault('codes', AttributeDict())['pacemaker'] = self.inputs.pace_train.code
        if 'active_set' in self.inputs:
            inputs.active_set = self.inputs.active_set
        if self.inputs.selection_parts.value == 1:
            inputs.metadata.call_link_label = 'select'
            return ToContext(selection=self.submit(PaceSelectCalculation, inputs))
        label = {'call_link_label': 'select'}
        parts = self.inputs.selection_parts
        return ToContext(selection=self.submit(SelectWorkChain, pace_select=inputs, parts=parts, metadata=label))

    def inspect_selection(self) -> ExitCode | None:
        """Take the selected structures as training set."""
        selection: ProcessNode = self.ctx.selection
        if not selection.is_finished_ok:
            return self._failed('ERROR_SELECTION_FAILED', _reason(selection))
        self.ctx.training_set = selection.outputs.selected
        self.report(
            f'{self.ctx.training_set.n_structures} structures with {self.ctx.training_set.n_atoms} atoms were selected'
        )
        problem = checks.data_problem(self.inputs, self.ctx.training_set, self.ctx.test_set)
        return None if problem is None else self._invalid(problem)

    # Training

    def run_training(self) -> dict[str, Any]:
        """Train, and export in the same job if this is the last training."""
        inputs = self._training_inputs()
        if 'initial_potential' in self.inputs:
            inputs.pace_train.initial_potential = self.inputs.initial_potential
        if self.should_refine():
            for code in ('yaml2yace', 'activeset'):
                inputs.pace_train.get('codes', {}).pop(code, None)
        inputs.metadata = {'call_link_label': 'train'}
        return ToContext(training=self.submit(PaceTrainBaseWorkChain, **inputs))

    def _training_inputs(self) -> AttributeDict:
        training = AttributeDict(self.exposed_inputs(PaceTrainCalculation, 'pace_train'))
        training.dataset = self.ctx.training_set
        training.config = self.inputs.config
        if self.ctx.test_set is not None:
            training.test_dataset = self.ctx.test_set
        inputs = AttributeDict(self.exposed_inputs(PaceTrainBaseWorkChain, 'restart', agglomerate=False))
        inputs.pace_train = training
        return inputs

    def inspect_training(self) -> ExitCode | None:
        """Keep what there is, and stop if there is no potential."""
        self._out_data()
        return self._failure() if self.should_refine() else self._out_training()

    def should_refine(self) -> bool:
        """Tell whether there is a second stage."""
        return 'refinement' in self.inputs

    def run_refinement(self) -> dict[str, Any]:
        """Train a second time, from the first result and with the same data."""
        inputs = self._training_inputs()
        own = self.inputs.config.get_dict()
        config = refined_config(own, self.inputs.refinement.get_dict())
        inputs.pace_train.config = change_config(self.inputs.config, Dict(difference(own, config)))
        inputs.pace_train.initial_potential = self.ctx.training.outputs.potential
        inputs.metadata = {'call_link_label': 'refine'}
        return ToContext(training=self.submit(PaceTrainBaseWorkChain, **inputs))

    def inspect_refinement(self) -> ExitCode | None:
        """Take what the second stage made."""
        return self._out_training()

    def _failure(self) -> ExitCode | None:
        """Return the exit code of a training that failed."""
        training: ProcessNode = self.ctx.training
        if gave_result(training):
            return None
        return self._failed('ERROR_TRAINING_FAILED', _reason(training))

    def _out_training(self) -> ExitCode | None:
        """Hand on what the last training made; one that failed keeps its last state and its learning curve."""
        self.out_many(self.exposed_outputs(self.ctx.training, PaceTrainBaseWorkChain, agglomerate=False))
        return self._failure()

    def should_compute_active_set(self) -> bool:
        """Tell whether the active set was asked for in a job of its own."""
        return 'pace_activeset' in self.inputs and 'active_set' not in self.ctx.training.outputs

    def run_active_set(self) -> dict[str, Any]:
        """Compute the active set of the trained potential on its training set."""
        inputs = AttributeDict(self.exposed_inputs(PaceActivesetCalculation, 'pace_activeset'))
        inputs.dataset = self.ctx.training_set
        inputs.potential = self.ctx.training.outputs.potential
        inputs.metadata.call_link_label = 'active_set'
        return ToContext(active_set=self.submit(PaceActivesetCalculation, inputs))

    def inspect_active_set(self) -> ExitCode | None:
        """Take the active set, also with a warning."""
        calculation: CalcJobNode = self.ctx.active_set
        if 'active_set' not in calculation.outputs:
            return self._failed('ERROR_ACTIVE_SET_FAILED', _reason(calculation))
        self.out('active_set', calculation.outputs.active_set)
        return None

    def results(self) -> None:
        """Say what came out."""
        errors = self.ctx.training.outputs.output_parameters.get_dict()['errors']
        for part, name in (('train', 'training'), ('test', 'test')):
            if part in errors:
                self.report(
                    f'root mean square errors on the {name} set: '
                    f'{errors[part]["rmse_energy_mev_per_atom"]:.2f} meV/atom, '
                    f'{errors[part]["rmse_forces_mev_per_angstrom"]:.2f} meV/Å'
                )

    def repeat_warning(self) -> ExitCode | None:
        """Finish with the warning of the last step that has one: all outputs are there."""
        steps = [self.ctx[name] for name in ('training', 'active_set', 'validation') if name in self.ctx]
        for step in steps:
            if not step.is_finished_ok:
                self.report(f'{step.process_label}<{step.pk}> [{step.exit_status}]: {step.exit_message}')
        warned = [step for step in steps if not step.is_finished_ok and gave_result(step)]
        return ExitCode(warned[-1].exit_status, warned[-1].exit_message) if warned else None

    def _out_data(self) -> None:
        self.out('dataset', self.ctx.dataset)
        self.out('training_set', self.ctx.training_set)
        if self.ctx.test_set is not None:
            self.out('test_set', self.ctx.test_set)
        if 'selection' in self.ctx:
            self.out('selected', self.ctx.selection.outputs.selected)


def validate_inputs(inputs: Mapping[str, Any], port: Any) -> str | None:
    """Check everything that can be checked before a step is taken, the second stage included."""
    problem = checks.validate_inputs(inputs, port) or gate_problem(inputs)
    if problem is None and 'refinement' in inputs and not validation.validate_config(inputs['config'], None):
        return refinement_problem(inputs['config'], inputs['refinement'])
    return problem


def _reason(process: ProcessNode) -> str:
    """Return why a process failed: in its own words, or in those of its last job where it has none."""
    jobs = sorted((node for node in process.called if isinstance(node, CalcJobNode)), key=lambda node: node.pk or 0)
    wordless = process.exit_status in (None, BaseRestartWorkChain.exit_codes.ERROR_UNHANDLED_FAILURE.status)
    innermost: ProcessNode = jobs[-1] if wordless and jobs and jobs[-1].exit_status else process
    return f'{innermost.process_label}<{innermost.pk}>: {innermost.exit_message or innermost.process_state}'
