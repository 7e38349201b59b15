"""What selections and active sets write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from aiida.orm import SinglefileData

from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.formats import load_pacemaker_dataset
from aiida_autopipec.pacemaker.selection.parameters import DEFAULT_STRATEGY

POTENTIAL = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'


@pytest.fixture
def copper():
    """Return a potential of copper under a name of its own."""
    return SinglefileData(POTENTIAL, filename='mine.yaml')


def programs_of(folder: Path) -> str:
    """Return the lines of a submission script that run something; the others are AiiDA's."""
    lines = (folder / '_aiidasubmit.sh').read_text().splitlines()
    return ''.join(f'{line.rstrip()}\n' for line in lines if line and not line.startswith(('#', 'exec ')))


def test_a_selection_by_potential(written, make_dataset, elsewhere, copper, file_regression):
    """The active set is always stated, so that none that lies there by accident is used."""
    folder = written(
        PaceSelectCalculation,
        code=elsewhere('pace_select'),
        dataset=make_dataset(4, symbol='Cu'),
        potential=copper,
        parameters={'strategy': 'maxvol', 'max_structures': 3, 'memory_limit': '8GB', 'batch_size': 2},
    )
    file_regression.check(programs_of(folder), extension='.sh')
    assert (folder / 'potential.yaml').read_text() == copper.get_content()


def test_a_selection_by_config_with_an_active_set(written, make_dataset, elsewhere, config, file_regression):
    """The basis is built first, by a dry run on one structure, and selects in the same job."""
    dataset = make_dataset(4)
    folder = written(
        PaceSelectCalculation,
        code=elsewhere('pace_select'),
        codes={'pacemaker': elsewhere('pacemaker')},
        dataset=dataset,
        config=config,
        active_set=SinglefileData.from_bytes(b'known', filename='mine.asi'),
    )
    file_regression.check(programs_of(folder), extension='.sh')
    settings = yaml.safe_load((folder / 'basis.yaml').read_text())
    assert settings['potential']['functions'] == config['potential']['functions']
    assert settings['data']['filename'] == 'basis.pckl.gzip'
    assert (folder / 'known.asi').read_bytes() == b'known'
    basis = load_pacemaker_dataset(folder / 'basis.pckl.gzip')
    assert len(basis) == 1
    assert not basis.forces.any()
    candidates = load_pacemaker_dataset(folder / 'candidates.pckl.gzip')
    assert candidates.names.tolist() == dataset.get_structures().names.tolist()


def test_a_selection_that_only_the_script_can_do(written, make_dataset, elsewhere, copper):
    """The program is not run where it would do something else; a Python that is stated is used."""
    folder = written(
        PaceSelectCalculation,
        code=elsewhere('pace_select'),
        codes={'python': elsewhere('python3')},
        dataset=make_dataset(4, symbol='Cu'),
        potential=copper,
        parameters={'fraction': 0.6},
        metadata={'options': {'max_memory_kb': 2 * 1024**2, 'max_wallclock_seconds': 60}},
    )
    programs = programs_of(folder)
    assert "'/opt/pacemaker/bin/pace_select'" not in programs
    assert '/opt/pacemaker/bin/python3 select_structures.py > select_structures.out' in programs
    settings = json.loads((folder / 'selection_settings.json').read_text())
    assert (settings['amount'], settings['in_atoms'], settings['strategy']) == (7, True, DEFAULT_STRATEGY)
    assert settings['memory_limit_mb'] == 2048
    assert settings['active_set'] is None
    with np.load(folder / 'candidates.npz') as index:
        assert len(index['fingerprints']) == 4
    assert all((folder / name).is_file() for name in filenames.SELECT_SCRIPTS)


def test_an_active_set(written, make_dataset, elsewhere, copper, file_regression):
    """The settings of the program arrive on its command line."""
    folder = written(
        PaceActivesetCalculation,
        code=elsewhere('pace_activeset'),
        dataset=make_dataset(4, symbol='Cu'),
        potential=copper,
        parameters={'force_error_threshold': 0.5, 'maxvol_refinement': 3},
    )
    file_regression.check(programs_of(folder), extension='.sh')
    assert (folder / 'output_potential.yaml').read_text() == copper.get_content()
