"""Potentials that real runs wrote, and texts that are none."""

from __future__ import annotations

import pytest
import yaml

from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.outputs import canonical_potential_text, parse_potential, strip_fit_history
from aiida_autopipec.pacemaker.outputs.potential import MAX_BYTES


def test_facts_of_a_potential(read):
    """Elements, sizes and metadata are read."""
    info = parse_potential(read('ok', 'output_potential.yaml'))
    assert info.elements == ('Cu',)
    assert (info.n_functions, info.total_functions, info.n_densities) == ({'Cu': 9}, 9, {'Cu': 2})
    assert (info.cutoff, info.delta_spline_bins, info.finite) == (4.5, 0.001, True)
    assert info.metadata['pacemaker_version'] == '0.4.0rc1'
    assert info.loss == pytest.approx(0.508, abs=1e-3)


def test_functions_of_two_elements_are_counted_by_central_element(read):
    """Blocks of pairs count for the element that comes first in their name."""
    info = parse_potential(read('ok_binary', 'output_potential.yaml'))
    assert (info.elements, info.n_functions, info.total_functions) == (('Al', 'Cu'), {'Al': 12, 'Cu': 12}, 24)


def test_reference_energies_in_the_metadata_are_read(read):
    """What Pacemaker subtracted by itself stands on the potential; where it subtracted nothing there is nothing."""
    energies = parse_potential(read('auto_reference', 'output_potential.yaml')).reference_energy
    assert energies is not None
    assert energies['Cu'] == pytest.approx(-1003.4, abs=0.1)
    assert parse_potential(read('ok', 'output_potential.yaml')).reference_energy is None


@pytest.mark.parametrize(
    'words',
    ['VASP_PBE', '"[1, 2]"', '\'{"Cu": {}}\'', "'" + '[' * 100_000 + "'"],
    ids=['name', 'list', 'nested', 'deep'],
)
def test_reference_energies_in_other_forms_stay_text(read, words):
    """A user's own note under that key does no harm."""
    text = read('ok', 'output_potential.yaml').replace('  user: user', f'  reference_energy: {words}')
    assert parse_potential(text).reference_energy is None


def test_untrained_potential_has_no_loss(read):
    """The basis that a dry run writes was not fitted."""
    assert parse_potential(read('dry_run', 'target_potential.yaml')).loss is None


def test_overflowed_potential_is_finite_but_its_loss_is_not(read):
    """The loss in the metadata of a diverged fit is infinite."""
    assert parse_potential(read('nan', 'output_potential.yaml')).loss == float('inf')


@pytest.mark.parametrize('word', ['nan', '-nan', '.inf', '-inf'])
def test_coefficients_that_are_no_numbers_are_seen(read, word):
    """A potential with NaN or infinite coefficients is not finite."""
    text = read('ok', 'output_potential.yaml')
    spoilt = text.replace('c: [', f'c: [{word}, ', 1)
    assert not parse_potential(spoilt).finite


def test_pair_with_the_element_indium_is_finite(read):
    """``In`` and ``Na`` are elements, not numbers."""
    text = read('ok', 'output_potential.yaml').replace('Cu', 'In')
    assert parse_potential(text).finite


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'holds no potential'),
        ('- 1\n- 2\n', 'holds no potential'),
        ('a: [1, 2\n', 'is not YAML'),
        ('species: {}\n', 'no list `species`'),
        ('species:\n  - nothing: 1\n', 'lacks'),
        ('metadata: {a: [1]}\nspecies:\n  - speciesblock: Cu\n', '`metadata` of the potential must map'),
        (
            'species:\n  - speciesblock: Cu\n    ndensityi: two\n    rcutij: 4\nglobal: {DeltaSplineBins: 1}\n',
            'is damaged',
        ),
        ('species:\n  - speciesblock: Al Cu\n    rcutij: 4\n', 'lacks'),
        ('a: !!python/object/apply:os.system [echo]\n', 'is not YAML'),
    ],
)
def test_what_is_no_potential_is_refused(text, message):
    """Other files and damaged potentials are errors that say so."""
    with pytest.raises(FileFormatError, match=message):
        parse_potential(text)


def test_an_input_is_no_potential(read):
    """``input.yaml`` is refused."""
    with pytest.raises(FileFormatError, match='no list `species`'):
        parse_potential(read('ok', 'input.yaml'))


@pytest.mark.parametrize('end', [0.3, 0.6, 0.97])
def test_a_truncated_potential_is_refused_or_smaller(read, end):
    """A file that breaks off never raises anything but a FileFormatError."""
    text = read('ok', 'output_potential.yaml')
    try:
        info = parse_potential(text[: int(len(text) * end)])
    except FileFormatError:
        return
    assert info.total_functions < 9


@pytest.mark.parametrize(
    'text',
    [
        '[' * 200_000,
        '{' * 200_000,
        '["]", ' * 200_000,
        '- ' * 100_000,
        '? ' * 100_000,
        '\n'.join(' ' * depth + 'a:' for depth in range(2_000)),
        'a: &a {k: 1}\nb: {<<: [*a, *a]}\n',
        'a: &a {k: 1}\nb:\n  <<: *a\n',
        ' ' * (MAX_BYTES + 1),
    ],
    ids=[
        'brackets',
        'braces',
        'brackets in quotes',
        'dashes',
        'question marks',
        'indents',
        'flow merge',
        'merge',
        'size',
    ],
)
def test_nesting_that_kills_the_parser_is_refused(text):
    """Libyaml's binding dies by SIGSEGV on deep nesting, and merge keys multiply: neither is tried."""
    with pytest.raises(UnsafeFileError):
        parse_potential(text)


def test_strip_fit_history_removes_one_line(read):
    """The edited best cycle is the same potential without the note that made Pacemaker skip the fit."""
    text = read('ok', 'interim_potential_best_cycle.yaml')
    stripped = strip_fit_history(text)
    removed = set(text.splitlines()) - set(stripped.splitlines())
    assert removed == {'  _fit_cycles: 1'}
    assert len(text.splitlines()) == len(stripped.splitlines()) + 1
    assert '_fit_cycles' in parse_potential(text).metadata
    assert '_fit_cycles' not in parse_potential(stripped).metadata


def test_strip_fit_history_leaves_other_potentials_alone(read):
    """The final potential has no such note and stays the same."""
    text = read('ok', 'output_potential.yaml')
    assert strip_fit_history(text) == text


def test_canonical_text_drops_what_differs_between_equal_fits(read):
    """Time stamps, user and versions go; everything else stays, byte for byte."""
    text = read('ok', 'output_potential.yaml')
    other = text.replace('user: user', 'user: someone').replace('2026-11-22', '2030-01-01').replace('0.4.0rc1', '0.5')
    assert other != text
    assert canonical_potential_text(other) == canonical_potential_text(text)
    before, after = yaml.safe_load(text), yaml.safe_load(canonical_potential_text(text))
    assert set(before['metadata']) - set(after['metadata']) == {
        'ace_evaluator_version', 'intermediate_time', 'pacemaker_version', 'pyace_version', 'starttime', 'user',
    }  # fmt: skip
    assert before['species'] == after['species']


def test_canonical_text_keeps_coefficients_and_loss(read):
    """Another coefficient or loss makes another text."""
    text = read('ok', 'output_potential.yaml')
    for changed in (text.replace('c: [', 'c: [1', 1), text.replace('_loss: 0', '_loss: 1')):
        assert changed != text
        assert canonical_potential_text(changed) != canonical_potential_text(text)
