"""What a training job writes, and what it refuses before it is submitted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager
from aiida.orm import RemoteData, SinglefileData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.pacemaker.formats import load_pacemaker_dataset

FIXTURES = Path(__file__).parents[1] / 'fixtures' / 'pacemaker'
FIT_HISTORY = '  _fit_cycles: 1\n'


@pytest.fixture(scope='module')
def al_potential(make_config) -> SinglefileData:
    """Return a potential of aluminium that remembers a finished fit."""
    text = (FIXTURES / 'ok' / 'output_potential.yaml').read_text().replace('Cu', 'Al')
    return SinglefileData.from_string(text.replace('metadata:\n', f'metadata:\n{FIT_HISTORY}', 1), filename='al.yaml')


@pytest.fixture
def inputs(make_dataset, elsewhere, config):
    """Return the inputs of a training that is only written."""
    return {'code': elsewhere('pacemaker'), 'dataset': make_dataset(), 'config': config}


def programs_of(folder: Path) -> str:
    """Return the lines of a submission script that run something; the others are AiiDA's."""
    lines = (folder / '_aiidasubmit.sh').read_text().splitlines()
    return ''.join(f'{line.rstrip()}\n' for line in lines if line and not line.startswith(('#', 'exec ')))


def test_written_files(written, inputs, make_dataset, elsewhere, file_regression):
    """The input file and the submission script with everything in one job are these."""
    codes = {'yaml2yace': elsewhere('pace_yaml2yace'), 'activeset': elsewhere('pace_activeset')}
    folder = written(
        PaceTrainCalculation,
        **inputs,
        test_dataset=make_dataset(6, seed=1),
        codes=codes,
        active_set_parameters={'all_atoms': True},
    )
    file_regression.check((folder / 'input.yaml').read_text(), basename='input', extension='.yaml')
    file_regression.check(programs_of(folder), basename='submit', extension='.sh')
    assert {path.name for path in folder.iterdir() if not path.name.startswith('.')} == {
        '_aiidasubmit.sh',
        'collect.py',
        'input.yaml',
        'probe.py',
        'test.pckl.gzip',
        'train.pckl.gzip',
        'with_pacemaker_python.sh',
    }


def test_the_python_of_pacemaker_can_be_stated(written, inputs, elsewhere, file_regression):
    """With `codes.python` the travelling script runs as a program of its own, and is not looked for."""
    folder = written(PaceTrainCalculation, **inputs, codes={'python': elsewhere('python3')})
    file_regression.check(programs_of(folder), extension='.sh')


def test_written_data_are_those_of_the_node(written, inputs):
    """The file that Pacemaker reads holds the structures, labels and names of the node, to the last bit."""
    folder = written(PaceTrainCalculation, **inputs)
    there = load_pacemaker_dataset(folder / 'train.pckl.gzip')
    here = inputs['dataset'].get_structures()
    assert there.content_hash == here.content_hash


def test_equal_inputs_write_equal_bytes(written, inputs, make_dataset):
    """Two jobs with the same inputs have the same files, so that the same data are the same data everywhere."""
    first = written(PaceTrainCalculation, **inputs)
    second = written(PaceTrainCalculation, **{**inputs, 'dataset': make_dataset()})
    for name in ('input.yaml', 'train.pckl.gzip', '_aiidasubmit.sh'):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_an_upfit_starts_from_the_potential(written, inputs, al_potential):
    """The given potential replaces the shape, without the note that would make Pacemaker skip the fit."""
    folder = written(PaceTrainCalculation, **inputs, initial_potential=al_potential)
    assert yaml.safe_load((folder / 'input.yaml').read_text())['potential'] == 'initial_potential.yaml'
    text = (folder / 'initial_potential.yaml').read_text()
    assert text == al_potential.get_content().replace(FIT_HISTORY, '')


def test_a_ladder_grows_from_the_potential(written, inputs, al_potential):
    """With a ladder the given potential is where it starts, and the shape where it leads."""
    inputs['config']['fit'] |= {'ladder_step': 4, 'ladder_type': 'power_order'}
    folder = written(PaceTrainCalculation, **inputs, initial_potential=al_potential)
    potential = yaml.safe_load((folder / 'input.yaml').read_text())['potential']
    assert potential['initial_potential'] == 'initial_potential.yaml'
    assert potential['functions'] == inputs['config']['potential']['functions']


def test_a_restart_copies_the_last_state_on_the_computer(written, inputs, localhost):
    """A restart goes on from the interim potential in the folder of the earlier job."""
    parent = RemoteData(computer=localhost, remote_path='/scratch/earlier')
    folder = written(PaceTrainCalculation, **inputs, parent_folder=parent)
    assert yaml.safe_load((folder / 'input.yaml').read_text())['potential'] == 'initial_potential.yaml'
    copied = (folder / '_aiida_remote_copy_list.txt').read_text()
    assert '/scratch/earlier/interim_potential_0.yaml' in copied


def test_one_job_runs_on_one_computer(written, inputs, aiida_code_installed, aiida_localhost):
    """A program on another computer is refused before anything is submitted."""
    other = aiida_code_installed(filepath_executable='/bin/true', computer=aiida_localhost)
    with pytest.raises(ValueError, match=r'`codes.yaml2yace` is on the computer .*: one job runs on one computer'):
        written(PaceTrainCalculation, **inputs, codes={'yaml2yace': other})


def test_a_restart_stays_on_its_computer(written, inputs, aiida_localhost):
    """A folder on another computer cannot be gone on from."""
    parent = RemoteData(computer=aiida_localhost, remote_path='/scratch/earlier')
    with pytest.raises(ValueError, match=r'`parent_folder` is on the computer'):
        written(PaceTrainCalculation, **inputs, parent_folder=parent)


def test_a_folder_that_the_daemon_forgot_is_an_output(inputs):
    """A daemon that is killed right after the upload leaves no `remote_folder`, for want of which a job would fail."""
    process = instantiate_process(get_manager().get_runner(), PaceTrainCalculation, **inputs)
    process.node.set_remote_workdir('/scratch/ab/cd')
    assert process.parse() == PaceTrainCalculation.exit_codes.ERROR_NO_RETRIEVED_FOLDER
    process.update_outputs()
    assert process.node.outputs.remote_folder.get_remote_path() == '/scratch/ab/cd'
