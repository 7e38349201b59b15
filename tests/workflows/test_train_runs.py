"""The whole way from data of any kind to a potential, with the real Pacemaker, and what of it stays in the graph."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Node
from aiida.tools.archive import create_archive

from aiida_autopipec.data.provenance import potentials_from, sources_of
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.pacemaker.outputs import canonical_potential_text
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

pytestmark = pytest.mark.pacemaker

REFERENCE = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': -0.25}}


@pytest.fixture(scope='module')
def data(make_atoms, as_dataset, as_trajectory, as_file, as_structures, convention):
    """Return data of every kind."""
    images = make_atoms(28, seed=4)
    large, small = images[1::2], images[::2]  # four atoms, two atoms
    return {
        'datasets': {
            'dataset': as_dataset(small[:6]).store(),
            'trajectory': as_trajectory(large[:8]).store(),
            'file': as_file(small[6:]).store(),
        },
        **as_structures(large[8:]),
        'conversion': {'trajectory': convention},
    }


@pytest.fixture(scope='module')
def first(data, programs, make_config):
    """Return a run with conversion, merge, split, selection, training, export and an active set of its own."""
    _, node = run_get_node(
        TrainPotentialWorkChain,
        **data,
        config=make_config(),
        split={'test_fraction': 0.2, 'seed': 3},
        selection={'max_structures': 15},
        reference=REFERENCE,
        pace_train={'code': programs['pacemaker'], 'codes': {'yaml2yace': programs['pace_yaml2yace']}},
        pace_select={'code': programs['pace_select']},
        pace_activeset={'code': programs['pace_activeset'], 'parameters': {'all_atoms': True}},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


@pytest.fixture(scope='module')
def new_data(make_atoms, as_dataset):
    """Return data of a next round: eight new structures, and two that are known already."""
    return as_dataset([*make_atoms(8, seed=21), *make_atoms(28, seed=4)[:4:2]])


@pytest.fixture(scope='module')
def updated(first, new_data, programs, make_config, make_atoms, as_file):
    """Return an update of the first potential by its own data and new ones, tested on data of its own."""
    config = make_config()
    config['fit']['maxiter'] = 3
    _, node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'new': new_data, 'old': first.outputs.dataset},
        test_datasets={'file': as_file(make_atoms(5, seed=33))},
        config=config,
        initial_potential=first.outputs.potential,
        pace_train={'code': programs['pacemaker']},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


def calculation(node: Node, label: str) -> CalcJobNode:
    """Return the last calculation job of a work chain that ran under a label."""
    called = node.base.links.get_outgoing(link_label_filter=label).one().node
    jobs = [child for child in called.called if isinstance(child, CalcJobNode)]
    return called if isinstance(called, CalcJobNode) else max(jobs, key=lambda child: child.pk)


# The whole way


def test_outputs(first):
    """Everything that was made on the way is an output."""
    assert set(first.outputs) == {
        'handoff',
        'active_set',
        'dataset',
        'lammps_potential',
        'learning_curve',
        'output_parameters',
        'potential',
        'predictions',
        'selected',
        'test_set',
        'training_set',
        'triage_report',
    }


def test_data_of_all_kinds_come_together(first):
    """All structures arrive, whatever they came from; each is in one of the sets, or was not selected."""
    outputs = first.outputs
    assert outputs.dataset.n_structures == 28
    assert outputs.dataset.reference is None
    assert outputs.training_set.uuid == outputs.selected.uuid
    assert outputs.training_set.n_structures <= 15
    sets = [set(outputs[name].get_fingerprints()) for name in ('training_set', 'test_set')]
    assert not sets[0] & sets[1]
    assert sets[0] | sets[1] <= set(outputs.dataset.get_fingerprints())


def test_energies_are_the_same_on_every_way(first, make_atoms):
    """Energies and forces are those of the images, by whatever kind of node they came."""
    structures = first.outputs.dataset.get_structures()
    energies = sorted(image.get_potential_energy() for image in make_atoms(28, seed=4))
    np.testing.assert_allclose(np.sort(structures.energy), energies, rtol=0, atol=1e-7)
    assert structures.n_atoms == 14 * 2 + 14 * 4


def test_the_reference_is_subtracted_and_recorded(first):
    """Training energies are relative to the reference, which stands on the data and on the potential."""
    training = first.outputs.training_set.get_structures()
    np.testing.assert_allclose(training.energy_corrected, training.energy + 0.25 * training.sizes, atol=1e-12)
    for name in ('training_set', 'test_set', 'potential', 'lammps_potential'):
        assert first.outputs[name].base.attributes.get('reference') == REFERENCE


def test_training_and_export_are_one_job(first):
    """One stay in the queue each for selection, training with export, and the active set that was asked for."""
    jobs = [node for node in first.called_descendants if isinstance(node, CalcJobNode)]
    assert sorted(node.process_label for node in jobs) == [
        'PaceActivesetCalculation',
        'PaceSelectCalculation',
        'PaceTrainCalculation',
    ]


def test_the_report_names_what_happened(first):
    """The errors on both sets stand in the report of the work chain."""
    from aiida.cmdline.utils.common import get_workchain_report

    report = get_workchain_report(first, 'REPORT')
    assert '28 structures with 84 atoms' in report
    assert 'root mean square errors on the training set' in report
    assert 'root mean square errors on the test set' in report


def test_the_potential_is_the_one_that_pacemaker_makes_by_hand(first, tmp_path):
    """The same input and data, run by hand, give the same potential apart from times, user and versions."""
    job = calculation(first, 'train')
    (tmp_path / 'input.yaml').write_text(job.base.repository.get_object_content('input.yaml'))
    for name, file in (('training_set', 'train'), ('test_set', 'test')):
        save_to_pacemaker_format(first.outputs[name].get_structures(), tmp_path / f'{file}.pckl.gzip')
    program = Path(sys.executable).parent / 'pacemaker'
    subprocess.run(
        [program, 'input.yaml'],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},  # other kernels of the BLAS would differ in the last digits
    )
    by_hand = (tmp_path / 'output_potential.yaml').read_text()
    assert canonical_potential_text(first.outputs.potential.get_content()) == canonical_potential_text(by_hand)


# An update


def test_an_update_takes_each_structure_once(updated, first):
    """Known structures among the new data are not counted twice."""
    assert updated.outputs.dataset.n_structures == 28 + 8
    assert set(first.outputs.dataset.get_fingerprints()) < set(updated.outputs.dataset.get_fingerprints())


def test_an_update_keeps_the_reference(updated):
    """Energies stay relative to the reference of the potential that is updated, in the test set too."""
    for name in ('training_set', 'test_set', 'potential'):
        recorded = updated.outputs[name].base.attributes.get('reference')
        assert recorded['single_atom_energies'] == {'Al': -0.25}


def test_an_update_starts_from_the_potential(updated, first):
    """The fit starts from the given potential: its loss is near where the first one ended."""
    assert calculation(updated, 'train').inputs.initial_potential.uuid == first.outputs.potential.uuid
    start = updated.outputs.learning_curve.get_array('loss')[0]
    losses = first.outputs.learning_curve.get_array('loss')
    assert abs(np.log(start / losses[-1])) < abs(np.log(start / losses[0]))


def test_an_update_has_the_test_set_that_was_given(updated):
    """Test data of its own are converted and predicted."""
    assert updated.outputs.test_set.n_structures == 5
    assert sorted(updated.outputs.predictions.get_array('test_rows').tolist()) == [0, 1, 2, 3, 4]


# Provenance


def uuids(nodes) -> set[str]:
    """Return the UUIDs of nodes, each of which comes once."""
    found = [node.uuid for node in nodes]
    assert len(set(found)) == len(found)
    return set(found)


def given(data) -> set[str]:
    """Return the UUIDs of the trajectories, files and structures that were given."""
    nodes = [data['datasets']['trajectory'], data['datasets']['file'], *data['structures'].values()]
    return {node.uuid for node in nodes}


def test_one_query_reaches_everything_that_went_into_a_potential(first, data):
    """One query gives every trajectory, structure and file behind a potential, and nothing else."""
    assert uuids(sources_of(first.outputs.potential)) == given(data)
    assert uuids(sources_of(first.outputs.lammps_potential)) >= given(data)


def test_one_query_leads_back(first, updated, data):
    """From any of them one query reaches every potential that it went into."""
    potentials = {first.outputs.potential.uuid, updated.outputs.potential.uuid}
    for node in (data['datasets']['trajectory'], data['datasets']['file'], *data['structures'].values()):
        assert uuids(potentials_from(node)) == potentials


def test_an_update_reaches_the_data_of_the_first_round(updated, first, data):
    """The sources of an update are those of its own data, of the data before, and the potential before."""
    own = updated.inputs.test_datasets.file.uuid
    assert uuids(sources_of(updated.outputs.potential)) == given(data) | {own, first.outputs.potential.uuid}


def test_the_structures_of_a_dataset_know_their_nodes(first, data):
    """Row by row, a dataset says which node each structure comes from."""
    assert first.outputs.dataset.get_source_uuids() >= given(data)


AFTER_IMPORT = """
import json, sys
from aiida.manage.configuration import profile_context
from aiida.storage.sqlite_temp import SqliteTempBackend

with profile_context(SqliteTempBackend.create_profile('elsewhere', default_user_email='a@b.c'), allow_switch=True):
    from aiida.orm import load_node
    from aiida.tools.archive import import_archive
    from aiida_autopipec.data.provenance import potentials_from, sources_of

    archive, potential, source, dataset = sys.argv[1:]
    import_archive(archive)
    found = {
        'sources': sorted(node.uuid for node in sources_of(load_node(potential))),
        'potentials': sorted(node.uuid for node in potentials_from(load_node(source))),
        'content_hash': load_node(dataset).get_structures().content_hash,
    }
print(json.dumps(found))
"""


def test_an_archive_keeps_the_provenance(updated, first, data, tmp_path):
    """After export and import elsewhere the same queries give the same answers, and the data are the same."""
    potential, dataset = updated.outputs.potential, updated.outputs.training_set
    source = data['datasets']['trajectory']
    archive = tmp_path / 'potential.aiida'
    create_archive([potential], filename=archive)
    result = subprocess.run(
        [sys.executable, '-c', AFTER_IMPORT, archive, potential.uuid, source.uuid, dataset.uuid],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, 'AIIDA_PATH': str(tmp_path)},
    )
    assert json.loads(result.stdout.splitlines()[-1]) == {
        'sources': sorted(uuids(sources_of(potential))),
        'potentials': sorted([first.outputs.potential.uuid, potential.uuid]),
        'content_hash': dataset.content_hash,
    }


# What goes wrong


def test_a_failed_training_keeps_the_data_and_says_why(programs, as_dataset, make_atoms, config):
    """A failed training ends with its reason, and all data that were made are outputs."""
    config['backend'] = {'evaluator': 'tensorpot', 'batch_size': 4, 'display_step': 2}
    _, node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'a': as_dataset(make_atoms(8))},
        config=config,
        reference=REFERENCE,
        split={'test_fraction': 0.3},
        pace_train={'code': programs['pacemaker']},
    )
    assert node.exit_status == 402
    assert 'The training failed: PaceTrainBaseWorkChain<' in node.exit_message
    assert 'install `tensorpotential' in node.exit_message
    assert set(node.outputs) == {'dataset', 'training_set', 'test_set', 'triage_report', 'output_parameters'}
    jobs = [called for called in node.called_descendants if isinstance(called, CalcJobNode)]
    assert len(jobs) == 1
