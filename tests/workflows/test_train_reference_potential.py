"""Learning the difference to a reference potential, with the real Pacemaker."""

from __future__ import annotations

import io

import ase
import ase.io
import numpy as np
import pytest
from aiida.engine import run, run_get_node
from aiida.orm import SinglefileData

from aiida_autopipec.cli.demo.settings import CONFIG, example_file
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import ZBL, LabelledStructures, total_calculator
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

pytestmark = pytest.mark.pacemaker

INNER, OUTER = 1.0, 2.5
ZBL_SETTINGS = {'name': 'zbl', 'inner': INNER, 'outer': OUTER}
REFERENCE = {'method': 'isolated_atoms', 'potential': ZBL_SETTINGS}


def settings(iterations: int) -> dict:
    """Return a small linear potential, trained for some iterations."""
    return {**CONFIG, 'fit': {**CONFIG['fit'], 'maxiter': iterations}}


@pytest.fixture(scope='module')
def total(aiida_profile):
    """Return the labels of the example: small structures of aluminium, the shortest distance 2.0 Å."""
    return PaceDatasetData.from_atoms(ase.io.read(example_file(), ':')).store()


@pytest.fixture(scope='module')
def trained(total, programs):
    """Return a potential that learned the difference to ZBL."""
    _, node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'al': total},
        config=settings(25),
        split={'test_fraction': 0.2, 'seed': 3},
        selection={'max_structures': 70},
        reference=REFERENCE,
        pace_train={'code': programs['pacemaker'], 'codes': {'yaml2yace': programs['pace_yaml2yace']}},
        pace_select={'code': programs['pace_select']},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return node


@pytest.fixture(scope='module')
def potential(trained, tmp_path_factory):
    """Return the file of the potential."""
    path = tmp_path_factory.mktemp('potential') / 'potential.yaml'
    path.write_bytes(trained.outputs.potential.get_content(mode='rb'))
    return path


def labels_before(total: PaceDatasetData, part: PaceDatasetData) -> LabelledStructures:
    """Return the structures of a part with the labels that they had before anything was subtracted."""
    structures = total.get_structures()
    row_of = {name: row for row, name in enumerate(structures.names.tolist())}
    return structures.take([row_of[name] for name in part.get_names().tolist()])


def of_part(node, part: str, name: str) -> np.ndarray:
    """Return an array of the predictions."""
    return node.outputs.predictions.get_array(f'{part}_{name}')


# What was trained on


def test_the_data_lose_the_reference_potential(trained, total):
    """Training and test set are relative to ZBL, forces too; the data that come back are not."""
    zbl = ZBL(INNER, OUTER)
    for name in ('training_set', 'test_set'):
        reduced = trained.outputs[name].get_structures()
        before = labels_before(total, trained.outputs[name])
        values = zbl.evaluate(before)
        np.testing.assert_allclose(reduced.forces, before.forces - values.forces, atol=1e-12)
        np.testing.assert_allclose(reduced.energy, before.energy - values.energy, atol=1e-12)
        atoms = trained.outputs[name].reference['single_atom_energies']['Al'] * reduced.sizes
        np.testing.assert_allclose(reduced.energy_corrected, reduced.energy - atoms, atol=1e-10)
    assert np.abs(values.forces).max() > 1
    assert trained.outputs.dataset.reference is None
    np.testing.assert_array_equal(
        trained.outputs.dataset.get_structures().forces, labels_before(total, trained.outputs.dataset).forces
    )


def test_what_was_subtracted_stands_on_the_data_and_on_the_potential(trained, potential):
    """The nodes have it as attribute, the file in its metadata."""
    for name in ('training_set', 'test_set', 'potential', 'lammps_potential'):
        recorded = trained.outputs[name].base.attributes.get('reference')
        assert recorded['method'] == 'isolated_atoms'
        assert recorded['potential'] == ZBL_SETTINGS
        assert recorded['single_atom_energies']['Al'] == pytest.approx(-53.57, abs=0.01)
    assert 'autopipec_reference' in potential.read_text()


# The potential and the reference together


def test_the_total_of_held_out_data_is_ace_plus_zbl(trained, total, potential):
    """Energies and forces of both potentials together are the predictions, and near the labels from the beginning."""
    before = labels_before(total, trained.outputs.test_set)
    atoms_alone = trained.outputs.test_set.reference['single_atom_energies']['Al']
    calculator = total_calculator(potential)
    rows, sizes = of_part(trained, 'test', 'rows'), of_part(trained, 'test', 'sizes')
    starts = np.concatenate([[0], np.cumsum(sizes)])
    compared = 0
    for place, row in enumerate(rows.tolist()):
        (image,) = before.take([row]).to_atoms()
        mine = slice(starts[place], starts[place + 1])
        labels = image.get_potential_energy() - atoms_alone * len(image), image.get_forces()
        assert of_part(trained, 'test', 'energy')[place] == pytest.approx(labels[0], abs=1e-8)
        np.testing.assert_allclose(of_part(trained, 'test', 'forces')[mine], labels[1], atol=1e-8)
        if len(set(image.pbc)) == 2:
            continue  # the calculator of python-ace takes no partly periodic cells
        image.calc = calculator
        # the file of the potential has fewer digits than the fit that predicted
        predicted = of_part(trained, 'test', 'energy_predicted')[place]
        assert image.get_potential_energy() == pytest.approx(predicted, abs=1e-6)
        np.testing.assert_allclose(image.get_forces(), of_part(trained, 'test', 'forces_predicted')[mine], atol=1e-6)
        compared += 1
    assert compared > 8
    errors = trained.outputs.output_parameters['errors']['test']
    assert errors['rmse_energy_mev_per_atom'] < 200
    difference = of_part(trained, 'test', 'forces_predicted') - of_part(trained, 'test', 'forces')
    rmse = 1e3 * np.sqrt(np.mean(difference**2))
    assert errors['rmse_forces_mev_per_angstrom'] == pytest.approx(rmse, rel=1e-6)


def dimer(calculator, distance: float) -> ase.Atoms:
    """Return two atoms with a calculator."""
    atoms = ase.Atoms('Al2', positions=[[0, 0, 0], [0, 0, distance]])
    atoms.calc = calculator
    return atoms


def test_below_the_data_the_dimer_follows_zbl(potential):
    """Two atoms repel each other ever more, and as ZBL does where no structure is near."""
    total, zbl = total_calculator(potential), ZBL(INNER, OUTER).calculator()
    distances = np.arange(0.3, 1.9, 0.1)
    energies = [dimer(total, distance).get_potential_energy() for distance in distances]
    assert np.all(np.diff(energies) < 0)
    for distance in (0.3, 0.5, 0.7):
        together, alone = dimer(total, distance), dimer(zbl, distance)
        assert together.get_potential_energy() == pytest.approx(alone.get_potential_energy(), rel=0.1)
        assert together.get_forces()[0, 2] == pytest.approx(alone.get_forces()[0, 2], rel=0.1)


# An update


@pytest.fixture(scope='module')
def new_data(total):
    """Return other structures: the old ones compressed by 2 %, with labels that need not be right."""
    structures = total.get_structures()
    far = np.flatnonzero(structures.sizes == 2)[:6]
    some = structures.take(far)
    return PaceDatasetData.from_structures(
        LabelledStructures(
            **{
                **some.fields(),
                'positions': some.positions * 0.98,
                'cells': some.cells * 0.98,
                'names': np.array([f'new-{n}' for n in range(len(some))]),
            }
        )
    ).store()


def test_an_update_subtracts_the_same_from_new_data(trained, new_data, programs):
    """Without a word about the reference, everything is relative to that of the potential."""
    _, node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'old': trained.outputs.dataset, 'new': new_data},
        config=settings(1),
        initial_potential=trained.outputs.potential,
        pace_train={'code': programs['pacemaker']},
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    recorded = node.outputs.potential.base.attributes.get('reference')
    assert recorded['potential'] == ZBL_SETTINGS
    training = node.outputs.training_set.get_structures()
    place = training.names.tolist().index('new-0')
    before = new_data.get_structures().take([0])
    energy = before.energy - ZBL(INNER, OUTER).evaluate(before).energy
    assert training.energy[place] == pytest.approx(energy[0], abs=1e-12)
    start, end = (node.outputs.learning_curve.get_array('loss')[0], trained.outputs.learning_curve.get_array('loss'))
    assert start < end[0] / 2  # the fit goes on: it does not start from zero


@pytest.mark.parametrize(
    'stated',
    [
        {'method': 'isolated_atoms'},
        {'method': 'isolated_atoms', 'potential': {**ZBL_SETTINGS, 'outer': 3.0}},
        {'method': 'least_squares', 'potential': ZBL_SETTINGS},
    ],
    ids=['none', 'other radius', 'other method'],
)
@pytest.mark.parametrize('as_file', [False, True], ids=['node', 'file'])
def test_an_update_with_another_reference_is_refused(trained, new_data, programs, stated, as_file):
    """The record of the node decides, or that in the file where a user brings the file."""
    potential = trained.outputs.potential
    if as_file:
        potential = SinglefileData(io.BytesIO(potential.get_content(mode='rb')), filename='potential.yaml')
    with pytest.raises(ValueError, match=r'`initial_potential` was trained relative to .* and the potential zbl'):
        run(
            TrainPotentialWorkChain,
            datasets={'new': new_data},
            config=settings(1),
            reference=stated,
            initial_potential=potential,
            pace_train={'code': programs['pacemaker']},
        )
