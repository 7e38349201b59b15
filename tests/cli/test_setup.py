"""Registering Pacemaker's programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from aiida_autopipec.cli.cluster import parse_cluster
from aiida_autopipec.pacemaker.errors import ConfigError

Run = Callable[..., Result]
EXAMPLES = Path(__file__).parents[2] / 'examples' / 'computers'


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """Return a folder with two of the programs."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in ('pacemaker', 'pace_select'):
        (folder / name).touch(mode=0o755)
    return folder


def labels() -> list[str]:
    """Return the labels of all codes."""
    from aiida.orm import InstalledCode, QueryBuilder

    return sorted(code.full_label for code in QueryBuilder().append(InstalledCode).all(flat=True))


def test_programs_of_a_folder_become_codes(
    run_cli: Run, aiida_profile_clean: Any, aiida_localhost: Any, bin_dir: Path
) -> None:
    """What is found is registered by name, what is missing is named; a second run changes nothing."""
    arguments = ('setup', '--computer', aiida_localhost.label, '--bin-dir', bin_dir, '--prepend-text', 'module load x')
    first = run_cli(*arguments)
    expected = [f'pace_select@{aiida_localhost.label}', f'pacemaker@{aiida_localhost.label}']
    assert labels() == expected
    assert f'pacemaker@{aiida_localhost.label}: new' in first.output
    assert 'missing    pace_yaml2yace' in first.output
    second = run_cli(*arguments)
    assert labels() == expected
    assert f'pacemaker@{aiida_localhost.label}: there already' in second.output
    from aiida.orm import load_code

    assert load_code(expected[1]).prepend_text == 'module load x'


def test_suffix_tells_installations_apart(
    run_cli: Run, aiida_profile_clean: Any, aiida_localhost: Any, bin_dir: Path
) -> None:
    """Another installation on the same computer needs a suffix, and is refused without."""
    other = bin_dir.parent / 'other'
    bin_dir.rename(other)
    bin_dir.mkdir()
    (bin_dir / 'pacemaker').touch()
    run_cli('setup', '--computer', aiida_localhost.label, '--bin-dir', other)
    refused = run_cli('setup', '--computer', aiida_localhost.label, '--bin-dir', bin_dir, fails=True)
    assert '--label-suffix' in refused.output
    run_cli('setup', '--computer', aiida_localhost.label, '--bin-dir', bin_dir, '--label-suffix', '-new')
    assert f'pacemaker-new@{aiida_localhost.label}' in labels()


@pytest.mark.parametrize(
    ('folder', 'sentence'), [('/', 'none of the programs'), ('relative', 'not an absolute path'), (None, '--bin-dir')]
)
def test_wrong_folders_are_refused(
    run_cli: Run, aiida_profile_clean: Any, aiida_localhost: Any, folder: str | None, sentence: str
) -> None:
    """A folder without programs, a relative one, and none at all are refused, and nothing is stored."""
    stated = () if folder is None else ('--bin-dir', folder)
    assert sentence in run_cli('setup', '--computer', aiida_localhost.label, *stated, fails=True).output
    assert labels() == []


def test_unknown_computer_is_named(run_cli: Run, aiida_profile_clean: Any) -> None:
    """A computer that AiiDA does not know is named."""
    assert 'nowhere' in run_cli('setup', '--computer', 'nowhere', '--bin-dir', '/bin', fails=True).output


def test_one_way_has_to_be_chosen(run_cli: Run, aiida_profile_clean: Any) -> None:
    """Nothing and two things at once are refused."""
    assert 'Give one of' in run_cli('setup', fails=True).output
    assert 'Give one of' in run_cli('setup', '--localhost', '--computer', 'x', fails=True).output


def test_file_describes_computer_and_codes(
    run_cli: Run, aiida_profile_clean: Any, bin_dir: Path, tmp_path: Path
) -> None:
    """A computer and its codes come from one file, twice the same."""
    from aiida.orm import load_code, load_computer

    content = {
        'computer': {
            'label': 'here',
            'hostname': 'localhost',
            'transport': 'core.local',
            'scheduler': 'core.direct',
            'work_dir': str(tmp_path),
            'minimum_job_poll_interval': 0,
            'safe_interval': 0,
        },
        'codes': [{'bin_dir': str(bin_dir), 'label_suffix': '-gpu', 'prepend_text': '#SBATCH --gres=gpu:1'}],
    }
    path = tmp_path / 'cluster.yaml'
    path.write_text(yaml.safe_dump(content))
    run_cli('setup', '--config', path)
    assert 'there already' in run_cli('setup', '--config', path).output
    assert labels() == ['pace_select-gpu@here', 'pacemaker-gpu@here']
    assert load_code('pacemaker-gpu@here').prepend_text == '#SBATCH --gres=gpu:1'
    assert load_computer('here').get_minimum_job_poll_interval() == 0


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('[1, 2]', 'has to hold a mapping'),
        ('a: [', 'is not YAML'),
        ('computer: {label: a, hostname: b, work_dir: /c}', '`codes`'),
        ('{computer: {label: a, hostname: b, work_dir: /c, colour: red}, codes: [{bin_dir: /d}]}', '`computer.colour`'),
    ],
)
def test_wrong_files_are_refused(
    run_cli: Run, aiida_profile_clean: Any, tmp_path: Path, content: str, sentence: str
) -> None:
    """A file that is no description is refused, with the key that is wrong."""
    path = tmp_path / 'cluster.yaml'
    path.write_text(content)
    result = run_cli('setup', '--config', path, fails=True)
    assert sentence in result.output
    assert '--config' in result.output


@pytest.mark.parametrize('path', sorted(EXAMPLES.glob('*.yaml')), ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    """The files in `examples/computers` are what the command reads."""
    assert parse_cluster(yaml.safe_load(path.read_text())).codes


def test_unknown_key_of_codes_lists_the_known_ones() -> None:
    """A misspelt key is answered with the keys of its own section."""
    with pytest.raises(ConfigError, match=r'`codes\.0\.bindir` is unknown; known are bin_dir, label_suffix'):
        parse_cluster({'computer': {'label': 'a', 'hostname': 'b', 'work_dir': '/c'}, 'codes': [{'bindir': '/d'}]})


def test_localhost_from_nothing(tmp_path: Path, bin_dir: Path) -> None:
    """Without any profile, `setup --localhost --yes` makes profile, computer and codes, and again changes nothing."""
    environment = {**os.environ, 'HOME': str(tmp_path), 'AIIDA_PATH': str(tmp_path)}
    command = [str(Path(sys.executable).parent / 'aiida-autopipec'), 'setup', '--localhost', '--bin-dir', str(bin_dir)]

    def run(*more: str) -> str:
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=True, input='')
        return done.stdout

    first = run('--yes')
    assert 'profile    autopipec: new' in first
    assert 'code       pacemaker@localhost: new' in first
    second = run()
    assert 'new' not in second
    assert 'code       pacemaker@localhost: there already' in second
