"""The script that finds Pacemaker's Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

FINDER = Path(str(resources.files('aiida_autopipec.remote') / 'with_pacemaker_python.sh'))


@pytest.fixture
def folder(tmp_path):
    """Return a folder whose path has a space in it."""
    path = tmp_path / 'with space'
    path.mkdir()
    return path


@pytest.fixture
def python(folder):
    """Return a Python that has Pacemaker, as far as it can be seen, and says which one it is."""
    (folder / 'site' / 'pyace').mkdir(parents=True)
    (folder / 'site' / 'pyace' / '__init__.py').touch()
    path = folder / 'right-python'
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}/site" FOUND="$0" exec {sys.executable} -S "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def find(folder):
    """Return a function that runs a script by the Python of an executable, and returns what it says."""
    (folder / 'script.py').write_text('import os, sys\nprint(os.environ.get("FOUND"), *sys.argv[1:])\n')
    empty = folder / 'empty'
    empty.mkdir()
    for tool in ('sh', 'sed', 'dirname', 'readlink', 'env'):
        (empty / tool).symlink_to(shutil.which(tool))

    def run(executable, *, path=''):
        command = ['sh', str(FINDER), str(executable), str(folder / 'script.py'), 'train', 'two words']
        environment = {'PATH': f'{path}:{empty}' if path else str(empty)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


def executable(path, text):
    """Write an executable file."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_first_line_that_names_it(folder, python, find):
    """The interpreter in the first line is taken, and arguments with spaces arrive whole."""
    result = find(executable(folder / 'pacemaker', f'#!{python}\nimport pyace\n'))
    assert result.stdout == f'{python} train two words\n'


def test_a_first_line_with_env(folder, python, find):
    """`/usr/bin/env NAME` is looked up on the PATH."""
    result = find(executable(folder / 'pacemaker', '#!/usr/bin/env right-python\nimport pyace\n'), path=str(folder))
    assert result.stdout.startswith(str(python))


@pytest.mark.parametrize(
    'line',
    [
        '\'\'\'exec\' "{python}" "$0" "$@"',  # pip, where the path has a space
        "'''exec' '{python}' \"$0\" \"$@\"",  # uv
    ],
)
def test_a_shell_script_that_hides_it(folder, python, find, line):
    """Where the path is long or has spaces, installers write a small shell script that is Python too."""
    text = '#!/bin/sh\n' + line.format(python=python) + "\n' '''\nimport pyace\n"
    assert find(executable(folder / 'pacemaker', text)).stdout.startswith(str(python))


def test_a_shell_script_with_a_long_path(tmp_path, python, find):
    """Pip writes the path without quotes where it has no space."""
    link = tmp_path / 'python-without-space'
    link.symlink_to(python)
    text = f"#!/bin/sh\n'''exec' {link} \"$0\" \"$@\"\n' '''\nimport pyace\n"
    assert find(executable(tmp_path / 'pacemaker', text)).stdout.startswith(str(link))


def test_a_wrapper_beside_it(folder, python, find):
    """A wrapper names no Python, but one may lie beside it."""
    (folder / 'python').symlink_to(python)
    wrapper = executable(folder / 'pacemaker', '#!/bin/bash\nmodule load pacemaker\nexec pacemaker "$@"\n')
    assert find(wrapper).stdout.startswith(str(folder / 'python'))


def test_a_link_to_the_executable(folder, python, find, tmp_path):
    """The Python beside the file that a link leads to is found."""
    (folder / 'python').symlink_to(python)
    wrapper = executable(folder / 'pacemaker', '#!/bin/sh\n')
    link = tmp_path / 'bin-pacemaker'
    link.symlink_to(wrapper)
    assert find(link).stdout.startswith(str(folder / 'python'))


def test_one_on_the_path(folder, python, find):
    """After a module was loaded, the Python is the one on the PATH, and so is the program."""
    tools = folder / 'tools'
    tools.mkdir()
    (tools / 'python3').symlink_to(python)
    wrapper = executable(folder / 'pacemaker', '#!/bin/sh\n')
    assert find(wrapper, path=str(tools)).stdout.startswith(str(tools / 'python3'))
    executable(tools / 'pacemaker', f'#!{python}\n')
    assert find('pacemaker', path=str(tools)).stdout.startswith(str(python))


@pytest.mark.parametrize('text', ['#!/bin/sh\n', '#!/nowhere/python\n', '\x7fELF\x00\x01', ''])
def test_none_anywhere(folder, find, text):
    """Where there is no Python with Pacemaker the script says so, and nothing is run."""
    result = find(executable(folder / 'pacemaker', text))
    assert result.returncode == 1
    assert 'no Python with pyace was found' in result.stderr
    assert result.stdout == ''


def test_a_program_that_is_not_there(find):
    """A missing program gives the same sentence."""
    assert 'no Python with pyace was found for /nowhere/pacemaker' in find('/nowhere/pacemaker').stderr
