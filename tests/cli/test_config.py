"""The commands around input.yaml."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from aiida_autopipec.pacemaker.input_files import check_input, template_config, template_text

Run = Callable[..., Result]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Return an input that is in order."""
    path = tmp_path / 'good.yaml'
    path.write_text(template_text(template_config(['Al', 'Ni'])))
    return path


@pytest.fixture
def old(tmp_path: Path, good: Path) -> Path:
    """Return an input with a dead key and names of files."""
    path = tmp_path / 'old.yaml'
    path.write_text('cutoff: 8\ndata: {filename: mine.pckl.gzip}\n' + good.read_text())
    return path


@pytest.fixture
def wrong(tmp_path: Path, good: Path) -> Path:
    """Return an input with a misspelt key."""
    path = tmp_path / 'wrong.yaml'
    path.write_text(good.read_text().replace('maxiter: 100', 'maxitr: 100'))
    return path


def test_a_good_input_is_in_order(run_cli: Run, good: Path) -> None:
    """The check of a good input ends with 0, strict or not."""
    assert f'{good}: in order\n' in run_cli('config', 'check', good).output
    assert 'note:' not in run_cli('config', 'check', good, '--strict', '--no-notes').output


def test_errors_have_file_line_and_remedy(run_cli: Run, good: Path, wrong: Path) -> None:
    """The check of several files goes through all of them and ends with 1 if one has an error."""
    output = run_cli('config', 'check', wrong, good, fails=True).output
    line = (
        wrong.read_text().splitlines().index(next(line for line in wrong.read_text().splitlines() if 'maxitr' in line))
    )
    assert f'{wrong}:{line + 1}: error: fit.maxitr: unknown key; did you mean fit.maxiter?' in output
    assert f'{good}: in order' in output


def test_advice_counts_when_strict(run_cli: Run, old: Path) -> None:
    """Advice is shown with its line, and is an error only with --strict."""
    output = run_cli('config', 'check', old).output
    assert f'{old}:1: advice: cutoff: ' in output
    assert f'{old}:2: advice: data.filename: ' in output
    run_cli('config', 'check', old, '--strict', fails=True)


def test_the_settings_can_be_written(run_cli: Run, old: Path, tmp_path: Path, wrong: Path) -> None:
    """What is written are the settings without names of files and dead keys; nothing is overwritten unasked."""
    target = tmp_path / 'final.yaml'
    run_cli('config', 'check', old, '--write', target)
    assert check_input(target.read_text()).settings().to_dict() == check_input(old.read_text()).settings().to_dict()
    run_cli('config', 'check', target, '--strict')
    assert '--force' in run_cli('config', 'check', old, '--write', target, fails=True).output
    assert 'only one' in run_cli('config', 'check', old, wrong, '--write', tmp_path / 'x', fails=True).output
    run_cli('config', 'check', wrong, '--write', tmp_path / 'x', fails=True)
    assert not (tmp_path / 'x').exists()


def test_what_is_no_input_is_one_sentence(run_cli: Run, tmp_path: Path) -> None:
    """Binary files and broken YAML end in a sentence."""
    (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
    assert 'is no text' in run_cli('config', 'check', tmp_path / 'binary', fails=True).output
    (tmp_path / 'broken.yaml').write_text('a: [1')
    assert 'error: it is not YAML' in run_cli('config', 'check', tmp_path / 'broken.yaml', fails=True).output


def test_keys_are_explained(run_cli: Run) -> None:
    """A key is explained by its name, and an unknown one is named with the nearest."""
    assert 'Weight of forces' in run_cli('config', 'explain', 'kappa').output
    assert 'fit.loss.kappa' in run_cli('config', 'explain', 'kapa', fails=True).output
    assert 'fit.loss.kappa' in run_cli('config', 'explain').output
    assert 'there is no file' in run_cli('config', 'explain', 'missing.yaml', fails=True).output


def test_a_file_is_explained(run_cli: Run, old: Path, wrong: Path) -> None:
    """The explained file is an input with its defaults commented out, and with what was left out at the end."""
    output = run_cli('config', 'explain', old).output
    assert '# default.' in output
    assert '# 1: advice: cutoff' in output
    assert check_input(output).settings().to_dict() == check_input(old.read_text()).settings().to_dict()
    assert 'fit.maxitr' in run_cli('config', 'explain', wrong, fails=True).output


def test_a_template_is_in_order(run_cli: Run, tmp_path: Path) -> None:
    """A template passes the strict check, on the screen and as a file."""
    path = tmp_path / 'new.yaml'
    run_cli('config', 'template', '--elements', 'Al, Ni', '--output', path)
    run_cli('config', 'check', path, '--strict')
    assert run_cli('config', 'template', '--elements', 'Al, Ni').output == path.read_text()
    assert 'Xx' in run_cli('config', 'template', '--elements', 'Xx', fails=True).output
    assert '--data' in run_cli('config', 'template', fails=True).output


def test_a_template_follows_a_protocol(run_cli: Run, extxyz: Callable[..., Path], tmp_path: Path) -> None:
    """With data, elements and cutoff come from them, with reasons, and the result passes the check."""
    path = tmp_path / 'new.yaml'
    run_cli('config', 'template', '--data', extxyz(n=20), '--protocol', 'fast', '--output', path)
    assert check_input(path.read_text()).settings().elements == ('Al',)
    assert '# protocol fast' in path.read_text()
    assert 'fasst' in run_cli('config', 'template', '--data', extxyz(), '--protocol', 'fasst', fails=True).output
    assert '--data' in run_cli('config', 'template', '--elements', 'Al', '--protocol', 'fast', fails=True).output


def test_no_profile_is_touched(tmp_path: Path, good: Path) -> None:
    """The commands leave the user's home alone: they do not import aiida."""
    program = (
        'import sys; from click.testing import CliRunner; from aiida_autopipec.cli.root import cmd_root; '
        f"calls = (['check', {str(good)!r}], ['explain'], ['template', '--elements', 'Al']); "
        "print([CliRunner().invoke(cmd_root, ['config', *call]).exit_code for call in calls], 'aiida' in sys.modules)"
    )
    home = tmp_path / 'home'
    home.mkdir()
    environment: dict[str, Any] = {**os.environ, 'HOME': str(home)}
    environment.pop('AIIDA_PATH', None)
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[0, 0, 0] False'
    assert list(home.iterdir()) == []
