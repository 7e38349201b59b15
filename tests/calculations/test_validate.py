"""What a validation writes, and which inputs it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase
import ase.build
import numpy as np
import pytest
from aiida.orm import Dict, SinglefileData, StructureData

from aiida_autopipec.calculations.validate import ValidateCalculation, validate_inputs
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.outputs.potential import with_metadata

POTENTIAL = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
ZBL = {'name': 'zbl', 'inner': 3.0, 'outer': 4.0}
RECORD = {'method': 'isolated_atoms', 'single_atom_energies': {'Cu': -0.5}, 'potential': ZBL}


@pytest.fixture
def copper() -> SinglefileData:
    """Return a potential of copper that says that ZBL was subtracted."""
    text = with_metadata(POTENTIAL.read_text(), METADATA_KEY, to_metadata(RECORD))
    return SinglefileData.from_string(text, filename='mine.yaml')


@pytest.fixture
def plain() -> SinglefileData:
    """Return one that says nothing."""
    return SinglefileData(POTENTIAL)


@pytest.fixture
def crystal() -> StructureData:
    """Return face-centred copper."""
    return StructureData(ase=ase.build.bulk('Cu', 'fcc', 3.6))


def test_what_is_written(written: Any, make_dataset: Any, elsewhere: Any, copper: Any, crystal: Any) -> None:
    """Settings, structures without labels, and the script in the place of the program."""
    dataset = make_dataset(4, symbol='Cu')
    folder = written(
        ValidateCalculation,
        code=elsewhere('pacemaker'),
        potential=copper,
        active_set=SinglefileData.from_bytes(b'active', filename='x.asi'),
        crystal=crystal,
        parameters={'dynamics': {'temperature': 1234.0}},
    )
    script = (folder / '_aiidasubmit.sh').read_text()
    line = 'sh with_pacemaker_python.sh /opt/pacemaker/bin/pacemaker validate.py validate.json > validate.out'
    assert line in script
    assert script.count('/opt/pacemaker/bin/pacemaker') == 2  # for the probe and the script, never the program itself
    settings = json.loads((folder / 'validate.json').read_text())
    assert settings['checks'] == ['dimer', 'volume', 'elastic', 'phonons', 'dynamics']
    assert settings['reference'] == ZBL
    assert settings['dynamics']['temperature'] == 1234.0
    assert settings['crystal']['numbers'] == [29]
    assert (settings['potential'], settings['active_set']) == ('potential.yaml', 'known.asi')
    assert (settings['dataset'], settings['lammps_potential']) == (None, None)
    assert (folder / 'known.asi').read_bytes() == b'active'
    assert dataset.n_structures == 4


def test_data_travel_without_labels(written: Any, make_dataset: Any, elsewhere: Any, plain: Any) -> None:
    """What is to be predicted stays here; cells are as Pacemaker reads them."""
    dataset = make_dataset(4, symbol='Cu')
    folder = written(ValidateCalculation, code=elsewhere('pacemaker'), potential=plain, test_dataset=dataset)
    with np.load(folder / 'validate_data.npz', allow_pickle=False) as arrays:
        assert set(arrays.files) == {'numbers', 'positions', 'cells', 'pbc', 'offsets'}
        assert np.array_equal(arrays['positions'], dataset.get_structures().positions)
    settings = json.loads((folder / 'validate.json').read_text())
    assert settings['checks'] == ['dimer', 'dynamics', 'errors']
    assert settings['labels_are_totals']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'parameters': {'checks': ['volume']}}, '`volume` needs `crystal`'),
        ({'parameters': {'required': ['export']}}, '`export` needs `lammps_potential`'),
        ({'crystal': 'silver'}, 'contains Ag, which the potential lacks'),
        ({'crystal': 'molecule'}, 'not periodic'),
        ({'reference_potential': {**ZBL, 'inner': 2.0}}, 'records what was subtracted'),
        ({'test_dataset': 'aluminium'}, 'contains Al, which the potential lacks'),
    ],
)
def test_inputs_that_do_not_belong_together(
    elsewhere: Any, make_dataset: Any, copper: Any, changes: dict[str, Any], message: str
) -> None:
    """One sentence names the input and what to do."""
    nodes = {
        'silver': StructureData(ase=ase.build.bulk('Ag')),
        'molecule': StructureData(ase=ase.Atoms('Cu2', positions=[[0, 0, 0], [2, 0, 0]], cell=[9, 9, 9])),
        'aluminium': make_dataset(3),
    }
    inputs = {port: nodes[value] if isinstance(value, str) else Dict(value) for port, value in changes.items()}
    problem = validate_inputs({'code': elsewhere('pacemaker'), 'potential': copper, **inputs}, None)
    assert problem is not None
    assert message in problem


def test_inputs_that_belong_together(elsewhere: Any, make_dataset: Any, copper: Any, crystal: Any) -> None:
    """Nothing is wrong with a potential, its data and its crystal."""
    inputs = {'code': elsewhere('pacemaker'), 'potential': copper, 'crystal': crystal}
    assert validate_inputs(inputs, None) is None
