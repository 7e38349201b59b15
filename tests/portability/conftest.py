"""What a training job uploads, and the environments that it is read in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.engine import run_get_node
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

VARIABLE = 'AUTOPIPEC_PORTABILITY'
NAMES = ('oldest', 'middle', 'newest', 'newest-pyarrow')
PERIODICITIES = [(True, True, True), (False, False, False), (True, True, False), (False, True, False)]


def environment_folder() -> Path | None:
    """Return the folder that make_environments filled."""
    stated = os.environ.get(VARIABLE)
    return Path(stated) if stated and all((Path(stated) / name / 'about').is_file() for name in NAMES) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the environments where there are none, and say how to get them."""
    if environment_folder() is not None:
        return
    reason = f'needs other versions of pandas: tests/portability/make_environments FOLDER; export {VARIABLE}=FOLDER'
    for item in items:
        if 'portability' in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell in which versions the files were read."""
    folder = environment_folder()
    if folder is not None:
        terminalreporter.section('portability')
        for name in NAMES:
            terminalreporter.write_line(f'{name}: {(folder / name / "about").read_text()}')


@pytest.fixture(scope='module', params=NAMES)
def environment(request: pytest.FixtureRequest) -> Path:
    """Return the folder of one environment."""
    folder = environment_folder()
    assert folder is not None
    return folder / request.param


def images(n: int, seed: int) -> list[Atoms]:
    """Return alloys of different size, composition and periodicity, some with stress, with the labels of EMT."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        size = int(rng.integers(1, 9))
        sites = np.array([(x, y, z) for x in range(2) for y in range(2) for z in range(2)])[:size]
        atoms = Atoms(
            numbers=rng.choice([13, 28], size),
            positions=2.7 * sites + rng.normal(scale=0.08, size=(size, 3)),
            cell=5.6 * np.eye(3) + rng.normal(scale=0.1, size=(3, 3)),
            pbc=PERIODICITIES[i % 4],
        )
        atoms.calc = EMT()
        results = {'energy': atoms.get_potential_energy(), 'forces': atoms.get_forces()}
        if i % 4 == 0 and i % 3:
            results['stress'] = atoms.get_stress()
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return made


@pytest.fixture(scope='session')
def structures() -> list[LabelledStructures]:
    """Return two shards, the second small: pandas treats arrays below and above 1000 bytes differently."""
    rng = np.random.default_rng(7)
    shards = []
    for number, n in enumerate((64, 3)):
        plain = LabelledStructures.from_atoms(
            images(n, number), names=[f'structure {number}.{i} Å λ 結晶 🧊' for i in range(n)]
        )
        shards.append(
            plain.replace(
                energy_corrected=plain.energy - plain.sizes * 1.25,
                stress=np.full((n, 6), np.nan) if plain.stress is None else plain.stress,
                energy_weights=rng.random(n),
                force_weights=rng.random(plain.n_atoms),
            )
        )
    return shards


@pytest.fixture(scope='module')
def job(
    structures: list[LabelledStructures],
    programs: dict[str, Any],
    make_config: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return the folder that a training job uploads: a training set of all structures, a test set of three."""
    config = make_config()
    config['potential']['elements'] = ['Al', 'Ni']
    config['fit']['maxiter'] = 2
    test = LabelledStructures.from_atoms(images(3, 5), names=list('abc'))
    test = test.replace(energy_corrected=np.arange(3.0), energy_weights=np.ones(3), force_weights=np.ones(test.n_atoms))
    inputs = {
        'code': programs['pacemaker'],
        'dataset': PaceDatasetData.from_structures(structures),
        'test_dataset': PaceDatasetData.from_structures(test),
        'config': config,
        'metadata': {'dry_run': True, 'store_provenance': False},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp('job'))  # where a dry run leaves its folder
        _, node = run_get_node(PaceTrainCalculation, **inputs)
        return Path(node.dry_run_info['folder'])
