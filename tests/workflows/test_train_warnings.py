"""A training that gave its result with a warning says so at the end of the whole work chain."""

from __future__ import annotations

import pytest
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager
from aiida.orm import CalcJobNode, Dict, WorkChainNode
from plumpy import ProcessState

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.workflows.train import TrainPotentialWorkChain


@pytest.fixture
def ended(aiida_code_installed, make_atoms, config):
    """Return a function that makes a work chain whose steps have ended as the test says."""
    structures = LabelledStructures.from_atoms(make_atoms(6))
    dataset = PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)).store()
    code = aiida_code_installed(label='no-pacemaker', filepath_executable='/nowhere/pacemaker')

    def end(**steps):
        workchain = instantiate_process(
            get_manager().get_runner(),
            TrainPotentialWorkChain,
            datasets={'data': dataset},
            config=Dict(config),
            pace_train={'code': code},
        )
        for name, status in steps.items():
            node = (WorkChainNode if name == 'training' else CalcJobNode)()
            node.set_process_state(ProcessState.FINISHED)
            node.set_exit_status(status)
            node.set_exit_message(f'{name} ended with {status}')
            workchain.ctx[name] = node
        return workchain

    return end


@pytest.mark.parametrize('status', [700, 701, 702, 710])
def test_the_warning_of_the_training_is_repeated(ended, status):
    """The work chain goes on to its end after a warning, and finishes with the same code and sentence."""
    workchain = ended(training=status)
    assert workchain._failure() is None
    assert workchain.repeat_warning() == (status, f'training ended with {status}', False)
    assert status in {code.status for code in TrainPotentialWorkChain.exit_codes.values()}


def test_the_last_warning_counts(ended):
    """An active set that is singular is told, also when the training had a warning of its own."""
    assert ended(training=702, active_set=701).repeat_warning().status == 701


def test_without_a_warning_the_work_chain_finishes_with_0(ended):
    """What was cut off after it had given its result is no warning."""
    assert ended(training=0, active_set=0).repeat_warning() is None
    assert ended(training=0, active_set=120).repeat_warning() is None


def test_a_failure_is_no_warning(ended):
    """Below 700 the training failed, and its reason is told."""
    assert 'training ended with 403' in ended(training=403)._failure().message


def test_a_validation_that_warned_is_told_at_the_end(ended):
    """Checks that failed and are not required end the work chain with the code and the sentence of the validation."""
    workchain = ended(training=0, validation=703)
    assert workchain.inspect_validation() is None
    assert workchain.repeat_warning() == (703, 'validation ended with 703', False)
    assert TrainPotentialWorkChain.exit_codes.WARNING_CHECKS_FAILED.status == 703


@pytest.mark.parametrize(('status', 'expected'), [(350, 404), (306, 405), (300, 405), (120, 405)])
def test_a_potential_that_failed_is_told_from_a_validation_that_broke(ended, status, expected):
    """Only the verdict of the checks says that a potential is unsafe; a job that broke says nothing of it."""
    code = ended(training=0, validation=status).inspect_validation()
    assert code.status == expected
    assert f'validation ended with {status}' in code.message
