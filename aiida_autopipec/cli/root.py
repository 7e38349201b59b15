"""The group of all commands.

Nothing here may import aiida: importing it creates the user's configuration folder, which `demo` must not touch, and
takes longer than `--help` should.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

import click

from aiida_autopipec import __version__

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        'setup': ('aiida_autopipec.cli.setup:cmd_setup', "Register Pacemaker's programs on a computer."),
        'dataset': ('aiida_autopipec.cli.dataset:cmd_dataset', 'Import, show, export, merge and split datasets.'),
        'config': ('aiida_autopipec.cli.config:cmd_config', "Check, explain and write Pacemaker's input.yaml."),
        'train': ('aiida_autopipec.cli.train:cmd_train', 'Train potentials, and import those trained before.'),
        'potential': ('aiida_autopipec.cli.potential:cmd_potential', 'Hand potentials on: to LAMMPS, ASE and people.'),
        'watch': ('aiida_autopipec.cli.watch:cmd_watch', 'Look on while potentials are trained.'),
        'demo': (
            'aiida_autopipec.cli.demo.command:cmd_demo',
            'Train a potential on real data in a throw-away profile.',
        ),
    }
)
"""Where each command is, and its short help."""


class LazyGroup(click.Group):
    """Imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(':')
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section('Commands'):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group('aiida-autopipec', cls=LazyGroup, context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, package_name='aiida-autopipec')
def cmd_root() -> None:
    """Train Atomic Cluster Expansion potentials with Pacemaker, with full provenance."""
