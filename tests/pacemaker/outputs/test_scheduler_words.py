"""How a job was ended from outside, by the words of the scheduler."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.outputs import SchedulerEnd, accounting_fields, scheduler_end

STEPD = 'slurmstepd: error: *** JOB 5 ON c1 CANCELLED AT 2026-11-23T02:00:00'


@pytest.mark.parametrize(
    ('stderr', 'end'),
    [
        (f'{STEPD} ***', SchedulerEnd.CANCELLED),
        (f'noise\n{STEPD} DUE TO TIME LIMIT ***\n', SchedulerEnd.TIME_LIMIT),
        (f'{STEPD} DUE TO PREEMPTION ***', SchedulerEnd.PREEMPTED),
        (f'{STEPD} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***', SchedulerEnd.NODE_FAILURE),
        ('slurmstepd: error: Detected 1 oom-kill event(s) in StepId=5.batch.', SchedulerEnd.OUT_OF_MEMORY),
        ('slurmstepd: error: Detected 1 oom_kill event in StepId=5.batch.', SchedulerEnd.OUT_OF_MEMORY),
        ('=>> PBS: job killed: walltime 3610 exceeded limit 3600', SchedulerEnd.TIME_LIMIT),
        ('=>> PBS: job killed: mem 2000kb exceeded limit 1000kb', SchedulerEnd.OUT_OF_MEMORY),
        ('/job/_aiidasubmit.sh: line 12:  4242 Killed   pacemaker input.yaml', SchedulerEnd.KILLED),
        ('Terminated', None),
        ('', None),
    ],
)
def test_words_on_stderr(stderr, end):
    """Each scheduler has its words, and the shell has one for SIGKILL."""
    assert scheduler_end(stderr=stderr) is end


def test_the_report_of_lsf_stands_in_stdout():
    """LSF names the reason there."""
    assert (
        scheduler_end(stdout='TERM_RUNLIMIT: job killed after reaching LSF run time limit.') is SchedulerEnd.TIME_LIMIT
    )


@pytest.mark.parametrize(
    ('state', 'stderr', 'end'),
    [
        ('CANCELLED by 1000', '', SchedulerEnd.CANCELLED),
        ('CANCELLED by 1000', f'{STEPD} DUE TO PREEMPTION ***', SchedulerEnd.PREEMPTED),
        ('PREEMPTED', '', SchedulerEnd.PREEMPTED),
        ('NODE_FAIL', '', SchedulerEnd.NODE_FAILURE),
        ('COMPLETED', '', None),
    ],
)
def test_states_of_the_accounting(state, stderr, end):
    """The accounting says more than AiiDA takes from it, and stderr says why a job was cancelled."""
    accounting = f'JobID|State|NodeList|\n5|{state}|c1|\n5.batch|{state}|c1|\n'
    assert scheduler_end(accounting=accounting, stderr=stderr) is end
    assert accounting_fields(accounting)['NodeList'] == 'c1'


@pytest.mark.parametrize('text', ['', 'slurm_load_jobs error', 'a|b'])
def test_no_accounting(text):
    """A cluster without it leaves no fields."""
    assert accounting_fields(text) == {}
