"""What the scheduler says about the end of a job, where its accounting has no word for it.

The words are those of SLURM (``slurmstepd``), PBS and LSF. A cluster without accounting (``sacct``) leaves nothing
else, and AiiDA takes neither a cancelled nor a preempted job from the accounting.
"""

from __future__ import annotations

import re
from enum import Enum


class SchedulerEnd(str, Enum):
    """Ways in which a job is ended from outside; the values are stable names."""

    TIME_LIMIT = 'time_limit'
    OUT_OF_MEMORY = 'out_of_memory'
    NODE_FAILURE = 'node_failure'
    PREEMPTED = 'preempted'
    CANCELLED = 'cancelled'
    KILLED = 'killed'


#: The first that matches counts: SLURM says CANCELLED in all cases, and a job that is over its limits is killed too.
_WORDS: tuple[tuple[SchedulerEnd, re.Pattern[str]], ...] = tuple(
    (end, re.compile(pattern, re.IGNORECASE | re.MULTILINE))
    for end, pattern in (
        (SchedulerEnd.TIME_LIMIT, r'CANCELLED AT .*DUE TO TIME LIMIT|walltime \d+ exceeded limit|TERM_RUNLIMIT'),
        (SchedulerEnd.PREEMPTED, r'CANCELLED AT .*DUE TO PREEMPTION|job preempted|TERM_PREEMPT'),
        (SchedulerEnd.NODE_FAILURE, r'CANCELLED AT .*DUE TO NODE FAILURE|CANCELLED BY NODE FAILURE'),
        (
            SchedulerEnd.OUT_OF_MEMORY,
            r'oom[-_ ]kill|exceeded (?:job |step )?memory limit|mem \d+kb exceeded limit|TERM_MEMLIMIT',
        ),
        (SchedulerEnd.CANCELLED, r'CANCELLED AT |TERM_OWNER|TERM_ADMIN|job deleted'),
        # the shell's word for SIGKILL: with the job still alive, mostly the kernel that is out of memory
        (SchedulerEnd.KILLED, r'line \d+: +\d+ Killed\b|^Killed$'),
    )
)

_STATES = {
    'TIMEOUT': SchedulerEnd.TIME_LIMIT,
    'DEADLINE': SchedulerEnd.TIME_LIMIT,
    'OUT_OF_MEMORY': SchedulerEnd.OUT_OF_MEMORY,
    'NODE_FAIL': SchedulerEnd.NODE_FAILURE,
    'BOOT_FAIL': SchedulerEnd.NODE_FAILURE,
    'PREEMPTED': SchedulerEnd.PREEMPTED,
    'REVOKED': SchedulerEnd.CANCELLED,
    'CANCELLED': SchedulerEnd.CANCELLED,
}


def scheduler_end(*, accounting: str = '', stderr: str = '', stdout: str = '') -> SchedulerEnd | None:
    """Say how a job was ended from outside, or ``None`` where nothing says that it was.

    :param accounting: what ``sacct --parsable`` printed: a header and one line per step, the job first.
    :param stderr: what the job script printed to stderr.
    :param stdout: what it printed to stdout; LSF writes its report there.
    """
    state = accounting_fields(accounting).get('State', '').split(' ')[0]
    if state in _STATES and _STATES[state] is not SchedulerEnd.CANCELLED:
        return _STATES[state]
    text = f'{stderr}\n{stdout}'
    for end, words in _WORDS:
        if words.search(text):
            return end
    return _STATES.get(state)


def accounting_fields(accounting: str) -> dict[str, str]:
    """Return the fields of a job from ``sacct --parsable``; none where the text is not that.

    :param accounting: what the program printed.
    """
    lines = accounting.splitlines()
    if len(lines) < 2 or '|' not in lines[0]:
        return {}
    names, values = (line.split('|') for line in lines[:2])
    return dict(zip(names, values, strict=False))
