"""The dataset from which `pace_select` builds an untrained basis."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run
from aiida.plugins import CalculationFactory

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import LabelledStructures, filenames, load_pacemaker_dataset

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.mark.pacemaker
def test_a_slab_at_the_head_of_the_pool_is_written_as_pacemaker_takes_it(
    code: Any, config: dict[str, Any], make_atoms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first structure stands in the basis input fully periodic, since Pacemaker refuses slabs."""
    monkeypatch.chdir(tmp_path)
    structures = LabelledStructures.from_atoms(make_atoms(2))
    pbc = structures.pbc.copy()
    pbc[0, 2] = False
    builder = CalculationFactory('autopipec.pace_select').get_builder()
    builder.code = code('pace_select')
    builder.codes.pacemaker = code('pacemaker')
    builder.config = config
    builder.dataset = PaceDatasetData.from_structures(structures.replace(pbc=pbc))
    builder.metadata.dry_run = True
    builder.metadata.store_provenance = False
    run(builder)
    (folder,) = Path('submit_test').iterdir()
    assert filenames.BASIS_DATA in os.listdir(folder)
    assert load_pacemaker_dataset(folder / filenames.BASIS_DATA).pbc.all()
