"""The command that brings a finished folder into the graph."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiida.orm import CalcJobNode, Group, QueryBuilder
from click.testing import Result

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    make_atoms: Callable[..., list[Any]],
    make_config: Callable[[], dict[str, Any]],
) -> Path:
    """Return the folder of a fit that the real Pacemaker made outside of AiiDA."""
    folder = tmp_path_factory.mktemp('old') / 'Al-2024'
    folder.mkdir()
    structures = LabelledStructures.from_atoms(make_atoms(12))
    save_to_pacemaker_format(structures.replace(energy_corrected=structures.energy), folder / 'mine.pckl.gzip')
    settings = {**make_config(), 'cutoff': 9.0, 'data': {'filename': 'mine.pckl.gzip'}}
    settings['fit']['maxitr'] = 7
    (folder / 'input.yaml').write_text(yaml.safe_dump(settings))
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'}
    program = str(Path(sys.executable).parent / 'pacemaker')
    subprocess.run([program], cwd=folder, env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def fit(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(finished, tmp_path / 'fit'))


@pytest.fixture
def computer(aiida_profile_clean: Any, code: Callable[[str], Any]) -> str:
    """Return the label of a computer with Pacemaker."""
    return str(code('pacemaker').computer.label)


def test_a_folder_is_imported(run_cli: Callable[..., Result], fit: Path, computer: str) -> None:
    """The command says what entered, what Pacemaker had ignored, and files the calculation."""
    output = run_cli('train', 'import', fit, '--computer', computer, '--label', 'old', '--group', 'fits').output
    assert 'imported PaceTrainCalculation<' in output
    assert 'fit.maxitr: was ignored by Pacemaker' in output
    (node,) = QueryBuilder().append(CalcJobNode).all(flat=True)
    assert node.is_imported
    assert node.is_finished_ok
    assert node.label == 'old'
    assert list(Group.collection.get(label='fits').nodes) == [node]
    for label in ('potential', 'learning_curve', 'predictions'):
        assert node.outputs[label].uuid in output
    assert node.inputs.dataset.uuid in output


def test_nothing_in_the_folder_is_changed(run_cli: Callable[..., Result], fit: Path, computer: str) -> None:
    """An import only reads."""
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in fit.rglob('*')}
    run_cli('train', 'import', fit, '--computer', computer)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in fit.rglob('*')} == before


def test_data_elsewhere_are_asked_for_and_given(
    run_cli: Callable[..., Result], fit: Path, computer: str, tmp_path: Path
) -> None:
    """Where the dataset is not in the folder, the message names the option, and the option takes the file."""
    shutil.move(fit / 'mine.pckl.gzip', tmp_path / 'moved.pckl.gzip')
    output = run_cli('train', 'import', fit, '--computer', computer, fails=True).output
    assert 'give it with --dataset' in ' '.join(output.split())
    assert QueryBuilder().append(CalcJobNode).count() == 0
    run_cli('train', 'import', fit, '--computer', computer, '--dataset', tmp_path / 'moved.pckl.gzip')


def test_a_fit_that_is_no_good_is_imported_with_its_verdict(
    run_cli: Callable[..., Result], fit: Path, computer: str
) -> None:
    """An interrupted fit enters, and the command says what it is."""
    (fit / 'output_potential.yaml').unlink()
    output = run_cli('train', 'import', fit, '--computer', computer).output
    assert '[400]' in output
    assert 'interim_potential' in output


@pytest.mark.parametrize('missing', ['input.yaml', 'potentials'])
def test_an_incomplete_folder_is_one_sentence(
    run_cli: Callable[..., Result], fit: Path, computer: str, missing: str
) -> None:
    """A folder without input or potential is refused with what to do."""
    for path in fit.glob('*.yaml'):
        if (path.name == 'input.yaml') is (missing == 'input.yaml'):
            path.unlink()
    output = ' '.join(run_cli('train', 'import', fit, '--computer', computer, fails=True).output.split())
    assert ('has no `input.yaml`' if missing == 'input.yaml' else 'has neither `output_potential.yaml`') in output
