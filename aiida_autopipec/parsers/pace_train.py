"""Parser of a training: keeps what can be kept, then judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import ArrayData, Dict
from numpy.typing import NDArray

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.acceleration import GOES_ON, acceleration_problem, acceleration_report, keeps_its_start
from aiida_autopipec.pacemaker.errors import AutopipecError, OutputError
from aiida_autopipec.pacemaker.outputs import (
    ActiveSetInfo,
    FitState,
    Health,
    Metrics,
    PotentialInfo,
    TrainingLog,
    judge_training,
    newest_state,
    parse_active_set,
    parse_log,
    parse_metrics,
    parse_whole_potential,
    salvage_metrics,
)
from aiida_autopipec.pacemaker.outputs.predictions import PARTS, Predictions, predictions_from_frame, read_predictions
from aiida_autopipec.pacemaker.outputs.report import training_report
from aiida_autopipec.pacemaker.pickles import read_frame
from aiida_autopipec.pacemaker.reference_potentials.choose import parse_reference_potential
from aiida_autopipec.pacemaker.reference_potentials.rows import evaluate_rows
from aiida_autopipec.pacemaker.restart import is_export_only
from aiida_autopipec.parsers.best_potential import BestPotentialParser
from aiida_autopipec.parsers.judge import DATASETS

_PREDICTION_PICKLES = {'train': filenames.TRAINING_PREDICTIONS, 'test': filenames.TEST_PREDICTIONS}


class PaceTrainParser(BestPotentialParser):
    """Turns what a training left behind into nodes, and tells useless fits from good ones."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach everything that is there, then return the exit code of what went wrong, if anything."""
        problems: list[str] = []
        metrics = self.parse_table(filenames.METRICS, problems)
        test_metrics = self.parse_table(filenames.TEST_METRICS, problems)
        log = self.parse_training_log()
        verdict = judge_training(metrics, log, has_output_potential=self.has(filenames.OUTPUT_POTENTIAL))
        info = self.inspect_potential(metrics, problems)
        predictions = self.parse_predictions(kwargs.get('retrieved_temporary_folder'), problems)
        self.out_learning_curve(metrics, test_metrics)
        self.out_predictions(predictions, problems)
        problems += self.collect_problems()
        environment = self.parse_environment(problems)
        if environment is not None:
            self.out('environment', Dict(environment.as_dict()))
        usable = verdict.health is Health.HEALTHY and info is not None and not self.lacking_elements(info)
        state = self.newest_state(metrics, log, problems)
        self.out_potentials(info if usable else None, state)
        active_set = self.out_active_set(problems) if usable else None
        report = training_report(
            log=log,
            metrics=metrics,
            verdict=verdict,
            potential=info,
            predictions=predictions,
            state=None if usable else state,
            environment={} if environment is None else environment.as_dict(),
        )
        report |= self.inspect_acceleration(metrics, problems)
        report |= self.inspect_early_stopping(metrics, test_metrics, log, problems)
        contents = None if active_set is None else describe_active_set(active_set)
        self.out('output_parameters', Dict({**report, 'active_set': contents, 'parser_warnings': problems}))
        return (
            self.scheduler_exit_code()
            or self.inspect_environment(environment)
            or self.inspect_elements(info)
            or self.inspect_stop(verdict)
            or self.inspect_end(verdict)
            or self.inspect_training(verdict)
            or self.inspect_exports()
            or self.inspect_device(environment, log)
            or self.inspect_predictions(predictions)
            or self.inspect_active_set(active_set)
        )

    # Reading

    def parse_table(self, filename: str, problems: list[str]) -> Metrics:
        """Read a table of metrics; of a damaged one the rows that are whole count, and it is reported."""
        text = self.read_text(filename) or ''
        try:
            table = parse_metrics(text)
            steps = [table[name] for name in ('ladder_step', 'iter_num')] if len(table) else []
            if not all(np.isfinite(numbers).all() for numbers in steps):
                raise OutputError('a row has no number; the file is damaged.')
            return table
        except AutopipecError as exception:
            problems.append(f'{filename}: {exception}')
            return salvage_metrics(text)

    def parse_training_log(self) -> TrainingLog:
        """Read the log; stderr holds the same records and more."""
        text = self.read_text(filenames.stderr_of('pacemaker')) or self.read_text(filenames.LOG) or ''
        return parse_log(text)

    def inspect_potential(self, metrics: Metrics, problems: list[str]) -> PotentialInfo | None:
        """Read what the trained potential is about."""
        text = self.read_text(filenames.OUTPUT_POTENTIAL)
        if not text:
            return None
        try:
            return parse_whole_potential(text, metrics)
        except AutopipecError as exception:
            problems.append(f'{filenames.OUTPUT_POTENTIAL}: {exception}')
            return None

    def parse_predictions(self, temporary: str | None, problems: list[str]) -> dict[str, Predictions]:
        """Read the arrays of the travelling script, or the pickles by the safe reader where it could not run."""
        try:
            path = self.temporary_file(temporary, filenames.PREDICTIONS)
            if path is not None:
                return read_predictions(path)
            return self._predictions_from_pickles(temporary)
        except AutopipecError as exception:
            problems.append(f'predictions: {exception}')
            return {}

    def _predictions_from_pickles(self, temporary: str | None) -> dict[str, Predictions]:
        paths: Mapping[str, Path | None] = {
            part: self.temporary_file(temporary, name) for part, name in _PREDICTION_PICKLES.items()
        }
        return {part: predictions_from_frame(read_frame(path)) for part, path in paths.items() if path is not None}

    def inspect_acceleration(self, metrics: Metrics, problems: list[str]) -> dict[str, Any]:
        """Read what became of a better start than zero, if one was asked for."""
        inputs = self.node.inputs
        mode = inputs.acceleration.get('mode', 'prefit') if 'acceleration' in inputs else 'none'
        if mode == 'none' or is_export_only(inputs.config.get_dict()):
            return {}
        has_potential = 'initial_potential' in inputs or 'parent_folder' in inputs
        if mode == 'prefit' and keeps_its_start(inputs.config.get_dict(), has_potential=has_potential):
            return {'acceleration': {'used': False, 'reason': GOES_ON}}
        report = acceleration_report(
            self.read_json(filenames.ACCELERATION),
            metrics,
            stderr=self.read_text(filenames.stderr_of('accelerate')) or '',
            delivered=self.has(filenames.HESSIAN_DELIVERED),
        )
        problem = acceleration_problem(report)
        problems += [] if problem is None else [problem]
        return {'acceleration': report}

    # Attaching

    def out_learning_curve(self, metrics: Metrics, test_metrics: Metrics) -> None:
        """Attach one array per column of the metrics."""
        if len(metrics) == 0:
            return
        arrays = dict(metrics.columns)
        if len(test_metrics):
            arrays |= {f'test_{name}': values for name, values in test_metrics.columns.items()}
        self.out('learning_curve', ArrayData({name: np.asarray(values) for name, values in arrays.items()}))

    def out_predictions(self, predictions: Mapping[str, Predictions], problems: list[str]) -> None:
        """Attach labels and predictions, both with the reference potential, and the row of each structure."""
        arrays: dict[str, Any] = {}
        for part in PARTS:
            if part not in predictions or DATASETS[part] not in self.node.inputs:
                continue
            values = predictions[part]
            try:
                rows = self._rows(DATASETS[part], values)
                values = self._totals(DATASETS[part], values, rows)
            except AutopipecError as exception:
                problems.append(f'predictions: {exception}')
                continue
            arrays[f'{part}_rows'] = rows
            arrays[f'{part}_sizes'] = values.sizes
            for field in ('energy', 'energy_predicted', 'forces', 'forces_predicted'):
                arrays[f'{part}_{field}'] = getattr(values, field)
        if arrays:
            self.out('predictions', ArrayData(arrays))

    def _rows(self, port: str, values: Predictions) -> NDArray[np.int64]:
        """Return the row of each prediction in its dataset.

        :raises OutputError: if the predictions are not those of the dataset.
        """
        dataset: PaceDatasetData = self.node.inputs[port]
        rows = values.rows_among(dataset.get_names())
        sizes = dataset.get_sizes()
        if len(np.unique(rows)) != len(rows) or np.any(sizes[rows] != values.sizes):
            raise OutputError(f'the structures are not those of `{port}`')
        return rows

    def _totals(self, port: str, values: Predictions, rows: NDArray[np.int64]) -> Predictions:
        """Add the reference potential that the labels are relative to.

        :raises InputError: if it cannot be evaluated here.
        """
        settings = (self.node.inputs[port].reference or {}).get('potential')
        if settings is None:
            return values
        return values.plus(
            *evaluate_rows(parse_reference_potential(settings), self.node.inputs[port].iter_shards(), rows)
        )

    def newest_state(self, metrics: Metrics, log: TrainingLog, problems: list[str]) -> FitState | None:
        """Return the last whole state of the fit; the job may have been killed while it was writing one."""
        names = self.retrieved.base.repository.list_object_names()
        files = {name: self.read_bytes(name) or b'' for name in names if name.startswith('interim_potential_')}
        state, faults = newest_state(files, metrics, log)
        problems += faults
        return state

    def out_potentials(self, info: PotentialInfo | None, state: FitState | None) -> None:
        """Attach the potential of a good fit, or else the last state of a bad one.

        :param info: facts about the potential; ``None`` if it is not usable.
        :param state: the last state of the fit.
        """
        if info is not None:
            facts = {
                'elements': list(info.elements),
                'cutoff': info.cutoff,
                'n_functions': dict(info.n_functions),
                'reference': self.node.inputs['dataset'].reference,
            }
            content = self.with_record(self.read_bytes(filenames.OUTPUT_POTENTIAL) or b'')
            self.out_file('potential', content, 'potential.yaml', **facts)
            exported = self.read_bytes(filenames.OUTPUT_LAMMPS_POTENTIAL)
            if exported:
                self.out_file('lammps_potential', exported, 'potential.yace', **facts)
        elif state is not None:
            self.out_file('interim_potential', self.with_record(state.content), 'interim_potential.yaml')

    def out_active_set(self, problems: list[str]) -> ActiveSetInfo | None:
        """Attach the active set, and return what is in it."""
        content = self.read_bytes(filenames.OUTPUT_ACTIVE_SET)
        if not content:
            return None
        try:
            info = parse_active_set(content)
        except AutopipecError as exception:
            problems.append(f'{filenames.OUTPUT_ACTIVE_SET}: {exception}')
            return None
        self.out_file('active_set', content, 'potential.asi')
        return info


def describe_active_set(info: ActiveSetInfo) -> dict[str, Any]:
    """Return what is in an active set."""
    return {'n_functions': dict(info.n_functions), 'singular_elements': list(info.singular_elements)}
