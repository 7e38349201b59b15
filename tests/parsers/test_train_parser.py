"""What the parser makes of real trainings that failed, and of good ones."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from aiida.orm import ArrayData, SinglefileData

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import ZBL
from aiida_autopipec.pacemaker.outputs import parse_potential

ENTRY_POINT = 'autopipec.pace_train'
FIXTURES = Path(__file__).parents[1] / 'fixtures'

STATUS = {
    'missing_energy': 210,
    'no_reference': 211,
    'auto_reference_impossible': 212,
    'missing_forces': 213,
    'no_atoms': 214,
    'nan_energy': 215,
    'nan_forces': 216,
    'force_shape': 217,
    'empty_dataset': 218,
    'no_neighbours_tensorpot': 219,
    'truncated': 220,
    'not_gzip': 221,
    'pickle_of_pandas_3': 222,
    'missing_file': 223,
    'unknown_element': 224,
    'negative_rcut': 230,
    'unknown_radbase': 231,
    'unknown_evaluator': 232,
    'no_backend': 233,
    'no_data': 233,
    'no_potential': 233,
    'tensorpot_missing': 301,
    'tensorpot_incompatible': 302,
    'no_neighbours': 330,
    'wrong_npot': 330,
    'nan': 331,
    'skipped': 332,
    'no_new_functions': 333,
    'dry_run': 336,
    'sigterm': 400,
    'early_stopping_at_maxiter': 403,
}
"""Exit status by scenario; those from 330 to 336 are runs that Pacemaker itself ended with 0."""

HEALTHY = (
    'ok',
    'ok_converged_gtol',
    'ok_early_stopping',
    'ok_fit_cycles',
    'ok_ladder',
    'ok_lbfgsb',
    'ok_lbfgsb_converged',
    'ok_tensorpot',
    'ok_upfit',
    'ok_upfit_converged',
)


@pytest.mark.parametrize('run', STATUS)
def test_each_failure_has_its_exit_code(parse, files_of, make_dataset, run):
    """Each way to fail has its own exit status and no potential, and what there is of log and curve is kept."""
    files = files_of(run)
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == STATUS[run]
    assert '{' not in parsed.exit_code.message
    assert 'potential' not in parsed.outputs
    assert parsed.parameters['health'] != 'healthy'
    rows = files.get('metrics.txt', b'').count(b'\n') - 1
    assert ('learning_curve' in parsed.outputs) == (rows > 0)
    if rows > 0:
        assert len(parsed.outputs['learning_curve'].get_array('loss')) == rows


@pytest.mark.parametrize('run', HEALTHY)
def test_good_trainings_give_their_potential(parse, files_of, make_dataset, run):
    """A good training gives its potential with its facts; without predictions it finishes with a warning."""
    files = files_of(run)
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 700
    assert parsed.parameters['health'] == 'healthy'
    potential = parsed.outputs['potential']
    assert potential.get_content(mode='rb') == files['output_potential.yaml']
    assert potential.base.attributes.get('elements') == ['Cu']
    assert sum(potential.base.attributes.get('n_functions').values()) > 0
    assert potential.base.attributes.get('reference') is None
    assert 'interim_potential' not in parsed.outputs


def test_a_binary_potential_is_whole(parse, files_of, make_dataset):
    """The number of functions in the metrics is that of all elements together."""
    parsed = parse(ENTRY_POINT, files_of('ok_binary'), {'dataset': make_dataset('Al Cu')})
    assert parsed.exit_code.status == 700
    assert parsed.outputs['potential'].base.attributes.get('elements') == ['Al', 'Cu']


@pytest.mark.parametrize('run', ['unknown_element_tensorpot', 'ok_tensorpot'])
def test_an_element_that_the_potential_lacks_is_never_a_success(parse, files_of, make_dataset, run):
    """With tensorpot nothing shows that atoms were taken for another element, so the data are compared."""
    parsed = parse(ENTRY_POINT, files_of(run), {'dataset': make_dataset('Cu Al')})
    assert parsed.exit_code.status == 224
    assert 'Al' in parsed.exit_code.message
    assert 'potential' not in parsed.outputs


def test_an_element_of_the_test_set_counts_too(parse, files_of, make_dataset):
    """A test set with an element that the potential lacks would give errors of nonsense."""
    inputs = {'dataset': make_dataset('Cu'), 'test_dataset': make_dataset('Al', seed=1)}
    assert parse(ENTRY_POINT, files_of('ok_tensorpot'), inputs).exit_code.status == 224


@pytest.mark.parametrize(('run', 'kept'), [('sigterm', 'interim_potential'), ('ok', 'potential')])
@pytest.mark.parametrize('status', [110, 120, 140])
def test_the_scheduler_has_the_last_word(parse, files_of, make_dataset, run, kept, status):
    """The scheduler's verdict is kept, and with it everything that the job left behind."""
    parsed = parse(ENTRY_POINT, files_of(run), {'dataset': make_dataset()}, exit_status=status)
    assert parsed.exit_code.status == status
    assert parsed.exit_code.message == 'the scheduler says so'
    assert kept in parsed.outputs
    assert 'learning_curve' in parsed.outputs
    assert parsed.parameters['iterations'] == (5 if run == 'ok' else 11)


def test_the_scheduler_has_the_last_word_on_nothing(parse, make_dataset):
    """A job that was killed before it wrote anything keeps the scheduler's verdict too."""
    parsed = parse(ENTRY_POINT, {}, {'dataset': make_dataset()}, exit_status=120)
    assert parsed.exit_code.status == 120
    assert set(parsed.outputs) == {'output_parameters'}


def test_nothing_at_all_is_a_failure(parse, make_dataset):
    """A job that left nothing behind has vanished."""
    assert parse(ENTRY_POINT, {}, {'dataset': make_dataset()}).exit_code.status == 422


@pytest.mark.parametrize('lines', [0, 5, 16, -1, -3])
def test_a_half_written_interim_potential_is_left_out(parse, files_of, make_dataset, lines):
    """A file that was cut off while it was written is no state to go on from, wherever it ends."""
    files = files_of('sigterm')
    text = files['interim_potential_0.yaml']
    files['interim_potential_0.yaml'] = b''.join(text.splitlines(keepends=True)[:lines])
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 400
    assert 'interim_potential' not in parsed.outputs


def test_an_older_whole_interim_potential_is_taken_instead(parse, files_of, make_dataset):
    """Where the state of the last cycle is cut off, that of the cycle before it is kept."""
    files = files_of('sigterm')
    whole = files['interim_potential_0.yaml']
    files |= {'interim_potential_1.yaml': whole[:-150], 'interim_potential_²3.yaml': b'?'}
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.outputs['interim_potential'].get_content(mode='rb') == whole


def test_a_state_with_nan_is_left_out(parse, files_of, make_dataset):
    """Nothing good can come from a state whose coefficients are not numbers."""
    files = files_of('sigterm')
    files['interim_potential_0.yaml'] = files['interim_potential_0.yaml'].replace(b', c: [', b', c: [.nan, ', 1)
    assert 'interim_potential' not in parse(ENTRY_POINT, files, {'dataset': make_dataset()}).outputs


@pytest.mark.parametrize('damage', [lambda text: text[:-100], lambda text: text.replace(b'c: [', b'c: [.nan, ', 1)])
def test_a_damaged_potential_is_never_a_success(parse, files_of, make_dataset, damage):
    """A disk that is full can look like a clean end: the potential itself is looked at."""
    files = files_of('ok')
    files['output_potential.yaml'] = damage(files['output_potential.yaml'])
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 311
    assert 'potential' not in parsed.outputs
    assert any('output_potential.yaml' in warning for warning in parsed.parameters['parser_warnings'])


def test_a_potential_that_lacks_its_last_functions_is_cut_off(parse, files_of, make_dataset):
    """A file that ends between two functions is a potential for every reader: the metrics know better."""
    files = files_of('ok')
    files['output_potential.yaml'] = b''.join(files['output_potential.yaml'].splitlines(keepends=True)[:-1])
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 311
    assert '8 of 9 functions' in parsed.parameters['parser_warnings'][0]


@pytest.mark.parametrize(
    'content',
    [
        b'\x00\xff\xfe nonsense',
        b'loss\n1.0\n2.0\n',
        b'ladder_step cycle_step iter_num loss\n0 0 nan 1.0\n',
        b'ladder_step cycle_step iter_num loss\n0 0 1 1.0\n0 0 two 1.0\n',
    ],
)
def test_damaged_metrics_are_reported(parse, files_of, make_dataset, content):
    """Metrics that make no sense are named in the report, and the fit does not pass for good."""
    parsed = parse(ENTRY_POINT, files_of('ok') | {'metrics.txt': content}, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 335
    assert parsed.parameters['parser_warnings'][0].startswith('metrics.txt: ')


@pytest.mark.parametrize('port', ['codes__yaml2yace', 'codes__activeset'])
def test_an_export_that_was_asked_for_must_be_there(parse, files_of, make_dataset, aiida_code_installed, port):
    """A good fit whose export is missing does not finish with 0, and keeps its potential."""
    inputs = {'dataset': make_dataset(), port: aiida_code_installed(filepath_executable='/bin/true', label=port)}
    parsed = parse(ENTRY_POINT, files_of('ok'), inputs)
    assert parsed.exit_code.status == (320 if 'yace' in port else 321)
    assert 'potential' in parsed.outputs


def test_a_singular_active_set_is_a_warning(parse, files_of, make_dataset, tmp_path):
    """An active set that cannot tell functions apart is kept, and a warning says that it is of no use."""
    dataset = make_dataset()
    write_predictions(tmp_path / 'predictions.npz', dataset)
    files = files_of('ok') | {'output_potential.asi': files_of('activeset_zero_columns')['output_potential.asi']}
    parsed = parse(ENTRY_POINT, files, {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 701
    assert parsed.parameters['active_set']['singular_elements']
    assert 'active_set' in parsed.outputs


# What the travelling script writes is untrusted


def write_predictions(path, dataset, *, compressed=False, **changes):
    """Write predictions of a dataset as the travelling script does."""
    structures = dataset.get_structures()
    arrays = {
        'names': np.char.encode(structures.names),
        'sizes': structures.sizes,
        'energy': structures.energy_corrected,
        'energy_predicted': structures.energy_corrected + 0.5,
        'forces': structures.forces,
        'forces_predicted': structures.forces + 0.25,
    }
    save = np.savez_compressed if compressed else np.savez
    save(path, **{f'train_{name}': array for name, array in (arrays | changes).items()})


def test_predictions_carry_the_rows_of_the_dataset(parse, files_of, make_dataset, tmp_path):
    """Predictions know their rows in the dataset, and the errors in the report follow from them."""
    dataset = make_dataset()
    order = np.array([2, 0, 3, 1])
    shuffled = type(dataset).from_structures(dataset.get_structures().take(order))
    write_predictions(tmp_path / 'predictions.npz', shuffled)
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 0
    predictions = parsed.outputs['predictions']
    assert isinstance(predictions, ArrayData)
    assert predictions.get_array('train_rows').tolist() == order.tolist()
    assert parsed.parameters['errors']['train']['rmse_energy_mev_per_atom'] == pytest.approx(250.0)
    assert parsed.parameters['errors']['train']['mae_forces_mev_per_angstrom'] == pytest.approx(250.0)


@pytest.mark.parametrize(
    'changes',
    [
        {'names': np.array([b'other'] * 4)},
        {'sizes': np.array([1, 3, 2, 2])},
        {'names': np.array([[b'a'], [b'b'], [b'c'], [b'd']])},
        {'names': np.array(b'scalar')},
        {'names': np.array([1.0, 2.0, 3.0, 4.0])},
        {'names': np.array([b'\xff\xfe'] * 4)},
        {'sizes': np.array([2, 2, 2, -2])},
        {'sizes': np.array([2.0, 2.0, 2.0, 2.0])},
        {'energy': np.array([1.0])},
        {'forces': np.array(['a', 'b'])},
    ],
)
def test_predictions_that_make_no_sense_are_left_out(parse, files_of, make_dataset, tmp_path, changes):
    """Arrays that do not belong to the dataset are reported and not attached; the potential is."""
    dataset = make_dataset()
    write_predictions(tmp_path / 'predictions.npz', dataset, **changes)
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 700
    assert parsed.parameters['parser_warnings'][0].startswith('predictions: ')
    assert 'predictions' not in parsed.outputs
    assert 'potential' in parsed.outputs


def test_predictions_that_would_run_code_are_refused(parse, files_of, make_dataset, tmp_path):
    """An archive with a pickle in it is not opened as one."""
    dataset = make_dataset()
    names = np.array([Bomb(tmp_path / 'fired')] * 4, dtype=object)
    write_predictions(tmp_path / 'predictions.npz', dataset, names=names)
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 700
    assert not (tmp_path / 'fired').exists()


class Bomb:
    """An object whose unpickling makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        import os

        return os.mkdir, (self.path,)


def test_a_compression_bomb_is_not_unpacked(parse, files_of, make_dataset, tmp_path):
    """An archive that unpacks to more than its size is refused before it is."""
    dataset = make_dataset()
    write_predictions(tmp_path / 'predictions.npz', dataset, compressed=True, energy=np.zeros(10_000_000))
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 700
    assert 'compressed' in parsed.parameters['parser_warnings'][0]


def test_an_array_that_claims_to_be_huge_is_refused(parse, files_of, make_dataset, tmp_path):
    """A header that promises more than the memory of the computer does no harm."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {'descr': '<f8', 'fortran_order': False, 'shape': (10**15,)})
    with zipfile.ZipFile(tmp_path / 'predictions.npz', 'w') as archive:
        archive.writestr('train_names.npy', header.getvalue())
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': make_dataset()}, temporary=tmp_path)
    assert parsed.exit_code.status == 700


def test_predictions_of_a_diverged_fit_are_kept(parse, files_of, make_dataset, tmp_path):
    """A prediction that is no number is kept as it is, and the report has no error for it."""
    dataset = make_dataset()
    write_predictions(tmp_path / 'predictions.npz', dataset, energy_predicted=np.full(4, np.nan))
    parsed = parse(ENTRY_POINT, files_of('nan'), {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 331
    assert np.isnan(parsed.outputs['predictions'].get_array('train_energy_predicted')).all()
    assert parsed.parameters['errors']['train']['rmse_energy_mev_per_atom'] is None


def environment_file(**changes):
    """Return what the probe writes in a training that asked for a GPU."""
    facts = json.loads((FIXTURES / 'environment' / 'gpu.json').read_text())
    return {'environment.json': json.dumps({**facts, **changes}).encode()}


@pytest.mark.parametrize(
    'content', [b'[1, 2]', b'{"python": "3.11"}', b'{"a": "\\u0000"}', b'[' * 100_000, b'\xff\xfe']
)
def test_an_environment_that_no_probe_wrote_is_left_out(parse, files_of, make_dataset, content):
    """What comes from the computer is kept only if the probe can have written it; the report says so."""
    parsed = parse(ENTRY_POINT, files_of('ok') | {'environment.json': content}, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 700
    assert parsed.parameters['environment'] == {}
    assert 'environment' not in parsed.outputs
    assert parsed.parameters['parser_warnings'][0].startswith('environment.json: ')


def test_the_environment_is_a_node(parse, files_of, make_dataset):
    """Versions and place of the run stand in a node of their own and in the report."""
    files = files_of('ok') | environment_file()
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    written = json.loads(files['environment.json'])
    assert parsed.outputs['environment'].get_dict() == {'other_nodes': None, **written}
    assert parsed.parameters['environment'] == parsed.outputs['environment'].get_dict()


@pytest.mark.parametrize('verdict', ['evaluator_not_available', 'unsuitable_environment', 'gpu_not_found'])
def test_a_training_that_was_not_begun_says_why(parse, make_dataset, verdict):
    """The verdict of the probe is the exit code, and its sentence the message."""
    files = environment_file(verdict=verdict, detail='install `numpy<2.4`')
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    codes = PaceTrainCalculation.exit_codes
    assert parsed.exit_code.status == codes[f'ERROR_{verdict.upper()}'].status
    assert parsed.exit_code.message.endswith('nothing was trained: install `numpy<2.4`')
    assert parsed.exit_code.invalidates_cache
    assert parsed.outputs['environment']['hostname'] == 'gpu003'


def test_a_training_that_fell_back_to_the_cpu_says_so(parse, files_of, make_dataset):
    """Where the CPU would do, a GPU that is missing is a warning; the potential is there."""
    files = files_of('ok') | environment_file(tensorflow_gpus=0, detail='gpu003 shows no GPU')
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == PaceTrainCalculation.exit_codes.WARNING_TRAINED_ON_CPU.status
    assert 'gpu003 shows no GPU' in parsed.exit_code.message
    assert 'potential' in parsed.outputs


def test_a_gpu_that_tensorflow_could_not_use_in_the_end(parse, files_of, make_dataset):
    """If the probe saw a GPU but the log of the training says CPU, that is a warning; a GPU in the log is none."""
    no_device = b'Could not find cuda drivers on your machine, GPU will not be used.\n'
    device = b'Created device /job:localhost/replica:0/task:0/device:GPU:0 with 77000 MB memory:  -> device: 0, name: '
    for line, status in ((no_device, 702), (device + b'NVIDIA H100, pci bus id: 0000:04:00.0\n', 700)):
        files = files_of('ok_tensorpot') | environment_file()
        files['pacemaker.err'] += line
        parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
        assert parsed.exit_code.status == status


def test_a_probe_that_could_not_run_is_reported(parse, files_of, make_dataset):
    """Where no Python was found the training counts all the same."""
    files = files_of('ok') | {'probe.err': b'no Python with pyace was found for /opt/pacemaker\n'}
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 700
    assert parsed.parameters['parser_warnings'] == ['probe.py: no Python with pyace was found for /opt/pacemaker']


def test_a_travelling_script_that_failed_is_reported(parse, files_of, make_dataset):
    """What went wrong in the travelling script stands in the report."""
    outcome = {'ok': False, 'error': 'Traceback (most recent call last):\n  ...\nKeyError: name\n'}
    files = files_of('ok') | {'collect.json': json.dumps(outcome).encode()}
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.parameters['parser_warnings'] == ['collect.py: KeyError: name']


def test_a_folder_in_the_place_of_a_file_does_no_harm(parse, files_of, make_dataset):
    """What should be a file and is none counts as missing."""
    files = files_of('ok')
    files['environment.json/inside'] = b'{}'
    files['output_potential.yace/inside'] = b'{}'
    parsed = parse(ENTRY_POINT, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 700
    assert 'lammps_potential' not in parsed.outputs


def test_the_reference_is_repeated_on_the_potential(parse, files_of, make_dataset):
    """What was subtracted from the energies stands on the potential, for whoever uses or updates it."""
    reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Cu': -0.5}}
    dataset = type(make_dataset()).from_structures(make_dataset().get_structures(), reference=reference)
    files = files_of('ok') | {'output_potential.yace': b'elements: [Cu]\n'}
    parsed = parse(ENTRY_POINT, files, {'dataset': dataset})
    for port in ('potential', 'lammps_potential'):
        node = parsed.outputs[port]
        assert isinstance(node, SinglefileData)
        assert node.base.attributes.get('reference') == reference


def test_the_reference_is_written_into_the_potential(parse, files_of, make_dataset):
    """A file that leaves the graph still says what was subtracted; without a reference it is as Pacemaker wrote it."""
    reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Cu': -0.5}}
    dataset = type(make_dataset()).from_structures(make_dataset().get_structures(), reference=reference)
    files = files_of('ok')
    written = files['output_potential.yaml']
    noted = parse(ENTRY_POINT, files, {'dataset': dataset}).outputs['potential'].get_content(mode='rb')
    assert noted != written
    assert json.loads(parse_potential(noted.decode()).metadata['autopipec_reference']) == reference
    plain = parse(ENTRY_POINT, files, {'dataset': make_dataset()}).outputs['potential'].get_content(mode='rb')
    assert plain == written


def test_predictions_are_of_the_total(parse, files_of, make_dataset, tmp_path):
    """What was subtracted as reference potential is added again, on both sides, whatever the order of the rows."""
    settings = {'name': 'zbl', 'inner': 1.0, 'outer': 4.0}
    reference = {'method': 'single_atom_energies', 'single_atom_energies': {'Cu': 0.0}, 'potential': settings}
    structures = make_dataset().get_structures()
    dataset = PaceDatasetData.from_structures(structures, reference=reference)
    order = np.array([2, 0, 3, 1])
    shuffled = structures.take(order)
    write_predictions(tmp_path / 'predictions.npz', PaceDatasetData.from_structures(shuffled))
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': dataset}, temporary=tmp_path)
    values = ZBL(1.0, 4.0).evaluate(shuffled)
    arrays = {name: parsed.outputs['predictions'].get_array(f'train_{name}') for name in ('energy', 'forces')}
    predicted = {name: parsed.outputs['predictions'].get_array(f'train_{name}_predicted') for name in arrays}
    np.testing.assert_allclose(arrays['energy'], shuffled.energy_corrected + values.energy)
    np.testing.assert_allclose(arrays['forces'], shuffled.forces + values.forces)
    np.testing.assert_allclose(predicted['energy'] - arrays['energy'], 0.5)
    np.testing.assert_allclose(predicted['forces'] - arrays['forces'], 0.25)
    assert np.abs(values.forces).max() > 1
    assert parsed.parameters['errors']['train']['rmse_energy_mev_per_atom'] == pytest.approx(250.0)


def test_a_structure_that_is_predicted_twice_is_refused(parse, files_of, make_dataset, tmp_path):
    """Predictions that name a structure twice are not those of the dataset."""
    dataset = make_dataset()
    names = np.char.encode(dataset.get_structures().names)
    write_predictions(tmp_path / 'predictions.npz', dataset, names=names[[0, 0, 1, 2]])
    parsed = parse(ENTRY_POINT, files_of('ok'), {'dataset': dataset}, temporary=tmp_path)
    assert parsed.exit_code.status == 700
    assert 'not those of `dataset`' in parsed.parameters['parser_warnings'][0]
