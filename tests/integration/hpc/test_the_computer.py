"""The remote computer itself: it does to jobs what real ones do, and everything can be put in order again."""

from __future__ import annotations

import shlex
import subprocess

import pytest

pytestmark = pytest.mark.hpc


@pytest.fixture
def submit_job(cluster, wait_until):
    """Return a function that submits a shell command, waits for a state of its job, and returns its number."""

    def run(command: str, *options: str, until: str = 'RUNNING') -> str:
        options = ('--parsable', '--output=/dev/null', '--mem=100', *options)
        job = cluster.ssh(f'cd {cluster.scratch}; sbatch {" ".join(options)} --wrap {shlex.quote(command)}')
        wait_until(lambda: cluster.record(job, 'State') == until, 30, f'{until} of job {job}')
        return job

    return run


def test_the_account_is_nobody_elses(cluster):
    """Jobs run under an account that can neither write to this checkout nor read the key that leads to it."""
    assert cluster.ssh('id --user --name') == cluster.account
    with pytest.raises(subprocess.CalledProcessError):
        cluster.ssh(f'cat {cluster.home}/.ssh/id_ed25519')
    with pytest.raises(subprocess.CalledProcessError):
        cluster.ssh(f'touch {cluster.control}')


def test_a_job_with_a_gpu_is_told_which(cluster, submit_job):
    """SLURM sets CUDA_VISIBLE_DEVICES for a job that holds a GPU."""
    submit_job(f'echo -n $CUDA_VISIBLE_DEVICES > {cluster.scratch}/gpu', '--gres=gpu:1', until='COMPLETED')
    assert (cluster.scratch / 'gpu').read_text() == '0'


def test_memory_is_limited(cluster, submit_job):
    """A job that takes more memory than it asked for is ended, by the kernel as OUT_OF_MEMORY, by SLURM as FAILED."""
    ends = {'kernel': 'OUT_OF_MEMORY', 'slurm': 'FAILED'}[cluster.memory_limited_by]
    submit_job('python3 -c "import time; x = bytearray(400 * 1024**2); time.sleep(20)"', until=ends)


def test_a_cancelled_job_is_recorded(cluster, submit_job, wait_until):
    """A job that somebody else cancels ends as CANCELLED."""
    job = submit_job('sleep 60')
    cluster.scancel(job)
    wait_until(lambda: cluster.record(job, 'State').startswith('CANCELLED'), 10)


def test_a_job_is_lost_with_its_node(cluster, submit_job, wait_until):
    """A node that is declared failed takes its job with it, as NODE_FAIL; afterwards it can be used again."""
    job = submit_job('sleep 60', '--no-requeue')
    node = cluster.node_of(job)
    cluster.node_down(node)
    wait_until(lambda: cluster.record(job, 'State') == 'NODE_FAIL', 10)
    cluster.resume(node)
    submit_job('true', f'--nodelist={node}', until='COMPLETED')


def test_a_job_that_may_be_requeued_starts_again(cluster, submit_job, wait_until):
    """A job that may be requeued waits after the failure of its node, and runs again."""
    job = submit_job('sleep 60', '--requeue')
    cluster.node_down(cluster.node_of(job))
    wait_until(lambda: cluster.jobs()[job] == 'PENDING', 10)
    wait_until(lambda: cluster.jobs()[job] == 'RUNNING', 40)


def test_a_job_of_more_weight_preempts(cluster, submit_job, wait_until):
    """A job of the partition `urgent` pushes another off its node, which ends as PREEMPTED."""
    job = submit_job('sleep 60', '--no-requeue', '--exclusive', '--nodelist=node1')
    submit_job('true', '--exclusive', '--nodelist=node1', '--partition=urgent', until='COMPLETED')
    wait_until(lambda: cluster.record(job, 'State') == 'PREEMPTED', 10)


def test_a_job_outlives_the_daemon_of_its_node(cluster, submit_job, wait_until):
    """A job goes on when slurmd is killed; when slurmd is back soon, it ends as if nothing had been."""
    job = submit_job(f'sleep 4; touch {cluster.scratch}/after')
    node = cluster.node_of(job)
    cluster.kill_slurmd(node)
    wait_until((cluster.scratch / 'after').exists, 20)
    cluster.start_slurmd(node)
    wait_until(lambda: cluster.record(job, 'State') == 'COMPLETED', 20)


def test_the_computer_can_be_out_of_reach(cluster):
    """Without its SSH server the computer refuses connections, and is back afterwards."""
    with cluster.without_ssh(), pytest.raises(subprocess.CalledProcessError):
        cluster.ssh('true')
    assert cluster.ssh('echo back') == 'back'


def test_the_disk_can_be_full(cluster):
    """A full disk takes no more bytes, and has room afterwards."""
    write = f'head -c 1000000 /dev/zero > {cluster.scratch}/file'
    cluster.ssh(f'rm -f {cluster.scratch}/file')
    with cluster.scratch_full(), pytest.raises(subprocess.CalledProcessError):
        cluster.ssh(write)
    cluster.ssh(write)
