"""A trained potential and its reference potential together, in ASE."""

from __future__ import annotations

from pathlib import Path

import ase
import numpy as np
import pytest

from aiida_autopipec.pacemaker import ZBL, ConfigError, FileFormatError, total_calculator
from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, to_metadata
from aiida_autopipec.pacemaker.outputs.potential import with_metadata

pytestmark = pytest.mark.pacemaker

FITTED = Path(__file__).parents[2] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
REFERENCE = ZBL(1.0, 2.5)
RECORDED = {'method': 'least_squares', 'single_atom_energies': {'Cu': -1.0}}


@pytest.fixture
def dimer() -> ase.Atoms:
    """Return two copper atoms that are near each other."""
    return ase.Atoms('Cu2', positions=[[0, 0, 0], [0, 0, 1.5]])


def written(path: Path, recorded: dict | None) -> Path:
    """Return a potential with a record in its metadata."""
    text = FITTED.read_text()
    path.write_text(text if recorded is None else with_metadata(text, METADATA_KEY, to_metadata(recorded)))
    return path


def values(atoms: ase.Atoms, calculator) -> np.ndarray:
    """Return energy and forces in one array."""
    atoms.calc = calculator
    return np.concatenate([[atoms.get_potential_energy()], atoms.get_forces().ravel()])


def test_the_recorded_reference_is_added(tmp_path: Path, dimer: ase.Atoms) -> None:
    """The file says itself what belongs to it; stating the same is no error."""
    path = written(tmp_path / 'potential.yaml', {**RECORDED, 'potential': REFERENCE.as_dict()})
    alone = values(dimer, total_calculator(FITTED))
    expected = alone + values(dimer, REFERENCE.calculator())
    assert np.abs(expected - alone).max() > 1
    np.testing.assert_allclose(values(dimer, total_calculator(path)), expected, rtol=1e-12)
    np.testing.assert_allclose(values(dimer, total_calculator(path, REFERENCE)), expected, rtol=1e-12)


@pytest.mark.parametrize('recorded', [None, RECORDED])
def test_a_file_without_a_reference_potential_stands_alone(
    tmp_path: Path, dimer: ase.Atoms, recorded: dict | None
) -> None:
    """Energies of single atoms are no matter of the potential; a reference may be stated where none is recorded."""
    path = written(tmp_path / 'potential.yaml', recorded)
    alone = values(dimer, total_calculator(FITTED))
    np.testing.assert_array_equal(values(dimer, total_calculator(path)), alone)
    stated = values(dimer, total_calculator(path, REFERENCE))
    np.testing.assert_allclose(stated, alone + values(dimer, REFERENCE.calculator()), rtol=1e-12)


def test_another_reference_than_the_recorded_one_is_refused(tmp_path: Path) -> None:
    """The message says which one belongs to the file."""
    path = written(tmp_path / 'potential.yaml', {**RECORDED, 'potential': REFERENCE.as_dict()})
    with pytest.raises(ConfigError, match=r'trained relative to ZBL\(inner=1\.0, outer=2\.5\), not to ZBL'):
        total_calculator(path, ZBL(1.0, 3.0))


def test_a_damaged_record_is_not_taken_for_none(tmp_path: Path) -> None:
    """Leaving the reference out would give a wrong potential silently."""
    path = tmp_path / 'potential.yaml'
    path.write_text(with_metadata(FITTED.read_text(), METADATA_KEY, 'damaged'))
    with pytest.raises(FileFormatError, match='cannot be read'):
        total_calculator(path)
