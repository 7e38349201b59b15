"""Logs of real trainings."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.outputs import LogHint, StopReason, TrainingLog, parse_log
from aiida_autopipec.pacemaker.outputs.records import parse_records


def test_facts_of_a_training(read):
    """Versions, sizes and evaluator are read from the log."""
    log = parse_log(read('ok', 'log.txt'))
    assert log.pacemaker_version == '0.4.0rc1'
    assert log.ace_evaluator_version == '2024.7.4'
    assert log.tensorpot_version is None
    assert (log.hostname, log.evaluator, log.cutoff) == ('node01', 'pyace', 4.5)
    assert (log.n_functions, log.n_parameters) == (9, 30)
    assert (log.n_train_structures, log.n_train_atoms) == (18, 36)
    assert (log.n_test_structures, log.n_test_atoms) == (5, 11)
    assert (log.saved, log.starts_from_potential, log.skipped, log.dry_run) == (True, False, False, False)
    assert log.time_per_evaluation is not None
    assert 1 < log.time_per_evaluation < 10_000
    assert log.wall_seconds is not None
    assert 0 < log.wall_seconds < 60


@pytest.mark.parametrize(
    'run', ['ok', 'ok_ladder', 'ok_tensorpot', 'ok_upfit', 'nan', 'skipped', 'auto_reference', 'empty_dataset']
)
def test_stderr_tells_what_the_log_tells(read, run):
    """Both formats give the same facts; only the device and what happens outside the log's life differ."""
    log, stderr = parse_log(read(run, 'log.txt')), parse_log(read(run, 'stderr.txt'))
    for name in set(TrainingLog.__dataclass_fields__) - {'device', 'hints'}:
        assert getattr(log, name) == getattr(stderr, name), name
    assert stderr.hints - {LogHint.NO_GPU} == log.hints


def test_evaluator_tensorpot_is_recognised(read):
    """The version of tensorpotential shows its use; a TensorFlow without CUDA says nothing about the device."""
    log = parse_log(read('ok_tensorpot', 'stderr.txt'))
    assert (log.evaluator, log.tensorpot_version, log.device) == ('tensorpot', '0.6.2.1', None)


@pytest.mark.parametrize(
    'line',
    [
        'cuda_platform.cc:51] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)',
        'gpu_device.cc:2343] Cannot dlopen some GPU libraries. Skipping registering GPU devices...',
    ],
)
def test_a_silent_fall_back_to_the_cpu_is_seen(line):
    """TensorFlow with CUDA says on stderr that it found no GPU, and trains on."""
    start = '2026-11-22 21:25:44,596 - pyace.generalfit - INFO - Running fit backend\n'
    log = parse_log(f'{start}2026-11-22 21:25:44.683581: E external/local_xla/xla/stream_executor/{line}\n')
    assert log.device == 'cpu'
    assert LogHint.NO_GPU in log.hints


def test_name_of_the_gpu_is_read():
    """TensorFlow's line about the device that it created names the GPU."""
    line = (
        '2026-11-22 23:19:03,592 - pyace.generalfit - INFO - Running fit backend\n'
        'I0000 00:00:1763853543.1 1 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/device:GPU:0 '
        'with 78000 MB memory:  -> device: 0, name: NVIDIA H100 80GB HBM3, pci bus id: 0000:01:00.0, '
        'compute capability: 9.0\n'
    )
    assert parse_log(line).device == 'NVIDIA H100 80GB HBM3'


@pytest.mark.parametrize(
    ('run', 'success', 'status', 'reason'),
    [
        ('ok', False, 1, StopReason.MAX_ITERATIONS),
        ('ok_lbfgsb', False, 1, StopReason.MAX_ITERATIONS),
        ('ok_converged_gtol', True, 0, StopReason.CONVERGED),
        ('ok_lbfgsb_converged', True, 0, StopReason.CONVERGED),
        ('ok_early_stopping', False, 99, StopReason.EARLY_STOPPING),
        ('nan', False, 3, StopReason.NAN),
    ],
)
def test_end_of_the_optimiser(read, run, success, status, reason):
    """BFGS and L-BFGS-B word their ends differently and mean the same."""
    optimisation = parse_log(read(run, 'log.txt')).optimisation
    assert optimisation is not None
    assert (optimisation.success, optimisation.status, optimisation.stop_reason) == (success, status, reason)
    assert optimisation.n_evaluations > 0


def test_one_result_per_cycle_and_ladder_step(read):
    """Each minimisation reports its result."""
    assert len(parse_log(read('ok_fit_cycles', 'log.txt')).optimisations) == 2
    assert len(parse_log(read('ok_ladder', 'log.txt')).optimisations) == 3


def test_ladder_ends_with_the_same_words_as_a_useless_one(read):
    """That no function was added is said at the end of every ladder, so it alone proves nothing."""
    assert parse_log(read('ok_ladder', 'log.txt')).no_new_functions
    assert parse_log(read('no_new_functions', 'log.txt')).no_new_functions


def test_early_stopping_is_quoted(read):
    """The log says which loss changed too little."""
    words = parse_log(read('ok_early_stopping', 'log.txt')).early_stopping
    assert words is not None
    assert words.startswith('Too small or even positive TRAIN loss change')


@pytest.mark.parametrize(
    ('run', 'hints'),
    [
        ('ok', set()),
        ('auto_reference', {LogHint.REFERENCE_SWITCHED_TO_AUTO, LogHint.EXTREME_ENERGIES}),
        ('reference_auto', set()),
        ('deprecated_cutoff', {LogHint.CUTOFF_IGNORED}),
        ('defaults', {LogHint.DEFAULT_SEED, LogHint.DEFAULT_FIT_SETTING}),
        ('misspelt_key', {LogHint.DEFAULT_FIT_SETTING}),
        ('ok_early_stopping', set()),
    ],
)
def test_warnings_of_interest(read, run, hints):
    """Silent changes of the settings become hints, and a clean run has none."""
    assert parse_log(read(run, 'log.txt')).hints == hints


def test_computed_reference_energies_are_numbers(read):
    """Single-atom energies from least squares come back by element."""
    energies = parse_log(read('auto_reference', 'log.txt')).reference_energy
    assert energies is not None
    assert energies['Cu'] == pytest.approx(-1003.4, abs=0.1)
    assert set(energies) == {'Cu', 'shift'}


def test_batch_size_reductions_are_listed():
    """Each cut of the batch size after the GPU ran out of memory is kept."""
    text = (
        '2026-11-22 21:33:52,822 E - OOM when allocating tensor errors encountered\n'
        '2026-11-22 21:33:52,822 I - Decrease batch size (by factor 1.618): 20 -> 12\n'
        '2026-11-22 21:34:52,822 I - Decrease batch size (by factor 1.618): 12 -> 7\n'
    )
    log = parse_log(text)
    assert log.batch_size_reductions == ((20, 12), (12, 7))
    assert LogHint.BATCH_SIZE_REDUCED in log.hints


def test_only_the_last_run_of_an_appended_log_counts(read):
    """Pacemaker appends to a log that exists; what an older run said is not mixed in."""
    log = parse_log(read('auto_reference', 'log.txt') + read('ok_converged_gtol', 'log.txt'))
    assert log == parse_log(read('ok_converged_gtol', 'log.txt'))


@pytest.mark.parametrize('run', ['ok_upfit', 'ok_upfit_converged', 'skipped', 'no_new_functions', 'nan'])
def test_start_from_a_potential_is_seen(read, run):
    """``-p`` and ``-ip`` leave a trace in the log."""
    assert parse_log(read(run, 'log.txt')).starts_from_potential


def test_every_cut_of_a_log_parses(read):
    """A log that breaks off gives what it has."""
    text = read('ok', 'log.txt')
    for length in range(0, len(text), 97):
        parse_log(text[:length])
    assert parse_log('') == TrainingLog()
    assert parse_log('no log\nat all\n') == TrainingLog()


def test_records_are_freed_from_progress_bars():
    """A record that follows a progress bar on the same line is found."""
    text = '  0%|  | 0/18\r100%|##| 18/18\r2026-11-22 23:21:09,799 - root - INFO - Done\n'
    assert [record.message for record in parse_records(text)] == ['Done']
