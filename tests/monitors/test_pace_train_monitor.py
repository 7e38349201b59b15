"""The monitor that stops a hopeless training."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, InstalledCode

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.monitors.pace_train import monitor_pace_train
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

METRICS = (Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'metrics.txt').read_text()


def diverged(text: str) -> str:
    """Return metrics whose last loss is not a number."""
    *rows, last = text.splitlines()
    words = last.split()
    words[3] = 'nan'
    return '\n'.join([*rows, ' '.join(words)]) + '\n'


@pytest.fixture
def look(aiida_localhost, tmp_path):
    """Return a function that lets the monitor look at the metrics of a running job."""

    def run(text):
        node = CalcJobNode(computer=aiida_localhost)
        node.set_remote_workdir(str(tmp_path))
        if text is not None:
            (tmp_path / 'metrics.txt').write_bytes(text.encode('latin-1'))
        with aiida_localhost.get_transport() as transport:
            return monitor_pace_train(node, transport)

    return run


@pytest.mark.parametrize(
    'text',
    [
        None,
        '',
        METRICS.splitlines()[0] + '\n',
        METRICS,
        METRICS[:-40],
        diverged(METRICS).removesuffix('\n'),
        'no metrics at all\n',
        '\xff\xfe\x00',
    ],
)
def test_a_training_that_may_be_healthy_goes_on(look, text):
    """As long as the last whole row has a finite loss, or nothing can be read, nothing is done."""
    assert look(text) is None


@pytest.mark.parametrize('value', ['nan', 'inf', '-inf'])
def test_a_loss_that_is_not_finite_stops_the_training(look, value):
    """A loss that is no number stops the job, and leaves the exit code to the parser."""
    result = look(diverged(METRICS).replace('nan', value))
    assert result.override_exit_code is False
    assert result.retrieve
    assert result.parse
    assert f'the loss is {value} after 5 iterations' in result.message


def test_a_stopped_training_says_that_it_diverged(localhost, make_atoms, config, tmp_path):
    """Attached to a real job, the monitor ends it early, and the parser says why and keeps the curve."""
    program = tmp_path / 'pacemaker'
    (tmp_path / 'nan.txt').write_text(diverged(METRICS))
    program.write_text(
        f'#!/bin/sh\ncp {tmp_path}/nan.txt metrics.txt\nexec {sys.executable} -c "import time; time.sleep(60)"\n'
    )
    program.chmod(0o755)
    structures = LabelledStructures.from_atoms(make_atoms(4))
    _, node = run_get_node(
        PaceTrainCalculation,
        code=InstalledCode(label='sleeper', computer=localhost, filepath_executable=str(program)).store(),
        dataset=PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)),
        config=config,
        monitors={'loss': Dict({'entry_point': 'autopipec.pace_train'})},
    )
    assert node.exit_status == 331, (node.exit_status, node.exit_message)
    assert (node.mtime - node.ctime).total_seconds() < 40
    assert len(node.outputs.learning_curve.get_array('loss')) == 6
