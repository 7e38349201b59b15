"""A computer and its programs from a few answers, as the file of ``aiida-autopipec setup --config`` has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_LOCAL = ('localhost', '127.0.0.1')
_USUAL_SCHEDULERS = ('core.slurm', 'core.pbspro', 'core.torque', 'core.lsf', 'core.sge', 'core.direct')


def ask_cluster() -> dict[str, Any]:
    """Ask for everything that has no answer of its own; nothing is stored."""
    host = _ask('Host, as in `ssh HOST`; `localhost` is this computer')
    local = host in _LOCAL
    label = _ask('Name of the computer in AiiDA', host)
    transports = click.Choice(['core.ssh_async', 'core.ssh', 'core.local'])
    transport = 'core.local' if local else _ask('Transport', 'core.ssh_async', type=transports)
    schedulers = click.Choice(_USUAL_SCHEDULERS)
    scheduler = _ask('Scheduler', 'core.direct' if local else 'core.slurm', type=schedulers)
    computer: dict[str, Any] = {
        'label': label,
        'hostname': host,
        'transport': transport,
        'scheduler': scheduler,
        'work_dir': _ask('Folder for jobs', str(Path.home() / 'aiida') if local else '/scratch/{username}/aiida'),
    }
    bin_dir = _ask('Folder that holds `pacemaker` there')
    modules = _ask('Commands before each job, such as `module load python/3.11`; empty for none', '')
    if modules:
        computer['prepend_text'] = modules
    options: dict[str, Any] = {}
    if scheduler != 'core.direct':
        options = _stated(
            queue_name=_ask('Partition or queue; empty for the default', ''),
            account=_ask('Account; empty for the default', ''),
            qos=_ask('Quality of service; empty for the default', ''),
        )
    codes: list[dict[str, Any]] = [{'bin_dir': bin_dir, 'prepend_text': 'export OMP_NUM_THREADS=1\n'}]
    if click.confirm('Does it have GPUs for training?', default=not local):
        codes.insert(0, _ask_gpus(computer, bin_dir, options.get('queue_name', '')))
    if options:
        computer['options'] = options
    return {'computer': computer, 'codes': codes}


def _ask_gpus(computer: dict[str, Any], bin_dir: str, queue_name: str) -> dict[str, Any]:
    """Ask how GPUs are had, and return the installation whose trainings use them."""
    from aiida.plugins import SchedulerFactory

    from aiida_autopipec.calculations.gpus import forms_of

    forms = list(forms_of(SchedulerFactory(computer['scheduler'])()))
    computer['gpu_form'] = _ask('How is the scheduler asked for them', forms[0], type=click.Choice(forms))
    gpu_type = _ask('Type of GPU, as the scheduler calls it; empty for any', '')
    options: dict[str, Any] = {'gpus': {'count': 1, 'type': gpu_type} if gpu_type else 1}
    if computer['scheduler'] != 'core.direct':
        options |= _stated(queue_name=_ask('Partition or queue with GPUs; empty for the default', queue_name))
    return {
        'bin_dir': bin_dir,
        'label_suffix': '-gpu',
        'prepend_text': 'export OMP_NUM_THREADS=1\n',
        'options': options,
    }


def _ask(question: str, default: str | None = None, **settings: Any) -> str:
    """Return an answer; an empty default means that nothing has to be said."""
    answer: str = click.prompt(question, default=default, show_default=bool(default), **settings)
    return answer.strip()


def _stated(**options: str) -> dict[str, str]:
    """Return the options that have an answer."""
    return {key: value for key, value in options.items() if value}
