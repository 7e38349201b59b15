"""Changes to a job: more memory, smaller batches, another node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiida.orm import CalcJobNode

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.outputs import accounting_fields
from aiida_autopipec.pacemaker.restart import with_batch_size

MEMORY_FACTOR = 2
"""How much more memory is asked for each time."""

BATCH_DIVISOR = 4
"""Pacemaker has tried smaller batches itself before it gives up; a new process, without what the old one still holds
in the memory of the GPU, may take one that failed there, so few and large steps are enough."""

NOISE = 1e-2
"""Width of the noise on coefficients that no gradient moves; see the table in docs/topics/health.md."""


def memory_to_ask_for(options: Mapping[str, Any], limit: int) -> int | None:
    """Return how much memory the next job may ask for (kB), or ``None`` if it has had all that is allowed.

    :param options: of the job that had too little.
    :param limit: most that may be asked for (kB).
    """
    asked = options.get('max_memory_kb')
    if asked is None:  # the computer's default, whatever that is
        return limit
    return min(limit, MEMORY_FACTOR * int(asked)) if int(asked) < limit else None


def with_smaller_batches(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return settings with fewer structures per batch, or ``None`` where there is no smaller batch.

    Evaluator ``pyace`` takes all structures at once, whatever the batch size.
    """
    backend = TrainingConfig.model_validate(config).backend
    if backend.evaluator != 'tensorpot' or backend.batch_size == 1:
        return None
    return with_batch_size(config, max(1, backend.batch_size // BATCH_DIVISOR))


def nodes_of(calculation: CalcJobNode) -> str | None:
    """Return the nodes of the cluster that a job ran on, in the scheduler's own words; ``None`` if it did not say."""
    info = calculation.get_last_job_info()
    named = None if info is None else info.get('allocated_machines_raw')
    accounting = (calculation.get_detailed_job_info() or {}).get('stdout', '')
    for name in (named, accounting_fields(str(accounting)).get('NodeList')):
        if name and not any(sign in str(name) for sign in ' ()'):  # '(null)', 'None assigned'
            return str(name)
    return None


def names_nodes(commands: str) -> bool:
    """Tell whether commands for SLURM say on which nodes the job is to run, or not to run.

    :param commands: ``custom_scheduler_commands`` of the user.
    """
    return re.search(r'^#SBATCH\b.*\s(--(nodelist|exclude|nodefile)\b|-[wxF])', commands, re.MULTILINE) is not None


def without_nodes(commands: str, nodes: str) -> str:
    """Return the commands for SLURM with nodes on which the job must not run.

    :param commands: ``custom_scheduler_commands`` of the user.
    :param nodes: as SLURM writes them, such as ``c1`` or ``c[1-2]``.
    """
    return '\n'.join([*commands.splitlines(), f'#SBATCH --exclude={nodes}'])
