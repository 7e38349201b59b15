"""What ``pace_select`` and ``pace_activeset`` print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs.records import parse_records


@dataclass(frozen=True)
class SelectionLog:
    """How a selection went.

    :param n_candidates: structures in the pool, over all its files.
    :param n_atoms: atoms of the pool by element; ``n_functions`` are those of the basis.
    :param n_chosen: structures that hold at least one atom that MaxVol chose: an upper bound for the selection.
    :param n_selected: structures that were kept after the cut to the number asked for.
    :param used_active_set: the atoms of an earlier active set competed.
    :param batches: number of batches; ``None`` if all structures were looked at together.
    :param zero_columns: functions that no atom of the pool can tell apart, by the index of the element among the sorted
        elements of the potential: the choice for that element is arbitrary.
    """

    n_candidates: int
    n_atoms: Mapping[str, int]
    n_functions: Mapping[str, int]
    n_chosen: int
    n_selected: int
    used_active_set: bool
    batches: int | None = None
    zero_columns: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ActiveSetLog:
    """How the construction of an active set went.

    :param n_structures: structures in the data.
    :param n_atoms: atoms by element; ``n_functions`` are those of the basis.
    :param n_used: atoms by element that passed the filter on force errors, or all of them without a filter.
    :param force_threshold: largest force error (eV/Å) that passed, by element; empty without a filter.
    :param gamma_max: largest extrapolation grade of the data by element; about 1 where MaxVol has converged.
    :param nonlinear: the set is that of the nonlinear energy (``-f``).
    :param zero_columns: as in :class:`SelectionLog`; such an active set is useless for the element.
    """

    n_structures: int
    n_atoms: Mapping[str, int]
    n_functions: Mapping[str, int]
    n_used: Mapping[str, int]
    force_threshold: Mapping[str, float]
    gamma_max: Mapping[str, float]
    nonlinear: bool = False
    batches: int | None = None
    zero_columns: Mapping[int, int] = field(default_factory=dict)


_ELEMENT = re.compile(r'^\tElement: (\w+), # atoms: (\d+), # B-func: (\d+), # projections: (\d+)$')
_GAMMA = re.compile(r'^\tElement: (\w+), Active set inv\. shape: \(\d+, \d+\), gamma_max: (\S+)$')
_SPECIES = re.compile(r'^\tElement: (\w+), specie type: \d+$')
_THRESHOLD = re.compile(r'^\t\tForce error upper bound: (\S+) meV/A$')
_USED = re.compile(r'^\t\tNumber/fraction of selected atoms: (\d+) ')


def parse_select_log(stderr: str, stdout: str = '') -> SelectionLog:
    """Read what ``pace_select`` printed.

    :param stderr: its log.
    :param stdout: what the MaxVol algorithm printed; only warnings come from it.
    :raises OutputError: if the selection did not finish.
    """
    lines = _lines(stderr)
    chosen = _number(lines, r'^Overall (\d+) structures selected$')
    candidates = _number(lines, r'^(\d+) structures in candidate list$')
    if chosen is None or candidates is None:
        raise OutputError(
            'pace_select did not finish: its log names no selected structures; read the end of its stderr.'
        )
    cut = _number(lines, r'^Selection top (\d+) structures$')
    atoms, functions = _sizes(lines)
    return SelectionLog(
        n_candidates=candidates,
        n_atoms=atoms,
        n_functions=functions,
        n_chosen=chosen,
        n_selected=chosen if cut is None else min(cut, chosen),
        used_active_set=any(line.startswith('Loading Active Set Inverted') for line in lines),
        batches=_number(lines, r'^Number of batches: (\d+)$'),
        zero_columns=_zero_columns(stdout),
    )


def parse_activeset_log(stderr: str, stdout: str = '') -> ActiveSetLog:
    """Read what ``pace_activeset`` printed.

    :param stderr: its log.
    :param stdout: what the MaxVol algorithm printed; only warnings come from it.
    :raises OutputError: if no active set was made.
    """
    lines = _lines(stderr)
    structures = _number(lines, r'^Total number of structures(?: after query)?: (\d+)$')
    gamma = {match[1]: float(match[2]) for match in map(_GAMMA.match, lines) if match}
    if structures is None or not gamma:
        raise OutputError('pace_activeset did not finish: its log names no active set; read the end of its stderr.')
    atoms, functions = _sizes(lines)
    used, thresholds = _filter(lines)
    return ActiveSetLog(
        n_structures=structures,
        n_atoms=atoms,
        n_functions=functions,
        n_used={**atoms, **used},
        force_threshold=thresholds,
        gamma_max=gamma,
        nonlinear=any(line.startswith('FULL (non-linear)') for line in lines),
        batches=_number(lines, r'^Number of batches: (\d+)$'),
        zero_columns=_zero_columns(stdout),
    )


def _lines(stderr: str) -> list[str]:
    """Return the records without their time stamps and without the noise of progress bars."""
    return [record.first_line.rstrip() for record in parse_records(stderr)]


def _number(lines: list[str], pattern: str) -> int | None:
    """Return the number in the last line that matches."""
    matches = [match for match in (re.match(pattern, line) for line in lines) if match]
    return int(matches[-1][1]) if matches else None


def _sizes(lines: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Return atoms and functions by element."""
    matches = [match for match in map(_ELEMENT.match, lines) if match]
    return {match[1]: int(match[2]) for match in matches}, {match[1]: int(match[3]) for match in matches}


def _filter(lines: list[str]) -> tuple[dict[str, int], dict[str, float]]:
    """Return atoms kept and thresholds (eV/Å; the log says meV/Å) by element."""
    used: dict[str, int] = {}
    thresholds: dict[str, float] = {}
    element = ''
    for line in lines:
        if match := _SPECIES.match(line):
            element = match[1]
        elif match := _THRESHOLD.match(line):
            thresholds[element] = float(match[1]) / 1e3
        elif match := _USED.match(line):
            used[element] = int(match[1])
    return used, thresholds


def _zero_columns(stdout: str) -> dict[int, int]:
    """Return the zero columns by index of the element, as MaxVol last reported them."""
    columns: dict[int, int] = {}
    species = 0
    for line in stdout.splitlines():
        if match := re.match(r'Species type: (\d+)$', line.strip()):
            species = int(match[1])
            columns.pop(species, None)
        elif match := re.match(r'(\d+) zero columns are found', line):
            columns[species] = int(match[1])
    return columns
