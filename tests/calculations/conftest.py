"""What the tests of the calculation jobs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import InstalledCode

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


@pytest.fixture(scope='session')
def make_dataset(make_atoms: Callable[..., list[Any]]) -> Callable[..., PaceDatasetData]:
    """Return a function that makes an unstored dataset of aluminium whose corrected energies are those of EMT."""

    def make(n: int = 20, *, seed: int = 0, symbol: str = 'Al') -> PaceDatasetData:
        structures = LabelledStructures.from_atoms(make_atoms(n, seed=seed, symbol=symbol))
        return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy))

    return make


@pytest.fixture(scope='module')
def elsewhere(localhost: Any) -> Callable[[str], InstalledCode]:
    """Return a function that makes the code of a program that is not installed: nothing of it is run."""
    made: dict[str, InstalledCode] = {}

    def make(program: str) -> InstalledCode:
        if program not in made:
            path = f'/opt/pacemaker/bin/{program}'
            made[program] = InstalledCode(label=f'no-{program}', computer=localhost, filepath_executable=path).store()
        return made[program]

    return make


@pytest.fixture(scope='module')
def train(inputs: dict[str, Any]) -> Callable[..., Any]:
    """Return a function that runs the training of a module, by its fixture `inputs`, with some other inputs."""

    def run(**others: Any) -> Any:
        _, node = run_get_node(PaceTrainCalculation, **{**inputs, **others})
        assert node.exit_status == 0, (node.exit_status, node.exit_message)
        return node

    return run


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that writes the folder of a job without running it."""
    monkeypatch.chdir(tmp_path)

    def write(process: Any, **inputs: Any) -> Path:
        metadata = {**inputs.pop('metadata', {}), 'dry_run': True, 'store_provenance': False}
        _, node = run_get_node(process, **inputs, metadata=metadata)
        return Path(node.dry_run_info['folder'])

    return write
