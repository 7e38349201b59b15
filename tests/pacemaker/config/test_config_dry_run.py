"""The real Pacemaker accepts what the model accepts, and builds the basis that was asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from aiida_autopipec.pacemaker.config import render_input_yaml, validate_config

pytestmark = pytest.mark.pacemaker

#: functions per species block, counted by hand from nradmax_by_orders and lmax_by_orders of the examples
FUNCTIONS = {
    'unary': {'Al': 9},
    'binary': {'Al': 9, 'Ni': 9, 'Al Ni': 6, 'Ni Al': 6},
    'limited': {'Al': 5, 'Ni': 5, 'Al Ni': 5, 'Ni Al': 5},
    'ladder': {'Al': 9},
}


def pacemaker() -> str:
    """Return the program beside the running Python, or on the path."""
    beside = Path(sys.executable).with_name('pacemaker')
    found = str(beside) if beside.exists() else shutil.which('pacemaker')
    if found is None:
        pytest.skip("needs the real Pacemaker: pip install 'aiida-autopipec[pacemaker]'")
    return found


def write_dataset(path: Path, elements: tuple[str, ...]) -> None:
    """Write six rattled fcc cells with smooth made-up labels."""
    import pandas as pd
    from ase.build import bulk

    cells = [bulk(element, 'fcc', a=4.0 + 0.1 * n, cubic=True) for n in range(3) for element in elements]
    for n, atoms in enumerate(cells):
        atoms.symbols[0] = elements[-1]
        atoms.rattle(0.05, seed=n)
    columns = {
        'ase_atoms': cells,
        'energy_corrected': [-3.0 * len(atoms) + 0.1 * n for n, atoms in enumerate(cells)],
        'forces': [np.full((len(atoms), 3), 0.01) for atoms in cells],
    }
    pd.DataFrame(columns).to_pickle(path, compression='gzip', protocol=4)


def dry_run(folder: Path) -> None:
    """Run ``pacemaker --dry-run`` in a folder and fail with its traceback if it does."""
    done = subprocess.run(
        [pacemaker(), '--dry-run'],
        cwd=folder,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_dry_run_builds_the_basis(tmp_path: Path, config: dict[str, Any], config_name: str) -> None:
    """``pacemaker --dry-run`` ends with 0 and its basis has the size that the configuration asks for."""
    checked = validate_config(config)
    write_dataset(tmp_path / 'train.pckl.gzip', checked.elements)
    (tmp_path / 'input.yaml').write_text(render_input_yaml(checked, train_filename='train.pckl.gzip'))

    dry_run(tmp_path)

    basis = yaml.safe_load((tmp_path / 'target_potential.yaml').read_text())
    assert {block['speciesblock']: len(block['nbody']) for block in basis['species']} == FUNCTIONS[config_name]
    assert f'{checked.cutoff:.3f} A' in (tmp_path / 'log.txt').read_text()


@pytest.mark.parametrize('section', [{}, {'potential': {'reset': True}}])
def test_energies_stay_as_they_are_in_an_upfit(tmp_path: Path, unary: dict[str, Any], section: dict[str, Any]) -> None:
    """Reference energies in the metadata of a given potential do not overwrite the dataset's ``energy_corrected``."""
    write_dataset(tmp_path / 'train.pckl.gzip', ('Al',))
    (tmp_path / 'input.yaml').write_text(render_input_yaml(validate_config(unary), train_filename='train.pckl.gzip'))
    dry_run(tmp_path)
    potential = yaml.safe_load((tmp_path / 'target_potential.yaml').read_text())
    potential['metadata'] = {'reference_energy': '{"Al": 1.0}'}
    (tmp_path / 'given.yaml').write_text(yaml.safe_dump(potential, default_flow_style=None))
    text = render_input_yaml(
        validate_config(section), train_filename='train.pckl.gzip', initial_potential_filename='given.yaml'
    )
    (tmp_path / 'input.yaml').write_text(text)

    dry_run(tmp_path)

    log = (tmp_path / 'log.txt').read_text()
    assert "loaded from file 'given.yaml'" in log
    assert 'reference_energy' not in log
