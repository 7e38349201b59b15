"""How a job asks for GPUs: one request, spelled as the scheduler of the computer wants it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from aiida.schedulers.plugins.direct import DirectScheduler
from aiida.schedulers.plugins.lsf import LsfScheduler
from aiida.schedulers.plugins.pbspro import PbsproScheduler
from aiida.schedulers.plugins.sge import SgeScheduler
from aiida.schedulers.plugins.slurm import SlurmScheduler
from aiida.schedulers.plugins.torque import TorqueScheduler
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.errors import ConfigError

NO_DIRECTIVE = 'none'
"""The form for a computer that gives its GPUs without being asked, or is asked in free text."""

Word = Annotated[str, Field(pattern=r'^[\w.:=+-]+$', max_length=100)]


class GpuRequest(BaseModel):
    """What a job wants, in the option ``gpus``; a plain number is its ``count``."""

    model_config = ConfigDict(extra='forbid', frozen=True, strict=True)

    count: int = Field(1, ge=0, le=1000, description='GPUs per node; Pacemaker uses one.')
    type: Word | None = Field(
        None, description='Kind of GPU, as the scheduler calls it; for PBS Pro and SGE with its resource: `model=a100`.'
    )
    memory_gb: int | None = Field(None, ge=1, description='Memory of the GPU (GB); only LSF can ask for it.')
    form: str | None = Field(
        None,
        max_length=200,
        description='How the scheduler is asked; by default that of the computer, or else of its scheduler.',
    )
    required: bool = Field(True, description='Do not train on the CPU if TensorFlow finds no GPU.')


Speller = Callable[[GpuRequest], str]


def _of_type(request: GpuRequest, separator: str) -> str:
    return '' if request.type is None else f'{request.type}{separator}'


def _named_resource(request: GpuRequest, separator: str) -> str:
    """Return the kind of GPU for a scheduler where each site has a resource of its own for it."""
    if request.type is None:
        return ''
    if '=' not in request.type:
        raise ConfigError(
            f'`gpus.type` is {request.type!r}, but for this scheduler it needs the name of the resource that the '
            'computer has for it, such as `gpu_model=a100`'
        )
    return f'{separator}{request.type}'


def _lsf(request: GpuRequest) -> str:
    model = '' if request.type is None else f':gmodel={request.type}'
    memory = '' if request.memory_gb is None else f':gmem={request.memory_gb}G'
    return f'#BSUB -gpu "num={request.count}{model}{memory}"'


def _sge(resource: str) -> Speller:
    return lambda request: f'#$ -l {resource}={request.count}{_named_resource(request, ",")}'


def _visible_devices(request: GpuRequest) -> str:
    return f'export CUDA_VISIBLE_DEVICES={",".join(map(str, range(request.count)))}'


FORMS: dict[type, dict[str, Speller]] = {
    SlurmScheduler: {
        'gres': lambda request: f'#SBATCH --gres=gpu:{_of_type(request, ":")}{request.count}',
        'gpus': lambda request: f'#SBATCH --gpus={_of_type(request, ":")}{request.count}',
        'gpus-per-node': lambda request: f'#SBATCH --gpus-per-node={_of_type(request, ":")}{request.count}',
        'gpus-per-task': lambda request: f'#SBATCH --gpus-per-task={_of_type(request, ":")}{request.count}',
    },
    PbsproScheduler: {'ngpus': lambda request: f':ngpus={request.count}{_named_resource(request, ":")}'},
    TorqueScheduler: {
        'gpus': lambda request: f':gpus={request.count}{"" if request.type is None else f":{request.type}"}'
    },
    LsfScheduler: {
        'gpu': _lsf,
        'rusage': lambda request: f'#BSUB -R "rusage[ngpus_physical={request.count}]"',
    },
    SgeScheduler: {name: _sge(name) for name in ('gpu', 'ngpus', 'gpus', 'cuda')},
    DirectScheduler: {NO_DIRECTIVE: lambda _: '', 'visible-devices': _visible_devices},
}
"""What each scheduler understands; the first form is its default. See docs/how-to/cluster.md for the sources."""

_WITH_TYPE = {'gres', 'gpus', 'gpus-per-node', 'gpus-per-task', 'ngpus', 'gpu', 'cuda'}
_SELECTION = {PbsproScheduler: '#PBS -l select=', TorqueScheduler: '#PBS -l nodes='}
"""The line of AiiDA that GPUs are a part of: two such lines contradict each other."""

_TYPE = r'(?:[A-Za-z][\w.-]*:)?'
_BY_HAND = tuple(
    re.compile(rf'^\s*#(?:SBATCH|PBS|BSUB|\$)\s(?:.*[\s,:"\[])?{pattern}', re.MULTILINE)
    for pattern in (
        rf'--gres[ =](?:\S*,)?gpu(?::{_TYPE}(\d+)|\b)',
        rf'--gpus(?:-per-\w+)?[ =]{_TYPE}(\d+)',
        rf'-G\s?{_TYPE}(\d+)',
        r'(?:n?gpus?|cuda|ngpus_\w+)=(\d+)',
        r'-gpu\s+(?:"[^"\n]*?num=(\d+)|["-])',
    )
)
"""Directives that ask for GPUs, with their number; without one they ask for one."""


def parse_request(value: Any) -> GpuRequest:
    """Read the option ``gpus``.

    :param value: a number, a mapping, or ``None``.
    :raises ConfigError: if it is not possible.
    """
    if value is None:
        return GpuRequest(count=0)
    if not isinstance(value, Mapping):
        value = {'count': value}
    try:
        return GpuRequest.model_validate(dict(value))
    except ValidationError as exception:
        error = exception.errors(include_url=False)[0]
        key = str(error['loc'][0])
        if error['type'] == 'extra_forbidden':
            near = nearest(key, GpuRequest.model_fields)
            known = f'did you mean {near}?' if near else f'known are {", ".join(GpuRequest.model_fields)}'
            raise ConfigError(f'`gpus.{key}` is unknown; {known}') from exception
        raise ConfigError(f'`gpus.{key}` is {error["input"]!r}, which is not possible: {error["msg"]}') from exception


def directive(request: GpuRequest, scheduler: Any, *, default_form: str | None = None) -> str:
    """Return how a scheduler is asked.

    :param scheduler: an instance of a scheduler of AiiDA.
    :param default_form: that of the computer.
    :return: a line, a piece of the line that selects nodes (PBS), or nothing where nothing has to be said.
    :raises ConfigError: if this scheduler cannot be asked in this way.
    """
    forms = forms_of(scheduler)
    form = request.form or default_form or next(iter(forms))
    if request.count == 0 or form == NO_DIRECTIVE:
        return ''
    if form.startswith('#'):
        return form.replace('{count}', str(request.count)).replace('{type}', request.type or '')
    if form not in forms:
        raise ConfigError(
            f'`gpus.form` is `{form}`, which {type(scheduler).__name__} does not know: use {" or ".join(forms)}, or a '
            'directive of your own such as `#SBATCH --gres=gpu:{count}`'
        )
    if request.memory_gb is not None and (form, type(scheduler)) != ('gpu', LsfScheduler):
        raise ConfigError(
            f'`gpus.memory_gb` is {request.memory_gb}, but with the form `{form}` the memory of a GPU cannot be asked '
            'for: choose a `type` of GPU that has it'
        )
    if request.type is not None and form not in _WITH_TYPE:
        raise ConfigError(f'`gpus.type` is {request.type!r}, but the form `{form}` has no types: leave it out')
    return forms[form](request)


def forms_of(scheduler: Any) -> dict[str, Speller]:
    """Return the forms that a scheduler understands, the default first; others than AiiDA's own know ``none`` only."""
    for kind, forms in FORMS.items():
        if isinstance(scheduler, kind):
            return forms if NO_DIRECTIVE in forms else {**forms, NO_DIRECTIVE: lambda _: ''}
    return {NO_DIRECTIVE: lambda _: ''}


def with_directive(script: str, text: str, scheduler: Any) -> str:
    """Return a job script that asks for GPUs.

    Directives count only before the first command, so they stand behind the first line, which names the shell.

    :param text: as :func:`directive` returns it.
    :raises ConfigError: if PBS is to give GPUs but the script selects no nodes.
    """
    if not text:
        return script
    lines = script.split('\n')
    if not text.startswith(':'):
        return '\n'.join([lines[0], text, *lines[1:]])
    start = next(start for kind, start in _SELECTION.items() if isinstance(scheduler, kind))
    for number, line in enumerate(lines):
        if line.startswith(start):
            lines[number] = line + text
            return '\n'.join(lines)
    raise ConfigError(f'the job script has no line `{start}` that the GPUs could be added to')


def asked_by_hand(*texts: str | None) -> int:
    """Return how many GPUs the directives in texts ask for; the first that does counts."""
    found = (pattern.search('\n'.join(filter(None, texts))) for pattern in _BY_HAND)
    return next((int(match[1] or 1) for match in found if match is not None), 0)
