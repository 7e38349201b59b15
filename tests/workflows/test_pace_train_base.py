"""How a training is gone on with when it was cut off, and which results are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida.common import AttributeDict, LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager
from aiida.orm import ArrayData, CalcJobNode, Dict, SinglefileData
from plumpy import ProcessState

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.workflows.pace_train import PaceTrainBaseWorkChain, config_for_the_rest

TEXT = (Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml').read_text()


@pytest.fixture
def state():
    """Return a potential of aluminium."""
    return SinglefileData.from_string(TEXT.replace('Cu', 'Al'), filename='interim_potential.yaml')


@pytest.fixture
def inputs(aiida_code_installed, make_atoms, config):
    """Return inputs of a training of 20 iterations."""
    structures = LabelledStructures.from_atoms(make_atoms(6))
    config['fit']['maxiter'] = 20
    return {
        'code': aiida_code_installed(label='no-pacemaker', filepath_executable='/nowhere/pacemaker'),
        'dataset': PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy)),
        'config': Dict(config),
    }


@pytest.fixture
def finished(inputs, aiida_localhost):
    """Return a function that puts a finished training into a work chain, as if it had just run."""

    def make(status, outputs, **more):
        runner = get_manager().get_runner()
        workchain = instantiate_process(runner, PaceTrainBaseWorkChain, pace_train={**inputs, **more})
        workchain.setup()
        node = CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:autopipec.pace_train')
        node.set_process_label('PaceTrainCalculation')
        node.set_option('resources', {'num_machines': 1})
        node.set_process_state(ProcessState.FINISHED)
        node.set_exit_status(status)
        node.store()
        for label, output in outputs.items():
            output.base.links.add_incoming(node, LinkType.CREATE, label)
            output.store()
        workchain.ctx.iteration = 1
        workchain.ctx.children = [node]
        return workchain

    return make


def test_walltime_goes_on_for_the_rest(finished, state):
    """After the walltime the next run starts from the last state, for the iterations that remain."""
    outputs = {'output_parameters': Dict({'iterations': 8}), 'interim_potential': state}
    workchain = finished(120, outputs)
    assert workchain.inspect_process().status == 0
    assert workchain.should_run_process()
    assert workchain.ctx.inputs.initial_potential.uuid == state.uuid
    assert workchain.ctx.inputs.config['fit']['maxiter'] == 12


def test_a_second_walltime_counts_on(finished, state):
    """What each run has done adds up."""
    outputs = {'output_parameters': Dict({'iterations': 8}), 'interim_potential': state}
    workchain = finished(120, outputs)
    workchain.inspect_process()
    workchain.ctx.iteration = 2
    workchain.ctx.children.append(workchain.ctx.children[0])
    workchain.inspect_process()
    assert workchain.ctx.inputs.config['fit']['maxiter'] == 4


def test_a_restart_leaves_the_folder_of_the_first_run(finished, state, inputs):
    """Going on from a state replaces going on from a folder: both together are refused."""
    from aiida.orm import RemoteData

    parent = RemoteData(computer=inputs['code'].computer, remote_path='/scratch')
    outputs = {'output_parameters': Dict({'iterations': 8}), 'interim_potential': state}
    workchain = finished(120, outputs, parent_folder=parent)
    workchain.inspect_process()
    assert 'parent_folder' not in workchain.ctx.inputs


@pytest.mark.parametrize('left', [{}, {'interim_potential': None}])
def test_walltime_before_the_first_iteration_is_the_end(finished, state, left):
    """Without a single iteration the same walltime would only be met again."""
    outputs = {'output_parameters': Dict({'iterations': 0 if left else 3})}
    outputs |= dict.fromkeys(left, state)
    workchain = finished(120, outputs)
    assert workchain.inspect_process() == PaceTrainBaseWorkChain.exit_codes.ERROR_NO_PROGRESS


def test_walltime_after_the_potential_is_a_success(finished, state):
    """A job that was cut off after its potential was written has done what it was for."""
    outputs = {'output_parameters': Dict({'iterations': 20}), 'potential': state}
    workchain = finished(120, outputs)
    assert workchain.inspect_process().status == 0
    assert not workchain.should_run_process()
    workchain.results()
    assert workchain.outputs['potential'].uuid == state.uuid


@pytest.mark.parametrize('status', [700, 701])
def test_a_warning_is_taken(finished, state, status):
    """A result with a warning is a result."""
    curve = ArrayData({'loss': np.array([2.0, 1.0])})
    outputs = {'output_parameters': Dict({'iterations': 20}), 'potential': state, 'learning_curve': curve}
    workchain = finished(status, outputs)
    assert workchain.inspect_process().status == 0
    assert not workchain.should_run_process()
    workchain.results()
    assert set(workchain.outputs) == {'output_parameters', 'potential', 'learning_curve'}


@pytest.mark.parametrize('status', [110, 215, 300, 331, 400])
def test_other_failures_are_not_repeated(finished, state, status):
    """What another run would not mend ends the work chain."""
    outputs = {'output_parameters': Dict({'iterations': 3}), 'interim_potential': state}
    workchain = finished(status, outputs)
    assert workchain.inspect_process() == PaceTrainBaseWorkChain.exit_codes.ERROR_UNHANDLED_FAILURE


def test_the_next_run_is_valid(finished, state, inputs):
    """The inputs of the next run pass the checks of the calculation."""
    outputs = {'output_parameters': Dict({'iterations': 8}), 'interim_potential': state}
    workchain = finished(120, outputs)
    workchain.inspect_process()
    given = AttributeDict(workchain.ctx.inputs)
    given.metadata = {'options': {'resources': {'num_machines': 1}}}
    assert PaceTrainCalculation.spec().inputs.validate(given) is None


@pytest.mark.parametrize(
    ('fit', 'done', 'maxiter'),
    [
        ({'maxiter': 20}, 8, 12),
        ({'maxiter': 20}, 20, 1),
        ({}, 30, 70),
        ({'maxiter': 20, 'fit_cycles': 2}, 30, 20),
        ({'maxiter': 20, 'ladder_step': 3, 'ladder_type': 'power_order'}, 90, 20),
    ],
)
def test_the_iterations_that_remain(config, fit, done, maxiter):
    """A single fit goes on for what remains of `maxiter`; for cycles and ladders that is the limit of each of them."""
    config['fit'] = {'loss': config['fit']['loss'], **fit}
    assert config_for_the_rest(config, done)['fit']['maxiter'] == maxiter


def test_a_reset_is_not_repeated(config):
    """A fit from the bare shape of a potential goes on from what it has reached."""
    config['potential'] = {'reset': True}
    rest = config_for_the_rest(config, 2)
    assert 'potential' not in rest
    assert config['potential'] == {'reset': True}
