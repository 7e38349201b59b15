"""What the parsers make of real selections and active sets."""

from __future__ import annotations

import json

import numpy as np
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
def selection(parse, files_of, make_dataset, tmp_path):
    """Return a function that parses a selection, with the rows that the travelling script gives."""

    def run(scenario=None, rows=None, *, said=None, files=None, **options):
        pool = make_dataset()
        content = {} if scenario is None else files_of(scenario, 'pace_select')
        if rows is not None:
            content['selection.json'] = json.dumps({'state': 'done', 'rounds': 1} | (said or {})).encode()
            write_explanation(tmp_path / 'selection.npz', pool.n_structures, rows)
            options['temporary'] = tmp_path
        elif said is not None:
            content['selection.json'] = json.dumps(said).encode()
        return parse(SELECT, content | (files or {}), {'dataset': pool}, **options), pool

    return run


def write_explanation(path, n, rows):
    """Write what the travelling script writes."""
    rounds = np.full(n, -1)
    rounds[[row for row in rows if row < n]] = 1
    names = ('leverage', 'probability', 'gain', 'gamma_before', 'gamma_after')
    np.savez(
        path,
        rows=np.array(rows, dtype=int),
        round=rounds,
        active_atoms=np.zeros(n, dtype=int),
        components=np.zeros((n, 2)),
        **{name: np.full(n, np.nan) for name in names},
    )


def write_pickle(folder, names):
    """Write what ``pace_select`` writes."""
    frame = pd.DataFrame({'name': names, 'energy_corrected': [1.0] * len(names)}, index=range(len(names)))
    frame.to_pickle(folder / 'selected.pkl.gz', compression='gzip', protocol=4)


def test_selected_structures_come_in_the_order_of_the_pool(selection):
    """The report ranks the rows, the dataset keeps the order, names and labels of the pool."""
    parsed, pool = selection(rows=[3, 1], said={'log_determinant': 2.5})
    assert parsed.exit_code.status == 0
    assert parsed.parameters['rows'] == [3, 1]
    assert parsed.parameters['selected_atoms'] == 4
    assert parsed.parameters['log_determinant'] == 2.5
    assert 'state' not in parsed.parameters
    structures = pool.get_structures()
    selected = parsed.outputs['selected'].get_structures()
    assert selected.names.tolist() == [structures.names[1], structures.names[3]]
    assert (selected.forces == structures.take([1, 3]).forces).all()
    explanation = parsed.outputs['explanation']
    assert explanation.get_array('rows').tolist() == [3, 1]
    assert np.flatnonzero(explanation.get_array('round') == 1).tolist() == [1, 3]


def test_a_pickle_is_read_where_the_script_could_not_run(selection, tmp_path, make_dataset):
    """Without the travelling script the names come from Pacemaker's own file, by the safe reader, and it is said."""
    names = make_dataset().get_structures().names.tolist()
    write_pickle(tmp_path, [names[2]])
    parsed, _ = selection('select', temporary=tmp_path)
    assert parsed.exit_code.status == 0
    assert parsed.parameters['rows'] == [2]
    assert 'explanation' not in parsed.outputs
    assert any("Pacemaker's Python was not found" in warning for warning in parsed.parameters['parser_warnings'])


@pytest.mark.parametrize('rows', [[99], [0, 0]])
def test_a_selection_that_makes_no_sense_is_refused(selection, rows):
    """Rows that are not in the pool, or come twice, are no selection."""
    parsed, _ = selection(rows=rows)
    assert parsed.exit_code.status == 311
    assert 'selected' not in parsed.outputs


@pytest.mark.parametrize('chosen', [lambda names: ['stranger'], lambda names: [names[0], names[0]]])
def test_a_pickle_that_makes_no_sense_is_refused(selection, tmp_path, make_dataset, chosen):
    """Names that are not in the pool, or come twice, are no selection."""
    write_pickle(tmp_path, chosen(make_dataset().get_structures().names.tolist()))
    parsed, _ = selection('select', temporary=tmp_path)
    assert parsed.exit_code.status == 311
    assert 'selected' not in parsed.outputs


def test_a_selection_without_its_explanation_is_refused(selection):
    """Where the script says that it is done, but the rows are missing, nothing is selected."""
    parsed, _ = selection(said={'state': 'done'})
    assert parsed.exit_code.status == 311
    assert 'it is missing' in parsed.exit_code.message


def test_nothing_selected_has_its_exit_code(selection):
    """An empty selection is not a success."""
    parsed, _ = selection(rows=[])
    assert parsed.exit_code.status == 340


@pytest.mark.parametrize(
    ('state', 'status'), [('unfulfillable', 341), ('too_little_memory', 342), ('running', 310), ('failed', 310)]
)
def test_what_the_script_refuses_has_its_exit_code(selection, state, status):
    """The reason that the script gives is part of the message."""
    parsed, _ = selection(said={'state': state, 'reason': 'there are too few'})
    assert parsed.exit_code.status == status
    if status > 340:
        assert parsed.exit_code.message.endswith('there are too few')


@pytest.mark.parametrize(('run', 'status'), [('select_empty', 218), ('select_unknown_element', 224)])
@pytest.mark.parametrize('program', ['select_structures', 'pace_select'])
def test_failed_selections_have_their_exit_codes(selection, files_of, run, status, program):
    """A selection that failed says why, whether the script or the program failed."""
    text = files_of(run, 'pace_select')['pace_select.err']
    parsed, _ = selection(files={f'{program}.err': text})
    assert parsed.exit_code.status == status


def test_a_python_that_is_not_found_has_its_exit_code(selection):
    """Where the script is needed and cannot run, the message says what to give."""
    parsed, _ = selection(files={'select_structures.err': b'no Python with pyace was found for /opt/pace_select\n'})
    assert parsed.exit_code.status == 306
    assert '`codes.python`' in parsed.exit_code.message


def test_a_basis_that_failed_says_why(selection, files_of):
    """Where the basis could not be built, its failure counts and not that of the selection after it."""
    parsed, _ = selection('select_empty', files={'pacemaker.err': files_of('unknown_radbase')['pacemaker.err']})
    assert parsed.exit_code.status == 231


@pytest.mark.parametrize('rows', [None, [1], []])
def test_the_scheduler_has_the_last_word_on_selections(selection, rows):
    """The scheduler's verdict is kept, whatever was selected."""
    parsed, _ = selection('select', rows, exit_status=120)
    assert parsed.exit_code.status == 120


def test_a_selection_without_its_log_is_kept(selection, tmp_path, make_dataset):
    """A log that is cut off costs the numbers in it, not the selection."""
    write_pickle(tmp_path, make_dataset().get_structures().names.tolist()[:1])
    parsed, _ = selection('select', files={'pace_select.err': b''}, temporary=tmp_path)
    assert parsed.exit_code.status == 0
    assert any(text.startswith('pace_select.err: ') for text in parsed.parameters['parser_warnings'])
