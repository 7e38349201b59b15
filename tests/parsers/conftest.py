"""Finished jobs made of what real runs left behind, for the parsers to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common import LinkType
from aiida.engine import ExitCode
from aiida.orm import CalcJobNode, Data, FolderData
from aiida.plugins import ParserFactory

from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

RUNS = Path(__file__).parents[1] / 'fixtures' / 'pacemaker'


@dataclass
class Parsed:
    """What a parser made of a job."""

    exit_code: ExitCode
    outputs: Mapping[str, Data]

    @property
    def parameters(self) -> dict[str, Any]:
        """Return `output_parameters`, after the check that a database takes them."""
        node = self.outputs['output_parameters']
        node.store()
        return node.get_dict()


@pytest.fixture
def files_of() -> Callable[..., dict[str, bytes]]:
    """Return a function that names the files of a real run as a job of ours retrieves them."""

    def files(run: str, program: str = 'pacemaker') -> dict[str, bytes]:
        renamed = {
            'stderr.txt': f'{program}.err',
            'stdout.txt': f'{program}.out',
            'p.asi': 'output_potential.asi',
        }
        skipped = {'exit_code', 'input.yaml'}
        found = sorted(path for path in (RUNS / run).iterdir() if path.name not in skipped)
        return {renamed.get(path.name, path.name): path.read_bytes() for path in found}

    return files


@pytest.fixture
def parse(aiida_profile, aiida_localhost) -> Callable[..., Parsed]:
    """Return a function that stores a finished job and runs its parser."""

    def run(
        entry_point: str,
        files: Mapping[str, bytes],
        inputs: Mapping[str, Data],
        *,
        exit_status: int | None = None,
        temporary: Path | None = None,
    ) -> Parsed:
        node = CalcJobNode(computer=aiida_localhost, process_type=f'aiida.calculations:{entry_point}')
        node.set_option('resources', {'num_machines': 1})
        if exit_status is not None:
            node.set_exit_status(exit_status)
            node.set_exit_message('the scheduler says so')
        for label, value in inputs.items():
            node.base.links.add_incoming(value.store(), LinkType.INPUT_CALC, label)
        node.store()
        retrieved = FolderData()
        for name, content in files.items():
            retrieved.base.repository.put_object_from_bytes(content, name)
        retrieved.base.links.add_incoming(node, LinkType.CREATE, 'retrieved')
        retrieved.store()
        parser = ParserFactory(entry_point)(node)
        folder = None if temporary is None else str(temporary)
        exit_code = parser.parse(retrieved_temporary_folder=folder) or ExitCode(0)
        return Parsed(exit_code, parser.outputs)

    return run


@pytest.fixture
def make_dataset() -> Callable[..., PaceDatasetData]:
    """Return a function that makes structures of two atoms, of the given elements by turns."""

    def make(elements: str = 'Cu', *, n: int = 4, seed: int = 0) -> PaceDatasetData:
        from ase import Atoms

        rng = np.random.default_rng(seed)
        symbols = elements.split()
        images = []
        for number in range(n):
            symbol = symbols[number % len(symbols)]
            atoms = Atoms([symbol] * 2, [[0, 0, 0], [1.8, 1.8, rng.uniform(0.1, 0.3)]], cell=[3.6] * 3, pbc=True)
            atoms.info['energy'] = -1.0
            atoms.arrays['forces'] = rng.normal(scale=0.1, size=(2, 3))
            images.append(atoms)
        structures = LabelledStructures.from_atoms(images)
        return PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy))

    return make
