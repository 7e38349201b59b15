"""Wrong inputs end with one clear sentence before anything is submitted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run
from aiida.orm import CalcJobNode, QueryBuilder, SinglefileData

from aiida_autopipec.calculations.functions.convert import import_dataset
from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

POTENTIAL = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'


@pytest.fixture
def refused(aiida_profile):
    """Return a function that tries to run a process and returns the sentence that refuses it."""

    def attempt(process, **inputs):
        before = QueryBuilder().append(CalcJobNode).count()
        with pytest.raises(ValueError, match=r'Error occurred validating port') as caught:
            run(process, **inputs)
        assert QueryBuilder().append(CalcJobNode).count() == before
        sentence = re.sub(r'^Error occurred validating port .*?: ', '', str(caught.value).replace('\n', ' '))
        assert 'Traceback' not in sentence
        return sentence

    return attempt


@pytest.fixture
def inputs(make_dataset, elsewhere, config):
    """Return inputs of a training with which nothing is wrong."""
    return {'code': elsewhere('pacemaker'), 'dataset': make_dataset(), 'config': config}


@pytest.fixture
def copper():
    """Return a potential of copper."""
    return SinglefileData(POTENTIAL)


# Labels


def test_no_forces(refused, inputs, make_atoms):
    """A dataset without forces is refused."""
    structures = LabelledStructures.from_atoms(make_atoms(4))
    bare = PaceDatasetData.from_structures(structures.replace(forces=None, energy_corrected=structures.energy))
    assert 'has no energies or no forces' in refused(PaceTrainCalculation, **{**inputs, 'dataset': bare})


def test_no_forces_on_an_image(make_atoms):
    """An image without forces cannot become part of a labelled dataset; the sentence says which one."""
    images = make_atoms(3)
    images[1].calc.results.pop('forces')
    with pytest.raises(DatasetError, match=r'have no forces, the first is structure 1'):
        PaceDatasetData.from_atoms(images)


def test_nan_energy(make_atoms):
    """An energy that is not a number is refused; the sentence says of which structure."""
    images = make_atoms(3)
    images[2].calc.results['energy'] = images[2].calc.results['free_energy'] = np.nan
    with pytest.raises(DatasetError, match=r'energy .*structure 2 .*not finite'):
        PaceDatasetData.from_atoms(images)


def test_forces_of_the_wrong_shape(make_atoms):
    """Forces that do not fit the atoms are refused; the sentence says of which structure."""
    images = make_atoms(3)
    images[1].calc.results['forces'] = np.zeros((7, 3))
    with pytest.raises(DatasetError, match=r'structure 1 .*\(7, 3\)'):
        PaceDatasetData.from_atoms(images)


def test_an_empty_dataset():
    """A dataset without structures cannot be made."""
    with pytest.raises(DatasetError, match=r'empty|no structure|nothing'):
        PaceDatasetData.from_atoms([])


def test_total_energies_without_a_reference(refused, inputs, make_atoms):
    """Total energies alone are refused: what is subtracted is always explicit."""
    total = PaceDatasetData.from_atoms(make_atoms(4))
    assert 'subtract a reference' in refused(PaceTrainCalculation, **{**inputs, 'dataset': total})


def test_energies_that_pacemaker_would_replace(refused, inputs, make_dataset):
    """Corrected energies outside of what Pacemaker accepts are refused: it would silently take others."""
    structures = make_dataset(4).get_structures()
    far = PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy - 400.0))
    assert 'silently replaces' in refused(PaceTrainCalculation, **{**inputs, 'dataset': far})


def test_a_repulsion_that_would_count_twice(refused, inputs, make_dataset):
    """Data from which ZBL was subtracted are not trained with Pacemaker's own core repulsion."""
    zbl = {'name': 'zbl', 'inner': 1.0, 'outer': 2.0}
    recorded = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0}, 'potential': zbl}
    structures = make_dataset(4).get_structures()
    inputs['dataset'] = PaceDatasetData.from_structures(structures, reference=recorded)
    inputs['config']['fit']['repulsion'] = 'auto'
    assert 'kept apart twice' in refused(PaceTrainCalculation, **inputs)


# Elements


def test_an_element_that_the_config_lacks(refused, inputs, make_dataset):
    """An element of the data that the potential lacks is refused, and named."""
    sentence = refused(PaceTrainCalculation, **{**inputs, 'dataset': make_dataset(4, symbol='Cu')})
    assert '`dataset` contains Cu, which the potential lacks (it has Al)' in sentence


def test_an_element_of_the_test_set_that_the_config_lacks(refused, inputs, make_dataset):
    """The same holds for the test set."""
    sentence = refused(PaceTrainCalculation, **inputs, test_dataset=make_dataset(4, symbol='Cu'))
    assert '`test_dataset` contains Cu' in sentence


def test_an_element_that_the_data_lack(refused, inputs):
    """An element of the config that is not in the data is refused, and named."""
    inputs['config']['potential']['elements'] = ['Al', 'Ni']
    assert 'the potential has Ni, which `dataset` lacks' in refused(PaceTrainCalculation, **inputs)


def test_a_potential_of_other_elements(refused, inputs, copper):
    """A potential of other elements is nothing to go on from."""
    sentence = refused(PaceTrainCalculation, **inputs, initial_potential=copper)
    assert '`initial_potential` is for Cu but `config` for Al' in sentence


def test_a_potential_alone_must_have_the_elements(refused, inputs, copper):
    """Without a shape in the config, the elements are those of the potential."""
    del inputs['config']['potential']
    assert '`dataset` contains Al' in refused(PaceTrainCalculation, **inputs, initial_potential=copper)


# Test sets


def test_a_test_set_that_swallows_the_training_set(refused, inputs):
    """A test set that holds all of the training set is refused."""
    sentence = refused(PaceTrainCalculation, **inputs, test_dataset=inputs['dataset'])
    assert 'nothing is left to train on' in sentence


def test_structures_on_both_sides(refused, inputs, make_dataset):
    """A structure on both sides is refused: test errors would be too good."""
    both = LabelledStructures.concatenate(
        [make_dataset(3, seed=5).get_structures(), inputs['dataset'].get_structures().take([1, 2])]
    )
    sentence = refused(PaceTrainCalculation, **inputs, test_dataset=PaceDatasetData.from_structures(both))
    assert '2 of 20 structures of `dataset` are also in `test_dataset`' in sentence


def test_weights_in_one_set_alone(refused, inputs, make_dataset):
    """Weights of a test set without weights of the training set are refused: Pacemaker would fail on them."""
    plain = make_dataset(3, seed=5).get_structures()
    weighted = plain.replace(energy_weights=np.ones(len(plain)), force_weights=np.ones(plain.n_atoms))
    sentence = refused(PaceTrainCalculation, **inputs, test_dataset=PaceDatasetData.from_structures(weighted))
    assert sentence.startswith('`dataset` has no weights, but the other set has')


# Settings


@pytest.mark.parametrize(
    ('path', 'value', 'words'),
    [
        (('fit', 'maxitr'), 5, ['maxitr', 'maxiter']),
        (('fitt',), {}, ['fitt', 'fit']),
        (('fit', 'loss', 'kapa'), 0.3, ['kapa', 'kappa']),
        (('fit', 'maxiter'), -1, ['maxiter', '-1']),
        (('fit', 'maxiter'), 'many', ['maxiter', 'many']),
        (('fit', 'loss', 'kappa'), 2.0, ['kappa', '2']),
        (('potential', 'bonds', 'ALL', 'rcut'), -4.0, ['rcut', '-4']),
        (('potential', 'bonds', 'ALL', 'rcutt'), 4.0, ['rcutt', 'rcut']),
        (('backend', 'evaluator'), 'magic', ['evaluator', 'magic']),
        (('data',), {'filename': 'mine.pckl.gzip'}, ['filename']),
    ],
)
def test_wrong_settings(refused, inputs, path, value, words):
    """An unknown key is refused with the nearest known one, and a wrong value with its key."""
    section = inputs['config']
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    sentence = refused(PaceTrainCalculation, **inputs)
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ('parameters', 'word'),
    [
        ({'memory_limit': "__import__('os').mkdir('/tmp/fired')"}, 'memory_limit'),
        ({'memory_limit': '8GB\n'}, 'memory_limit'),
        ({'memory_limit': '8 GB'}, 'memory_limit'),
        ({'gamma_tolerance': 1.0}, 'gamma_tolerance'),
        ({'maxvol_iters': 0}, 'maxvol_iters'),
        ({'gama': 1.1}, 'gama'),
        ({'all_atoms': 'perhaps'}, 'all_atoms'),
        ({'batch_size': '-d /etc/passwd'}, 'batch_size'),
    ],
)
def test_wrong_active_set_parameters(refused, inputs, elsewhere, copper, make_dataset, parameters, word):
    """Parameters of the active set are checked, above all those that the program would evaluate as Python."""
    codes = {'activeset': elsewhere('pace_activeset')}
    assert word in refused(PaceTrainCalculation, **inputs, codes=codes, active_set_parameters=parameters)
    alone = {'code': elsewhere('pace_activeset'), 'potential': copper, 'dataset': make_dataset(4, symbol='Cu')}
    assert word in refused(PaceActivesetCalculation, **alone, parameters=parameters)


# Selections and active sets


@pytest.fixture
def selection(elsewhere, make_dataset, copper):
    """Return inputs of a selection with which nothing is wrong."""
    return {'code': elsewhere('pace_select'), 'dataset': make_dataset(4, symbol='Cu'), 'potential': copper}


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'max_structures': 5}, '`max_structures` is 5, but the pool has only 4 structures'),
        ({'max_structures': 0}, 'max_structures'),
        ({'max_structures': -1}, 'max_structures'),
        ({'strategy': 'magic'}, 'strategy'),
        ({'max_atoms': 1}, 'the smallest structure of the pool has 2'),
        ({'max_atoms': 10**6}, 'the pool has only'),
        ({'max_structures': 2, 'keep_names': ['nobody']}, '`keep_names` has `nobody`'),
        ({'memory_limit': "__import__('os').mkdir('/tmp/fired')"}, 'memory_limit'),
    ],
)
def test_wrong_select_parameters(refused, selection, parameters, words):
    """A selection larger than its pool, or with parameters that make no sense, is refused."""
    assert words in refused(PaceSelectCalculation, **selection, parameters=parameters)


def test_candidates_of_another_element(refused, selection, make_dataset):
    """Candidates with an element that the basis lacks are refused."""
    assert 'the pool contains Al' in refused(PaceSelectCalculation, **{**selection, 'dataset': make_dataset(4)})


@pytest.mark.parametrize('budget', [{'max_structures': 2}, {'max_atoms': 4}])
def test_keeping_more_than_is_selected(refused, selection, budget):
    """Structures that are taken in any case count, in structures or in atoms."""
    names = selection['dataset'].get_names().tolist()
    words = refused(PaceSelectCalculation, **selection, parameters={**budget, 'keep_names': names})
    assert 'what is kept in any case has' in words


def test_strategies_that_cannot_use_an_active_set(refused, selection):
    """A strategy that does not know what an active set is for says so, and which ones do."""
    known = SinglefileData.from_bytes(b'known', filename='mine.asi')
    for strategy in ('random', 'spread', 'farthest_point', 'kmeans'):
        parameters = {'strategy': strategy, 'max_structures': 2}
        words = refused(PaceSelectCalculation, **selection, active_set=known, parameters=parameters)
        assert f'`{strategy}` cannot choose against an `active_set`' in words


def test_a_selection_needs_one_basis(refused, selection, config):
    """A selection without basis, or with two, is refused."""
    assert 'either a `potential` or a `config`' in refused(PaceSelectCalculation, **selection, config=config)
    del selection['potential']
    assert 'either a `potential` or a `config`' in refused(PaceSelectCalculation, **selection)
    assert 'needs `codes.pacemaker`' in refused(PaceSelectCalculation, **selection, config=config)


def test_an_active_set_of_another_element(refused, elsewhere, make_dataset, copper):
    """An active set on data of another element is refused."""
    inputs = {'code': elsewhere('pace_activeset'), 'potential': copper, 'dataset': make_dataset(4)}
    assert '`dataset` contains Al' in refused(PaceActivesetCalculation, **inputs)


def test_an_active_set_filters_by_forces(refused, elsewhere, make_atoms, copper):
    """Without forces the filter on force errors has nothing to go by: all atoms have to be asked for."""
    bare = LabelledStructures.from_atoms(make_atoms(4, symbol='Cu', labelled=False), require_labels=False)
    inputs = {'code': elsewhere('pace_activeset'), 'potential': copper}
    sentence = refused(PaceActivesetCalculation, **inputs, dataset=PaceDatasetData.from_structures(bare))
    assert '`all_atoms`' in sentence


# Files


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'just text',
        b'\xff\xfe\x00',
        b'seed: 1\npotential: {}\n',
        POTENTIAL.read_bytes()[:1500],
        b'a: &a [1]\nb: [*a, *a]\n',
        b'!!python/object/apply:os.mkdir ["/tmp/fired"]\n',
        b'[' * 100_000,
    ],
)
@pytest.mark.parametrize('process', [PaceTrainCalculation, PaceSelectCalculation, PaceActivesetCalculation])
def test_a_potential_that_is_none(refused, inputs, selection, elsewhere, process, content):
    """A file that is no potential is refused by every job that takes one."""
    broken = SinglefileData.from_bytes(content, filename='potential.yaml')
    if process is PaceTrainCalculation:
        given = {**inputs, 'initial_potential': broken}
    elif process is PaceSelectCalculation:
        given = {**selection, 'potential': broken}
    else:
        given = {**selection, 'code': elsewhere('pace_activeset'), 'potential': broken}
    assert 'potential' in refused(process, **given)


def test_a_truncated_dataset_file(make_atoms, tmp_path):
    """A dataset file that ends too early is refused."""
    path = save_to_pacemaker_format(make_atoms(4), tmp_path / 'whole.pckl.gzip')
    cut = SinglefileData.from_bytes(path.read_bytes()[:-200], filename='cut.pckl.gzip')
    with pytest.raises(FileFormatError, match=r'truncated|ends|damaged'):
        import_dataset(cut)


def test_a_dataset_file_that_is_none(aiida_profile):
    """A file that is no dataset is refused."""
    with pytest.raises(FileFormatError):
        import_dataset(SinglefileData.from_bytes(b'not a dataset', filename='x.pckl.gzip'))


def test_a_dataset_file_that_would_run_code(aiida_profile, tmp_path):
    """A pickle that calls what no dataset needs is refused, and nothing of it is run."""
    import gzip
    import os
    import pickle

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'fired'),)

    content = gzip.compress(pickle.dumps(Payload()))
    with pytest.raises(UnsafeFileError):
        import_dataset(SinglefileData.from_bytes(content, filename='payload.pckl.gzip'))
    assert not (tmp_path / 'fired').exists()
