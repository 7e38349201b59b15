"""Work chain from labelled structures to a trained potential."""

from __future__ import annotations

from typing import Any

from aiida.common import AttributeDict
from aiida.engine import ExitCode, ToContext, WorkChain, if_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import (
    CalcJobNode,
    Dict,
    Float,
    Int,
    ProcessNode,
    TrajectoryData,
)

from aiida_autopipec.calculations.functions.combine import merge_datasets, split_dataset
from aiida_autopipec.calculations.functions.convert import convert_structures, convert_trajectory, import_dataset
from aiida_autopipec.calculations.functions.reference import subtract_reference
from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.workflows import inputs as checks
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain

STRUCTURES_PER_CONVERSION = 50
"""StructureData that one calculation function converts: its cost grows faster than the number of its inputs."""


RESULTS = ('potential', 'lammps_potential', 'active_set', 'output_parameters', 'learning_curve', 'predictions')
"""Outputs of the training that are outputs of the work chain too."""


class TrainPotentialWorkChain(WorkChain):
    """Convert, merge, divide, select, train: from data of any kind to a potential, every step a node in the graph.

    Called again with its own ``dataset`` and ``potential`` and new data it updates the potential.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define ports, outline and exit codes."""
        super().define(spec)
        checks.define_data_ports(spec)
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
        spec.output('dataset', valid_type=PaceDatasetData, help='All data together, without duplicates.')
        spec.output('training_set', valid_type=PaceDatasetData, help='What was trained on.')
        spec.output('test_set', valid_type=PaceDatasetData, required=False, help='What was tested on.')
        spec.output('selected', valid_type=PaceDatasetData, required=False, help='What a selection chose.')
        spec.expose_outputs(PaceTrainBaseWorkChain, include=RESULTS)
        spec.exit_code(200, 'ERROR_INVALID_DATA', message='The data cannot be used: {reason}')
        spec.exit_code(401, 'ERROR_SELECTION_FAILED', message='The selection failed: {reason}')
        spec.exit_code(402, 'ERROR_TRAINING_FAILED', message='The training failed: {reason}')
        spec.exit_code(403, 'ERROR_ACTIVE_SET_FAILED', message='The active set could not be computed: {reason}')

    # Data

    def convert(self) -> ExitCode | None:
        """Turn everything that was given into datasets."""
        try:
            self.ctx.parts = self._convert_all(self.inputs.get('datasets', {}))
            self.ctx.parts |= self._convert_structures()
            self.ctx.test_parts = self._convert_all(self.inputs.get('test_datasets', {}))
        except InputError as exception:
            return self._invalid(exception)
        return None

    def _convert_all(self, nodes: dict[str, Any]) -> dict[str, PaceDatasetData]:
        converted: dict[str, PaceDatasetData] = {}
        for key, node in nodes.items():
            if isinstance(node, PaceDatasetData):
                converted[key] = node
                continue
            parameters = self.inputs.get('conversion', {}).get(key, None)
            stated = {} if parameters is None else {'parameters': parameters}
            if isinstance(node, TrajectoryData):
                converted[key] = _call(convert_trajectory, f'convert_{key}', trajectory=node, **stated)['dataset']
            else:
                converted[key] = _call(import_dataset, f'convert_{key}', file=node, **stated)['dataset']
        return converted

    def _convert_structures(self) -> dict[str, PaceDatasetData]:
        """Convert single structures in batches."""
        structures, labels = self.inputs.get('structures', {}), self.inputs.get('labels', {})
        keys = sorted(structures)
        batches = [keys[i : i + STRUCTURES_PER_CONVERSION] for i in range(0, len(keys), STRUCTURES_PER_CONVERSION)]
        return {
            f'structures_{number:05d}': _call(
                convert_structures,
                f'convert_structures_{number:05d}',
                structures={key: structures[key] for key in batch},
                labels={key: labels[key] for key in batch},
            )['dataset']
            for number, batch in enumerate(batches)
        }

    def merge(self) -> ExitCode | None:
        """Put the data together and remove exact duplicates."""
        try:
            self.ctx.dataset = self._merged(self.ctx.parts, 'merge')
            self.ctx.test_set = self._merged(self.ctx.test_parts, 'merge_test') if self.ctx.test_parts else None
        except InputError as exception:
            return self._invalid(exception)
        self.report(f'the data hold {self.ctx.dataset.n_structures} structures with {self.ctx.dataset.n_atoms} atoms')
        return None

    def _merged(self, parts: dict[str, PaceDatasetData], label: str) -> PaceDatasetData:
        policy = {'on_conflict': self.inputs.on_conflict} if 'on_conflict' in self.inputs else {}
        outcome = _call(merge_datasets, label, **parts, **policy)
        report = outcome['report']
        for key, words in (
            ('duplicates_removed', 'exact duplicates were removed'),
            ('conflicting_labels', 'equal structures have different labels, treated as `on_conflict` says'),
            ('renamed', 'structures were renamed because their names were taken'),
        ):
            if report[key]:
                self.report(f'{len(report[key])} {words}: see {report.uuid}')
        merged: PaceDatasetData = outcome['dataset']
        return merged

    def subtract_reference(self) -> ExitCode | None:
        """Subtract the reference energies, or those of the potential that is updated."""
        self.ctx.training_set = self.ctx.dataset
        try:
            reference = checks.reference_to_subtract(self.inputs)
            if reference is None:
                return None
            cutoff = Float(checks.cutoff_of(self.inputs))
            self.ctx.training_set = self._corrected(self.ctx.dataset, reference, cutoff, 'subtract_reference')
            if self.ctx.test_set is not None:
                energies = self.ctx.training_set.reference['single_atom_energies']
                same = Dict({'method': 'single_atom_energies', 'single_atom_energies': energies})
                self.ctx.test_set = self._corrected(self.ctx.test_set, same, cutoff, 'subtract_reference_test')
        except InputError as exception:
            return self._invalid(exception)
        return None

    def _corrected(self, dataset: PaceDatasetData, reference: Dict, cutoff: Float, label: str) -> PaceDatasetData:
        outcome = _call(subtract_reference, label, dataset=dataset, reference=reference, cutoff=cutoff)
        corrected: PaceDatasetData = outcome['dataset']
        return corrected

    def divide(self) -> ExitCode | None:
        """Set the test set aside, by the content of each structure."""
        if 'split' not in self.inputs:
            return None
        split = self.inputs.split.get_dict()
        try:
            sides = _call(
                split_dataset,
                'split',
                dataset=self.ctx.training_set,
                test_fraction=Float(split['test_fraction']),
                seed=Int(split.get('seed', 0)),
            )
        except InputError as exception:
            return self._invalid(exception)
        self.ctx.training_set, self.ctx.test_set = sides['training_set'], sides['test_set']
        return None

    def check_data(self) -> ExitCode | None:
        """Check the data as they are now against the settings, before anything is submitted."""
        problem = checks.data_problem(self.inputs, self.ctx.training_set, self.ctx.test_set)
        problem = problem or checks.selection_problem(self.inputs, self.ctx.training_set)
        return None if problem is None else self._invalid(problem)

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

    def _invalid(self, reason: object) -> ExitCode:
        return self._failed('ERROR_INVALID_DATA', reason)

    def _failed(self, label: str, reason: object) -> ExitCode:
        code: ExitCode = self.exit_codes[label].format(reason=str(reason))
        return code


def _call(function: Any, label: str, **inputs: Any) -> dict[str, Any]:
    """Call a calculation function as a step of this name."""
    outputs: dict[str, Any] = function(**inputs, metadata={'call_link_label': label})
    return outputs


def _reason(process: ProcessNode) -> str:
    """Return why a process failed: the message of the last one that it called, which knows best."""
    called = sorted(process.called, key=lambda node: node.pk or 0)
    innermost = called[-1] if called and called[-1].exit_status else process
    return f'{innermost.process_label}<{innermost.pk}>: {innermost.exit_message or innermost.process_state}'
