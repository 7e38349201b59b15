"""Real selections."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode

from aiida_autopipec.calculations.functions.combine import merge_datasets
from aiida_autopipec.calculations.pace_activeset import PaceActivesetCalculation
from aiida_autopipec.calculations.pace_select import PaceSelectCalculation
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.selection.parameters import DEFAULT_STRATEGY

pytestmark = pytest.mark.pacemaker


@pytest.fixture(scope='module')
def pool(make_dataset):
    """Return candidates with labels."""
    return make_dataset(24, seed=3).store()


@pytest.fixture(scope='module')
def by_config(programs, pool, make_config):
    """Return a selection for the basis of a config, which is built in the same job."""
    _, node = run_get_node(
        PaceSelectCalculation,
        code=programs['pace_select'],
        codes={'pacemaker': programs['pacemaker']},
        dataset=pool,
        config=make_config(),
        parameters={'max_structures': 5},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


@pytest.fixture(scope='module')
def potential(programs, make_config, make_dataset):
    """Return a potential that was trained on other structures."""
    config = make_config()
    config['fit']['maxiter'] = 2
    _, node = run_get_node(
        PaceTrainCalculation, code=programs['pacemaker'], dataset=make_dataset(8, seed=9), config=config
    )
    return node.outputs.potential


@pytest.fixture(scope='module')
def active_set(programs, potential, pool):
    """Return the active set of the whole pool."""
    _, node = run_get_node(
        PaceActivesetCalculation,
        code=programs['pace_activeset'],
        potential=potential,
        dataset=pool,
        parameters={'all_atoms': True},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


def test_a_selection_by_config(by_config, pool):
    """An untrained basis selects as many structures as are asked for, with labels and names of the pool."""
    parameters = by_config.outputs.output_parameters.get_dict()
    rows = parameters['rows']
    assert len(rows) == len(set(rows)) == parameters['selected_structures'] == 5
    assert parameters['pool_structures'] == 24
    assert parameters['strategy'] == DEFAULT_STRATEGY
    assert parameters['asked_for'] == {'structures': 5}
    assert parameters['missing'] == 0
    assert parameters['environment']['packages']
    expected = pool.get_structures().take(sorted(rows))
    selected = by_config.outputs.selected
    assert selected.content_hash == expected.content_hash
    assert parameters['selected_atoms'] == selected.n_atoms == expected.n_atoms


def test_a_selection_is_explained(by_config, pool):
    """Each candidate has its numbers, and the whole has what is left uncovered and what it cost."""
    explanation = by_config.outputs.explanation
    rows = by_config.outputs.output_parameters['rows']
    assert explanation.get_array('rows').tolist() == rows
    assert np.flatnonzero(explanation.get_array('round') > 0).tolist() == sorted(rows)
    assert len(explanation.get_array('gamma_after')) == pool.n_structures
    parameters = by_config.outputs.output_parameters.get_dict()
    assert parameters['memory']['measured_mb'] > 50
    assert parameters['rank_deficient_elements'] == []
    assert set(parameters['gamma_max_rest']) == {'Al'}


def test_the_cut_into_datasets_plays_no_part(by_config, programs, make_config, pool):
    """The same structures out of several datasets, in another order, give the same selection, with its provenance."""
    structures = pool.get_structures()
    parts = {
        f'part_{number}': PaceDatasetData.from_structures(structures.take(rows)).store()
        for number, rows in enumerate((range(20, 24), range(9), range(9, 20)))
    }
    merged = merge_datasets(**parts)['dataset']
    _, node = run_get_node(
        PaceSelectCalculation,
        code=programs['pace_select'],
        codes={'pacemaker': programs['pacemaker'], 'python': python_of(programs)},
        dataset=merged,
        config=make_config(),
        parameters={'max_structures': 5},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    names = node.outputs.selected.get_names().tolist()
    assert sorted(names) == sorted(by_config.outputs.selected.get_names().tolist())


def python_of(programs):
    """Return this Python as a code."""
    return InstalledCode(
        label='python', computer=programs['pacemaker'].computer, filepath_executable=sys.executable
    ).store()


def test_the_wishes_of_a_user(programs, potential, pool):
    """A part of the atoms, by MaxVol, with quotas and a structure that is taken in any case."""
    name = pool.get_names().tolist()[7]
    _, node = run_get_node(
        PaceSelectCalculation,
        code=programs['pace_select'],
        dataset=pool,
        potential=potential,
        parameters={'strategy': 'maxvol', 'fraction': 0.5, 'keep_names': [name], 'quota_by': 'elements'},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    parameters = node.outputs.output_parameters.get_dict()
    assert parameters['asked_for'] == {'atoms': pool.n_atoms // 2}
    assert parameters['selected_atoms'] + parameters['missing'] == pool.n_atoms // 2
    assert parameters['missing'] < 4
    assert parameters['rows'][0] == 7
    assert node.outputs.explanation.get_array('round')[7] == 0


def test_unlabelled_candidates_are_selected_alike(by_config, programs, make_config, make_atoms):
    """Labels play no part: the same structures without any give the same selection, and stay without."""
    bare = LabelledStructures.from_atoms(make_atoms(24, seed=3, labelled=False), require_labels=False)
    _, node = run_get_node(
        PaceSelectCalculation,
        code=programs['pace_select'],
        codes={'pacemaker': programs['pacemaker']},
        dataset=PaceDatasetData.from_structures(bare),
        config=make_config(),
        parameters={'max_structures': 5},
    )
    assert node.exit_status == 0
    assert node.outputs.output_parameters['rows'] == by_config.outputs.output_parameters['rows']
    assert not node.outputs.selected.labelled


def test_a_selection_by_potential_and_without_a_script(programs, potential, pool, localhost, tmp_path):
    """A potential gives the basis; where no script can run, the safe reader takes the names from the pickle."""
    wrapper = tmp_path / 'pace_select'
    wrapper.write_text(f'#!/bin/sh\nexec {Path(sys.executable).parent / "pace_select"} "$@"\n')
    wrapper.chmod(0o755)
    hidden = 'export PATH=/usr/bin:/bin\nexport PYTHONPATH='
    wrapped = InstalledCode(
        label='wrapped-select', computer=localhost, filepath_executable=str(wrapper), prepend_text=hidden
    )
    runs = [
        run_get_node(PaceSelectCalculation, code=code, dataset=pool, potential=potential)[1]
        for code in (programs['pace_select'], wrapped.store())
    ]
    assert [node.exit_status for node in runs] == [0, 0]
    first, second = (node.outputs.output_parameters.get_dict() for node in runs)
    assert first['environment'] != {} == second['environment']
    # the program takes the candidates in the order of the file, the script in one of its own
    assert len(set(first['rows']) & set(second['rows'])) > len(first['rows']) / 2
    for parameters in (first, second):
        assert parameters['selected_structures'] == parameters['touched_by_maxvol']
        assert not parameters['used_active_set']
    assert 'explanation' in runs[0].outputs
    assert 'explanation' not in runs[1].outputs
    _, refused = run_get_node(
        PaceSelectCalculation, code=wrapped, dataset=pool, potential=potential, parameters={'max_structures': 3}
    )
    assert refused.exit_status == 306


def test_an_active_set_steers_the_selection(programs, potential, make_dataset, active_set):
    """Candidates unlike the known ones are chosen for what they add, and the report says what was compared with."""
    strained = make_dataset(6, seed=11).get_structures()
    far = strained.replace(cells=strained.cells * 0.85, positions=strained.positions * 0.85)
    _, node = run_get_node(
        PaceSelectCalculation,
        code=programs['pace_select'],
        dataset=PaceDatasetData.from_structures(far),
        potential=potential,
        active_set=active_set.outputs.active_set,
    )
    assert node.exit_status == 0
    assert node.outputs.output_parameters['used_active_set']


def test_an_active_set_of_its_own(active_set, pool):
    """The report of an active set counts functions and atoms, and its grades end at one."""
    parameters = active_set.outputs.output_parameters.get_dict()
    assert parameters['n_atoms'] == parameters['n_atoms_used'] == {'Al': pool.n_atoms}
    assert parameters['n_structures'] == 24
    assert parameters['gamma_max']['Al'] == pytest.approx(1.0, abs=0.02)
    assert parameters['singular_elements'] == []
    assert active_set.outputs.active_set.filename == 'potential.asi'


def test_a_singular_active_set_is_a_warning(programs, potential):
    """Copies of one perfect crystal cannot tell the functions apart: a warning says so and names the element."""
    import ase.build

    images = []
    for number in range(8):
        atoms = ase.build.bulk('Al', 'fcc', 4.0, cubic=True).repeat((2, 1, 1 + number % 2))
        atoms.translate([0.01 * number, 0, 0])
        atoms.info['energy'], atoms.arrays['forces'] = -1.0, np.zeros((len(atoms), 3))
        images.append(atoms)
    _, node = run_get_node(
        PaceActivesetCalculation,
        code=programs['pace_activeset'],
        potential=potential,
        dataset=PaceDatasetData.from_atoms(images),
        parameters={'all_atoms': True},
    )
    assert node.exit_status in (701, 241), (node.exit_status, node.exit_message)
    assert 'Al' in node.exit_message or node.exit_status == 241
