"""What the tests of pages and examples share: the computer and the codes that they load by label."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida import orm
from aiida.common.exceptions import NotExistent

PROGRAMS = ('pacemaker', 'pace_activeset', 'pace_select', 'pace_yaml2yace')


@pytest.fixture(scope='module')
def register_codes(aiida_profile: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], None]:
    """Return a function that registers Pacemaker's programs on the computer `localhost`."""
    folder = tmp_path_factory.mktemp('work')

    def register() -> None:
        try:
            computer = orm.load_computer('localhost')
        except NotExistent:
            computer = orm.Computer(
                label='localhost',
                hostname='localhost',
                transport_type='core.local',
                scheduler_type='core.direct',
                workdir=str(folder),
            ).store()
        computer.set_minimum_job_poll_interval(0.0)
        computer.configure(safe_interval=0.0)
        for program in PROGRAMS:
            try:
                orm.load_code(f'{program}@localhost')
            except NotExistent:
                orm.InstalledCode(
                    label=program,
                    computer=computer,
                    filepath_executable=str(Path(sys.executable).parent / program),
                    prepend_text='export OMP_NUM_THREADS=1',
                ).store()

    return register
