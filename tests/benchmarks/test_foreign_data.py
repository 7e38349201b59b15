"""The data of others that benchmarks use: how a calculation is read, and which archive is taken."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = b"""<?xml version="1.0" ?><modeling><calculation><energy>
  <i name="e_fr_energy"> -5.5 </i><i name="e_wo_entrp"> -5.4 </i><i name="e_0_energy"> 0.3 </i></energy>
  <varray name="forces"><v> 0.1 0.2 0.3 </v><v> -0.1 -0.2 -0.3 </v></varray>
  <varray name="stress"><v> 1 0 0 </v><v> 0 1 0 </v><v> 0 0 1 </v></varray>
  <structure name="finalpos"><crystal><varray name="basis"><v> 4 0 0 </v><v> 0 5 0 </v><v> 0 0 6 </v></varray>
  <varray name="rec_basis"><v> 9 0 0 </v><v> 0 9 0 </v><v> 0 0 9 </v></varray></crystal>
  <varray name="positions"><v> 0 0 0 </v><v> 0.5 0.5 0.5 </v></varray></structure>
  <array name="atoms"><set><rc><c>Ag</c><c> 1</c></rc><rc><c>Au </c><c> 2</c></rc></set></array>
  </calculation></modeling>"""


@pytest.fixture(scope='module')
def foreign_data() -> Any:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location('foreign_data', Path(__file__).parent / 'foreign_data.py')
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules['foreign_data'] = module
    spec.loader.exec_module(module)
    return module


def test_calculation_is_read(foreign_data: Any) -> None:
    """The free energy, forces, cell and fractional positions of VASP become those of ASE."""
    atoms = foreign_data.structure_of(DOCUMENT)
    assert atoms.get_chemical_symbols() == ['Ag', 'Au']
    assert atoms.get_potential_energy() == -5.5
    assert atoms.get_forces()[1].tolist() == [-0.1, -0.2, -0.3]
    assert atoms.positions[1].tolist() == [2.0, 2.5, 3.0]


def test_other_archive_is_refused(foreign_data: Any, tmp_path: Path) -> None:
    """Only the archive whose checksum is known is read."""
    (tmp_path / 'other.tar.gz').write_bytes(b'something else')
    with pytest.raises(SystemExit, match='is not pypolymlp'):
        foreign_data.checked(tmp_path / 'other.tar.gz')


def test_name_says_folder_and_number(foreign_data: Any) -> None:
    """Names of structures tell where they come from, and differ."""
    assert foreign_data.short_name('a/train-disp1/vasprun-00012.xml.polymlp') == 'train-disp1-00012'
