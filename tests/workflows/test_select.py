"""Selections from a pool in parts, with the real Pacemaker, beside those in one job."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, SinglefileData

from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.selection.parameters import DEFAULT_BESIDE_ACTIVE_SET
from aiida_autopipec.workflows.select import SelectWorkChain
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def pool(make_atoms):
    """Return candidates of two sizes, of which two files of the node hold a part each, and two small ones."""
    images = make_atoms(40, seed=3)
    lonely, dimer = images[0].copy(), images[2].copy()
    for image in (lonely, dimer):
        image.pbc, image.cell = False, np.eye(3) * 30.0
    lonely, dimer = lonely[:1], dimer[:2]
    dimer.positions[1] = dimer.positions[0] + (2.5, 0.0, 0.0)
    for image in (lonely, dimer):
        image.info['energy'], image.arrays['forces'] = -0.1 * len(image), np.zeros((len(image), 3))
    structures = LabelledStructures.from_atoms([*images, lonely, dimer])
    parts = [structures.take(range(17)), structures.take(range(17, 42))]
    return PaceDatasetData.from_structures(parts, max_shard_bytes=4000).store()


@pytest.fixture(scope='module')
def potential(tmp_path_factory, make_config):
    """Return an untrained potential."""
    from pyace import create_multispecies_basis_config

    path = tmp_path_factory.mktemp('potential') / 'potential.yaml'
    create_multispecies_basis_config(make_config()['potential']).save(str(path))
    return SinglefileData(path).store()


@pytest.fixture(scope='module')
def select(programs, pool, potential):
    """Return a function that selects in parts and returns the node."""

    def run(parts, dataset=None, others=None, **parameters):
        inputs = {
            'code': programs['pace_select'],
            'dataset': pool if dataset is None else dataset,
            'potential': potential,
            'parameters': parameters,
            **(others or {}),
        }
        _, node = run_get_node(SelectWorkChain, pace_select=inputs, parts=parts)
        return node

    return run


def jobs_of(node):
    """Return the jobs of a work chain."""
    return [job for job in node.called if isinstance(job, CalcJobNode)]


@pytest.fixture(scope='module')
def in_parts(select, pool):
    """Return a selection in two parts with a structure that is taken in any case."""
    name = pool.get_names().tolist()[5]
    node = select(2, max_structures=9, keep=['isolated_atoms', 'dimers'], keep_names=[name])
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


def test_exactly_the_number_out_of_parts(in_parts, pool):
    """Two jobs over parts and one over what they offer give the number, rows of the whole pool, and what is kept."""
    parameters = in_parts.outputs.output_parameters.get_dict()
    rows = parameters['rows']
    assert len(set(rows)) == len(rows) == parameters['selected_structures'] == 9
    assert parameters['asked_for'] == {'structures': 9}
    assert parameters['missing'] == 0
    assert (parameters['pool_structures'], parameters['pool_atoms']) == (42, pool.n_atoms)
    assert {5, 40, 41} <= set(rows)
    expected = pool.get_structures().take(sorted(rows))
    assert in_parts.outputs.selected.content_hash == expected.content_hash
    assert len(jobs_of(in_parts)) == 3


def test_the_parts_are_the_pool(in_parts, pool):
    """Every structure is in one part or is taken in any case, with as many atoms in each part as in the others."""
    divided = next(node for node in in_parts.called if node.process_label == 'divide_for_selection').outputs
    parts = [divided[f'part_{number:03d}'] for number in range(2)]
    assert divided.offered.get_names().tolist() == pool.get_names()[[5, 40, 41]].tolist()
    names = np.concatenate([divided.offered.get_names(), *(part.get_names() for part in parts)])
    assert sorted(names.tolist()) == sorted(pool.get_names().tolist())
    atoms = [part.n_atoms for part in parts]
    assert max(atoms) - min(atoms) <= 8


def test_the_report_says_what_the_parts_did(in_parts):
    """Sizes of the parts, of what they offered, and of the last pool are in the report."""
    parameters = in_parts.outputs.output_parameters.get_dict()
    assert [part['missing'] for part in parameters['parts']] == [0, 0]
    offered = sum(part['selected_structures'] for part in parameters['parts'])
    assert 9 < offered + 3 == parameters['finalists_structures'] < 42
    assert {'gamma_max_rest', 'log_determinant_pool'} <= set(parameters['of_finalists'])
    assert 'gamma_max_rest' not in parameters
    assert in_parts.outputs.finalists.n_structures == len(in_parts.outputs.explanation.get_array('round'))


def test_the_cut_into_datasets_plays_no_part(select, in_parts, pool):
    """The same structures in another order give the same selection, and each keeps the node that it comes from."""
    structures = pool.get_structures()
    order = np.random.default_rng(0).permutation(42)
    source = '7c9e6679-7425-40de-944b-e07fc1f90ae7'
    shuffled = structures.take(order)
    shuffled = shuffled.replace(sources=np.full(42, source))
    name = pool.get_names().tolist()[5]
    node = select(
        2, PaceDatasetData.from_structures(shuffled), max_structures=9, keep=['isolated_atoms', 'dimers'],
        keep_names=[name],
    )  # fmt: skip
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    assert set(node.outputs.selected.get_names()) == set(in_parts.outputs.selected.get_names())
    assert node.outputs.selected.get_source_uuids() == {source}


def test_quotas_and_atoms_in_parts(select, pool):
    """A number of atoms is met, and each group gets its part of it."""
    structures = pool.get_structures().take(range(40))
    sources = np.array(['7c9e6679-7425-40de-944b-e07fc1f90ae7', '1f9e6679-7425-40de-944b-e07fc1f90ae7'])
    dataset = PaceDatasetData.from_structures(structures.replace(sources=sources[np.arange(40) // 2 % 2]))
    node = select(2, dataset, strategy='greedy_logdet', fraction=0.3, quota_by='source', quotas='equal')
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    parameters = node.outputs.output_parameters.get_dict()
    assert parameters['asked_for'] == {'atoms': 36}
    assert parameters['selected_atoms'] == 36
    sizes = dataset.get_sizes()[parameters['rows']]
    of_first = np.arange(40)[parameters['rows']] // 2 % 2 == 0
    assert sizes[of_first].sum() == 18


def test_what_maxvol_touches_in_parts(select):
    """Without a number, the last round is that of MaxVol over what it touched in the parts; one part is one job."""
    node = select(2)
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    parameters = node.outputs.output_parameters.get_dict()
    assert 'asked_for' not in parameters
    assert parameters['strategy'] == 'maxvol'
    assert parameters['selected_structures'] == parameters['touched_by_maxvol'] <= parameters['finalists_structures']
    single = select(1)
    assert len(jobs_of(single)) == 1
    assert 'finalists' not in single.outputs
    assert single.outputs.output_parameters.creator == jobs_of(single)[0]


def test_parts_against_an_active_set(programs, select, potential, pool):
    """Structures that an active set was made of add nothing to it; a strained one in the last part does."""
    _, known = run_get_node(
        PaceActivesetCalculation,
        code=programs['pace_activeset'],
        potential=potential,
        dataset=pool,
        parameters={'all_atoms': True},
    )
    assert known.exit_status == 0, (known.exit_status, known.exit_message)
    structures = pool.get_structures().take(range(20))
    cells, positions = structures.cells.copy(), structures.positions.copy()
    cells[3] *= 0.85
    positions[structures.offsets[3] : structures.offsets[4]] *= 0.85
    dataset = PaceDatasetData.from_structures(structures.replace(cells=cells, positions=positions))
    node = select(2, dataset, {'active_set': known.outputs.active_set}, max_structures=2)
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    parameters = node.outputs.output_parameters.get_dict()
    assert parameters['used_active_set']
    assert parameters['strategy'] == DEFAULT_BESIDE_ACTIVE_SET
    assert 3 in parameters['rows']


def test_too_few_parts_are_refused(select):
    """The number of parts is checked before anything is stored."""
    with pytest.raises(ValueError, match='has to be at least 1'):
        select(0, max_structures=3)


def test_a_part_that_fails_ends_the_selection(select):
    """The reason of the first part that failed is that of the whole."""
    node = select(2, max_structures=9, memory_limit='20MB')
    assert node.exit_status == 401
    assert 'may use 20 MB' in node.exit_message


def test_a_training_selects_in_parts(programs, make_atoms, make_config):
    """The training work chain hands the number of parts on, and trains on what was selected."""
    config = make_config()
    config['fit']['maxiter'] = 1
    _, node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'a': PaceDatasetData.from_atoms(make_atoms(30, seed=8))},
        config=config,
        selection=Dict({'max_structures': 8}),
        selection_parts=2,
        reference={'method': 'single_atom_energies', 'single_atom_energies': {'Al': 0.0}},
        pace_train={'code': programs['pacemaker']},
        pace_select={'code': programs['pace_select']},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    assert node.outputs.training_set.n_structures == 8
    selection = next(child for child in node.called if child.process_label == 'SelectWorkChain')
    assert len(jobs_of(selection)) == 3
