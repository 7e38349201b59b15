"""The demo: the main job, as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import ase.io
import psutil
import pytest
from click.testing import Result

from aiida_autopipec.cli.demo.command import OUTPUTS
from aiida_autopipec.cli.demo.settings import CONFIG, example_file
from aiida_autopipec.pacemaker.config import validate_config

EXECUTABLE = Path(sys.executable).parent / 'aiida-autopipec'


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a user with this home folder, and a configuration of AiiDA in it."""
    return {**os.environ, 'HOME': str(home), 'AIIDA_PATH': str(home), 'TMPDIR': str(home / 'tmp')}


def processes_with(text: str) -> list[str]:
    """Return the names of running processes that have a text in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(text in value for value in process.environ().values()):
                found.append(' '.join(process.cmdline()))
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    """Make a home folder with a short name: the sockets of brokers are below it, and allow 107 characters."""
    with tempfile.TemporaryDirectory(prefix='h') as folder:
        yield Path(folder)


@pytest.mark.pacemaker
@pytest.mark.daemon
def test_demo_trains_a_potential_and_leaves_nothing_else(home: Path, tmp_path: Path) -> None:
    """The demo ends with 0, shows steps and errors, writes every file, and leaves the user's configuration alone."""
    output = tmp_path / 'results'
    (home / 'tmp').mkdir(parents=True)
    (home / '.aiida').mkdir()
    (home / '.aiida' / 'config.json').write_text('{"mine": true}')
    done = subprocess.run(
        [EXECUTABLE, 'demo', '--output', output],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for text in (
        'split',
        'check',
        'no_neighbours 1; nothing is dropped',
        'select',
        'iteration',
        'meV/atom',
        'QueryBuilder',
        str(output / 'potential.yace'),
    ):
        assert text in done.stdout
    assert '\x1b' not in done.stdout
    errors = json.loads((output / 'errors.json').read_text())['errors']
    assert errors['train']['rmse_energy_mev_per_atom'] < 40
    assert errors['test']['rmse_energy_mev_per_atom'] < 60
    assert errors['test']['rmse_forces_mev_per_angstrom'] < 200
    assert json.loads((output / 'errors.json').read_text())['active_set']['singular_elements'] == []
    assert all((output / name).stat().st_size for name in ('potential.yaml', 'potential.yace', 'potential.asi'))
    for name in ('dataset.png', 'parity.png', 'learning_curve.png'):
        assert (output / name).read_bytes().startswith(b'\x89PNG')
        assert str(output / name) in done.stdout
    assert {path.name for path in output.iterdir()} == set(OUTPUTS)
    picture = (output / 'provenance.svg').read_text()
    assert ET.fromstring(picture).tag.endswith('svg')  # noqa: S314
    assert all(name in picture for name in ('al-lda.extxyz', 'split_dataset', 'PaceTrain', 'potential.yaml'))
    assert (home / '.aiida' / 'config.json').read_text() == '{"mine": true}'
    assert [path.name for path in (home / '.aiida').iterdir()] == ['config.json']
    assert list((home / 'tmp').glob('autopipec-demo-*')) == []


@pytest.mark.pacemaker
@pytest.mark.daemon
def test_interrupted_demo_leaves_no_process(home: Path, tmp_path: Path) -> None:
    """A demo that is told to end stops its daemon and its jobs, removes its profile, and says so."""
    (home / 'tmp').mkdir()
    process = subprocess.Popen(
        [EXECUTABLE, 'demo', '--output', tmp_path / 'results'],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while 'split' not in (line := process.stdout.readline()):
        assert line, process.communicate()
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == 'Error: interrupted; the daemon is stopped\n'
    assert list((home / 'tmp').glob('autopipec-demo-*')) == []
    assert processes_with(str(home / 'tmp')) == []


@pytest.mark.pacemaker
def test_results_are_not_overwritten(run_cli: Callable[..., Result], tmp_path: Path) -> None:
    """A file of an earlier demo is kept unless the user says so."""
    (tmp_path / 'potential.yaml').write_text('precious')
    assert '--force' in run_cli('demo', '--output', tmp_path, fails=True).output
    assert (tmp_path / 'potential.yaml').read_text() == 'precious'


def test_missing_programs_are_named(
    run_cli: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Pacemaker beside the running Python, the demo says how to install it."""
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python'))
    result = run_cli('demo', '--output', tmp_path / 'results', fails=True)
    assert "pip install 'aiida-autopipec[pacemaker]'" in result.output
    assert not (tmp_path / 'results').exists()


def test_data_and_settings_are_shipped() -> None:
    """The example data can be found and read, and the settings are valid."""
    assert len(ase.io.read(example_file(), index=':', format='extxyz')) >= 80
    validate_config(CONFIG)
