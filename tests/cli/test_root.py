"""The group of all commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from aiida_autopipec.cli.root import COMMANDS, cmd_root


def test_help_does_not_import_aiida(tmp_path: Path) -> None:
    """`--help` is fast and leaves the user's home alone, as aiida is not imported for it, nor to ask about `demo`."""
    program = (
        'import sys; from click.testing import CliRunner; from aiida_autopipec.cli.root import cmd_root; '
        "calls = (['--help'], ['demo', '--help'], ['train', '--help']); "
        "print([CliRunner().invoke(cmd_root, call).exit_code for call in calls], 'aiida' in sys.modules)"
    )
    environment = {**os.environ, 'HOME': str(tmp_path)}
    environment.pop('AIIDA_PATH', None)
    printed = subprocess.run(
        [sys.executable, '-c', program], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split('\n')[0] == '[0, 0, 0] False'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', COMMANDS)
def test_commands_exist_and_explain_themselves(name: str) -> None:
    """Every command that is listed can be imported, has its name, and says what it does."""
    command = cmd_root.get_command(click.Context(cmd_root), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_unknown_command_is_refused(run_cli: Callable[..., Result]) -> None:
    """An unknown command is named."""
    assert "No such command 'trian'" in run_cli('trian', fails=True).output
