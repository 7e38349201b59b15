"""The command line, written from click's own commands."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LOGGER = logging.getLogger(__name__)


def context_of(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    """Return the context that a command has when it is called."""
    return click.Context(command, info_name=name, parent=parent, **command.context_settings)


class CommandsDirective(SphinxDirective):
    """``click-commands``: a command group with everything below it.

    The argument is ``module:object``, the second one the name of the program.
    """

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return one section per command."""
        module, _, name = self.arguments[0].partition(':')
        try:
            command = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            LOGGER.warning('the command line cannot be documented: %s', error, location=self.get_location())
            return [nodes.paragraph(text='The command line could not be imported when this page was built.')]
        return list(self.describe(command, context_of(command, self.arguments[1])))

    def describe(self, command: click.Command, context: click.Context) -> Any:
        """Yield the section of a command, then those of its subcommands."""
        from autopipec_reference import code, inline, table

        path = context.command_path
        section = nodes.section(ids=[path.replace(' ', '-')])
        section += nodes.title(text=path)
        for paragraph in (command.help or command.short_help or '').replace('\b', '').split('\n\n'):
            section += inline(' '.join(paragraph.split()))
        usage = command.get_usage(context).removeprefix('Usage: ')
        section += nodes.literal_block(usage, usage, language='text')
        records = [record for item in command.params if (record := item.get_help_record(context))]
        if records:
            rows = [(code(names), inline(text)) for names, text in records]
            section += table(['Option', 'Meaning'], rows, [40, 60])
        yield section
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None and not child.hidden:
                    yield from self.describe(child, context_of(child, name, context))
