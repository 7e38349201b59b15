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
from aiida_autopipec.pacemaker.errors import AutopipecError, OutputError
from aiida_autopipec.pacemaker.outputs import (
    ActiveSetInfo,
    Health,
    Metrics,
    PotentialInfo,
    TrainingLog,
    Verdict,
    judge_training,
    parse_active_set,
    parse_log,
    parse_metrics,
    parse_potential,
)
from aiida_autopipec.pacemaker.outputs.predictions import PARTS, Predictions, predictions_from_frame, read_predictions
from aiida_autopipec.pacemaker.outputs.report import training_report
from aiida_autopipec.pacemaker.pickles import read_frame
from aiida_autopipec.parsers.common import PaceParser

_DATASETS = {'train': 'dataset', 'test': 'test_dataset'}
_PREDICTION_PICKLES = {'train': filenames.TRAINING_PREDICTIONS, 'test': filenames.TEST_PREDICTIONS}


class PaceTrainParser(PaceParser):
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
        usable = verdict.health is Health.HEALTHY and info is not None and not self.lacking_elements(info)
        self.out_potentials(info if usable else None, metrics)
        active_set = self.out_active_set(problems) if usable else None
        report = training_report(
            log=log,
            metrics=metrics,
            verdict=verdict,
            potential=info,
            predictions=predictions,
            environment=self.read_json(filenames.ENVIRONMENT),
        )
        contents = None if active_set is None else describe_active_set(active_set)
        self.out('output_parameters', Dict({**report, 'active_set': contents, 'parser_warnings': problems}))
        return (
            self.scheduler_exit_code()
            or self.inspect_elements(info)
            or self.inspect_training(verdict)
            or self.inspect_exports()
            or self.inspect_predictions(predictions)
            or self.inspect_active_set(active_set)
        )

    # Reading

    def has(self, filename: str) -> bool:
        """Tell whether a file was retrieved and is not empty."""
        return bool(self.read_bytes(filename))

    def parse_table(self, filename: str, problems: list[str]) -> Metrics:
        """Read a table of metrics; a damaged one counts as empty, and is reported."""
        try:
            table = parse_metrics(self.read_text(filename) or '')
            steps = [table[name] for name in ('ladder_step', 'iter_num')] if len(table) else []
            if not all(np.isfinite(numbers).all() for numbers in steps):
                raise OutputError('a row has no number; the file is damaged.')
            return table
        except AutopipecError as exception:
            problems.append(f'{filename}: {exception}')
            return parse_metrics('')

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
        """Attach reference and predicted labels, with the row of each structure in its dataset."""
        arrays: dict[str, Any] = {}
        for part in PARTS:
            if part not in predictions or _DATASETS[part] not in self.node.inputs:
                continue
            values = predictions[part]
            try:
                arrays[f'{part}_rows'] = self._rows(_DATASETS[part], values)
            except AutopipecError as exception:
                problems.append(f'predictions: {exception}')
                continue
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
        shards = list(dataset.iter_shards())
        rows = values.rows_among(np.concatenate([shard.names for shard in shards]))
        sizes = np.concatenate([shard.sizes for shard in shards])
        if len(np.unique(rows)) != len(rows) or np.any(sizes[rows] != values.sizes):
            raise OutputError(f'the structures are not those of `{port}`')
        return rows

    def out_potentials(self, info: PotentialInfo | None, metrics: Metrics) -> None:
        """Attach the potential of a good fit, or else the last state of a bad one.

        :param info: facts about the potential; ``None`` if it is not usable.
        """
        if info is not None:
            facts = {
                'elements': list(info.elements),
                'cutoff': info.cutoff,
                'n_functions': dict(info.n_functions),
                'reference': self.node.inputs['dataset'].reference,
            }
            self.out_file('potential', self.read_bytes(filenames.OUTPUT_POTENTIAL) or b'', 'potential.yaml', **facts)
            exported = self.read_bytes(filenames.OUTPUT_LAMMPS_POTENTIAL)
            if exported:
                self.out_file('lammps_potential', exported, 'potential.yace', **facts)
            return
        state = self._newest_interim_potential(metrics)
        if state is not None:
            self.out_file('interim_potential', state, 'interim_potential.yaml')

    def _newest_interim_potential(self, metrics: Metrics) -> bytes | None:
        """Return the state of the last fit cycle that left a whole one; it may have been killed while writing."""
        numbered = []
        for name in self.retrieved.base.repository.list_object_names():
            cycle = name.removeprefix('interim_potential_').removesuffix('.yaml')
            if cycle.isdecimal():
                numbered.append((int(cycle), name))
        for _, name in sorted(numbered, reverse=True):
            content = self.read_bytes(name) or b''
            try:
                parse_whole_potential(content.decode(), metrics)
            except (AutopipecError, UnicodeDecodeError):
                self.logger.warning(f'{name} is not a whole potential and is left out')
            else:
                return content
        return None

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

    # Judging

    def inspect_elements(self, info: PotentialInfo | None) -> ExitCode | None:
        """Refuse a potential that lacks an element of the data: Pacemaker then trains on the wrong element."""
        lacking = [] if info is None else self.lacking_elements(info)
        if not lacking:
            return None
        code: ExitCode = self.exit_codes.ERROR_UNKNOWN_ELEMENT
        return code.format(detail=f'(the potential has no {", ".join(lacking)})')

    def lacking_elements(self, info: PotentialInfo) -> list[str]:
        """Return the elements of the data that a potential does not have."""
        datasets = [self.node.inputs[port] for port in _DATASETS.values() if port in self.node.inputs]
        return sorted({element for dataset in datasets for element in dataset.elements} - set(info.elements))

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
        expected = {part for part, port in _DATASETS.items() if port in self.node.inputs}
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


def parse_whole_potential(text: str, metrics: Metrics) -> PotentialInfo:
    """Read a potential that may have been cut off while it was written, or that holds NaN.

    A file that ends between two lines is still a potential, but with fewer functions: the metrics know how many there
    should be.

    :raises AutopipecError: if it is not whole.
    """
    info = parse_potential(text)
    if not info.finite:
        raise OutputError('it has coefficients that are not finite')
    expected = {int(number) for number in metrics.columns.get('nfuncs', ()) if np.isfinite(number)}
    if expected and info.total_functions not in expected:
        raise OutputError(f'it is cut off: it has {info.total_functions} of {max(expected)} functions')
    return info


def describe_active_set(info: ActiveSetInfo) -> dict[str, Any]:
    """Return what is in an active set."""
    return {'n_functions': dict(info.n_functions), 'singular_elements': list(info.singular_elements)}
