"""States that a training leaves behind when it is cut off."""

from __future__ import annotations

import re

import pytest

from aiida_autopipec.pacemaker.outputs import newest_state, parse_log, parse_metrics, salvage_metrics

STATE = 'interim_potential_0.yaml'


@pytest.fixture
def killed(read):
    """Return state, metrics and log of a fit that was killed after iteration 11."""
    return {STATE: read('sigterm', STATE)}, read('sigterm', 'metrics.txt'), read('sigterm', 'stderr.txt')


def newest(files, metrics, log):
    """Return the newest state of texts."""
    tables = parse_metrics(metrics) if metrics else parse_metrics('')
    return newest_state({name: text.encode() for name, text in files.items()}, tables, parse_log(log))


def test_how_far_a_killed_fit_came(killed):
    """The row of the last iteration and its state belong together."""
    state, problems = newest(*killed)
    assert problems == ()
    position = state.position
    assert (position.iteration, position.iterations, position.finished) == (11, 11, False)
    assert position.n_functions == position.n_target_functions == 9


def test_a_state_may_be_one_iteration_behind(killed):
    """Killed between row and state, a fit leaves the state of the iteration before."""
    files, metrics, log = killed
    files[STATE] = files[STATE].replace(
        'intermediate_time: 2026-11-22 23:31:31.8', 'intermediate_time: 2026-11-22 23:31:31.75'
    )
    assert newest(files, metrics, log)[0].position.iteration == 10


def test_a_row_without_its_line_has_its_state_or_not(killed):
    """Where the last line of the log is missing, the time of the state tells which iteration it is."""
    files, metrics, log = killed
    lines = log.splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if 'Iteration   #11' in line)
    shortened = ''.join(lines[:last])
    assert newest(files, metrics, shortened)[0].position.iteration == 11
    ninth = re.search(r'(\S+ \S+),(\d+) - \S+ - INFO - Iteration   #9 ', log)
    tenth = re.findall(r'(\S+ \S+),(\d+) - \S+ - INFO - \n-+FIT STATS-+\nIteration: +#10 ', log)[-1]
    assert tenth > ninth.groups()
    files[STATE] = re.sub('intermediate_time: .*', f'intermediate_time: {tenth[0]}.{tenth[1]}500', files[STATE])
    assert newest(files, metrics, shortened)[0].position.iteration == 10


def test_a_fit_that_goes_on_while_its_files_are_retrieved(killed):
    """The states are retrieved first, so one may be some iterations behind metrics and log."""
    files, metrics, log = killed
    seventh = re.search(r'(\S+ \S+),(\d+) - \S+ - INFO - Iteration   #7 ', log)
    time = f'{seventh[1]}.{seventh[2]}500'
    files[STATE] = re.sub('intermediate_time: .*', f'intermediate_time: {time}', files[STATE])
    assert newest(files, metrics, log)[0].position.iteration == 7


def test_a_log_that_breaks_off_says_nothing_of_the_end(killed):
    """A disk that was full when the log was written does not make iterations count twice."""
    files, metrics, log = killed
    assert newest(files, metrics, log[: log.index('Iteration   #5 ')])[0].position.iteration == 11


def test_without_metrics_the_log_counts(killed):
    """Metrics that are lost do not make the iterations count twice."""
    files, _, log = killed
    assert newest(files, '', log)[0].position.iteration == 11


def test_damaged_metrics_keep_their_whole_rows(killed):
    """A line of garbage costs that line."""
    _, metrics, _ = killed
    lines = metrics.splitlines(keepends=True)
    damaged = salvage_metrics(''.join([*lines[:3], '\x00 garbage\n', lines[3].replace('0', 'x'), *lines[4:]]))
    assert damaged.n_iterations == 11
    assert len(damaged) == len(parse_metrics(metrics)) - 1
    assert len(salvage_metrics('no header\n1 2\n')) == 0


def test_half_a_state_is_passed_over(killed):
    """A file that was cut off is named, and an older one of the same run takes its place."""
    files, metrics, log = killed
    whole = files[STATE]
    files[STATE] = whole[: len(whole) // 2]
    state, problems = newest(files, metrics, log)
    assert state is None
    assert STATE in problems[0]
    state, problems = newest({**files, 'interim_potential_ladder_step_0.yaml': whole}, metrics, log)
    assert state.filename == 'interim_potential_ladder_step_0.yaml'
    assert state.position.finished
    assert len(problems) == 1


def test_the_best_of_several_cycles(read):
    """The cycle with the lowest loss counts, which is the one that Pacemaker keeps."""
    text = read('ok_fit_cycles', 'output_potential.yaml')
    metrics = parse_metrics(read('ok_fit_cycles', 'metrics.txt'))
    files = {STATE: text.encode(), 'interim_potential_1.yaml': text.encode()}
    state, _ = newest_state(files, metrics, parse_log(read('ok_fit_cycles', 'log.txt')))
    assert state.filename == 'interim_potential_1.yaml'
    assert (state.position.cycle, state.position.finished, state.position.iterations) == (1, True, 6)


def test_a_ladder_knows_where_it_leads(read):
    """The log says how many functions there will be."""
    log = parse_log(read('ok_ladder', 'log.txt'))
    assert log.n_target_functions == 9


def test_early_stopping_ends_a_minimisation_that_crashed(read):
    """After the crash of python-ace#86 nothing of the fit is missing."""
    run = 'early_stopping_at_maxiter'
    text = read('ok', 'output_potential.yaml').encode()
    state, _ = newest_state({STATE: text}, parse_metrics(read(run, 'metrics.txt')), parse_log(read(run, 'stderr.txt')))
    assert state.position.finished


def test_a_complete_state_is_taken_as_it_ended(read):
    """The state of a complete step is the one that was written at its end, without the step of the gradient."""
    text = read('ok', 'output_potential.yaml')
    files = {STATE: text, 'interim_potential_best_cycle.yaml': text}
    state, _ = newest(files, read('ok', 'metrics.txt'), read('ok', 'log.txt'))
    assert state.filename == 'interim_potential_best_cycle.yaml'
    assert state.position.iterations == 5
