"""The real Pacemaker's programs on the very file that a training job uploads, and their files in the safe reader."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiida_autopipec.pacemaker import filenames, load_pacemaker_dataset
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures, concatenate
from aiida_autopipec.pacemaker.pickles import read_frame

pytestmark = pytest.mark.pacemaker

PROGRAMS = {
    'pacemaker': ['input.yaml'],
    'pace_activeset': ['output_potential.yaml', '-d', filenames.TRAINING_SET],
    'pace_select': ['-p', 'output_potential.yaml', '-m', '10', filenames.TRAINING_SET],
    'pace_augment': ['output_potential.yaml', '-d', filenames.TRAINING_SET, '-a', 'output_potential.asi'],
}


@pytest.fixture(scope='module')
def hashes(job: Path) -> list[str]:
    """Run all programs on the files of the job; return the hash of the training set before and after each."""

    def fingerprint() -> str:
        return hashlib.sha256((job / filenames.TRAINING_SET).read_bytes()).hexdigest()

    found = [fingerprint()]
    for program, arguments in PROGRAMS.items():
        executable = Path(sys.executable).parent / program
        result = subprocess.run([executable, *arguments], cwd=job, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f'{program}: {result.stderr[-2000:]}'
        found.append(fingerprint())
    return found


def test_every_program_takes_the_file_and_leaves_it_alone(hashes: list[str]) -> None:
    """pacemaker, pace_activeset, pace_select and pace_augment end well, and not a byte of the dataset changes."""
    assert len(set(hashes)) == 1


@pytest.mark.usefixtures('hashes')
def test_what_pacemaker_read_is_what_was_written(job: Path, structures: list[LabelledStructures]) -> None:
    """The energies and forces that Pacemaker reports as its reference are those of the dataset, bit by bit."""
    given = concatenate(structures)
    frame = read_frame(job / 'train_pred.pckl.gzip')
    rows = frame.index
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(given)))
    np.testing.assert_array_equal(frame.columns['energy_corrected'], given.energy_corrected[rows])
    np.testing.assert_array_equal(frame.atom_columns['forces'], given.take(rows).forces)
    assert frame.atom_columns['forces_pred'].shape == frame.atom_columns['forces'].shape


@pytest.mark.usefixtures('hashes')
@pytest.mark.parametrize('name', ['fitting_data_info', 'test_data_info', 'train_pred', 'test_pred'])
def test_files_of_a_training_are_read(job: Path, name: str) -> None:
    """Every table that a training leaves behind is read, with structures or without."""
    frame = read_frame(job / f'{name}.pckl.gzip')
    assert len(frame) == (3 if name.startswith('test') else 67)
    assert (frame.numbers is None) == name.endswith('pred')


@pytest.mark.usefixtures('hashes')
def test_selected_structures_are_read(job: Path, structures: list[LabelledStructures]) -> None:
    """The rows that pace_select chose have the forces of the rows that they say they are."""
    given = concatenate(structures)
    frame = read_frame(job / 'selected.pkl.gz')
    assert 0 < len(frame) <= 10
    assert frame.atom_columns['forces'].tobytes() == given.take(frame.index).forces.tobytes()


@pytest.mark.usefixtures('hashes')
def test_augmented_structures_are_read(job: Path) -> None:
    """The structures that pace_augment made up, whose names are not unique, are a dataset."""
    assert len(load_pacemaker_dataset(job / 'aug_df.pkl.gz', names='content')) > 0
