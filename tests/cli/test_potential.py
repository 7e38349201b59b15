"""Potentials are handed on from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

FIXTURE = Path(__file__).parents[1] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'


@pytest.fixture
def potential(aiida_profile_clean: Any) -> Any:
    """Return a stored potential that comes from nowhere."""
    from aiida.orm import SinglefileData

    return SinglefileData(FIXTURE).store()


def test_a_potential_is_exported(run_cli: Callable[..., Result], potential: Any, tmp_path: Path) -> None:
    """The folder gets the potential and the page, whose UUID is that of the node; nothing is stored."""
    from aiida.orm import Node, QueryBuilder

    before = QueryBuilder().append(Node).count()
    result = run_cli('potential', 'export', potential.pk, '--output', tmp_path / 'out')
    assert (tmp_path / 'out' / 'Cu.yaml').read_text() == FIXTURE.read_text()
    assert potential.uuid in (tmp_path / 'out' / 'README.md').read_text()
    assert 'there is no .yace' in result.output
    assert QueryBuilder().append(Node).count() == before


def test_files_are_not_overwritten(run_cli: Callable[..., Result], potential: Any, tmp_path: Path) -> None:
    """A second export into the same folder is refused."""
    run_cli('potential', 'export', potential.uuid, '--output', tmp_path)
    assert 'exists' in run_cli('potential', 'export', potential.uuid, '--output', tmp_path, fails=True).output


def test_the_name_is_stated(run_cli: Callable[..., Result], potential: Any, tmp_path: Path) -> None:
    """`--name` names the files; a path is no name."""
    run_cli('potential', 'export', potential.pk, '--output', tmp_path, '--name', 'mine')
    assert (tmp_path / 'mine.yaml').is_file()
    arguments = ('potential', 'export', potential.pk, '--output', tmp_path, '--name', '../mine')
    assert 'no name for files' in run_cli(*arguments, fails=True).output


def test_other_nodes_are_refused(run_cli: Callable[..., Result], aiida_profile_clean: Any, tmp_path: Path) -> None:
    """A number is no training."""
    from aiida.orm import Int

    node = Int(3).store()
    assert (
        'not a training or potential'
        in run_cli('potential', 'export', node.pk, '--output', tmp_path, fails=True).output
    )


def test_the_folder_as_a_node(potential: Any) -> None:
    """The calculation function makes the same folder, with provenance."""
    from aiida.orm import Str

    from aiida_autopipec.calculations.functions.export import export_potential

    folder = export_potential(potential=potential, name=Str('mine'))['handoff']
    assert sorted(folder.base.repository.list_object_names()) == ['README.md', 'mine.yaml']
    assert folder.creator.inputs.potential.uuid == potential.uuid


@pytest.fixture
def validation(aiida_profile_clean: Any) -> Callable[..., Any]:
    """Return a function that makes a process with the outputs of a validation, under the names of its kind."""
    import numpy as np
    from aiida.common.links import LinkType
    from aiida.orm import ArrayData, CalcJobNode, Dict, WorkChainNode

    from aiida_autopipec.pacemaker.validation import Criterion
    from aiida_autopipec.pacemaker.validation.judge import Verdict

    wall = Criterion('dimer', 'Cu-Cu energy at 0.50 Å', 'failed', 3.2, 42.0, 'eV')
    report = Verdict((wall,), ('dimer',), ('dimer',)).as_dict()
    distances = np.arange(0.5, 4.5, 0.1)
    arrays = {'dimer_distances': distances, 'dimer_Cu_Cu_energy': 3 / distances - 1}

    def make(*, training: bool = False, empty: bool = False) -> Any:
        node = (WorkChainNode if training else CalcJobNode)().store()
        node.set_process_label('Validation')
        nodes = {'report': Dict({'no': 'checks'} if empty else report), 'curves': ArrayData(arrays)}
        for name, output in nodes.items():
            label, link = (f'validation_{name}', LinkType.RETURN) if training else (name, LinkType.CREATE)
            stored = output.store() if training else output
            stored.base.links.add_incoming(node, link, label)
            stored.store()
        return node

    return make


@pytest.mark.parametrize('training', [False, True])
def test_a_verdict_is_shown_and_drawn(
    run_cli: Callable[..., Result], validation: Callable[..., Any], tmp_path: Path, training: bool
) -> None:
    """Of a validation, or of a training that had one: the table, and a picture that is not overwritten."""
    node = validation(training=training)
    arguments = ('potential', 'verdict', node.pk, '--plot', tmp_path / 'verdict.png')
    printed = run_cli(*arguments).output
    assert 'Cu-Cu energy at 0.50 Å' in printed
    assert 'Failed: dimer.' in printed
    assert (tmp_path / 'verdict.png').stat().st_size > 10_000
    assert 'exists' in run_cli(*arguments, fails=True).output


def test_a_process_without_a_validation_is_refused(
    run_cli: Callable[..., Result], validation: Callable[..., Any]
) -> None:
    """Another report is not taken for one."""
    assert 'has no validation' in run_cli('potential', 'verdict', validation(empty=True).pk, fails=True).output
