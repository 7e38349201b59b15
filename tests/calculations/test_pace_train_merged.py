"""A dataset that was merged from several trains like one that was made at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.folders import Folder
from aiida.engine import run_get_node

from aiida_autopipec.calculations.common import write_dataset
from aiida_autopipec.calculations.functions.combine import merge_datasets
from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.outputs import canonical_potential_text

pytestmark = pytest.mark.usefixtures('aiida_profile')


@pytest.fixture(scope='module')
def alone(make_dataset: Callable[..., PaceDatasetData]) -> PaceDatasetData:
    """Return a dataset in one file."""
    return make_dataset().store()


@pytest.fixture(scope='module')
def merged(alone: PaceDatasetData) -> PaceDatasetData:
    """Return the same structures, merged from nodes with different sources, with copies among them, in five files."""
    structures = alone.get_structures()
    parts = []
    for number, (begin, end) in enumerate([(0, 4), (3, 9), (5, 10), (10, 15), (15, 20)]):
        part = structures.take(np.arange(begin, end)).replace(sources=np.full(end - begin, f'source-{number}'))
        parts.append(PaceDatasetData.from_structures(part).store())
    node: PaceDatasetData = merge_datasets(**{f'd{number}': part for number, part in enumerate(parts)})['dataset']
    assert node.n_structures == alone.n_structures
    assert node.n_shards > 1
    return node


def test_uploaded_files_are_equal(alone: PaceDatasetData, merged: PaceDatasetData, tmp_path: Path) -> None:
    """The file that a job uploads is the same to the last byte, however the dataset is stored."""
    folder = Folder(str(tmp_path))
    for name, node in (('alone', alone), ('merged', merged)):
        write_dataset(node, folder, f'{name}.pckl.gzip')
    assert (tmp_path / 'alone.pckl.gzip').read_bytes() == (tmp_path / 'merged.pckl.gzip').read_bytes()


@pytest.mark.pacemaker
def test_potentials_are_equal(alone: PaceDatasetData, merged: PaceDatasetData, programs: Any, make_config: Any) -> None:
    """Real Pacemaker fits the same potential, all coefficients to the last digit, to the merged dataset."""
    potentials = []
    for dataset in (alone, merged):
        _, node = run_get_node(PaceTrainCalculation, code=programs['pacemaker'], dataset=dataset, config=make_config())
        assert node.exit_status == 0, (node.exit_status, node.exit_message)
        potentials.append(canonical_potential_text(node.outputs.potential.get_content()))
    assert potentials[0] == potentials[1]
