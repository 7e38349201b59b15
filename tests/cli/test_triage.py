"""The command that looks for what is wrong with a dataset."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from click.testing import Result

Run = Callable[..., Result]
Make = Callable[..., Any]


def spoiled(make_atoms: Make) -> list[Any]:
    """Return fifteen structures with names, a copy of the third, and an atom alone in its cell."""
    images = make_atoms(15)
    for number, image in enumerate(images):
        image.info['name'] = f'structure-{number}'
    copy = images[2].copy()
    copy.calc = images[2].calc
    copy.info['name'] = 'copy'
    alone = make_atoms(1, seed=7)[0]
    alone.info['name'] = 'alone'
    del alone[1:]
    alone.set_cell([30.0, 30.0, 30.0])
    alone.calc = SinglePointCalculator(alone, energy=0.0, forces=np.zeros((1, 3)))
    return [*images, copy, alone]


@pytest.fixture
def node(aiida_profile_clean: Any, make_atoms: Make) -> Any:
    """Return a dataset with two findings."""
    from aiida_autopipec.data.dataset import PaceDatasetData

    images = spoiled(make_atoms)
    dataset = PaceDatasetData.from_atoms(images, names=[image.info['name'] for image in images])
    dataset.label = 'mine'
    return dataset.store()


@pytest.fixture
def file(tmp_path: Path, make_atoms: Make) -> Path:
    """Return a file with the same structures."""
    path = tmp_path / 'spoiled.extxyz'
    ase.io.write(path, spoiled(make_atoms), format='extxyz')
    return path


def made() -> dict[str, Any]:
    """Return what the last check made, by the labels of its links."""
    from aiida.orm import CalcFunctionNode, QueryBuilder

    query = QueryBuilder().append(CalcFunctionNode, filters={'attributes.process_label': 'check_dataset'}, tag='check')
    query.order_by({'check': {'id': 'desc'}})
    checks = query.all(flat=True)
    return {link.link_label: link.node for link in checks[0].base.links.get_outgoing().all()} if checks else {}


def test_findings_are_a_table(run_cli: Run, node: Any) -> None:
    """Each kind stands there with number, threshold, names and a sentence, and nothing is dropped unasked."""
    output = run_cli('dataset', 'check', node.pk).output
    rows = [line.split() for line in output.splitlines()]
    assert ['duplicate', '1', '0', 'Å', 'copy'] in rows
    assert ['no_neighbours', '1', '1', 'neighbours', 'alone'] in rows
    assert 'copy: it is the same structure as `structure-2` (row 2), with the same labels' in output
    assert 'nothing is dropped' in output
    assert set(made()) == {'report'}
    assert f'pk {made()["report"].pk}' in output


def test_what_was_not_checked_is_said(run_cli: Run, dataset: Make) -> None:
    """What could not be judged is listed with the reason."""
    output = run_cli('dataset', 'check', dataset(4).pk).output
    assert 'not checked:\n  energy_outlier: 4 structures have fewer than 10 others alike' in output


def test_a_clean_dataset(run_cli: Run, dataset: Make) -> None:
    """Where nothing is found, this is said."""
    assert (
        '20 structures, neighbours within 6 Å: nothing looks wrong'
        in run_cli('dataset', 'check', dataset(20).pk).output
    )


def test_dropping_has_provenance(run_cli: Run, node: Any) -> None:
    """Kept and dropped structures are two new nodes, named in the output with the reasons."""
    output = run_cli('dataset', 'check', node.pk, '--drop', 'duplicate', '--drop', 'no_neighbours').output
    outcome = made()
    assert sorted(outcome['dropped'].get_structures().names) == ['alone', 'copy']
    assert outcome['kept'].n_structures == 15
    assert outcome['kept'].creator.inputs['dataset'].uuid == node.uuid
    assert (outcome['kept'].label, outcome['dropped'].label) == ('mine kept', 'mine dropped')
    assert f'kept     15 structures, pk {outcome["kept"].pk}' in output
    assert f'dropped  2 structures, pk {outcome["dropped"].pk}' in output
    assert 'dropped (2):\n  copy: it is the same structure as' in output


def test_rules_come_from_a_file(run_cli: Run, node: Any, tmp_path: Path) -> None:
    """A file of rules decides, and the options add to it."""
    rules = tmp_path / 'rules.yaml'
    rules.write_text('cutoff_angstrom: 5.0\nreport_without_neighbours: false\nactions: {duplicate: drop}\n')
    output = run_cli('dataset', 'check', node.pk, '--rules', rules, '--drop', 'too_close', '--cutoff', 4.5).output
    stated = made()['report'].get_dict()['rules']
    assert stated['cutoff_angstrom'] == 4.5
    assert stated['actions'] == {'duplicate': 'drop', 'too_close': 'drop'}
    assert 'neighbours within 4.5 Å' in output
    assert 'no_neighbours' not in output


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('cutof_angstrom: 5.0', '`rules.cutof_angstrom` is unknown; did you mean `cutoff_angstrom`?'),
        ('actions: {duplicates: drop}', 'did you mean `duplicate`?'),
        ('actions: {duplicate: remove}', '`rules.actions.duplicate` is'),
        ('cutoff_angstrom: -1', '`rules.cutoff_angstrom` is -1'),
        ('1: 2', '`rules.1` is'),
        ('- 1', 'has to hold a mapping'),
        ('{', 'is not YAML'),
    ],
)
def test_wrong_rules_are_refused(run_cli: Run, node: Any, tmp_path: Path, content: str, sentence: str) -> None:
    """A rule that is unknown or impossible is named, and nothing is stored."""
    rules = tmp_path / 'rules.yaml'
    rules.write_text(content)
    output = ' '.join(run_cli('dataset', 'check', node.pk, '--rules', rules, fails=True).output.split())
    assert sentence in output
    assert '--rules' in output
    assert made() == {}


def test_unknown_kinds_are_refused(run_cli: Run, node: Any) -> None:
    """A kind of finding that does not exist is answered with those that do."""
    output = run_cli('dataset', 'check', node.pk, '--drop', 'duplicates', fails=True).output
    assert "'duplicates' is not one of" in output
    assert "'near_duplicate'" in output


def test_dropping_everything_is_refused(run_cli: Run, dataset: Make, extxyz: Make) -> None:
    """Rules that leave nothing are refused for nodes and for files."""
    for data in (dataset(6).pk, extxyz(n=6)):
        output = run_cli('dataset', 'check', data, '--drop', 'rare_element', fails=True).output
        assert 'the rules drop all 6 structures (rare_element)' in output


def test_other_nodes_and_missing_files_are_refused(run_cli: Run, aiida_profile_clean: Any) -> None:
    """What is no dataset is refused by what it is."""
    from aiida.orm import Int

    number = Int(1).store().pk
    assert f'node {number} is of class Int' in run_cli('dataset', 'check', number, fails=True).output
    assert '999999' in run_cli('dataset', 'check', 999999, fails=True).output
    assert 'there is no file `nowhere.extxyz`' in run_cli('dataset', 'check', 'nowhere.extxyz', fails=True).output


def test_a_number_is_a_node_whatever_files_there_are(
    run_cli: Run, node: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that has the pk of a node as its name does not hide the node."""
    monkeypatch.chdir(tmp_path)
    Path(str(node.pk)).write_text('no dataset')
    assert '17 structures' in run_cli('dataset', 'check', node.pk).output


def test_files_need_no_profile(file: Path, tmp_path: Path) -> None:
    """A file is checked where AiiDA has no profile, and what would be dropped is said."""
    done = subprocess.run(
        [Path(sys.executable).parent / 'aiida-autopipec', 'dataset', 'check', file, '--drop', 'duplicate'],
        env={'AIIDA_PATH': str(tmp_path), 'HOME': str(tmp_path), 'PATH': '/usr/bin:/bin', 'LANG': 'C.UTF-8'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'would be dropped (1):\n  copy: it is the same structure' in done.stdout
    assert 'nothing is stored' in done.stdout
    assert not (tmp_path / '.aiida').exists()


def test_files_that_are_none_are_refused(run_cli: Run, tmp_path: Path) -> None:
    """A file that holds no structures is named."""
    path = tmp_path / 'noise.abc'
    path.write_text('no structures')
    assert 'noise.abc' in run_cli('dataset', 'check', path, fails=True).output


def test_long_names_and_many_findings_stay_readable(run_cli: Run, tmp_path: Path, make_atoms: Make) -> None:
    """Of many findings the first three are named, and long names are cut."""
    images = make_atoms(4)
    for number, image in enumerate(images):
        image.info['name'] = f'{number}-' + 60 * 'x'
    ase.io.write(tmp_path / 'long.extxyz', images, format='extxyz')
    output = run_cli('dataset', 'check', tmp_path / 'long.extxyz').output
    (row,) = [line for line in output.splitlines() if line.startswith('rare_element')]
    assert row.count('…') == 4
    assert '3-x' not in row
    assert len(row) < 190
