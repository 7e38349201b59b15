"""Options that several commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from aiida_autopipec.cli.params.types import ComputerType, YamlMapping
from aiida_autopipec.pacemaker.dataset.merge import ON_CONFLICT
from aiida_autopipec.pacemaker.triage import FindingKind

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def load_profile(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Load the profile of the user's choice, or the default one."""
    from aiida.common.exceptions import ConfigurationError
    from aiida.manage import get_manager
    from aiida.manage.configuration import load_profile as load

    if ctx.resilient_parsing or (value is None and get_manager().get_profile() is not None):
        return
    try:
        load(value)
    except ConfigurationError as exception:
        raise click.BadParameter(
            f'{exception}. Make a profile with `aiida-autopipec setup --localhost` or `verdi presto`', ctx, param
        ) from exception


PROFILE: Decorator = click.option(
    '-p',
    '--profile',
    'profile',
    metavar='NAME',
    is_eager=True,  # nodes are loaded while the other options are read
    expose_value=False,
    callback=load_profile,
    help='Profile of AiiDA; by default the default profile.',
)
PROFILE_NAME = 'aiida_autopipec.profile'
"""Where the name of the profile stays until it is known that a profile is needed."""


def remember_profile(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Keep the user's choice of a profile for :func:`load_profile`."""
    ctx.meta[PROFILE_NAME] = value


PROFILE_WHERE_NEEDED: Decorator = click.option(
    '-p',
    '--profile',
    metavar='NAME',
    is_eager=True,
    expose_value=False,
    callback=remember_profile,
    help='Profile of AiiDA; by default the default profile. A file needs none.',
)
COMPUTER: Decorator = click.option(
    '--computer', type=ComputerType(), metavar='LABEL', help='Computer on which the programs are registered.'
)
ON_CONFLICT_OPTION: Decorator = click.option(
    '--on-conflict',
    type=click.Choice(ON_CONFLICT),
    default='error',
    show_default=True,
    help='What happens to equal structures with different labels.',
)
RULES: Decorator = click.option(
    '--rules',
    type=YamlMapping(),
    help='YAML file that says what counts as wrong, and what is dropped; see TriageRules.',
)
DROP: Decorator = click.option(
    '--drop',
    multiple=True,
    type=click.Choice([kind.value for kind in FindingKind]),
    help='Leave out structures with this kind of finding; repeatable.',
)
LABEL: Decorator = click.option('--label', default='', help='Label of the new node.')
GROUP: Decorator = click.option('--group', metavar='LABEL', help='Group to add the new node to; made where needed.')


def split_options(required: bool) -> Decorator:
    """Return the options that say how a test set is set aside."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        fraction = click.option(
            '--test-fraction',
            type=click.FloatRange(0, 1, min_open=True, max_open=True),
            required=required,
            help='Part of the structures to test on; by content, so that no structure ever changes sides.',
        )
        seed = click.option('--seed', type=int, default=0, show_default=True, help='Another seed, another division.')
        return fraction(seed(function))

    return decorate
