"""What the travelling script is told: the only place that knows its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters


def script_settings(
    parameters: SelectParameters,
    *,
    potential: str,
    n_atoms: int,
    shares: Sequence[float],
    with_active_set: bool,
    requested_kb: int | None = None,
) -> dict[str, Any]:
    """Return the settings as ``remote/select_structures.py`` reads them.

    :param potential: name of the file whose basis counts.
    :param n_atoms: atoms of the pool.
    :param shares: part of the number for each group of the pool; empty without quotas.
    :param with_active_set: whether an active set of other data lies beside; without, none is looked for.
    :param requested_kb: memory that the job asks the scheduler for.
    """
    budget = parameters.budget(n_atoms)
    stated = parameters.memory_limit_mb
    requested = None if requested_kb is None else requested_kb / 1024
    limits = [limit for limit in (stated, requested) if limit is not None]
    return {
        'candidates': filenames.CANDIDATES,
        'potential': potential,
        'active_set': filenames.KNOWN_ACTIVE_SET if with_active_set else None,
        'strategy': parameters.chosen_strategy(with_active_set=with_active_set),
        'amount': budget.amount,
        'in_atoms': budget.in_atoms,
        'seed': parameters.seed,
        'keep': [kind for kind in parameters.keep if kind != 'lowest_energy'],
        'shares': list(shares) or None,
        'gamma_tolerance': parameters.gamma_tolerance,
        'maxvol_iters': parameters.maxvol_iters,
        'maxvol_refinement': parameters.maxvol_refinement,
        'memory_limit_mb': min(limits, default=None),
        'chunk_structures': _chunk(parameters),
    }


def _chunk(parameters: SelectParameters) -> int | None:
    return parameters.batch_size if isinstance(parameters.batch_size, int) else None
