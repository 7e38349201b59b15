"""The scripts in `examples/`, run with the real Pacemaker and few iterations."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import load_code
from ase.io import read

from aiida_autopipec.data.dataset import PaceDatasetData

EXAMPLES = Path(__file__).parents[2] / 'examples'
DATA = EXAMPLES / 'data' / 'al-lda' / 'al-lda.extxyz'

pytestmark = pytest.mark.pacemaker


def load(name: str) -> Any:
    """Import a script; AiiDA stores checkpoints of its classes by the name of the module, which must be importable."""
    spec = importlib.util.spec_from_file_location(f'example_{name}', EXAMPLES / f'{name}.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_train_gives_a_potential(register_codes: Callable[[], None]) -> None:
    """`examples/train.py` trains, exports and computes the active set."""
    register_codes()
    node = load('train').main([str(DATA), '--run', '--iterations', '3'])
    assert node.is_finished_ok, node.exit_message
    assert {'potential', 'lammps_potential', 'active_set', 'predictions'} <= set(node.outputs)


def test_update_goes_on_from_the_last_potential(register_codes: Callable[[], None]) -> None:
    """`examples/update.py` trains twice; the second round holds all data, and starts where the first one ended."""
    register_codes()
    frames = read(DATA, index=':')
    alone = [frame for frame in frames if frame.info['name'] == 'isolated-atom']
    small = [frame for frame in frames if frame.info['config_type'] == 'fcc']
    rounds = {'a': PaceDatasetData.from_atoms(alone + small[::2]), 'b': PaceDatasetData.from_atoms(small[1::2])}
    config = copy.deepcopy(load('train').CONFIG)
    config['fit']['maxiter'] = 3
    config['potential']['functions']['ALL'] = {'nradmax_by_orders': [3], 'lmax_by_orders': [0]}
    train = {
        'config': config,
        'reference': {'method': 'isolated_atoms'},
        'pace_train': {'code': load_code('pacemaker@localhost')},
    }
    outputs, node = run_get_node(load('update').UpdateInRounds, rounds=rounds, train=train)
    assert node.is_finished_ok, node.exit_message
    assert outputs['dataset'].n_structures == 1 + len(small)
    first, second = sorted(node.called, key=lambda called: called.pk)
    curves = [called.outputs.learning_curve.get_array('loss') for called in (first, second)]
    assert curves[1][0] < curves[0][0]


def test_without_aiida_trains_and_judges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`examples/without_aiida.py` prepares, trains and says whether the fit is good for something."""
    load('without_aiida').main([str(DATA), str(tmp_path), '--iterations', '3'])
    assert capsys.readouterr().out.startswith('healthy: loss')
    assert (tmp_path / 'output_potential.yaml').exists()
