"""A training can depend on the safety of its potential, and hands everything on in one folder."""

from __future__ import annotations

from typing import Any

import ase.build
import pytest
from aiida.engine import run_get_node
from aiida.orm import Dict, StructureData

from aiida_autopipec.workflows.gate import gate_problem
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

REFERENCE = {'method': 'single_atom_energies', 'single_atom_energies': {'Al': -0.25}}


@pytest.fixture(scope='module')
def stopped(programs: Any, make_config: Any, make_atoms: Any, as_dataset: Any) -> Any:
    """Return a training of a potential that nothing was said to about short distances, and that has to be safe."""
    return run_get_node(
        TrainPotentialWorkChain,
        datasets={'data': as_dataset(make_atoms(16, seed=4))},
        config=make_config(),
        reference=REFERENCE,
        split={'test_fraction': 0.2, 'seed': 3},
        pace_train={'code': programs['pacemaker'], 'codes': {'yaml2yace': programs['pace_yaml2yace']}},
        validate={
            'code': programs['pacemaker'],
            'crystal': StructureData(ase=ase.build.bulk('Al', 'fcc', 4.0)),
            'parameters': {'checks': ['dimer', 'errors', 'export'], 'required': ['dimer', 'export']},
        },
    )[1]


@pytest.mark.pacemaker
def test_an_unsafe_potential_stops_the_training(stopped: Any) -> None:
    """The exit code says what failed, and potential, report and curves are outputs all the same."""
    assert stopped.exit_status == 404, (stopped.exit_status, stopped.exit_message)
    assert 'dimer: Al-Al energy at 0.50 Å' in stopped.exit_message
    assert {'potential', 'lammps_potential', 'validation_curves', 'training_set'} <= set(stopped.outputs)
    report = stopped.outputs.validation_report.get_dict()
    assert list(report['checks']) == ['dimer', 'errors', 'export']
    assert report['checks']['export']['passed']
    assert report['required'] == ['dimer', 'export']


@pytest.mark.pacemaker
def test_errors_are_of_the_test_set(stopped: Any) -> None:
    """What was set aside is what the potential is tested on, with the errors that the training found."""
    criteria = stopped.outputs.validation_report['checks']['errors']['criteria']
    values = {item['name']: item['value'] for item in criteria}
    found = stopped.outputs.output_parameters['errors']['test']
    assert values['RMSE of energies'] == pytest.approx(found['rmse_energy_mev_per_atom'], rel=1e-6)
    assert values['RMSE of forces'] == pytest.approx(found['rmse_forces_mev_per_angstrom'], rel=1e-6)


@pytest.mark.pacemaker
def test_what_is_handed_on(stopped: Any) -> None:
    """One folder has the potential for every use, and the page says what was subtracted."""
    folder = stopped.outputs.handoff.base.repository
    assert {'Al.yaml', 'Al.yace', 'Al.lammps', 'README.md'} == set(folder.list_object_names())
    assert folder.get_object_content('Al.yace') == stopped.outputs.lammps_potential.get_content()
    page = folder.get_object_content('README.md')
    assert 'Al -0.250000 eV' in page
    assert stopped.outputs.potential.uuid in page


@pytest.mark.pacemaker
def test_the_difference_to_zbl_passes_the_gate_that_stops_the_rest(
    programs: Any, make_config: Any, make_atoms: Any, as_dataset: Any
) -> None:
    """The required check is passed, and one that is not required ends the work chain with the gate's own warning."""
    config = make_config()
    config['fit']['maxiter'] = 5
    zbl = {'name': 'zbl', 'inner': 1.0, 'outer': 2.6}
    node = run_get_node(
        TrainPotentialWorkChain,
        datasets={'data': as_dataset(make_atoms(16, seed=4))},
        config=config,
        reference={**REFERENCE, 'potential': zbl},
        split={'test_fraction': 0.2, 'seed': 3},
        pace_train={'code': programs['pacemaker']},
        validate={
            'code': programs['pacemaker'],
            'parameters': {
                'checks': ['dimer', 'errors'],
                'required': ['dimer'],
                'errors': {'max_rmse_energy': 1e-6},
            },
        },
    )[1]
    assert node.exit_status == 703, (node.exit_status, node.exit_message)
    assert 'failed checks that are not required. errors: RMSE of energies' in node.exit_message
    report = node.outputs.validation_report.get_dict()
    assert report['checks']['dimer']['passed']
    assert report['passed']
    assert {'potential', 'validation_curves', 'training_set', 'predictions'} <= set(node.outputs)


@pytest.mark.parametrize(
    ('stated', 'others', 'message'),
    [
        ({'parameters': {}}, {}, '`validate.code`'),
        ({'code': 'x', 'parameters': {'checks': ['errors']}}, {}, '`errors` needs `dataset`'),
        ({'code': 'x', 'parameters': {'required': ['export']}}, {'split': {}}, '`export` needs `lammps_potential`'),
        ({'code': 'x', 'parameters': {'checks': ['luck']}}, {}, 'checks'),
        ({'code': 'x', 'parameters': {'checks': ['errors']}}, {'split': {}}, None),
        ({}, {}, None),
    ],
)
def test_a_validation_that_cannot_be_run_is_refused_first(stated: Any, others: Any, message: str | None) -> None:
    """Before a training that takes hours it is known whether its validation can be run."""
    inputs = {port: Dict(value) if isinstance(value, dict) else value for port, value in stated.items()}
    problem = gate_problem({'validate': inputs, **others})
    assert (problem is None) == (message is None)
    assert message is None or message in str(problem)
