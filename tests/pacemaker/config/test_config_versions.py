"""What differs between versions of Pacemaker."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from aiida_autopipec.pacemaker.config import render_input_yaml, validate_config
from aiida_autopipec.pacemaker.config.versions import needs_cutoff
from aiida_autopipec.pacemaker.errors import ConfigError


@pytest.mark.parametrize(
    ('version', 'expected'),
    [('0.2.7+102.g1c9a', True), ('0.3', True), ('0.3.1', True), ('0.4', False), ('0.4.0rc1', False), ('1.0', False)],
)
def test_which_versions_need_a_cutoff(version: str, expected: bool) -> None:
    """Before 0.4 the key is compulsory, from then on it is ignored."""
    assert needs_cutoff(version) is expected


@pytest.mark.parametrize('version', ['', 'latest', '4', '0.1.9'])
def test_what_is_no_version_is_refused(version: str) -> None:
    """The sentence says what a version looks like, or which are too old."""
    with pytest.raises(ConfigError, match='version'):
        needs_cutoff(version)


def test_the_cutoff_is_that_of_the_bonds(binary: dict[str, Any]) -> None:
    """It stands at the top of the file, and is the largest of the cutoffs (Å) that act."""
    text = render_input_yaml(validate_config(binary), train_filename='t.pckl.gzip', version='0.3')
    assert text.startswith('cutoff: 4.5\n')


def test_a_cutoff_that_no_bond_has_does_not_count(binary: dict[str, Any]) -> None:
    """A general cutoff that each specific key overrides is none."""
    binary['potential']['bonds']['ALL']['rcut'] = 9.0
    binary['potential']['bonds']['UNARY'] = {'rcut': 4.0}
    assert validate_config(binary).cutoff == 4.5


def test_a_ladder_takes_the_larger_cutoff(unary: dict[str, Any]) -> None:
    """Neighbours must reach as far as the potential that the ladder starts from."""
    unary['fit']['ladder_step'] = 2
    text = render_input_yaml(
        validate_config(unary),
        train_filename='t.pckl.gzip',
        initial_potential_filename='p.yaml',
        version='0.3',
        cutoff=6.0,
    )
    assert yaml.safe_load(text)['cutoff'] == 6.0


def test_no_cutoff_at_all_is_refused() -> None:
    """The sentence names the key and the version."""
    with pytest.raises(ConfigError, match=r'potential: states no cutoff.*before 0\.4'):
        render_input_yaml(
            validate_config({}), train_filename='t.pckl.gzip', initial_potential_filename='p.yaml', version='0.3'
        )
