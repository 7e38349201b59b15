"""The steps of a work chain that turn data of any kind into a training set and a test set."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import Dict, Float, Int, TrajectoryData

from aiida_autopipec.calculations.functions.combine import merge_datasets, split_dataset
from aiida_autopipec.calculations.functions.convert import convert_structures, convert_trajectory, import_dataset
from aiida_autopipec.calculations.functions.many import STRUCTURES_PER_CONVERSION
from aiida_autopipec.calculations.functions.reference import subtract_reference
from aiida_autopipec.calculations.functions.triage import check_dataset
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.recorded import as_stated
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.triage.report import summary
from aiida_autopipec.workflows import inputs as checks
from aiida_autopipec.workflows.ports import define_data_ports


class DataSteps(WorkChain):
    """Convert, merge, check, subtract the reference, divide: what comes before a training.

    A work chain that derives from it names the steps in its own outline, in this order. What they make is in the
    context as ``dataset``, ``training_set`` and ``test_set``.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:  # type: ignore[override]
        """Define the ports of data and the exit code of data that cannot be used."""
        super().define(spec)
        define_data_ports(spec)
        spec.output(
            'dataset', valid_type=PaceDatasetData, help='All data together, without duplicates and what was dropped.'
        )
        spec.output('triage_report', valid_type=Dict, help='What looks wrong with the data, and what was dropped.')
        spec.output(
            'dropped',
            valid_type=PaceDatasetData,
            required=False,
            help='What the rules of `triage` left out; `triage_report` has the reasons.',
        )
        spec.output('training_set', valid_type=PaceDatasetData, help='What was trained on.')
        spec.output('test_set', valid_type=PaceDatasetData, required=False, help='What was tested on.')
        spec.exit_code(200, 'ERROR_INVALID_DATA', message='The data cannot be used: {reason}')

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
            parameters = self.inputs.conversion.get_dict().get(key) if 'conversion' in self.inputs else None
            stated = {} if parameters is None else {'parameters': Dict(parameters)}
            if isinstance(node, TrajectoryData):
                converted[key] = call_step(convert_trajectory, f'convert_{key}', trajectory=node, **stated)['dataset']
            else:
                converted[key] = call_step(import_dataset, f'convert_{key}', file=node, **stated)['dataset']
        return converted

    def _convert_structures(self) -> dict[str, PaceDatasetData]:
        """Convert single structures in batches."""
        structures, labels = self.inputs.get('structures', {}), self.inputs.get('labels', {})
        keys = sorted(structures)
        batches = [keys[i : i + STRUCTURES_PER_CONVERSION] for i in range(0, len(keys), STRUCTURES_PER_CONVERSION)]
        return {
            f'structures_{number:05d}': call_step(
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
        outcome = call_step(merge_datasets, label, **parts, **policy)
        report = outcome['report']
        for key, words in (
            ('duplicates_removed', 'exact duplicates were removed'),
            ('conflicting_labels', 'equal structures have different labels, treated as `on_conflict` says'),
            ('renamed', 'structures were renamed because their names were taken'),
        ):
            number = report['counts'][key]
            if number:
                self.report(f'{number} {words}: see {report.uuid}')
        merged: PaceDatasetData = outcome['dataset']
        return merged

    def check_for_problems(self) -> ExitCode | None:
        """Report what looks wrong with the data, and leave out what the rules say."""
        try:
            rules = checks.triage_rules(self.inputs)
            outcome = call_step(check_dataset, 'check', dataset=self.ctx.dataset, rules=rules)
        except InputError as exception:
            return self._invalid(exception)
        report = outcome['report']
        self.report(f'{summary(report.get_dict())}: see report <{report.pk}>')
        self.out('triage_report', report)
        if 'dropped' in outcome:
            self.out('dropped', outcome['dropped'])
            self.ctx.dataset = outcome['kept']
        return None

    def subtract_reference(self) -> ExitCode | None:
        """Subtract the reference, or that of the potential that is updated."""
        self.ctx.training_set = self.ctx.dataset
        try:
            reference = checks.reference_to_subtract(self.inputs)
            if reference is None:
                return None
            cutoff = Float(checks.cutoff_of(self.inputs))
            self.ctx.training_set = self._corrected(self.ctx.dataset, reference, cutoff, 'subtract_reference')
            if self.ctx.test_set is not None:
                same = Dict(as_stated(self.ctx.training_set.reference))
                self.ctx.test_set = self._corrected(self.ctx.test_set, same, cutoff, 'subtract_reference_test')
        except InputError as exception:
            return self._invalid(exception)
        return None

    def _corrected(self, dataset: PaceDatasetData, reference: Dict, cutoff: Float, label: str) -> PaceDatasetData:
        outcome = call_step(subtract_reference, label, dataset=dataset, reference=reference, cutoff=cutoff)
        corrected: PaceDatasetData = outcome['dataset']
        return corrected

    def divide(self) -> ExitCode | None:
        """Set the test set aside, by the content of each structure."""
        if 'split' not in self.inputs:
            return None
        split = self.inputs.split.get_dict()
        try:
            sides = call_step(
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
        problem = problem or checks.pool_problem(self.inputs, self.ctx.training_set)
        return None if problem is None else self._invalid(problem)

    def _invalid(self, reason: object) -> ExitCode:
        return self._failed('ERROR_INVALID_DATA', reason)

    def _failed(self, label: str, reason: object) -> ExitCode:
        code: ExitCode = self.exit_codes[label].format(reason=str(reason))
        return code


def call_step(function: Any, label: str, **inputs: Any) -> dict[str, Any]:
    """Call a calculation function as a step of this name."""
    outputs: dict[str, Any] = function(**inputs, metadata={'call_link_label': label})
    return outputs
