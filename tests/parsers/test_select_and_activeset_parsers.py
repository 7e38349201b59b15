"""What the parsers make of real selections and active sets."""

from __future__ import annotations

import json

import pandas as pd
import pytest

SELECT, ACTIVE_SET = 'autopipec.pace_select', 'autopipec.pace_activeset'

ACTIVE_SET_STATUS = {
    'activeset': 0,
    'activeset_binary': 701,
    'activeset_zero_columns': 701,
    'activeset_few': 240,
    'activeset_unknown_element': 224,
    'activeset_no_forces': 213,
    'activeset_empty': 218,
    'activeset_batch_with_filter': 242,
}


@pytest.mark.parametrize('run', ACTIVE_SET_STATUS)
def test_active_sets(parse, files_of, make_dataset, run):
    """A good active set is attached with 0, a useless one with a warning, and each failure has its exit code."""
    files = files_of(run, 'pace_activeset')
    parsed = parse(ACTIVE_SET, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == ACTIVE_SET_STATUS[run]
    assert '{' not in (parsed.exit_code.message or '')
    if 'output_potential.asi' in files:
        assert parsed.outputs['active_set'].get_content(mode='rb') == files['output_potential.asi']
        assert parsed.parameters['n_structures'] > 0
        assert set(parsed.parameters['gamma_max']) == set(parsed.parameters['n_functions'])


@pytest.mark.parametrize('run', ['activeset', 'activeset_few'])
def test_the_scheduler_has_the_last_word_on_active_sets(parse, files_of, make_dataset, run):
    """The scheduler's verdict is kept, and an active set that is there is kept with it."""
    parsed = parse(ACTIVE_SET, files_of(run, 'pace_activeset'), {'dataset': make_dataset()}, exit_status=110)
    assert parsed.exit_code.status == 110
    assert ('active_set' in parsed.outputs) == (run == 'activeset')


def test_an_active_set_without_its_log_is_kept(parse, files_of, make_dataset):
    """A log that is cut off costs the numbers in it, not the active set."""
    files = files_of('activeset', 'pace_activeset')
    files['pace_activeset.err'] = files['pace_activeset.err'][:500]
    parsed = parse(ACTIVE_SET, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 0
    assert 'active_set' in parsed.outputs
    assert parsed.parameters['parser_warnings'][0].startswith('pace_activeset.err: ')


def test_grades_that_are_not_finite_do_no_harm(parse, files_of, make_dataset):
    """No database takes an infinite grade: it is left open."""
    files = files_of('activeset', 'pace_activeset')
    log = files['pace_activeset.err'].decode()
    before, _, after = log.rpartition('gamma_max: ')
    files['pace_activeset.err'] = f'{before}gamma_max: inf\n{after.partition(chr(10))[2]}'.encode()
    parsed = parse(ACTIVE_SET, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 0
    assert list(parsed.parameters['gamma_max'].values()) == [None]


@pytest.mark.parametrize('content', [b'garbage', b'PK\x03\x04garbage'])
def test_an_active_set_that_is_none_is_refused(parse, files_of, make_dataset, content):
    """A damaged file does not become an output."""
    files = files_of('activeset', 'pace_activeset') | {'output_potential.asi': content}
    parsed = parse(ACTIVE_SET, files, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 311
    assert 'active_set' not in parsed.outputs


def test_no_active_set_and_no_failure(parse, make_dataset):
    """Where nothing is there and nothing says why, the missing file is named."""
    parsed = parse(ACTIVE_SET, {}, {'dataset': make_dataset()})
    assert parsed.exit_code.status == 310
    assert 'output_potential.asi' in parsed.exit_code.message


@pytest.fixture
def selection(parse, files_of, make_dataset):
    """Return a function that parses a selection, with the names that the travelling script gives."""

    def run(scenario, chosen=None, *, files=None, **options):
        pool = make_dataset()
        names = pool.get_structures().names.tolist()
        content = files_of(scenario, 'pace_select')
        if chosen is not None:
            content['selected.json'] = json.dumps({'names': chosen(names)}).encode()
        return parse(SELECT, content | (files or {}), {'dataset': pool}, **options), pool

    return run


def test_selected_structures_come_in_the_order_of_the_pool(selection):
    """The report ranks the rows, the dataset keeps the order, names and labels of the pool."""
    parsed, pool = selection('select', lambda names: [names[3], names[1]])
    assert parsed.exit_code.status == 0
    assert parsed.parameters['rows'] == [3, 1]
    assert parsed.parameters['selected_atoms'] == 4
    structures = pool.get_structures()
    selected = parsed.outputs['selected'].get_structures()
    assert selected.names.tolist() == [structures.names[1], structures.names[3]]
    assert (selected.forces == structures.take([1, 3]).forces).all()


def test_a_pickle_is_read_where_the_script_could_not_run(selection, tmp_path, make_dataset):
    """Without the travelling script the names come from Pacemaker's own file, by the safe reader."""
    names = make_dataset().get_structures().names.tolist()
    frame = pd.DataFrame({'name': [names[2]], 'energy_corrected': [1.0]}, index=[2])
    frame.to_pickle(tmp_path / 'selected.pkl.gz', compression='gzip', protocol=4)
    parsed, _ = selection('select', temporary=tmp_path)
    assert parsed.exit_code.status == 0
    assert parsed.parameters['rows'] == [2]


@pytest.mark.parametrize(
    'chosen', [lambda names: ['stranger'], lambda names: [names[0], names[0]], lambda names: [{'a': 1}]]
)
def test_a_selection_that_makes_no_sense_is_refused(selection, chosen):
    """Names that are not in the pool, or come twice, are no selection."""
    parsed, _ = selection('select', chosen)
    assert parsed.exit_code.status == 311
    assert 'selected' not in parsed.outputs


def test_nothing_selected_has_its_exit_code(selection):
    """An empty selection is not a success."""
    parsed, _ = selection('select', lambda names: [])
    assert parsed.exit_code.status == 340


@pytest.mark.parametrize(('run', 'status'), [('select_empty', 218), ('select_unknown_element', 224)])
def test_failed_selections_have_their_exit_codes(selection, run, status):
    """A selection that failed says why."""
    parsed, _ = selection(run)
    assert parsed.exit_code.status == status


def test_a_basis_that_failed_says_why(selection, files_of):
    """Where the basis could not be built, its failure counts and not that of the selection after it."""
    parsed, _ = selection('select_empty', files={'pacemaker.err': files_of('unknown_radbase')['pacemaker.err']})
    assert parsed.exit_code.status == 231


@pytest.mark.parametrize('chosen', [None, lambda names: names[:1], lambda names: []])
def test_the_scheduler_has_the_last_word_on_selections(selection, chosen):
    """The scheduler's verdict is kept, whatever was selected."""
    parsed, _ = selection('select', chosen, exit_status=120)
    assert parsed.exit_code.status == 120


def test_a_selection_without_its_log_is_kept(selection):
    """A log that is cut off costs the numbers in it, not the selection."""
    parsed, _ = selection('select', lambda names: names[:1], files={'pace_select.err': b''})
    assert parsed.exit_code.status == 0
    assert parsed.parameters['parser_warnings'][0].startswith('pace_select.err: ')
