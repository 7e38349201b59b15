"""Fixtures of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest
from click.testing import CliRunner, Result

from aiida_autopipec.cli.root import cmd_root


@pytest.fixture
def run_cli() -> Callable[..., Result]:
    """Return a function that runs the command line; nothing that it does may end in a traceback."""

    def run(*arguments: object, fails: bool = False) -> Result:
        result = CliRunner().invoke(cmd_root, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        assert 'Traceback' not in result.output
        assert (result.exit_code != 0) is fails, result.output
        return result

    return run


@pytest.fixture
def extxyz(tmp_path: Path, make_atoms: Callable[..., list[Any]]) -> Callable[..., Path]:
    """Return a function that writes labelled structures to a file."""

    def write(name: str = 'data.extxyz', n: int = 6, **options: Any) -> Path:
        path = tmp_path / name
        ase.io.write(path, make_atoms(n, **options), format='extxyz')
        return path

    return write


@pytest.fixture
def dataset(aiida_profile_clean: Any, make_atoms: Callable[..., list[Any]]) -> Callable[..., Any]:
    """Return a function that stores a dataset."""
    from aiida_autopipec.data.dataset import PaceDatasetData

    def store(n: int = 6, **options: Any) -> Any:
        return PaceDatasetData.from_atoms(make_atoms(n, **options)).store()

    return store
