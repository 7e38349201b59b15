"""What is said of an input that somebody already has."""

from __future__ import annotations

import pytest
import yaml

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.input_files import FileNames, InputReport, Level, check_input
from aiida_autopipec.pacemaker.input_files.owned import DEAD

INPUT = """\
seed: 42
potential:
  elements: [Al, Ni]
  embeddings:
    ALL: {npot: FinnisSinclairShiftedScaled, fs_parameters: [1, 1, 1, 0.5], ndensity: 2}
  bonds:
    ALL: {radbase: SBessel, radparameters: [5.25], rcut: 5.0, dcut: 0.01}
    (Al, Ni): {rcut: 4.5}
  functions:
    ALL: {nradmax_by_orders: [3, 2], lmax_by_orders: [0, 1]}
data:
  filename: train.pckl.gzip
fit:
  loss: {kappa: 0.3, L1_coeffs: 1e-8}
  maxiter: 20
backend: {evaluator: pyace}
"""


def said(report: InputReport, level: Level) -> list[tuple[int | None, str]]:
    """Return line and key of the remarks of a level."""
    return [(remark.line, remark.key) for remark in report.of(level)]


def changed(old: str, new: str) -> InputReport:
    """Return what is said of the input with one change."""
    assert INPUT.count(old) == 1
    return check_input(INPUT.replace(old, new))


def test_a_good_input_has_settings_without_file_names() -> None:
    """An input that Pacemaker runs gives settings, and the files that it names."""
    report = check_input(INPUT)
    assert report.of(Level.ERROR) == []
    assert report.settings().to_dict()['potential']['bonds']['AlNi'] == {'rcut': 4.5}
    assert report.files == FileNames(datasets=('train.pckl.gzip',))
    assert said(report, Level.ADVICE) == [(12, 'data.filename')]


@pytest.mark.parametrize(
    ('old', 'new', 'line', 'key', 'words'),
    [
        ('maxiter: 20', 'maxitr: 20', 15, 'fit.maxitr', 'fit.maxiter'),
        ('rcut: 4.5', 'rcutt: 4.5', 8, 'potential.bonds.AlNi.rcutt', 'potential.bonds.AlNi.rcut'),
        ('kappa: 0.3', 'kappa: 3', 14, 'fit.loss.kappa', 'from 0'),
        ('[Al, Ni]', '[Al, Xx]', 3, 'potential.elements', 'chemical symbols'),
        ('maxiter: 20', 'maxiter: yes', 15, 'fit.maxiter', 'integer'),
        ('backend:', 'bakend:', 16, 'bakend', 'backend'),
        ('  maxiter: 20\n', '  maxiter: 20\n  maxiter: 30\n', 16, 'fit.maxiter', 'line 15'),
    ],
)
def test_an_error_names_line_key_and_remedy(old: str, new: str, line: int, key: str, words: str) -> None:
    """What is wrong is said with the line where it stands, also under keys of elements and where keys stand twice."""
    report = changed(old, new)
    assert said(report, Level.ERROR) == [(line, key)]
    assert words in str(report.of(Level.ERROR)[0])
    with pytest.raises(ConfigError, match=key.replace('.', '[.]')):
        report.settings()


def test_what_is_missing_is_said_at_what_is_around_it() -> None:
    """A key that is not there has no line: the section that lacks it has."""
    report = changed('rcut: 5.0, ', '')
    assert all('rcut' in remark.text for remark in report.of(Level.ERROR))
    assert {remark.line for remark in report.of(Level.ERROR)} == {6}


@pytest.mark.parametrize('path', DEAD)
def test_dead_keys_are_advice(path: tuple[str, ...]) -> None:
    """A key that Pacemaker does not read is no error, is left out of the settings, and is said with its line."""
    mapping = yaml.safe_load(INPUT)
    if path[:2] == ('fit', 'weighting'):
        mapping['fit']['weighting'] = {'type': 'EnergyBasedWeightingPolicy'}
    section = mapping
    for part in path[:-1]:
        section = section[part]
    section[path[-1]] = 10
    report = check_input(yaml.safe_dump(mapping))
    (remark,) = [remark for remark in report.of(Level.ADVICE) if remark.path == path]
    assert remark.line is not None
    assert report.settings() is not None


def test_the_cutoff_of_old_inputs_is_told_by_version() -> None:
    """The advice about the top-level cutoff says what 0.3 and 0.4 do with it."""
    (remark,) = [remark for remark in changed('seed: 42', 'cutoff: 7').of(Level.ADVICE) if remark.key == 'cutoff']
    assert remark.line == 1
    assert '0.4' in remark.text
    assert '0.3' in remark.text


@pytest.mark.parametrize(
    ('data', 'files', 'words'),
    [
        ('{filename: [a.pckl.gzip, b.pckl.gzip]}', FileNames(datasets=('a.pckl.gzip', 'b.pckl.gzip')), 'datasets'),
        (
            '{filename: a.pckl.gzip, test_filename: b.pckl.gzip, datapath: /data}',
            FileNames(datasets=('a.pckl.gzip',), test_datasets=('b.pckl.gzip',), datapath='/data'),
            'test_datasets',
        ),
        ('{filename: a.pckl.gzip, test_size: 0.1}', FileNames(datasets=('a.pckl.gzip',), test_size=0.1), 'split'),
        ('a.pckl.gzip', FileNames(datasets=('a.pckl.gzip',)), 'datasets'),
    ],
)
def test_names_of_data_become_advice(data: str, files: FileNames, words: str) -> None:
    """Where data stand in the input, the advice names the input to use instead."""
    report = check_input(INPUT.replace('data:\n  filename: train.pckl.gzip', f'data: {data}'))
    assert report.files == files
    assert any(words in remark.text for remark in report.of(Level.ADVICE))
    assert report.settings().to_dict()['data'] == {'reference_energy': None}


@pytest.mark.parametrize(
    ('potential', 'files', 'kept'),
    [
        ('old.yaml', FileNames(potential='old.yaml'), None),
        ('{filename: old.yaml}', FileNames(potential='old.yaml'), None),
        ('{filename: old.yaml, reset: false}', FileNames(potential='old.yaml'), None),
        ('{filename: old.yaml, reset: true}', FileNames(potential='old.yaml'), {'reset': True}),
    ],
)
def test_names_of_potentials_become_advice(potential: str, files: FileNames, kept: object) -> None:
    """Every form of a given potential is understood, and the advice names the input initial_potential."""
    report = check_input(f'potential: {potential}\nfit: {{maxiter: 5}}\nbackend: {{evaluator: pyace}}\n')
    assert report.files == files
    assert report.settings().to_dict().get('potential') == kept
    (advice,) = report.of(Level.ADVICE)
    assert 'initial_potential' in advice.text


def test_the_start_of_a_ladder_is_kept_apart() -> None:
    """The potential that a ladder starts from is a file; the shape stays."""
    report = check_input(
        INPUT.replace('  elements:', '  initial_potential: start.yaml\n  elements:').replace(
            'maxiter: 20', 'maxiter: 20\n  ladder_step: 5'
        )
    )
    assert report.files.initial_potential == 'start.yaml'
    assert report.settings().elements == ('Al', 'Ni')


def test_an_input_without_potential_is_told() -> None:
    """Without any potential the advice says what to give."""
    report = check_input('fit: {maxiter: 5}\nbackend: {evaluator: pyace}\n')
    assert [remark.key for remark in report.of(Level.ADVICE)] == ['potential']


@pytest.mark.parametrize(
    ('old', 'new', 'key', 'words'),
    [
        ('seed: 42\n', '', 'seed', '42'),
        ('backend: {evaluator: pyace}\n', '', 'backend', 'fails'),
        ('seed: 42', 'seed: 1', 'data.reference_energy', '-20'),
        ('seed: 42', 'seed: 1', 'fit.weighting', 'w_energy'),
        ('kappa: 0.3, ', '', 'fit.loss.kappa', 'no forces'),
        ('  maxiter: 20\n', '', 'fit.maxiter', '100'),
        ('maxiter: 20', 'maxiter: 20\n  ladder_step: 5', 'fit.ladder_type', 'body order'),
        (
            'maxiter: 20',
            'maxiter: 300\n  min_relative_train_loss_per_iter: 1e-5',
            'fit.early_stopping_patience',
            '200',
        ),
    ],
)
def test_what_pacemaker_does_silently_is_noted(old: str, new: str, key: str, words: str) -> None:
    """What Pacemaker does without a word is a note."""
    notes = [remark for remark in changed(old, new).of(Level.NOTE) if remark.key == key]
    assert any(words in note.text for note in notes), notes


def test_a_fit_that_is_done_ignored_what_is_unknown() -> None:
    """For a finished fit an unknown key is what Pacemaker ignored, wherever it stands; a wrong value stays an error."""
    text = INPUT.replace('maxiter: 20', 'maxitr: 20').replace('rcut: 4.5', 'rcut: 4.5, rcutt: 3') + 'fitt: {a: 1}\n'
    report = check_input(text, done=True)
    assert report.of(Level.ERROR) == []
    ignored = {remark.key for remark in report.of(Level.ADVICE) if 'was ignored' in remark.text}
    assert ignored == {'fit.maxitr', 'potential.bonds.(Al, Ni).rcutt', 'fitt'}
    assert report.settings().fit.maxiter == 100
    assert check_input(text.replace('kappa: 0.3', 'kappa: 3'), done=True).of(Level.ERROR) != []


def test_remarks_come_in_the_order_of_importance_and_of_lines() -> None:
    """Errors come first, then advice, then notes; each in the order of the file."""
    report = check_input('cutoff: 3\n' + INPUT.replace('maxiter: 20', 'maxitr: 20').replace('kappa: 0.3', 'kappa: 3'))
    order = [(list(Level).index(remark.level), remark.line or 10**6) for remark in report.remarks]
    assert order == sorted(order)
    assert len(report.of(Level.ERROR)) == 2
