"""A potential goes on to aiida-lammps."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import ase
import pytest
from aiida.engine import run_get_node
from aiida.orm import FolderData, SinglefileData
from aiida.plugins import CalculationFactory
from ase.io.lammpsdata import write_lammps_data

from aiida_autopipec.data.aiida_lammps import lammps_potential_data, lammps_raw_inputs
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.handoff import Handoff, handoff_files
from aiida_autopipec.pacemaker.outputs.potential import with_metadata
from aiida_autopipec.pacemaker.reference_potentials import ZBL

FIXTURE = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
RECORD = {
    'method': 'isolated_atoms',
    'single_atom_energies': {'Cu': -1.5},
    'potential': {'name': 'zbl', 'inner': 3.0, 'outer': 4.0},
}
SCRIPT = """units metal
atom_style atomic
newton on
read_data atoms.data
include Cu.lammps
thermo_style custom step pe
thermo_modify format float %20.12f
run 0
"""


def folder_of(handoff: Handoff) -> FolderData:
    """Return the output `handoff` of a potential."""
    folder = FolderData()
    for name, content in handoff_files(handoff).items():
        folder.base.repository.put_object_from_bytes(content, name)
    return folder


@pytest.fixture
def alone(aiida_profile: Any) -> FolderData:
    """Return a potential of copper without a reference potential."""
    return folder_of(Handoff(FIXTURE.read_text(), lammps_potential=b'yace', active_set=b'asi'))


@pytest.fixture
def with_zbl(aiida_profile: Any) -> FolderData:
    """Return one that learned the difference to ZBL."""
    text = with_metadata(FIXTURE.read_text(), METADATA_KEY, to_metadata(RECORD))
    return folder_of(Handoff(text, lammps_potential=b'yace'))


@pytest.fixture
def lammps(aiida_code_installed: Any) -> Any:
    """Return LAMMPS from PyPI, which has no ML-PACE."""
    pytest.importorskip('aiida_lammps', reason="needs aiida-lammps: pip install '.[tests]'")
    program = Path(sys.executable).parent / 'lmp'
    found = str(program) if program.is_file() else shutil.which('lmp')
    if found is None:
        pytest.skip("needs LAMMPS: pip install '.[tests]'")
    return aiida_code_installed(
        label='lmp',
        filepath_executable=found,
        default_calc_job_plugin='lammps.raw',
        prepend_text=f'export PATH={Path(found).parent}:$PATH OMP_NUM_THREADS=1',
    )


def test_lammps_raw_runs_all_lines_of_the_folder(lammps: Any, with_zbl: FolderData, tmp_path: Path) -> None:
    """With nothing in the place of ACE, LAMMPS runs the files of the folder and gives the energy of ZBL."""
    lines = with_zbl.base.repository.get_object_content('Cu.lammps')
    stood_in = lines.replace(' pace Cu.yace Cu', ' zero').replace('overlay pace ', 'overlay zero 5.0 ')
    assert stood_in != lines
    with_zbl.base.repository.delete_object('Cu.lammps')
    with_zbl.base.repository.put_object_from_bytes(stood_in.encode(), 'Cu.lammps')
    atoms = ase.Atoms('Cu2', positions=[[1, 1, 1], [2.8, 1, 1]], cell=[9, 9, 9], pbc=True)
    write_lammps_data(tmp_path / 'atoms.data', atoms, masses=True)
    inputs = lammps_raw_inputs(with_zbl, SCRIPT)
    inputs['files']['atoms'] = SinglefileData(tmp_path / 'atoms.data')
    options = {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}, 'withmpi': False}
    _, node = run_get_node(CalculationFactory('lammps.raw'), code=lammps, **inputs, metadata={'options': options})
    assert node.exit_status == 0, (node.exit_status, node.exit_message)
    assert set(node.base.links.get_incoming().all_link_labels()) >= {'files__Cu_yace', 'files__Cu_lammps', 'script'}
    atoms.calc = ZBL(3.0, 4.0).calculator()
    printed = node.outputs.retrieved.get_object_content('lammps.out')
    energy = float(printed.split('PotEng')[1].split()[1])
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    assert energy > 1


def test_a_potential_alone_becomes_a_node_of_aiida_lammps(alone: FolderData) -> None:
    """`lammps.base` takes the `.yace` as it is, with its elements in the order of the file and its units."""
    pytest.importorskip('aiida_lammps', reason="needs aiida-lammps: pip install '.[tests]'")
    from aiida_lammps.data.potential import LammpsPotentialData

    node = LammpsPotentialData.get_or_create(**lammps_potential_data(alone)).store()
    assert (node.pair_style, node.species, node.atom_style, node.default_units, node.filename) == (
        'pace',
        ['Cu'],
        'atomic',
        'metal',
        'Cu.yace',
    )
    assert node.get_content(mode='rb') == b'yace'
    again = LammpsPotentialData.get_or_create(**lammps_potential_data(alone))
    assert again.uuid == node.uuid


def test_what_one_pair_style_cannot_say_is_refused(with_zbl: FolderData) -> None:
    """Without its reference potential a potential is wrong: it is not handed on alone."""
    with pytest.raises(InputError, match='`lammps_raw_inputs` makes'):
        lammps_potential_data(with_zbl)


def test_a_folder_without_yace_is_refused(aiida_profile: Any) -> None:
    """There is nothing that LAMMPS reads."""
    folder = folder_of(Handoff(FIXTURE.read_text()))
    with pytest.raises(InputError, match=r'no `.yace`'):
        lammps_potential_data(folder)
    with pytest.raises(InputError, match='the folder has none'):
        lammps_raw_inputs(folder, SCRIPT)
    folder.base.repository.delete_object('Cu.yaml')
    with pytest.raises(InputError, match=r'no `.yaml`'):
        lammps_potential_data(folder)


def test_all_files_go_along_under_their_own_names(alone: FolderData) -> None:
    """Potential, active set and lines are inputs of their own; the page is not."""
    files = lammps_raw_inputs(alone, SCRIPT)['files']
    names = {label: node.filename for label, node in files.items()}
    assert names == {
        'Cu_yaml': 'Cu.yaml',
        'Cu_yace': 'Cu.yace',
        'Cu_asi': 'Cu.asi',
        'Cu_lammps': 'Cu.lammps',
        'Cu_grades_lammps': 'Cu-grades.lammps',
    }
    assert files['Cu_asi'].get_content(mode='rb') == b'asi'


def test_a_link_has_no_namespace_of_its_own(aiida_profile: Any) -> None:
    """AiiDA would take two underscores in a label for a namespace."""
    folder = folder_of(Handoff(FIXTURE.read_text(), lammps_potential=b'yace', name='Cu--v_-2'))
    files = lammps_raw_inputs(folder, 'include Cu--v_-2.lammps')['files']
    assert sorted(files) == ['Cu_v_2_lammps', 'Cu_v_2_yace', 'Cu_v_2_yaml']


@pytest.mark.parametrize('name', ['"Cu.lammps"', "'Cu.lammps'", './Cu.lammps', 'Cu.lammps # the potential'])
def test_lammps_knows_other_spellings_of_a_file(alone: FolderData, name: str) -> None:
    """A script that LAMMPS would understand is not refused."""
    script = SCRIPT.replace('Cu.lammps', name)
    assert lammps_raw_inputs(alone, script)['script'].get_content() == script


def test_a_script_without_the_potential_is_refused(alone: FolderData) -> None:
    """LAMMPS would end in an error after a stay in the queue; a comment is no command."""
    script = SCRIPT.replace('include Cu.lammps', '# include Cu.lammps')
    with pytest.raises(InputError, match=r'add `include Cu-grades.lammps` or `include Cu.lammps`'):
        lammps_raw_inputs(alone, script)
