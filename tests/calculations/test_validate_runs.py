"""The gate: it stops a potential without short range although its errors are small, and passes the mended one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.build
import ase.io
import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode, StructureData
from ase.neighborlist import neighbor_list

from aiida_autopipec.calculations.functions.reference import subtract_reference
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.calculations.validate import ValidateCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.validation import verdict_table

pytestmark = pytest.mark.pacemaker

ROOT = Path(__file__).parents[2]
HOT = {'dynamics': {'temperature': 4000.0, 'steps': 1000}, 'errors': {'max_rmse_energy': 60, 'max_rmse_forces': 60}}
"""Twice as hot as the melt, and errors as a user would accept them for a potential of this size."""


def close_contacts(images: list[Any]) -> list[bool]:
    """Tell which structures have atoms closer than 2.6 Å."""
    return [bool((neighbor_list('d', image, 4.0) < 2.6).any()) for image in images]


@pytest.fixture(scope='module')
def total(aiida_profile: Any) -> PaceDatasetData:
    """Return real data of aluminium with total energies and no close contacts."""
    images = ase.io.read(ROOT / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz', index=':', format='extxyz')
    structures = LabelledStructures.from_atoms(images)
    far = np.flatnonzero(~np.array(close_contacts(images)))
    return PaceDatasetData.from_structures(structures.take(far)).store()


@pytest.fixture(scope='module')
def settings(make_config: Any) -> dict[str, Any]:
    """Return the settings of a fit whose errors are small."""
    config = make_config()
    config['fit']['maxiter'] = 40
    return config


@pytest.fixture(scope='module')
def crystal(aiida_profile: Any) -> StructureData:
    """Return face-centred aluminium."""
    return StructureData(ase=ase.build.bulk('Al', 'fcc', 3.98)).store()


def train(programs: dict[str, Any], total: PaceDatasetData, settings: dict[str, Any], reference: dict[str, Any]) -> Any:
    """Return a training on the data relative to a reference, with its data."""
    dataset = subtract_reference(total, reference, 4.5)['dataset']
    outputs, node = run_get_node(
        PaceTrainCalculation,
        code=programs['pacemaker'],
        codes={'yaml2yace': programs['pace_yaml2yace'], 'activeset': programs['pace_activeset']},
        dataset=dataset,
        config=settings,
    )
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    return outputs, dataset


def gate(programs: dict[str, Any], outputs: Any, dataset: PaceDatasetData, **inputs: Any) -> Any:
    """Return the validation of a training, and print its table, which `docs/how-to/validate.md` quotes."""
    node = run_get_node(
        ValidateCalculation,
        code=programs['pacemaker'],
        potential=outputs['potential'],
        lammps_potential=outputs['lammps_potential'],
        active_set=outputs['active_set'],
        test_dataset=dataset,
        parameters=HOT,
        **inputs,
    )[1]
    print(verdict_table(node.outputs.report.get_dict()))
    return node


@pytest.fixture(scope='module')
def unsafe(programs, total, settings, crystal):
    """Return the validation of a potential that nothing was said to about short distances."""
    outputs, dataset = train(programs, total, settings, {'method': 'isolated_atoms'})
    return gate(programs, outputs, dataset, crystal=crystal)


@pytest.fixture(scope='module')
def mended(programs, total, settings, crystal):
    """Return the validation of a potential that learned the difference to ZBL from the same data."""
    reference = {'method': 'isolated_atoms', 'potential': {'name': 'zbl', 'inner': 3.0, 'outer': 4.0}}
    outputs, dataset = train(programs, total, settings, reference)
    return gate(programs, outputs, dataset, crystal=crystal)


def failed(node: Any) -> dict[str, list[str]]:
    """Return what was not good enough, by check."""
    checks = node.outputs.report['checks']
    return {
        check: [item['name'] for item in found['criteria'] if item['status'] == 'failed']
        for check, found in checks.items()
        if not found['passed']
    }


def test_small_errors_do_not_save_a_potential_that_explodes(unsafe):
    """Errors, volumes and vibrations are fine, and yet the gate is shut: atoms fall into each other."""
    assert unsafe.exit_status == 350
    report = unsafe.outputs.report.get_dict()
    assert not report['passed']
    assert report['checks']['errors']['passed']
    assert report['checks']['volume']['passed']
    assert report['checks']['phonons']['passed']
    assert report['checks']['elastic']['passed']
    assert failed(unsafe).keys() == {'dimer', 'dynamics'}
    assert 'Al-Al energy at 0.50 Å' in failed(unsafe)['dimer']
    assert 'dimer: Al-Al energy at 0.50 Å' in unsafe.exit_message
    assert float(unsafe.outputs.curves.get_array('dynamics_distance').min()) < 1.5


def test_the_difference_to_zbl_passes(mended):
    """The same data, the same settings and the same thresholds, with ZBL subtracted: nothing fails."""
    assert failed(mended) == {}
    assert mended.exit_status == 0, mended.exit_message
    assert mended.outputs.report['passed']
    assert float(mended.outputs.curves.get_array('dynamics_distance').min()) > 1.5


def test_the_reference_potential_is_part_of_what_is_checked(mended):
    """At half an Ångström two atoms feel ZBL, as the potential's own record says."""
    curves = mended.outputs.curves
    assert curves.get_array('dimer_distances')[0] == 0.5
    assert curves.get_array('dimer_Al_Al_energy')[0] == pytest.approx(425, abs=15)


def test_the_file_for_lammps_is_compared(mended):
    """The `.yace` gives what the `.yaml` gives."""
    values = [item['value'] for item in mended.outputs.report['checks']['export']['criteria']]
    assert values == pytest.approx([0.0, 0.0], abs=1e-9)


def test_pacemakers_python_serves_as_code(programs, unsafe, localhost):
    """The code may be Pacemaker's Python itself, and single checks can be asked for without the others' inputs."""
    import sys

    python = InstalledCode(label='python', computer=localhost, filepath_executable=sys.executable).store()
    _, node = run_get_node(
        ValidateCalculation,
        code=python,
        potential=unsafe.inputs.potential,
        parameters={'dimer': {'least_part_of_zbl': 0.0, 'step': 0.1}},
    )
    assert node.exit_status == 0, node.exit_message
    assert list(node.outputs.report['checks']) == ['dimer']


def test_a_check_that_is_not_required_only_warns(programs, unsafe):
    """A failed check outside of `required` is a warning with a status of its own."""
    _, node = run_get_node(
        ValidateCalculation,
        code=programs['pacemaker'],
        potential=unsafe.inputs.potential,
        lammps_potential=unsafe.inputs.lammps_potential,
        parameters={'required': ['export'], 'checks': ['dimer', 'export']},
    )
    assert node.exit_status == 703
    assert node.outputs.report['passed']
