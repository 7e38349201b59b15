"""The option `--reference` of `train`."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_autopipec.cli.launch import parse_reference_option
from aiida_autopipec.pacemaker.errors import ConfigError


def test_a_file_may_hold_energies_or_a_whole_reference(tmp_path: Path) -> None:
    """EV by element are the short form; with `method` the file is what the input `reference` takes."""
    energies, whole = tmp_path / 'energies.yaml', tmp_path / 'reference.yaml'
    energies.write_text('Al: -53.5\n')
    whole.write_text('method: isolated_atoms\npotential: {name: zbl, inner: 1.0, outer: 2.5}\n')
    assert parse_reference_option(str(energies))['single_atom_energies'] == {'Al': -53.5}
    assert parse_reference_option(str(whole)) == {
        'method': 'isolated_atoms',
        'potential': {'name': 'zbl', 'inner': 1.0, 'outer': 2.5},
    }


def test_an_impossible_reference_in_a_file_is_refused(tmp_path: Path) -> None:
    """Before anything is stored."""
    path = tmp_path / 'reference.yaml'
    path.write_text('method: isolated_atoms\npotential: {name: zbl, inner: 1.0}\n')
    with pytest.raises(ConfigError, match='lacks `outer`'):
        parse_reference_option(str(path))
