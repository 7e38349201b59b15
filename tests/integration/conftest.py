"""A profile with a broker, and a real daemon that works on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import ProcessBuilder, submit
from aiida.engine.daemon import client as daemon
from aiida.orm import ProcessNode

PROGRAMS = ('pacemaker', 'pace_activeset', 'pace_select', 'pace_yaml2yace')


@pytest.fixture(scope='module')
def profile(aiida_profile: Any, aiida_config: Any, aiida_profile_factory: Any) -> Iterator[Any]:
    """Return a profile on SQLite with the ZeroMQ broker, as `verdi presto` makes one; the other comes back after."""
    with aiida_profile_factory(aiida_config, broker_backend='core.zeromq') as loaded:
        loaded.set_option('daemon.timeout', 20)  # two seconds are not enough for a machine with other work
        aiida_config.store()
        yield loaded


@pytest.fixture(scope='module')
def started(profile: Any) -> Iterator[daemon.DaemonClient]:
    """Return the client of a daemon that runs, with one worker."""
    with pytest.MonkeyPatch.context() as patch:
        # it is looked up on the PATH, where that of a virtual environment that is not activated does not stand
        patch.setattr(daemon, 'VERDI_BIN', str(Path(sys.executable).parent / 'verdi'))
        running = daemon.get_daemon_client(profile.name)
        running.start_daemon()
        yield running
        running.stop_daemon(wait=True)


@pytest.fixture(scope='module')
def programs(profile: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the codes of all programs by name, in the profile of the daemon."""
    from aiida.orm import Computer, InstalledCode

    folder = tmp_path_factory.mktemp('work')
    computer = Computer(
        label='localhost',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.direct',
        workdir=str(folder),
    ).store()
    computer.set_minimum_job_poll_interval(0.2)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0.0, use_login_shell=False)
    return {
        program: InstalledCode(
            label=program,
            computer=computer,
            filepath_executable=str(Path(sys.executable).parent / program),
            prepend_text='export OMP_NUM_THREADS=1',
        ).store()
        for program in PROGRAMS
    }


@pytest.fixture
def submit_and_wait(started: daemon.DaemonClient) -> Callable[..., ProcessNode]:
    """Return a function that submits to the daemon and waits until the process has ended."""

    def wait(builder: ProcessBuilder, *, seconds: float) -> ProcessNode:
        node = submit(builder)
        end = time.monotonic() + seconds
        while not node.is_terminated:
            if time.monotonic() > end:
                log = Path(started.daemon_log_file).read_text()
                pytest.fail(f'{node.process_state} after {seconds} s; the daemon said:\n{log[-5000:]}')
            time.sleep(0.2)
        return node

    return wait
