"""What came out of a training, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida_autopipec.cli.messages import table
from aiida_autopipec.pacemaker.triage.report import summary

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

HEADER = ['set', 'structures', 'atoms', 'energy RMSE', 'energy MAE', 'force RMSE', 'force MAE']
DATASETS = {'train': 'training_set', 'test': 'test_set'}
"""Part of the errors -> output of the work chain that they are about."""


def error_table(workchain: ProcessNode) -> str:
    """Return the errors on both sets as a table: energies in meV/atom, forces per component in meV/Å."""
    errors: dict[str, dict[str, Any]] = workchain.outputs['output_parameters'].get_dict()['errors']
    rows = []
    for part, label in DATASETS.items():
        if part in errors:
            dataset = workchain.outputs['selected' if part == 'train' and 'selected' in workchain.outputs else label]
            numbers = [
                errors[part][f'{kind}_{unit}']
                for unit in ('energy_mev_per_atom', 'forces_mev_per_angstrom')
                for kind in ('rmse', 'mae')
            ]
            counts = (str(dataset.n_structures), str(dataset.n_atoms))
            rows.append((part, *counts, *(f'{number:.2f}' for number in numbers)))
    return table(HEADER, rows, title='Errors: energies in meV/atom, force components in meV/Å')


def triage_line(workchain: ProcessNode) -> str:
    """Return what looks wrong with the data of a training, in one line."""
    return f'Data: {summary(workchain.outputs["triage_report"].get_dict())}'


def fit_lines(parameters: Mapping[str, Any]) -> list[str]:
    """Return how a fit began and ended, where it was not the plain one; only what is known.

    How many iterations a better start saved is not: nobody trained without it.

    :param parameters: ``output_parameters`` of the training.
    """
    lines = []
    begin, end = parameters.get('acceleration'), parameters.get('early_stopping')
    if begin and begin.get('used'):
        zero = begin.get('loss_of_zero')
        at_zero = '' if zero is None else f', {zero:.4g} at zero'
        lines.append(
            f'Acceleration {begin.get("mode")}: first loss {_short(begin.get("first_loss"))}, predicted '
            f'{_short(begin.get("predicted_loss"))}{at_zero}; its script took {_seconds(begin):.1f} s'
        )
    elif begin:
        lines.append(f'Acceleration: not used, {begin.get("reason")}')
    best = (end or {}).get('best')
    if end and best:
        how = 'ended when the test loss fell no more' if end.get('stopped') else 'went to its own end'
        lines.append(
            f'The fit {how}; lowest test loss {_short(best.get("test_loss"))} at iteration {best.get("iteration")}'
        )
    return lines


def _short(number: float | None) -> str:
    return 'unknown' if number is None else f'{number:.4g}'


def _seconds(report: Mapping[str, Any]) -> float:
    """Return how long the script of an acceleration took."""
    return float(sum(report.get('seconds', {}).values()))


def gave_result(process: ProcessNode) -> bool:
    """Return whether a process finished with its result, be it with a warning."""
    from aiida_autopipec.calculations.exit_codes import gave_result

    return gave_result(process)


def warning_line(process: ProcessNode) -> str:
    """Return the warning that a process finished with, in one line."""
    return f'warning [{process.exit_status}]: {process.exit_message}'


def reason_of_failure(process: ProcessNode) -> str:
    """Return why a process failed, in one line."""
    exception = (process.exception or '').strip().rpartition('\n')[2]
    return (
        process.exit_message
        or exception
        or f'it was {process.process_state.value if process.process_state else "lost"}'
    )
