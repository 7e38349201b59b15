"""A folder as a user of Pacemaker has it, made by the real Pacemaker outside of AiiDA."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml


def write_table(path: Path, images: list[Any]) -> None:
    """Write a dataset as users do: no names, corrected energies, whatever pandas this is."""
    columns = {
        'ase_atoms': [image.copy() for image in images],
        'energy_corrected': [image.get_potential_energy() for image in images],
        'forces': [np.array(image.get_forces()) for image in images],
    }
    pd.DataFrame(columns).to_pickle(path, compression='gzip', protocol=4)


@pytest.fixture(scope='session')
def fit_once(
    tmp_path_factory: pytest.TempPathFactory,
    make_atoms: Callable[..., list[Any]],
    make_config: Callable[[], dict[str, Any]],
) -> Path:
    """Return the folder of a finished fit, with old and misspelt keys in its input, and a test set of its own."""
    folder = tmp_path_factory.mktemp('old') / 'fit of last year'
    folder.mkdir()
    write_table(folder / 'mine.pckl.gzip', make_atoms(20))
    settings = make_config()
    settings = {
        'cutoff': 8.0,
        **settings,
        'data': {'filename': 'mine.pckl.gzip', 'test_size': 0.2},
        'fit': {**settings['fit'], 'maxitr': 7},
    }
    (folder / 'input.yaml').write_text(yaml.safe_dump(settings, sort_keys=False))
    subprocess.run(
        [str(Path(sys.executable).parent / 'pacemaker')],
        cwd=folder,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def fit(fit_once: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, to be damaged."""
    folder = tmp_path / 'fit'
    shutil.copytree(fit_once, folder)
    return folder
