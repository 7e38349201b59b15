"""A GPU asked for through SLURM: the request in SLURM's own records, and what becomes of a GPU without a device."""

from __future__ import annotations

import pytest

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

pytestmark = [pytest.mark.hpc, pytest.mark.daemon]


@pytest.fixture(scope='module')
def node(programs, make_atoms, make_config, submit_to_daemon, wait_for_end):
    """Return a training that asked for a GPU, and was given one that TensorFlow cannot find."""
    structures = LabelledStructures.from_atoms(make_atoms(8))
    builder = PaceTrainCalculation.get_builder()
    builder.code = programs['pacemaker']
    builder.dataset = PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy))
    builder.config = {**make_config(), 'backend': {'evaluator': 'tensorpot'}}
    builder.metadata.options.gpus = {'count': 1, 'form': 'gpus-per-node'}
    return wait_for_end(submit_to_daemon(builder), seconds=120)


def test_slurm_gave_what_was_asked_for(node, computer_room):
    """SLURM's accounting has the GPU, and the job saw it in its variables."""
    assert 'gres/gpu=1' in computer_room.record(node.get_job_id(), 'AllocTRES')
    variables = node.outputs.environment['variables']
    assert variables['SLURM_JOB_ID'] == node.get_job_id()
    assert variables['SLURMD_NODENAME'] == computer_room.record(node.get_job_id(), 'NodeList')
    assert variables['CUDA_VISIBLE_DEVICES']


def test_the_training_ends_before_hours_are_lost(node):
    """There is no device behind it, so nothing is trained, and the exit code says so."""
    assert node.exit_status == PaceTrainCalculation.exit_codes.ERROR_GPU_NOT_FOUND.status, node.exit_message
    assert 'shows no GPU' in node.exit_message
    assert 'pacemaker.err' not in node.outputs.retrieved.list_object_names()


def test_the_memory_limit_is_that_of_the_job(node):
    """What the job may use is known, and never more than the machine has."""
    environment = node.outputs.environment
    assert environment['memory_limit_mb'] > 0
    assert environment['cpus'] >= 1
    assert environment['notes'] == []
