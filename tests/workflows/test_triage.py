"""What looks wrong with the data is reported before anyone trains, and dropped only on demand."""

from __future__ import annotations

import numpy as np
import pytest
from aiida.cmdline.utils.common import get_workchain_report
from aiida.engine import run_get_node
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.workflows.train import TrainPotentialWorkChain

REFERENCE = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': -0.25}}
DROP = {'actions': {'no_neighbours': 'drop', 'energy_outlier': 'drop'}}


@pytest.fixture(scope='module')
def images(make_atoms):
    """Return good structures, one with an energy in another unit, and an atom alone in its cell."""
    good = make_atoms(16, seed=5)
    wrong, alone = make_atoms(2, seed=6)
    wrong.calc = SinglePointCalculator(wrong, energy=wrong.get_potential_energy() - 300, forces=wrong.get_forces())
    del alone[1:]
    alone.set_cell([30.0, 30.0, 30.0])
    alone.calc = SinglePointCalculator(alone, energy=-0.25, forces=np.zeros((1, 3)))
    return [*good, wrong, alone]


@pytest.fixture
def checked(aiida_profile, aiida_code_installed, images, as_dataset, config):
    """Return a function that runs the work chain as far as the data are checked; the reference lacks an element."""
    nowhere = aiida_code_installed(label='none', filepath_executable='/nowhere', default_calc_job_plugin=None)

    def run(**inputs):
        _, node = run_get_node(
            TrainPotentialWorkChain,
            datasets={'a': as_dataset(images)},
            config=config,
            reference={'method': 'single_atom_energies', 'single_atom_energies': {'Cu': 0.0}},
            pace_train={'code': nowhere},
            **inputs,
        )
        assert node.exit_status == 200, (node.exit_status, node.exit_message)
        return node

    return run


def test_by_default_findings_are_reported_and_nothing_is_dropped(checked):
    """One line of the report names each kind with its number, and where the details are, also if the run fails."""
    node = checked()
    report = node.outputs.triage_report
    assert report['counts'] == {'energy_outlier': 1, 'no_neighbours': 1}
    text = get_workchain_report(node, 'REPORT')
    assert '18 structures were checked, energy_outlier 1, no_neighbours 1; nothing is dropped' in text
    assert f'see report <{report.pk}>' in text
    assert set(node.outputs) == {'triage_report'}


def test_neighbours_are_looked_for_as_far_as_the_potential_reaches(checked):
    """The cutoff of the settings is that of the check, unless the rules have one of their own."""
    assert checked().outputs.triage_report['rules']['cutoff_angstrom'] == 4.5
    rules = {'cutoff_angstrom': 2.0, 'min_distance_fraction': None}
    report = checked(triage=rules).outputs.triage_report
    assert report['rules']['cutoff_angstrom'] == 2.0
    assert report['counts']['no_neighbours'] > 1


def test_the_rules_of_the_user_are_in_the_provenance(checked):
    """The check is called under its name, with the rules that were given."""
    node = checked(triage={**DROP, 'cutoff_angstrom': 5.0})
    check = node.base.links.get_outgoing(link_label_filter='check').one().node
    assert check.inputs.rules.uuid == node.inputs.triage.uuid
    assert node.outputs.dropped.creator.uuid == check.uuid


@pytest.fixture(scope='module')
def trained(programs, images, as_dataset, make_config):
    """Return a training without what looks wrong."""
    config = make_config()
    config['fit']['maxiter'] = 2
    _, node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'a': as_dataset(images)},
        config=config,
        reference=REFERENCE,
        triage=DROP,
        pace_train={'code': programs['pacemaker']},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


@pytest.mark.pacemaker
def test_what_is_dropped_is_an_output_with_reasons(trained, images):
    """Dropped and remaining structures are together those that went in; nothing is trained on what was dropped."""
    outputs = trained.outputs
    assert (outputs.dataset.n_structures, outputs.dropped.n_structures) == (16, 2)
    assert outputs.training_set.n_structures == 16
    dropped = set(outputs.dropped.get_fingerprints())
    assert not dropped & set(outputs.training_set.get_fingerprints())
    energies = {round(image.get_potential_energy(), 6) for image in images[16:]}
    assert {round(energy, 6) for energy in outputs.dropped.get_structures().energy.tolist()} == energies
    kinds = [entry['kinds'] for entry in outputs.triage_report['dropped']]
    assert kinds == [['energy_outlier'], ['no_neighbours']]
    assert '2 are dropped' in get_workchain_report(trained, 'REPORT')


@pytest.mark.pacemaker
def test_the_dropped_structures_stem_from_the_same_data(trained):
    """Kept and dropped structures have one origin, the check of the merged data."""
    check = trained.outputs.dataset.creator
    assert check.process_label == 'check_dataset'
    assert check.uuid == trained.outputs.dropped.creator.uuid
    assert check.inputs.dataset.creator.process_label == 'merge_datasets'
