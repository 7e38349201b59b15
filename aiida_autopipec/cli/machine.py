"""Profiles and computers that the command line makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiida.manage.configuration.profile import Profile
    from aiida.orm import Computer

LOCALHOST = 'localhost'


def create_profile(name: str, email: str) -> Profile:
    """Make a profile that needs no service: SQLite and the ZeroMQ broker, which starts with the daemon. Load it.

    :param email: of the user whom new nodes belong to.
    """
    from aiida.manage.configuration import create_profile as create
    from aiida.manage.configuration import get_config, load_profile
    from aiida.plugins import BrokerFactory

    config = get_config(create=True)
    profile = create(
        config,
        name=name,
        email=email,
        storage_backend='core.sqlite_dos',
        storage_config={},
        broker_backend='core.zeromq',
        broker_config=BrokerFactory('core.zeromq').get_default_config(),
    )
    config.set_option('runner.poll.interval', 1, scope=name)
    # two seconds by default, in which a loaded machine does not start a daemon
    config.set_option('daemon.timeout', 60, scope=name)
    if config.default_profile_name is None:
        config.set_default_profile(name)
    config.store()
    load_profile(name, allow_switch=True)
    return profile


def get_or_create_localhost(workdir: str) -> tuple[Computer, bool]:
    """Return this computer, and whether it is new.

    :param workdir: folder in which jobs run, where it is new.
    """
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_computer

    try:
        return load_computer(LOCALHOST), False
    except NotExistent:
        settings = {'hostname': LOCALHOST, 'transport': 'core.local', 'scheduler': 'core.direct', 'work_dir': workdir}
        return create_computer(LOCALHOST, {**settings, 'safe_interval': 0, 'minimum_job_poll_interval': 0.2}), True


def create_computer(label: str, settings: Mapping[str, Any]) -> Computer:
    """Store and configure a computer.

    :param settings: as in a YAML file of `aiida-autopipec setup --config`, see :mod:`aiida_autopipec.cli.cluster`.
    """
    from aiida.orm import Computer

    computer = Computer(
        label=label,
        hostname=settings['hostname'],
        description=settings.get('description', ''),
        transport_type=settings['transport'],
        scheduler_type=settings['scheduler'],
        workdir=settings['work_dir'],
    )
    computer.set_shebang(settings.get('shebang', '#!/bin/bash'))
    computer.set_mpirun_command(settings.get('mpirun_command', '').split())
    computer.set_prepend_text(settings.get('prepend_text', ''))
    computer.set_append_text(settings.get('append_text', ''))
    computer.set_use_double_quotes(False)
    computer.set_default_mpiprocs_per_machine(settings.get('mpiprocs_per_machine', 1))
    computer.store()
    # both wait by default, which makes a job of a second take minutes
    computer.set_minimum_job_poll_interval(float(settings.get('minimum_job_poll_interval', 10)))
    computer.configure(safe_interval=float(settings.get('safe_interval', 15)), **settings.get('transport_options', {}))
    return computer
