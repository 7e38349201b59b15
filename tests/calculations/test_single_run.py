"""A job that was submitted twice: two shells run the same script in one folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from aiida_autopipec.calculations.single_run import run_once

SCRIPT = """\
#!/bin/bash
#SBATCH --no-requeue
#SBATCH --nodes=1

export A=1

echo begin >> rows; sleep 0.5; echo end >> rows
"""


def start(folder: Path, script: str = SCRIPT) -> subprocess.Popen[bytes]:
    """Start a script as a scheduler does."""
    path = folder / 'script.sh'
    path.write_text(run_once(script))
    return subprocess.Popen(['/bin/bash', str(path)], cwd=folder, start_new_session=True)


def test_directives_stay_where_the_scheduler_looks() -> None:
    """A scheduler reads the comments at the beginning, up to the first command."""
    assert run_once(SCRIPT).startswith('#!/bin/bash\n#SBATCH --no-requeue\n#SBATCH --nodes=1\n')


def test_two_at_the_same_time_run_once(tmp_path: Path) -> None:
    """The second one waits for the first, and leaves its files as they are."""
    both = [start(tmp_path), start(tmp_path)]
    assert [process.wait(20) for process in both] == [0, 0]
    assert (tmp_path / 'rows').read_text().split() == ['begin', 'end']


def test_one_that_comes_later_does_nothing(tmp_path: Path) -> None:
    """What has come to the end of its script is not begun again."""
    assert [start(tmp_path).wait(20), start(tmp_path).wait(20)] == [0, 0]
    assert (tmp_path / 'rows').read_text().split() == ['begin', 'end']


def test_one_that_was_killed_is_done_again(tmp_path: Path) -> None:
    """A job that the scheduler has killed, and runs again in the same folder, begins anew."""
    first = start(tmp_path, SCRIPT.replace('sleep 0.5', 'sleep 60'))
    while not (tmp_path / 'rows').exists():
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(20)
    assert start(tmp_path).wait(20) == 0
    assert (tmp_path / 'rows').read_text().split() == ['begin', 'begin', 'end']


def test_what_the_first_left_running_is_waited_for(tmp_path: Path) -> None:
    """The shell may be killed and its program live on: nobody writes beside it."""
    first = start(tmp_path)
    while not (tmp_path / 'rows').exists():
        time.sleep(0.01)
    command = SCRIPT.splitlines()[-1]
    first.kill()
    first.wait(20)
    began = time.monotonic()
    assert start(tmp_path, SCRIPT.replace(command, 'echo second >> rows')).wait(20) == 0
    assert time.monotonic() - began > 0.2
    assert (tmp_path / 'rows').read_text().split() == ['begin', 'second']


def test_without_locks_the_job_begins(tmp_path: Path) -> None:
    """A disk that knows no locks, or a system without `flock`, is no reason not to run."""
    (tmp_path / 'flock').write_text('#!/bin/sh\nexit 1\n')
    (tmp_path / 'flock').chmod(0o755)
    script = run_once(SCRIPT)
    path = tmp_path / 'script.sh'
    path.write_text(script.replace('exec 9', f'PATH={tmp_path}:$PATH; exec 9', 1))
    assert subprocess.run(['/bin/bash', str(path)], cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / 'rows').read_text().split() == ['begin', 'end']
