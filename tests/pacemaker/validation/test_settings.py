"""Settings of a validation, what the script is told, and what is believed of its answer."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError, OutputError
from aiida_autopipec.pacemaker.reference_potentials import LennardJones
from aiida_autopipec.pacemaker.validation import (
    CHECKS,
    parse_validation_parameters,
    possible_checks,
    read_arrays,
    read_facts,
    reference_settings,
    relate_labels,
    script_settings,
)

ENERGIES = {'method': 'isolated_atoms', 'single_atom_energies': {'Al': -1.0}}
WITH_ZBL = {**ENERGIES, 'potential': {'name': 'zbl', 'inner': 3.0, 'outer': 4.0}}
OTHER_ZBL = {**ENERGIES, 'potential': {'name': 'zbl', 'inner': 2.0, 'outer': 4.0}}


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'dimmer': {}}, '`dimmer` is no parameter'),
        ({'dimer': {'shortest': 0.0}}, 'dimer.shortest'),
        ({'dimer': {'distances': {'Xx': 1.0}}}, 'distances'),
        ({'dynamics': {'temperature': math.inf}}, 'dynamics.temperature'),
        ({'dynamics': {'steps': 0}}, 'dynamics.steps'),
        ({'elastic': {'constants': {'C44': [45, 25]}}}, 'elastic.constants.C44`: the lowest value has to stand first'),
        ({'volume': {'bulk_modulus': [100, 50]}}, 'volume.bulk_modulus`: the lowest value has to stand first'),
        ({'checks': []}, 'empty'),
        ({'checks': ['dimer'], 'required': ['volume']}, 'not among `checks`'),
        ({'required': ['luck']}, 'required'),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """The message names the key."""
    with pytest.raises(ConfigError, match=message):
        parse_validation_parameters(settings)


def test_pairs_are_named_as_users_name_them() -> None:
    """`NiAl` is `AlNi`."""
    assert parse_validation_parameters({'dimer': {'distances': {'NiAl': 1.9}}}).dimer.distances == {'Al-Ni': 1.9}


def test_checks_follow_from_what_is_given() -> None:
    """Without a crystal, data and a `.yace` only two atoms alone are left; what is asked for needs its input."""
    nothing = parse_validation_parameters({})
    assert possible_checks(nothing, ()) == ('dimer',)
    assert possible_checks(nothing, ('dataset',)) == ('dimer', 'dynamics', 'errors')
    assert possible_checks(nothing, ('dataset', 'crystal', 'lammps_potential')) == CHECKS
    with pytest.raises(ConfigError, match='`phonons` needs `crystal`'):
        possible_checks(parse_validation_parameters({'required': ['phonons']}), ('dataset',))


def test_the_script_gets_json() -> None:
    """All settings of the script can be written, with mixed pairs of Lennard-Jones spelled out."""
    potential = LennardJones(
        {name: {'epsilon': 0.2, 'sigma': 2.2, 'cutoff': 4.0} for name in ('Al', 'Ni')}, mixing='geometric'
    )
    settings = script_settings(
        parse_validation_parameters({}),
        ('dimer',),
        elements=('Al', 'Ni'),
        reference=potential,
        files={'potential': 'potential.yaml'},
    )
    assert json.loads(json.dumps(settings, allow_nan=False)) == settings
    assert [pair['numbers'] for pair in settings['reference']['pairs']] == [[13, 13], [13, 28], [28, 28]]
    with pytest.raises(ConfigError, match='no parameters for'):
        reference_settings(potential, ('Al', 'Cu'))


@pytest.mark.parametrize(
    ('potential', 'dataset', 'corrected', 'expected'),
    [
        (WITH_ZBL, WITH_ZBL, True, (False, None)),
        (WITH_ZBL, ENERGIES, True, (True, None)),
        (WITH_ZBL, None, False, (True, {'Al': -1.0})),
        (ENERGIES, ENERGIES, True, (True, None)),
        (None, ENERGIES, True, (True, None)),
    ],
)
def test_labels_that_fit(potential: Any, dataset: Any, corrected: bool, expected: Any) -> None:
    """Labels with and without the reference potential are told apart, and total energies are corrected."""
    labels = relate_labels(potential, dataset, has_corrected=corrected)
    assert (labels.totals, labels.energies) == expected


@pytest.mark.parametrize(
    ('potential', 'dataset', 'corrected'),
    [
        (WITH_ZBL, OTHER_ZBL, True),
        (ENERGIES, WITH_ZBL, True),
        (None, WITH_ZBL, True),
        (ENERGIES, {**ENERGIES, 'single_atom_energies': {'Al': -2.0}}, True),
        (None, None, False),
    ],
)
def test_labels_that_do_not_fit_are_refused(potential: Any, dataset: Any, corrected: bool) -> None:
    """Errors of energies relative to different things would be errors of nothing."""
    with pytest.raises(DatasetError):
        relate_labels(potential, dataset, has_corrected=corrected)


def archive(compress: bool = False, **arrays: Any) -> bytes:
    """Return the bytes of an archive."""
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'PK\x03\x04 not a zip',
        archive(dimer_energy=np.array([{}], dtype=object)),
        archive(dimer_energy=np.array(['text'])),
        archive(dimer_energy=np.zeros((2, 2, 2))),
        archive(else_energy=np.zeros(2)),
        archive(compress=True, dimer_energy=np.zeros(10_000)),
        archive(dimer_energy=np.zeros(9))[:-30],
    ],
)
def test_archives_of_another_kind_are_refused(content: bytes) -> None:
    """Pickles, texts, unknown names, bombs and fragments are not read."""
    with pytest.raises(OutputError):
        read_arrays(content)


def test_numbers_that_are_not_finite_are_findings() -> None:
    """A potential that overflows leaves infinities, which is no reason to refuse the file."""
    assert np.isinf(read_arrays(archive(dimer_energy=np.array([np.inf])))['dimer_energy']).all()


@pytest.mark.parametrize(
    'value',
    [
        {},
        {'facts': []},
        {'facts': {'luck': {}}},
        {'facts': {'dimer': 3}},
        {'facts': {'dimer': {'a': {'b': 1}}}},
        {'facts': {'dimer': {'a': 'x' * 501}}},
        {'facts': {'dimer': {'../a': 1}}},
        {'facts': {'dimer': {'a': ['x']}}},
        {'facts': {'dimer': {str(n): 1 for n in range(30)}}},
    ],
)
def test_facts_of_another_form_are_refused(value: Any) -> None:
    """Only what a check writes is believed."""
    with pytest.raises(OutputError):
        read_facts(value)
