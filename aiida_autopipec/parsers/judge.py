"""What a training is worth: one exit code for all that was found."""

from __future__ import annotations

from collections.abc import Mapping

from aiida.engine import ExitCode

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.outputs import ActiveSetInfo, Health, PotentialInfo, TrainingLog, Verdict
from aiida_autopipec.pacemaker.outputs.concerns import Concern
from aiida_autopipec.pacemaker.outputs.environment import Environment
from aiida_autopipec.pacemaker.outputs.predictions import Predictions
from aiida_autopipec.parsers.common import PaceParser

DATASETS = {'train': 'dataset', 'test': 'test_dataset'}
"""Port by part of the data."""


class TrainingJudge(PaceParser):
    """Judges a training after everything was attached; each method knows one way to fail."""

    def inspect_environment(self, environment: Environment | None) -> ExitCode | None:
        """Repeat why the probe did not let the training begin."""
        if environment is None or environment.verdict is None:
            return None
        code: ExitCode = self.exit_codes[f'ERROR_{environment.verdict.name}']
        return code.format(detail=environment.detail)

    def inspect_device(self, environment: Environment | None, log: TrainingLog) -> ExitCode | None:
        """Warn of a training that asked for a GPU and ran on the CPU: TensorFlow falls back without a word."""
        asked = self._gpus_of_option() if environment is None else environment.gpus_asked
        missing = environment is not None and environment.gpu_missing
        if not asked or not (missing or log.device == 'cpu'):
            return None
        warning: ExitCode = self.exit_codes.WARNING_TRAINED_ON_CPU
        detail = environment.detail if environment is not None and missing else 'the log of TensorFlow says so'
        return warning.format(detail=detail)

    def _gpus_of_option(self) -> int:
        option = self.node.get_option('gpus') or 0
        return int(option.get('count', 1)) if isinstance(option, Mapping) else int(option)

    def inspect_elements(self, info: PotentialInfo | None) -> ExitCode | None:
        """Refuse a potential that lacks an element of the data: Pacemaker then trains on the wrong element."""
        lacking = [] if info is None else self.lacking_elements(info)
        if not lacking:
            return None
        code: ExitCode = self.exit_codes.ERROR_UNKNOWN_ELEMENT
        return code.format(detail=f'(the potential has no {", ".join(lacking)})')

    def lacking_elements(self, info: PotentialInfo) -> list[str]:
        """Return the elements of the data that a potential does not have."""
        datasets = [self.node.inputs[port] for port in DATASETS.values() if port in self.node.inputs]
        return sorted({element for dataset in datasets for element in dataset.elements} - set(info.elements))

    def inspect_stop(self, verdict: Verdict) -> ExitCode | None:
        """Repeat why the monitor stopped the training, unless it had come to its end by then."""
        if 'stop_report' not in self.node.outputs:
            return None
        if verdict.health is Health.HEALTHY and 'potential' in self.outputs:
            return None
        report = self.node.outputs['stop_report'].get_dict()
        concern = Concern(report['concern'])
        # what the metrics say of such a training, whoever stopped it
        label = 'ERROR_DIVERGED' if concern is Concern.NOT_FINITE else f'ERROR_{concern.name}'
        code: ExitCode = self.exit_codes[label]
        return code.format(detail=f'({report["detail"]})')

    def inspect_end(self, verdict: Verdict) -> ExitCode | None:
        """Say how a job that came to no end of its own was ended from outside."""
        if verdict.health not in (Health.NOT_STARTED, Health.INTERRUPTED):
            return None
        ran = any(self.has(name) for name in (filenames.stderr_of('pacemaker'), filenames.LOG, filenames.METRICS))
        return self.exit_code_of_end() or (None if ran else self.exit_codes.ERROR_VANISHED)

    def inspect_training(self, verdict: Verdict) -> ExitCode | None:
        """Judge the fit by its metrics, and explain by the traceback why there is none."""
        if verdict.health is Health.HEALTHY and self.has(filenames.OUTPUT_POTENTIAL):
            return None if 'potential' in self.outputs else self._unreadable()
        diagnosis = self.diagnose_program('pacemaker')
        if diagnosis is not None and verdict.health in (Health.NOT_STARTED, Health.INTERRUPTED):
            return self.exit_code_of(diagnosis)
        step = '' if verdict.ladder_step is None else f'(ladder step {verdict.ladder_step})'
        code: ExitCode = self.exit_codes[f'ERROR_{verdict.health.name}']
        return code.format(detail=step)

    def _unreadable(self) -> ExitCode:
        code: ExitCode = self.exit_codes.ERROR_OUTPUT_UNREADABLE
        return code.format(filename=filenames.OUTPUT_POTENTIAL, reason='it is no whole potential with finite numbers')

    def inspect_exports(self) -> ExitCode | None:
        """Check that the programs that were asked for gave their files."""
        for port, output, program, label in (
            ('codes__yaml2yace', 'lammps_potential', 'pace_yaml2yace', 'ERROR_EXPORT_FAILED'),
            ('codes__activeset', 'active_set', 'pace_activeset', 'ERROR_ACTIVE_SET_FAILED'),
        ):
            if self.node.base.links.get_incoming(link_label_filter=port).first() and output not in self.outputs:
                diagnosis = self.diagnose_program(program)
                detail = f'no file, see {filenames.stderr_of(program)}' if diagnosis is None else diagnosis.explanation
                code: ExitCode = self.exit_codes[label]
                return code.format(detail=detail)
        return None

    def inspect_predictions(self, predictions: Mapping[str, Predictions]) -> ExitCode | None:
        """Warn if a set was not predicted."""
        expected = {part for part, port in DATASETS.items() if port in self.node.inputs}
        if expected - set(predictions) or 'predictions' not in self.outputs:
            warning: ExitCode = self.exit_codes.WARNING_PREDICTIONS_MISSING
            return warning
        return None

    def inspect_active_set(self, info: ActiveSetInfo | None) -> ExitCode | None:
        """Warn of a set that cannot tell all functions apart; the program calls that a success."""
        if info is None or not info.singular_elements:
            return None
        warning: ExitCode = self.exit_codes.WARNING_ACTIVE_SET_SINGULAR
        return warning.format(elements=', '.join(info.singular_elements))
