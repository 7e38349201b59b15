"""Finished Pacemaker folders enter the graph."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from aiida.engine import run_get_node
from aiida.orm import Computer, Dict, ProcessNode, QueryBuilder, RemoteData, SinglefileData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.errors import ConfigError, FileFormatError, InputError, UnsafeFileError
from aiida_autopipec.pacemaker.formats import load_pacemaker_dataset
from aiida_autopipec.pacemaker.outputs import parse_metrics

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def run_import(localhost: Computer, programs: dict[str, Any]) -> Callable[..., ProcessNode]:
    """Return a function that imports a folder."""

    def run(folder: Path, **stated: Any) -> ProcessNode:
        remote = RemoteData(remote_path=str(folder), computer=localhost)
        inputs = PaceTrainCalculation.get_importer().parse_remote_data(remote, code=programs['pacemaker'], **stated)
        return run_get_node(PaceTrainCalculation, remote_folder=remote, **inputs)[1]

    return run


@pytest.fixture(scope='module')
def imported(fit_once: Path, run_import: Callable[..., ProcessNode]) -> ProcessNode:
    """Return an imported fit."""
    return run_import(fit_once)


def edit(folder: Path, **sections: Any) -> None:
    """Change sections of the input."""
    path = folder / 'input.yaml'
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}, sort_keys=False))


def test_a_finished_fit_enters_the_graph(imported: ProcessNode, fit_once: Path) -> None:
    """Potential, curve, predictions and report come from the folder, and the calculation counts as imported."""
    assert imported.exit_status == 0, imported.exit_message
    assert imported.is_imported
    assert {'potential', 'learning_curve', 'predictions', 'output_parameters', 'retrieved'} <= set(imported.outputs)
    assert imported.outputs.potential.get_content() == (fit_once / 'output_potential.yaml').read_text()
    losses = parse_metrics((fit_once / 'metrics.txt').read_text())['loss']
    assert imported.outputs.learning_curve.get_array('loss').tolist() == losses.tolist()
    assert imported.outputs.output_parameters['parser_warnings'] == []
    assert imported.outputs.retrieved.get_object_content('input.yaml') == (fit_once / 'input.yaml').read_text()


def test_the_settings_are_those_that_pacemaker_used(imported: ProcessNode) -> None:
    """Keys that Pacemaker ignored and names of files are no settings of the imported calculation."""
    settings = imported.inputs.config.get_dict()
    assert set(settings) == {'seed', 'potential', 'data', 'fit', 'backend'}
    assert settings['data'] == {'reference_energy': None}
    assert 'maxitr' not in settings['fit']
    assert settings['fit']['maxiter'] == 5


def test_the_data_are_divided_as_pacemaker_did(imported: ProcessNode, fit_once: Path) -> None:
    """The sets are those of the fit, made by calculation functions from the file, and the predictions fit them."""
    sets = {'train': imported.inputs.dataset, 'test': imported.inputs.test_dataset}
    assert {part: dataset.n_structures for part, dataset in sets.items()} == {'train': 16, 'test': 4}
    whole = load_pacemaker_dataset(fit_once / 'mine.pckl.gzip')
    for part, dataset in sets.items():
        divided = dataset.creator
        assert divided.process_label == 'divide_dataset'
        read = divided.inputs.dataset.creator
        assert read.process_label == 'import_dataset'
        assert read.inputs.file.filename == 'mine.pckl.gzip'
        rows = imported.outputs.predictions.get_array(f'{part}_rows')
        energies = dataset.get_structures().energy_corrected[rows]
        assert imported.outputs.predictions.get_array(f'{part}_energy') == pytest.approx(energies)
        assert np.isin(energies, whole.energy_corrected).all()


def test_a_folder_without_what_newer_versions_write(fit: Path, run_import: Callable[..., ProcessNode]) -> None:
    """Without predictions the potential enters all the same, and the warning says what is missing."""
    for name in ('train_pred.pckl.gzip', 'test_pred.pckl.gzip', 'log.txt', 'test_metrics.txt'):
        (fit / name).unlink()
    node = run_import(fit)
    assert node.exit_status == 700
    assert 'potential' in node.outputs
    assert node.inputs.test_dataset.n_structures == 4  # test_data_info.pckl.gzip tells too


def test_hostile_predictions_are_left_out(fit: Path, run_import: Callable[..., ProcessNode], tmp_path: Path) -> None:
    """A pickle that would run code is not run; the rest of the folder enters."""
    import gzip

    mark = tmp_path / 'mark'

    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(mark),)

    (fit / 'train_pred.pckl.gzip').write_bytes(gzip.compress(pickle.dumps(Hostile())))
    node = run_import(fit)
    assert node.exit_status == 700
    assert not mark.exists()
    assert any('predictions' in warning for warning in node.outputs.output_parameters['parser_warnings'])


def test_an_interrupted_fit_enters_as_one(fit: Path, run_import: Callable[..., ProcessNode]) -> None:
    """A folder with an interim potential only is a fit that was interrupted, and its last state can be gone on from."""
    (fit / 'output_potential.yaml').unlink()
    node = run_import(fit)
    assert node.exit_status == 400
    assert 'interim_potential' in node.outputs


def test_several_files_are_one_dataset(
    fit: Path, run_import: Callable[..., ProcessNode], make_atoms: Callable[..., list[Any]]
) -> None:
    """Datasets that Pacemaker puts one after the other are merged by a calculation function."""
    shutil.copy(fit / 'mine.pckl.gzip', fit / 'more.pckl.gzip')
    edit(fit, data={'filename': ['mine.pckl.gzip', 'more.pckl.gzip']})
    assert run_import(fit).inputs.dataset.creator.process_label == 'merge_datasets'


def test_data_elsewhere_are_given(fit: Path, run_import: Callable[..., ProcessNode], tmp_path: Path) -> None:
    """Data that lie elsewhere are taken from where the user says, as a file or as a node."""
    shutil.move(fit / 'mine.pckl.gzip', tmp_path / 'mine.pckl.gzip')
    edit(fit, data={'filename': str(tmp_path / 'mine.pckl.gzip')})
    node = run_import(fit, dataset=tmp_path / 'mine.pckl.gzip')
    assert node.inputs.dataset.n_structures == 20
    again = run_import(fit, dataset=node.inputs.dataset)
    assert again.inputs.dataset.uuid == node.inputs.dataset.uuid
    assert again.outputs.predictions.get_array('train_rows').tolist() == (
        node.outputs.predictions.get_array('train_rows').tolist()
    )


def test_the_start_of_an_upfit_is_an_input(fit: Path, run_import: Callable[..., ProcessNode]) -> None:
    """The potential that the input names is the initial potential."""
    shutil.copy(fit / 'output_potential.yaml', fit / 'old.yaml')
    edit(fit, potential='old.yaml')
    node = run_import(fit)
    assert isinstance(node.inputs.initial_potential, SinglefileData)
    assert 'potential' not in node.inputs.config.get_dict()


def test_settings_that_cannot_be_stated_are_given(fit: Path, run_import: Callable[..., ProcessNode]) -> None:
    """An input whose values the settings refuse is imported with settings of the user's."""
    good = yaml.safe_load((fit / 'input.yaml').read_text())
    edit(fit, fit={'maxiter': -1})
    with pytest.raises(ConfigError, match=r'^fit\.maxiter: .* --config'):
        run_import(fit)
    stated = {key: good[key] for key in ('seed', 'potential', 'backend')}
    assert run_import(fit, config=Dict(stated)).inputs.config.get_dict() == stated


def no_input(fit: Path) -> None:
    """Remove the input."""
    (fit / 'input.yaml').unlink()


def no_potential(fit: Path) -> None:
    """Remove every potential."""
    for path in fit.glob('*.yaml'):
        if path.name != 'input.yaml':
            path.unlink()


def data_elsewhere(fit: Path) -> None:
    """Let the input name a file outside of the folder."""
    edit(fit, data={'filename': '/etc/passwd'})


def data_behind_a_link(fit: Path) -> None:
    """Let a link of the dataset's name lead out of the folder."""
    (fit / 'mine.pckl.gzip').rename(fit.parent / 'secret.pckl.gzip')
    (fit / 'mine.pckl.gzip').symlink_to(fit.parent / 'secret.pckl.gzip')


def potential_elsewhere(fit: Path) -> None:
    """Let the input start from a potential outside of the folder."""
    edit(fit, potential='../old.yaml')


def unknown_division(fit: Path) -> None:
    """Remove what says which structures were tested on."""
    (fit / 'test_pred.pckl.gzip').unlink()
    (fit / 'test_data_info.pckl.gzip').unlink()


def log_leads_out(fit: Path) -> None:
    """Make the log a link to a file of the user's."""
    (fit / 'log.txt').unlink()
    (fit / 'log.txt').symlink_to('/etc/passwd')


def log_is_a_pipe(fit: Path) -> None:
    """Make the log a pipe, from which nothing ever comes."""
    (fit / 'log.txt').unlink()
    os.mkfifo(fit / 'log.txt')


def huge_log(fit: Path) -> None:
    """Make the log larger than any."""
    with (fit / 'log.txt').open('r+b') as handle:
        handle.truncate(2**40)


def nested_input(fit: Path) -> None:
    """Make the input nested without end."""
    (fit / 'input.yaml').write_text('[' * 100_000)


@pytest.mark.parametrize(
    ('spoil', 'error', 'sentence'),
    [
        (no_input, FileFormatError, 'has no `input.yaml`'),
        (no_potential, FileFormatError, 'has neither `output_potential.yaml` nor'),
        (data_elsewhere, FileFormatError, 'give it with --dataset'),
        (data_behind_a_link, FileFormatError, 'give it with --dataset'),
        (potential_elsewhere, FileFormatError, 'give it with --initial-potential'),
        (unknown_division, FileFormatError, 'give both with --dataset and --test-dataset'),
        (log_leads_out, UnsafeFileError, 'leads out of the folder'),
        (log_is_a_pipe, UnsafeFileError, 'no regular file'),
        (huge_log, UnsafeFileError, 'shorten it'),
        (nested_input, ConfigError, 'nested deeper'),
    ],
)
def test_a_wrong_folder_is_one_sentence(
    fit: Path, run_import: Callable[..., ProcessNode], spoil: Callable[[Path], None], error: type, sentence: str
) -> None:
    """What a folder lacks, or what is unsafe in it, is said in a sentence, and no node is stored."""
    spoil(fit)
    before = QueryBuilder().append((PaceDatasetData, SinglefileData, RemoteData)).count()
    with pytest.raises(error, match=sentence) as caught:
        run_import(fit)
    assert '\n' not in str(caught.value)
    assert QueryBuilder().append((PaceDatasetData, SinglefileData, RemoteData)).count() == before


def test_a_folder_on_another_computer_is_refused(localhost: Computer, programs: dict[str, Any]) -> None:
    """AiiDA imports from this computer only, and the message says how to go on."""
    far = Computer(
        label='far', hostname='far.example', transport_type='core.ssh_async', scheduler_type='core.slurm', workdir='/w'
    ).store()
    remote = RemoteData(remote_path='/scratch/fit', computer=far)
    with pytest.raises(InputError, match='copy it here'):
        PaceTrainCalculation.get_importer().parse_remote_data(remote, code=programs['pacemaker'])


def test_a_code_that_is_not_registered_is_asked_for(fit: Path, aiida_localhost: Computer) -> None:
    """Without a code of the usual label the message says which one is missing."""
    remote = RemoteData(remote_path=str(fit), computer=aiida_localhost)
    with pytest.raises(InputError, match='pacemaker@'):
        PaceTrainCalculation.get_importer().parse_remote_data(remote)
