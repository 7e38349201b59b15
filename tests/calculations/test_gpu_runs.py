"""Real trainings with TensorFlow that ask for a GPU which is not there.

They need an environment with `tensorpotential`: that of the remote computer which `tests/hpc/up` makes, or one whose
`bin` folder is named by `AUTOPIPEC_TENSORPOT_BIN`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation

CODES = PaceTrainCalculation.exit_codes


def tensorpot_bin() -> Path | None:
    """Return the folder of a Pacemaker that has the evaluator `tensorpot`."""
    if stated := os.environ.get('AUTOPIPEC_TENSORPOT_BIN'):
        return Path(stated)
    description = Path(os.environ.get('AUTOPIPEC_HPC', '/nowhere')) / 'computer.json'
    return Path(json.loads(description.read_text())['programs']) if description.is_file() else None


BIN = tensorpot_bin()

pytestmark = [
    pytest.mark.pacemaker,
    pytest.mark.skipif(BIN is None, reason='needs AUTOPIPEC_TENSORPOT_BIN or AUTOPIPEC_HPC, see above'),
]


@pytest.fixture(scope='module')
def train(localhost, make_dataset, make_config):
    """Return a function that trains with TensorFlow on this computer, which has no GPU."""
    hidden = 'export OMP_NUM_THREADS=1\nexport CUDA_VISIBLE_DEVICES=-1'
    code = InstalledCode(
        label='tensorpot',
        computer=localhost,
        filepath_executable=f'{BIN}/pacemaker',
        prepend_text=hidden,
    ).store()
    inputs = {
        'code': code,
        'dataset': make_dataset(),
        'config': make_config() | {'backend': {'evaluator': 'tensorpot'}},
    }

    def run(**options):
        _, node = run_get_node(PaceTrainCalculation, **inputs, metadata={'options': options})
        return node

    return run


def test_a_gpu_that_is_not_there_ends_the_job(train):
    """The job ends before Pacemaker begins, and the message says what the computer shows."""
    node = train(gpus=1)
    assert node.exit_status == CODES.ERROR_GPU_NOT_FOUND.status
    assert 'shows no GPU' in node.exit_message
    assert 'pacemaker.err' not in node.outputs.retrieved.list_object_names()
    environment = node.outputs.environment.get_dict()
    assert environment['tensorflow_gpus'] == 0
    assert environment['variables']['CUDA_VISIBLE_DEVICES'] == '-1'
    assert environment['packages']['tensorpotential']


def test_the_cpu_where_it_will_do(train):
    """With `required: False` it trains on the CPU, gives its potential, and says so."""
    node = train(gpus={'count': 1, 'required': False})
    assert node.exit_status == CODES.WARNING_TRAINED_ON_CPU.status
    assert 'on the CPU although a GPU was asked for' in node.exit_message
    assert {'potential', 'learning_curve', 'environment'} <= set(node.outputs)


def test_nobody_asked_for_a_gpu(train):
    """Without a request the CPU is what was wanted, and TensorFlow is not loaded twice."""
    node = train()
    assert node.exit_status == 0, node.exit_message
    assert node.outputs.environment['tensorflow_gpus'] is None
    assert node.outputs.environment['probe_seconds'] < 5
