"""What was subtracted, as datasets and potentials record it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.dataset.recorded import (
    METADATA_KEY,
    as_stated,
    describe,
    difference,
    from_metadata,
    reference_to_keep,
    to_metadata,
)
from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError
from aiida_autopipec.pacemaker.outputs import canonical_potential_text, parse_potential
from aiida_autopipec.pacemaker.outputs.potential import with_metadata

POTENTIAL = Path(__file__).parents[2] / 'fixtures' / 'pacemaker' / 'ok' / 'output_potential.yaml'
ZBL = {'name': 'zbl', 'inner': 1.0, 'outer': 2.0}
ENERGIES = {'method': 'isolated_atoms', 'single_atom_energies': {'Al': -53.5}}
BOTH = {**ENERGIES, 'potential': ZBL}
CORRECTED = {'method': 'already_corrected', 'single_atom_energies': {}, 'potential': ZBL}


@pytest.mark.parametrize('recorded', [ENERGIES, BOTH, CORRECTED], ids=['energies', 'both', 'corrected'])
def test_nothing_stated_keeps_what_was_subtracted(recorded: dict[str, Any]) -> None:
    """The numbers are kept, not the way to find them, which would give others for other data."""
    kept = reference_to_keep(recorded, None)
    assert kept == as_stated(recorded)
    assert kept.get('potential') == recorded.get('potential')
    assert kept['method'] != 'isolated_atoms'


@pytest.mark.parametrize(
    'stated',
    [
        {'method': 'isolated_atoms', 'potential': ZBL},
        {'method': 'isolated_atoms', 'potential': {**ZBL, 'inner': 1}},
        {'method': 'single_atom_energies', 'single_atom_energies': {'Al': -53.5}, 'potential': ZBL},
    ],
)
def test_the_same_reference_may_be_stated_again(stated: dict[str, Any]) -> None:
    """By the method that was used, or by its result."""
    assert reference_to_keep(BOTH, stated) == as_stated(BOTH)


@pytest.mark.parametrize(
    'stated',
    [
        {'method': 'isolated_atoms'},
        {'method': 'least_squares', 'potential': ZBL},
        {'method': 'isolated_atoms', 'potential': {**ZBL, 'inner': 1.5}},
        {'method': 'single_atom_energies', 'single_atom_energies': {'Al': -53.4}, 'potential': ZBL},
        {'method': 'already_corrected', 'potential': ZBL},
    ],
)
def test_another_reference_is_refused(stated: dict[str, Any]) -> None:
    """One sentence says what was subtracted, what is asked for, and what to do."""
    with pytest.raises(DatasetError, match=r'relative to Al -53\.500000 eV and the potential zbl \(inner 1\.0, outer'):
        reference_to_keep(BOTH, stated)


@pytest.mark.parametrize(
    ('one', 'other', 'differ'),
    [
        (BOTH, BOTH, False),
        (BOTH, {**BOTH, 'method': 'single_atom_energies'}, False),
        (BOTH, ENERGIES, True),
        (BOTH, None, True),
        (ENERGIES, None, False),
        (ENERGIES, {**ENERGIES, 'single_atom_energies': {'Al': -53.5, 'Ni': -1.0}}, False),
        (ENERGIES, {**ENERGIES, 'single_atom_energies': {'Al': -53.4}}, True),
        (BOTH, {**BOTH, 'potential': {**ZBL, 'outer': 3.0}}, True),
    ],
)
def test_what_makes_labels_relative_to_different_things(one: Any, other: Any, differ: bool) -> None:
    """Potentials have to be equal, and energies of elements that both have; a set without a record may fit."""
    assert bool(difference(one, other)) is bool(difference(other, one)) is differ


@pytest.mark.parametrize(
    ('recorded', 'words'),
    [
        (None, 'nothing recorded'),
        (ENERGIES, 'Al -53.500000 eV'),
        (CORRECTED, 'the potential zbl (inner 1.0, outer 2.0)'),
    ],
)
def test_a_record_in_words(recorded: Any, words: str) -> None:
    """Messages say what was subtracted."""
    assert describe(recorded) == words


# In the metadata of a potential


def test_the_metadata_hold_the_record() -> None:
    """It is written and read again, replaces an older one, and changes nothing else."""
    text = POTENTIAL.read_text()
    once = with_metadata(text, METADATA_KEY, to_metadata(ENERGIES))
    twice = with_metadata(once, METADATA_KEY, to_metadata(BOTH))
    info, before = parse_potential(twice), parse_potential(text)
    assert from_metadata(info.metadata[METADATA_KEY]) == BOTH
    assert {key: value for key, value in info.metadata.items() if key != METADATA_KEY} == before.metadata
    assert twice.count(METADATA_KEY) == 1
    assert canonical_potential_text(twice) == canonical_potential_text(text)


def test_a_potential_without_metadata_gets_them() -> None:
    """Whatever a file begins with."""
    text = POTENTIAL.read_text()
    bare = text[text.index('global:') :]
    assert parse_potential(with_metadata(bare, 'note', 'a: "b" # c')).metadata == {'note': 'a: "b" # c'}


@pytest.mark.pacemaker
def test_pacemaker_keeps_the_record(tmp_path: Path) -> None:
    """What python-ace reads and writes again is the same record."""
    from pyace import BBasisConfiguration

    path = tmp_path / 'potential.yaml'
    path.write_text(with_metadata(POTENTIAL.read_text(), METADATA_KEY, to_metadata(BOTH)))
    BBasisConfiguration(str(path)).save(str(path))
    assert from_metadata(parse_potential(path.read_text()).metadata[METADATA_KEY]) == BOTH


@pytest.mark.parametrize(
    'written',
    [
        'no JSON',
        '[]',
        '{}',
        '{"method": "least_squares"}',
        '{"method": "least_squares", "single_atom_energies": {"Al": "x"}}',
        '{"method": "least_squares", "single_atom_energies": {"Al": 1}, "potential": {"name": "os"}}',
        '{"method": "least_squares", "single_atom_energies": {"Al": 1}, '
        '"potential": {"name": "ase", "calculator": "vasp"}}',
        '[' * 100_000,
    ],
)
def test_a_record_that_makes_no_sense_is_refused(written: str) -> None:
    """A file from elsewhere names no program to run, and never crashes a check."""
    with pytest.raises(FileFormatError, match='`autopipec_reference` in the metadata of the potential cannot be read'):
        from_metadata(written)
