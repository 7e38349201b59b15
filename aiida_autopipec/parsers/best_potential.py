"""The potential with the lowest test loss, and why a fit was ended before its last iteration."""

from __future__ import annotations

from typing import Any

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.early_stopping import early_stopping_report, early_stopping_warning, last_is_best
from aiida_autopipec.pacemaker.errors import AutopipecError
from aiida_autopipec.pacemaker.outputs import Metrics, TrainingLog, parse_whole_potential, strip_fit_history
from aiida_autopipec.pacemaker.outputs.potential import with_metadata
from aiida_autopipec.pacemaker.restart import is_export_only
from aiida_autopipec.parsers.judge import TrainingJudge


class BestPotentialParser(TrainingJudge):
    """Reads what the module left behind that Pacemaker calls after each iteration."""

    def inspect_early_stopping(
        self, metrics: Metrics, test_metrics: Metrics, log: TrainingLog, problems: list[str]
    ) -> dict[str, Any]:
        """Read what became of early stopping, if it was asked for, and attach the best potential."""
        inputs = self.node.inputs
        if 'early_stopping' not in inputs or self.node.is_imported or is_export_only(inputs.config.get_dict()):
            return {}
        outcome = self.read_json(filenames.EARLY_STOPPING)
        report = early_stopping_report(outcome, stderr=self.read_text(filenames.stderr_of('hook')) or '')
        filename = filenames.BEST_POTENTIAL
        last = last_is_best(report, metrics, test_metrics) if len(log.optimisations) == 1 else None
        if last is not None and self.has(filenames.OUTPUT_POTENTIAL):
            report['best'] = last
            filename = filenames.OUTPUT_POTENTIAL
        warning = early_stopping_warning(report)
        problems += [] if warning is None else [warning]
        if report.get('best'):
            self._out_best(filename, report['best'], metrics, problems)
        return {'early_stopping': report}

    def _out_best(self, filename: str, facts: dict[str, Any], metrics: Metrics, problems: list[str]) -> None:
        """Attach the potential with the lowest test loss, which says in its attributes which state it is."""
        content = self.read_bytes(filename) or b''
        try:
            text = content.decode()
            info = parse_whole_potential(text, metrics)
        except (AutopipecError, UnicodeDecodeError) as exception:
            problems.append(f'{filename}: {exception}')
            return
        if self.lacking_elements(info):
            return
        shape = {'elements': list(info.elements), 'cutoff': info.cutoff, 'n_functions': dict(info.n_functions)}
        recorded = self.with_record(strip_fit_history(text).encode())
        self.out_file('best_potential', recorded, 'best_potential.yaml', **shape, **facts)

    def with_record(self, content: bytes) -> bytes:
        """Write into the metadata of a potential what was subtracted from the labels, if that is known."""
        reference = self.node.inputs['dataset'].reference
        if reference is None:
            return content
        return with_metadata(content.decode(), METADATA_KEY, to_metadata(reference)).encode()
