"""Wrong inputs of the training work chain end with one clear sentence, and no job is ever submitted."""

from __future__ import annotations

import gzip
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run, run_get_node
from aiida.orm import ArrayData, CalcJobNode, QueryBuilder, SinglefileData

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

POTENTIAL = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
REFERENCE = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0, 'Cu': 0.0}}


@pytest.fixture
def inputs(aiida_profile, aiida_code_installed, as_dataset, make_atoms, config):
    """Return inputs with which nothing is wrong, for a program that is not installed."""
    codes = {
        name: aiida_code_installed(
            label=f'no-{name}', filepath_executable=f'/nowhere/{name}', default_calc_job_plugin=None
        )
        for name in ('pacemaker', 'pace_select')
    }
    return {
        'datasets': {'a': as_dataset(make_atoms(8))},
        'config': config,
        'reference': REFERENCE,
        'pace_train': {'code': codes['pacemaker']},
        'pace_select': {'code': codes['pace_select']},
    }


@pytest.fixture
def refused_at_once(aiida_profile):
    """Return a function that launches the work chain and returns the sentence that refuses its inputs."""

    def attempt(**inputs):
        before = QueryBuilder().append(CalcJobNode).count()
        with pytest.raises(ValueError, match='Error occurred validating port') as caught:
            run(TrainPotentialWorkChain, **inputs)
        assert QueryBuilder().append(CalcJobNode).count() == before
        return str(caught.value)

    return attempt


@pytest.fixture
def refused(aiida_profile):
    """Return a function that runs the work chain, and returns why it refused the data before any job."""

    def attempt(**inputs):
        before = QueryBuilder().append(CalcJobNode).count()
        _, node = run_get_node(TrainPotentialWorkChain, **inputs)
        assert QueryBuilder().append(CalcJobNode).count() == before
        assert node.exit_status == 200, (node.exit_status, node.exit_message)
        assert node.exit_message.startswith('The data cannot be used: ')
        return node.exit_message

    return attempt


# Refused at once


def test_no_data(refused_at_once, inputs):
    """Without data there is nothing to do."""
    assert 'there are no data' in refused_at_once(**{**inputs, 'datasets': {}})


def test_a_dataset_without_forces(refused_at_once, inputs, make_atoms):
    """A dataset without forces is refused by its key."""
    structures = LabelledStructures.from_atoms(make_atoms(4))
    bare = PaceDatasetData.from_structures(structures.replace(forces=None))
    sentence = refused_at_once(**{**inputs, 'datasets': {'bare': bare}})
    assert re.search(r'`datasets.bare`: .* has no energies or no forces', sentence)


def test_an_element_that_the_config_lacks(refused_at_once, inputs, as_dataset, make_atoms):
    """An element that the config lacks is named, with the key of the data."""
    inputs['datasets']['copper'] = as_dataset(make_atoms(4, symbol='Cu'))
    assert '`datasets.copper`: it contains Cu, which `config` lacks' in refused_at_once(**inputs)


@pytest.mark.parametrize(
    ('port', 'value', 'words'),
    [
        ('split', {'test_fraction': 1.0}, '`test_fraction` is 1.0'),
        ('split', {'test_fraction': True}, '`test_fraction` is True'),
        ('split', {'test_fraction': 0.1, 'seed': 1.5}, '`seed` is 1.5'),
        ('split', {'fraction': 0.1}, '`fraction` is unknown'),
        ('reference', {'method': 'magic'}, 'method'),
        ('reference', {'method': 'single_atom_energies'}, 'single_atom_energies'),
        ('selection', {'max_structures': 0}, 'max_structures'),
        ('selection', {'memory_limit': "__import__('os').mkdir('/tmp/fired')"}, 'memory_limit'),
        ('triage', {'cutof_angstrom': 5.0}, '`rules.cutof_angstrom` is unknown; did you mean `cutoff_angstrom`?'),
        ('triage', {'actions': {'duplicates': 'drop'}}, 'did you mean `duplicate`?'),
        ('triage', {'actions': {'duplicate': 'delete'}}, '`rules.actions.duplicate` is'),
        ('on_conflict', 'shrug', '`shrug` is unknown'),
        ('selection_parts', 2, '`selection_parts` divides the pool of a `selection`, which is not given'),
        ('reference', 'zbl', "value 'reference' is not of the right type"),
    ],
)
def test_settings_of_the_way(refused_at_once, inputs, port, value, words):
    """Settings of split, reference, selection and merge are checked."""
    assert words in refused_at_once(**{**inputs, port: value})


def test_an_unknown_key_of_the_config(refused_at_once, inputs):
    """An unknown key is refused with the nearest known one."""
    inputs['config']['fit']['maxitr'] = 3
    sentence = refused_at_once(**inputs)
    assert 'maxitr' in sentence
    assert 'maxiter' in sentence


def test_a_value_of_the_wrong_sign(refused_at_once, inputs):
    """A value of the wrong sign is refused with its key."""
    inputs['config']['potential']['bonds']['ALL']['rcut'] = -4.5
    assert 'rcut' in refused_at_once(**inputs)


def test_two_ways_to_test(refused_at_once, inputs, as_dataset, make_atoms):
    """A split and test data of their own exclude each other."""
    inputs |= {'split': {'test_fraction': 0.2}, 'test_datasets': {'t': as_dataset(make_atoms(3, seed=1))}}
    assert 'both `split` and `test_datasets`' in refused_at_once(**inputs)


def test_a_selection_needs_its_program(refused_at_once, inputs):
    """A selection without its program is refused."""
    del inputs['pace_select']
    assert 'needs `pace_select.code`' in refused_at_once(**inputs, selection={'max_structures': 3})


def test_triage_that_drops_what_the_reference_needs(refused_at_once, inputs):
    """Isolated atoms cannot be dropped when energies are relative to them."""
    inputs |= {'reference': {'method': 'isolated_atoms'}, 'triage': {'actions': {'no_neighbours': 'drop'}}}
    assert '`triage` drops `no_neighbours`, but `reference`' in refused_at_once(**inputs)


def test_structures_without_labels(refused_at_once, inputs, as_structures, make_atoms):
    """Structures and labels go by the same keys."""
    pairs = as_structures(make_atoms(3))
    del pairs['labels']['s1']
    assert '`s1` is in `structures` but not in `labels`' in refused_at_once(**inputs, **pairs)


def test_a_conversion_of_nothing(refused_at_once, inputs):
    """A conversion for a key that no data have is a misspelling."""
    assert '`conversion` has `b`' in refused_at_once(**inputs, conversion={'b': {}})


@pytest.mark.parametrize(
    ('settings', 'words'),
    [({'nmaes': 'content'}, 'import option `nmaes` is unknown'), ('content', 'has to be a mapping')],
)
def test_a_conversion_that_is_wrong(refused_at_once, inputs, make_atoms, as_file, settings, words):
    """How a file is read is checked before it is read."""
    inputs['datasets'] = {'file': as_file(make_atoms(4))}
    assert words in refused_at_once(**inputs, conversion={'file': settings})


def test_an_active_set_without_its_potential(refused_at_once, inputs):
    """An active set belongs to a potential."""
    active_set = SinglefileData.from_bytes(b'x', filename='x.asi')
    assert '`active_set` belongs to `initial_potential`' in refused_at_once(**inputs, active_set=active_set)


def test_a_potential_that_is_none(refused_at_once, inputs):
    """A file that is no potential cannot be updated."""
    broken = SinglefileData.from_bytes(b'seed: 1\n', filename='potential.yaml')
    assert 'potential' in refused_at_once(**inputs, initial_potential=broken)


def test_a_potential_of_other_elements(refused_at_once, inputs):
    """A potential of other elements cannot be updated."""
    assert '`initial_potential` is for Cu' in refused_at_once(**inputs, initial_potential=SinglefileData(POTENTIAL))


# Refused when the data are seen


def test_an_element_that_the_data_lack(refused, inputs):
    """An element of the config that is not in the data is refused."""
    inputs['config']['potential']['elements'] = ['Al', 'Ni']
    assert 'the potential has Ni, which `dataset` lacks' in refused(**inputs)


def test_no_forces_in_a_file(refused, inputs, make_atoms, as_file):
    """A file without forces is refused; the sentence names the structure."""
    images = make_atoms(3)
    for image in images:
        image.calc.results.pop('forces')
    inputs['datasets'] = {'file': as_file(images)}
    assert 'forces' in refused(**inputs)


def test_no_energy_with_a_structure(refused, inputs, as_structures, make_atoms):
    """Labels without an energy are refused; the sentence names the key."""
    pairs = as_structures(make_atoms(3))
    pairs['labels']['s2'] = ArrayData({'forces': pairs['labels']['s2'].get_array('forces')})
    assert 's2' in refused(**inputs, **pairs)


def test_a_nan_energy_in_a_trajectory(refused, inputs, make_atoms, as_trajectory, convention):
    """An energy that is not a number is refused; the sentence names the structure."""
    trajectory = as_trajectory(make_atoms(6)[::2])
    energies = trajectory.get_array('energies')
    energies[1] = np.nan
    trajectory.set_array('energies', energies)
    inputs |= {'datasets': {'md': trajectory}, 'conversion': {'md': convention}}
    assert re.search(r'energy .*structure 1 .*not finite', refused(**inputs))


def test_forces_of_the_wrong_shape(refused, inputs, as_structures, make_atoms):
    """Forces that do not fit the atoms are refused; the sentence names the structure."""
    pairs = as_structures(make_atoms(3))
    pairs['labels']['s1'].set_array('forces', np.zeros((7, 3)))
    sentence = refused(**inputs, **pairs)
    assert 's1' in sentence
    assert '(7, 3)' in sentence


def test_a_trajectory_of_unknown_meaning(refused, inputs, make_atoms, as_trajectory):
    """What the arrays of a trajectory mean is never guessed."""
    inputs['datasets'] = {'md': as_trajectory(make_atoms(6)[::2])}
    assert 'state it in `parameters`' in refused(**inputs)


def test_a_selection_larger_than_the_pool(refused_at_once, refused, inputs, make_atoms, as_file):
    """More structures than there are cannot be selected; in a file they are counted when it is read."""
    words = '`selection.max_structures` is 9, but the pool has only 8 structures'
    assert words in refused_at_once(**inputs, selection={'max_structures': 9})
    inputs['datasets'] = {'file': as_file(make_atoms(8))}
    assert words in refused(**inputs, selection={'max_structures': 9})


def test_two_references(refused_at_once, inputs):
    """What energies are relative to is stated once."""
    inputs['config']['data'] = {'reference_energy': 'auto'}
    assert 'remove one of the two' in refused_at_once(**inputs)


@pytest.mark.parametrize('setting', ['fit.repulsion: auto', 'potential.bonds.ALL.core-repulsion'])
def test_a_repulsion_that_would_count_twice(refused_at_once, inputs, setting):
    """Pacemaker's own core repulsion and a reference potential that repels exclude each other."""
    inputs['reference'] = {**inputs['reference'], 'potential': {'name': 'zbl', 'inner': 1.0, 'outer': 2.0}}
    if setting == 'fit.repulsion: auto':
        inputs['config']['fit']['repulsion'] = 'auto'
    else:
        shape = inputs['config']['potential']
        shape['embeddings']['ALL'] |= {'rho_core_cut': 5.0, 'drho_core_cut': 5.0}
        shape['bonds']['ALL'] |= {'r_in': 2.0, 'delta_in': 0.3, 'core-repulsion': [100.0, 2.0]}
    sentence = refused_at_once(**inputs)
    assert f'`config` sets {setting}, but the potential zbl is subtracted' in sentence
    assert 'choose one of the two' in sentence


def test_a_test_set_that_swallows_the_training_set(refused, inputs, as_dataset, make_atoms):
    """Test data that hold all training data are refused."""
    sentence = refused(**inputs, test_datasets={'all': as_dataset(make_atoms(8))})
    assert 'nothing is left to train on' in sentence


def test_a_split_that_leaves_nothing(refused, inputs):
    """A fraction that leaves nothing to train on is refused."""
    assert 'nothing' in refused(**inputs, split={'test_fraction': 0.999999})


def test_contradicting_labels(refused, inputs, as_dataset, make_atoms):
    """Equal structures with different energies are refused, unless it is stated what counts."""
    other = make_atoms(2)
    other[0].calc.results['energy'] += 1.0
    other[0].calc.results['free_energy'] = other[0].calc.results['energy']
    inputs['datasets']['b'] = as_dataset(other)
    assert 'the energies differ by 1 eV' in refused(**inputs)


def test_triage_that_leaves_nothing(refused, inputs):
    """Rules that drop every structure are refused with the kinds that they drop."""
    triage = {'actions': {'rare_element': 'drop'}}
    assert 'the rules drop all 8 structures (rare_element)' in refused(**inputs, triage=triage)


def test_total_energies_without_a_reference(refused_at_once, inputs):
    """What is subtracted from total energies is always explicit."""
    del inputs['reference']
    assert 'subtract a reference' in refused_at_once(**inputs)


def test_an_element_without_a_reference(refused, inputs):
    """A reference has to know every element."""
    inputs['reference'] = {'method': 'single_atom_energies', 'single_atom_energies': {'Cu': 0.0}}
    assert 'no reference energy for Al' in refused(**inputs)


def test_no_isolated_atom(refused, inputs):
    """A reference of isolated atoms needs isolated atoms."""
    inputs['reference'] = {'method': 'isolated_atoms'}
    assert 'no reference energy for Al' in refused(**inputs)


def test_another_reference_than_that_of_the_potential(refused_at_once, inputs):
    """An update cannot change what energies are relative to."""
    text = POTENTIAL.read_text().replace('Cu', 'Al')
    potential = SinglefileData.from_string(text, filename='potential.yaml')
    recorded = {'method': 'isolated_atoms', 'single_atom_energies': {'Al': -0.5}}
    potential.base.attributes.set('reference', recorded)
    sentence = refused_at_once(**inputs, initial_potential=potential)
    assert 'leave `reference` out' in sentence


# Files


@pytest.mark.parametrize('name', ['x.pckl.gzip', 'x.extxyz', 'x.unknown'])
@pytest.mark.parametrize('content', [b'', b'not a dataset', b'\xff\xfe\x00', gzip.compress(b'neither')])
def test_a_file_that_is_none(refused, inputs, name, content):
    """A file that holds no structures is refused, whatever its name."""
    inputs['datasets'] = {'file': SinglefileData.from_bytes(content, filename=name)}
    assert refused(**inputs)


@pytest.mark.parametrize('keep', [0.5, 0.99])
def test_a_truncated_file(refused, inputs, make_atoms, tmp_path, keep):
    """A dataset file that ends too early is refused."""
    content = save_to_pacemaker_format(make_atoms(4), tmp_path / 'whole.pckl.gzip').read_bytes()
    cut = content[: int(keep * len(content))]
    inputs['datasets'] = {'file': SinglefileData.from_bytes(cut, filename='cut.pckl.gzip')}
    assert re.search('truncated|damaged|ends', refused(**inputs))


class Payload:
    """An object whose unpickling makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_file_that_would_run_code(refused, inputs, tmp_path):
    """A pickle that calls what no dataset needs is refused, and nothing of it is run."""
    content = gzip.compress(pickle.dumps({'ase_atoms': Payload(tmp_path / 'fired')}))
    inputs['datasets'] = {'file': SinglefileData.from_bytes(content, filename='payload.pckl.gzip')}
    assert refused(**inputs)
    assert not (tmp_path / 'fired').exists()
