"""Work chain from labelled structures to a trained potential."""

from __future__ import annotations

from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import CalcJobNode, ProcessNode

from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.workflows import inputs as checks
from aiida_autopipec.workflows.data_steps import DataSteps
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain

RESULTS = ('potential', 'lammps_potential', 'active_set', 'output_parameters', 'learning_curve', 'predictions')
"""Outputs of the training that are outputs of the work chain too."""


class TrainPotentialWorkChain(DataSteps):
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
        spec.inputs['pace_train'].validator = None  # its data are made by the steps before it
        spec.inputs['pace_select'].validator = None
        spec.inputs['pace_activeset'].validator = None
        spec.inputs.validator = checks.validate_inputs
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
            if_(steps.should_compute_active_set)(
                steps.run_active_set,
                steps.inspect_active_set,
            ),
            steps.results,
        )
        spec.output('selected', valid_type=PaceDatasetData, required=False, help='What a selection chose.')
        spec.expose_outputs(PaceTrainBaseWorkChain, include=RESULTS)
        spec.exit_code(401, 'ERROR_SELECTION_FAILED', message='The selection failed: {reason}')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', message='The training failed: {reason}')
        spec.exit_code(403, 'ERROR_ACTIVE_SET_FAILED', message='The active set could not be computed: {reason}')

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
        inputs.metadata.call_link_label = 'select'
        return ToContext(selection=self.submit(PaceSelectCalculation, inputs))

    def inspect_selection(self) -> ExitCode | None:
        """Take the selected structures as training set."""
        calculation: CalcJobNode = self.ctx.selection
        if not calculation.is_finished_ok:
            return self._failed('ERROR_SELECTION_FAILED', _reason(calculation))
        self.ctx.training_set = calculation.outputs.selected
        self.report(
            f'{self.ctx.training_set.n_structures} structures with {self.ctx.training_set.n_atoms} atoms were selected'
        )
        problem = checks.data_problem(self.inputs, self.ctx.training_set, self.ctx.test_set)
        return None if problem is None else self._invalid(problem)

    # Training

    def run_training(self) -> dict[str, Any]:
        """Train, and export in the same job."""
        training = AttributeDict(self.exposed_inputs(PaceTrainCalculation, 'pace_train'))
        training.dataset = self.ctx.training_set
        training.config = self.inputs.config
        if self.ctx.test_set is not None:
            training.test_dataset = self.ctx.test_set
        if 'initial_potential' in self.inputs:
            training.initial_potential = self.inputs.initial_potential
        inputs = AttributeDict(self.exposed_inputs(PaceTrainBaseWorkChain, 'restart', agglomerate=False))
        inputs.pace_train = training
        inputs.metadata = {'call_link_label': 'train'}
        return ToContext(training=self.submit(PaceTrainBaseWorkChain, **inputs))

    def inspect_training(self) -> ExitCode | None:
        """Keep what there is, and stop if there is no potential."""
        training: ProcessNode = self.ctx.training
        self._out_data()
        if not training.is_finished_ok:
            return self._failed('ERROR_TRAINING_FAILED', _reason(training))
        self.out_many(self.exposed_outputs(training, PaceTrainBaseWorkChain, agglomerate=False))
        return None

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
        if not calculation.is_finished_ok:
            self.report(f'{calculation.process_label}<{calculation.pk}>: {calculation.exit_message}')
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

    def _out_data(self) -> None:
        self.out('dataset', self.ctx.dataset)
        self.out('training_set', self.ctx.training_set)
        if self.ctx.test_set is not None:
            self.out('test_set', self.ctx.test_set)
        if 'selection' in self.ctx:
            self.out('selected', self.ctx.selection.outputs.selected)


def _reason(process: ProcessNode) -> str:
    """Return why a process failed: the message of the last one that it called, which knows best."""
    called = sorted(process.called, key=lambda node: node.pk or 0)
    innermost = called[-1] if called and called[-1].exit_status else process
    return f'{innermost.process_label}<{innermost.pk}>: {innermost.exit_message or innermost.process_state}'
