"""The commands around datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest
from click.testing import Result

from aiida_autopipec.pacemaker import load_pacemaker_dataset

Run = Callable[..., Result]
Make = Callable[..., Any]


def datasets() -> list[Any]:
    """Return all datasets of the profile."""
    from aiida.orm import QueryBuilder

    from aiida_autopipec.data.dataset import PaceDatasetData

    found: list[Any] = QueryBuilder().append(PaceDatasetData).all(flat=True)
    return found


def test_import_stores_a_dataset_with_provenance(run_cli: Run, extxyz: Make, aiida_profile_clean: Any) -> None:
    """A file becomes a dataset that stems from it, with label and group, and is shown."""
    from aiida.orm import load_group

    path = extxyz()
    result = run_cli('dataset', 'import', path, '--label', 'mine', '--group', 'all')
    (node,) = datasets()
    assert node.label == 'mine'
    assert node.creator.inputs['file'].filename == path.name
    assert [member.uuid for member in load_group('all').nodes] == [node.uuid]
    for text in (node.uuid, 'structures', '6', 'Al', 'eV/atom', 'eV/Å'):
        assert text in result.output


def test_import_takes_keys(run_cli: Run, tmp_path: Path, make_atoms: Make, aiida_profile_clean: Any) -> None:
    """Labels under other names are read by the names that are given."""
    images = make_atoms(2)
    for image in images:
        image.info['dft_energy'], image.arrays['dft_forces'] = image.get_potential_energy(), image.get_forces()
        image.calc = None
    ase.io.write(tmp_path / 'keys.extxyz', images)
    run_cli('dataset', 'import', tmp_path / 'keys.extxyz', '--energy-key', 'dft_energy', '--forces-key', 'dft_forces')
    assert datasets()[0].labelled


@pytest.mark.parametrize(
    ('name', 'content', 'sentence'),
    [
        ('noise.abc', 'not a file of structures', 'not of a format that ASE recognises'),
        ('noise.pckl.gzip', 'not compressed', 'noise.pckl.gzip'),
    ],
)
def test_import_refuses_other_files_and_stores_nothing(
    run_cli: Run, tmp_path: Path, aiida_profile_clean: Any, name: str, content: str, sentence: str
) -> None:
    """A file that is no dataset is refused by name, before a node is stored."""
    from aiida.orm import Node, QueryBuilder

    path = tmp_path / name
    path.write_text(content)
    result = run_cli('dataset', 'import', path, fails=True)
    assert sentence in result.output
    assert 'FILES' in result.output
    assert QueryBuilder().append(Node).count() == 0


def test_import_refuses_missing_labels(run_cli: Run, extxyz: Make, aiida_profile_clean: Any) -> None:
    """Structures without energies are refused."""
    assert 'energy' in run_cli('dataset', 'import', extxyz(labelled=False), fails=True).output
    assert datasets() == []


def test_import_refuses_missing_file(run_cli: Run, aiida_profile_clean: Any) -> None:
    """A file that does not exist is named."""
    result = run_cli('dataset', 'import', 'nowhere.extxyz', fails=True)
    assert "'nowhere.extxyz' does not exist" in result.output


def test_convert_without_meaning_is_refused(run_cli: Run, aiida_profile_clean: Any, tmp_path: Path) -> None:
    """A trajectory that no known code made needs parameters; with them it becomes a dataset."""
    import numpy as np
    from aiida.orm import TrajectoryData

    trajectory = TrajectoryData()
    trajectory.set_trajectory(
        symbols=['Al', 'Al'],
        positions=np.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 2.5]]]),
        cells=np.eye(3)[None] * 10,
        pbc=[True] * 3,
    )
    trajectory.set_array('my_energy', np.array([-1.0]))
    trajectory.set_array('my_forces', np.zeros((1, 2, 3)))
    trajectory.store()
    assert 'state it in `parameters`' in run_cli('dataset', 'convert', trajectory.pk, fails=True).output
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text('no_such_key: 1\n')
    result = run_cli('dataset', 'convert', trajectory.pk, '--parameters', parameters, fails=True)
    assert '--parameters' in result.output
    assert 'no_such_key' in result.output


def test_convert_without_duplicates(run_cli: Run, aiida_profile_clean: Any, tmp_path: Path) -> None:
    """Where the parameters ask for it, equal frames become one, and the output says how many were removed."""
    import numpy as np
    from aiida.orm import TrajectoryData

    trajectory = TrajectoryData()
    positions = np.zeros((3, 2, 3))
    positions[:, 1, 2] = [2.5, 2.6, 2.5]
    cells = np.tile(10 * np.eye(3), (3, 1, 1))
    trajectory.set_trajectory(symbols=['Al', 'Al'], positions=positions, cells=cells, pbc=[True] * 3)
    trajectory.set_array('energy', np.array([-1.0, -2.0, -1.0]))
    trajectory.set_array('forces', np.zeros((3, 2, 3)))
    trajectory.store()
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(
        'energy: {array: energy, unit: eV}\nforces: {array: forces, unit: eV/Å}\nremove_duplicates: true\n'
    )
    result = run_cli('dataset', 'convert', trajectory.pk, '--parameters', parameters)
    assert '1 duplicates removed: see report <' in result.output
    assert [node.n_structures for node in datasets()] == [2]

    wrong = run_cli('dataset', 'convert', trajectory.pk, '--on-conflict', 'keep_last', fails=True)
    assert 'state `remove_duplicates: true` and `on_conflict` in --parameters' in wrong.output
    wrong = run_cli('dataset', 'convert', '--from-group', 'mine', '--parameters', parameters, fails=True)
    assert '--parameters is for TRAJECTORIES' in wrong.output


def test_convert_a_group_of_structures(run_cli: Run, aiida_profile_clean: Any) -> None:
    """Structures and labels of a group belong together by the labels of the nodes, and become one dataset."""
    import numpy as np
    from aiida.orm import ArrayData, Group, StructureData
    from ase.build import bulk

    group = Group('mine').store()
    for number in range(3):
        image = bulk('Al', 'fcc', 4.0 + 0.01 * number, cubic=True)
        structure = StructureData(ase=image, label=f'al_{number}').store()
        arrays = {'energy': np.array([-14.0 - number]), 'forces': np.zeros((4, 3))}
        group.add_nodes([structure, ArrayData(arrays, label=f'al_{2 - number}').store()])
    run_cli('dataset', 'convert', '--from-group', 'mine', '--label', 'together')
    (node,) = [found for found in datasets() if found.label == 'together']
    structures = node.get_structures()
    assert structures.names.tolist() == ['al_0', 'al_1', 'al_2']
    assert structures.energy.tolist() == [-16.0, -15.0, -14.0]


def test_convert_refuses_what_has_no_partner(run_cli: Run, aiida_profile_clean: Any) -> None:
    """A structure without labels of the same label is named, and so is a group that does not exist."""
    from aiida.orm import Group, StructureData
    from ase.build import bulk

    Group('mine').store().add_nodes(StructureData(ase=bulk('Al'), label='lonely').store())
    assert '`lonely`, but no ArrayData' in run_cli('dataset', 'convert', '--from-group', 'mine', fails=True).output
    assert 'no group `yours`' in run_cli('dataset', 'convert', '--from-group', 'yours', fails=True).output
    assert 'either TRAJECTORIES or --from-group' in run_cli('dataset', 'convert', fails=True).output
    assert datasets() == []


def test_show(run_cli: Run, dataset: Make) -> None:
    """A dataset is found by uuid and by pk."""
    node = dataset()
    assert run_cli('dataset', 'show', node.uuid).output == run_cli('dataset', 'show', node.pk).output
    assert f'{node.force_max:.3f} eV/Å' in run_cli('dataset', 'show', node.pk).output


@pytest.mark.parametrize(('name', 'first_bytes'), [('a.png', b'\x89PNG'), ('a.svg', b'<?xml'), ('a.pdf', b'%PDF')])
def test_show_plots(run_cli: Run, dataset: Make, tmp_path: Path, name: str, first_bytes: bytes) -> None:
    """A plot is written in the format of the file name, beside the table."""
    result = run_cli('dataset', 'show', dataset().pk, '--plot', tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(first_bytes)
    assert f'the plot is in {tmp_path / name}' in result.output


def test_a_plot_of_a_part_says_so(run_cli: Run, dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a very large dataset some structures are drawn, and the plot says how many of how many."""
    node = dataset()
    monkeypatch.setattr('aiida_autopipec.cli.dataset.MAX_PLOTTED_ATOMS', -(-node.n_atoms // 2))
    result = run_cli('dataset', 'show', node.pk, '--plot', tmp_path / 'a.svg')
    drawn = len(range(0, node.n_structures, 2))
    assert f'it shows {drawn} structures, evenly chosen' in result.output
    assert f'{drawn} of {node.n_structures} structures' in (tmp_path / 'a.svg').read_text()


@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('a.txt', 'plots are written as .pdf, .png, .svg'),
        ('none/a.png', 'there is no folder'),
        ('old.png', 'overwrite it with --force'),
    ],
)
def test_plots_go_nowhere_else(run_cli: Run, dataset: Make, tmp_path: Path, name: str, sentence: str) -> None:
    """A name that says no format, a folder that is not there, and a file that is there are refused."""
    (tmp_path / 'old.png').write_text('precious')
    output = run_cli('dataset', 'show', dataset().pk, '--plot', tmp_path / name, fails=True).output
    assert sentence in output
    assert '--plot' in output
    assert (tmp_path / 'old.png').read_text() == 'precious'


def test_other_nodes_are_no_datasets(run_cli: Run, aiida_profile_clean: Any) -> None:
    """A node of another class is refused by what it is, and one that does not exist by its number."""
    from aiida.orm import Int

    node = Int(1).store()
    assert f'node {node.pk} is of class Int, not a dataset' in run_cli('dataset', 'show', node.pk, fails=True).output
    assert '999999' in run_cli('dataset', 'show', 999999, fails=True).output


def test_export_writes_what_can_be_read(run_cli: Run, dataset: Make, tmp_path: Path) -> None:
    """Both formats hold all structures with their labels."""
    node = dataset()
    energies = node.get_structures().energy
    run_cli('dataset', 'export', node.pk, tmp_path / 'a.pckl.gzip')
    run_cli('dataset', 'export', node.pk, tmp_path / 'a.extxyz')
    assert load_pacemaker_dataset(tmp_path / 'a.pckl.gzip').energy == pytest.approx(energies)
    images = ase.io.read(tmp_path / 'a.extxyz', index=':')
    assert [image.get_potential_energy() for image in images] == pytest.approx(list(energies))


def test_export_overwrites_only_by_force(run_cli: Run, dataset: Make, tmp_path: Path) -> None:
    """An existing file is kept unless the user says so."""
    node, path = dataset(), tmp_path / 'a.extxyz'
    path.write_text('precious')
    assert '--force' in run_cli('dataset', 'export', node.pk, path, fails=True).output
    assert path.read_text() == 'precious'
    run_cli('dataset', 'export', node.pk, path, '--force')
    assert path.read_text() != 'precious'


@pytest.mark.parametrize(
    ('name', 'sentence'), [('a.txt', 'has to end in .pckl.gzip'), ('none/a.extxyz', 'there is no folder')]
)
def test_export_refuses_other_names(run_cli: Run, dataset: Make, tmp_path: Path, name: str, sentence: str) -> None:
    """A file name that says no format, or a folder that is not there, is refused."""
    assert sentence in run_cli('dataset', 'export', dataset().pk, tmp_path / name, fails=True).output


def test_merge_removes_duplicates(run_cli: Run, dataset: Make) -> None:
    """Equal structures of two datasets are kept once."""
    first, second = dataset(6), dataset(8)
    result = run_cli('dataset', 'merge', first.pk, second.pk)
    assert '6 exact duplicates were removed' in result.output
    assert max(node.pk for node in datasets()) == next(node.pk for node in datasets() if node.creator)
    assert next(node for node in datasets() if node.creator).n_structures == 8


def test_merge_of_conflicts_needs_a_decision(run_cli: Run, dataset: Make, make_atoms: Make) -> None:
    """Equal structures with different labels are an error unless the user says which to keep."""
    from ase.calculators.singlepoint import SinglePointCalculator

    from aiida_autopipec.data.dataset import PaceDatasetData

    first, images = dataset(3), make_atoms(3)
    for image in images:
        image.calc = SinglePointCalculator(image, energy=image.get_potential_energy() + 1, forces=image.get_forces())
    second = PaceDatasetData.from_atoms(images).store()
    assert 'DATASETS' in run_cli('dataset', 'merge', first.pk, second.pk, fails=True).output
    assert 'keep_first' in run_cli('dataset', 'merge', first.pk, second.pk, '--on-conflict', 'keep_first').output


def test_merge_needs_two(run_cli: Run, dataset: Make) -> None:
    """One dataset cannot be merged."""
    assert 'at least two' in run_cli('dataset', 'merge', dataset().pk, fails=True).output


def test_split(run_cli: Run, dataset: Make) -> None:
    """The two sides together are the whole, and the same seed gives the same sides."""
    node = dataset(30)
    outputs = [run_cli('dataset', 'split', node.pk, '--test-fraction', 0.3, '--seed', 3).output for _ in range(2)]
    made = sorted((each for each in datasets() if each.creator), key=lambda each: each.pk)
    assert made[0].n_structures + made[1].n_structures == 30
    assert {made[0].content_hash, made[1].content_hash} == {made[2].content_hash, made[3].content_hash}
    assert all('training_set:' in output and 'test_set:' in output for output in outputs)


@pytest.mark.parametrize('fraction', ['0', '1', '1.5', 'half'])
def test_split_refuses_impossible_fractions(run_cli: Run, dataset: Make, fraction: str) -> None:
    """A test set that is nothing or everything is refused."""
    assert (
        '--test-fraction' in run_cli('dataset', 'split', dataset().pk, '--test-fraction', fraction, fails=True).output
    )


def test_split_that_leaves_one_side_empty_is_refused(run_cli: Run, dataset: Make) -> None:
    """A dataset too small for the fraction is refused with a sentence."""
    result = run_cli('dataset', 'split', dataset(1).pk, '--test-fraction', 0.5, fails=True)
    assert '--test-fraction' in result.output


def test_unknown_profile_is_named(run_cli: Run, aiida_profile_clean: Any) -> None:
    """A profile that does not exist is named, with what to do."""
    result = run_cli('dataset', 'show', 1, '--profile', 'nowhere', fails=True)
    assert 'nowhere' in result.output
    assert 'setup --localhost' in result.output
