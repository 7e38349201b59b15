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
