"""Failures of real runs, told from stderr."""

from __future__ import annotations

import pytest

from aiida_autopipec.pacemaker.outputs import Failure, diagnose

RUNS = {
    'missing_energy': (
        Failure.MISSING_ENERGY,
        'ValueError: Column `energy` or `energy_corrected` not found in dataset',
    ),
    'no_reference': (Failure.NO_REFERENCE_ENERGY, "ValueError: Neither 'energy_corrected' column nor"),
    'auto_reference_impossible': (Failure.EXTREME_ENERGY, "KeyError: 'energy'"),
    'missing_forces': (Failure.MISSING_FORCES, 'ValueError: Column `forces` not found in dataset'),
    'no_atoms': (Failure.MISSING_ATOMS, "ValueError: Dataframe is corrupted: no 'ase_atoms' column found"),
    'nan_energy': (Failure.NAN_ENERGY, 'AssertionError: energy_corrected contains NaNs'),
    'nan_forces': (Failure.NAN_FORCES, 'AssertionError: forces column contains NaN'),
    'force_shape': (Failure.FORCE_SHAPE, 'AssertionError: forces has wrong shape'),
    'empty_dataset': (Failure.EMPTY_DATASET, 'numpy._core._exceptions._UFuncNoLoopError'),
    'no_neighbours_tensorpot': (Failure.NO_NEIGHBOURS, 'ZeroDivisionError'),
    'truncated': (Failure.TRUNCATED_DATASET, 'EOFError: Compressed file ended'),
    'not_gzip': (Failure.NOT_GZIP, 'gzip.BadGzipFile: Not a gzipped file'),
    'pickle_of_pandas_3': (Failure.PICKLE_VERSION, 'NotImplementedError: (<StringDtype'),
    'missing_file': (Failure.FILE_NOT_FOUND, 'FileNotFoundError: [Errno 2] No such file or directory'),
    'unknown_element': (Failure.UNKNOWN_ELEMENT, "KeyError: np.bytes_(b'Al')"),
    'negative_rcut': (Failure.NEGATIVE_CUTOFF, 'MemoryError: std::bad_array_new_length'),
    'unknown_radbase': (Failure.UNKNOWN_RADIAL_BASIS, 'ValueError: Unknown radial basis function name: ChebExpCosine'),
    'unknown_evaluator': (Failure.UNKNOWN_EVALUATOR, "ValueError: Unknown evaluator type 'pyacee'"),
    'tensorpot_missing': (Failure.EVALUATOR_NOT_INSTALLED, "ModuleNotFoundError: No module named 'tensorflow'"),
    'tensorpot_incompatible': (Failure.EVALUATOR_INCOMPATIBLE, 'TypeError: only 0-dimensional arrays can be converted'),
    'no_backend': (Failure.INCOMPLETE_INPUT, "AttributeError: 'Namespace' object has no attribute 'query_data'"),
    'no_potential': (Failure.INCOMPLETE_INPUT, "AttributeError: 'Namespace' object has no attribute 'query_data'"),
    'no_data': (Failure.INCOMPLETE_INPUT, "ValueError: 'data' section is not provided"),
    'early_stopping_at_maxiter': (
        Failure.EARLY_STOPPING_CRASH,
        'pyace.generalfit.TestLossChangeTooSmallException: EARLY STOPPING',
    ),
    'select_unknown_element': (Failure.UNKNOWN_ELEMENT, "KeyError: 'Al'"),
    'select_empty': (Failure.EMPTY_DATASET, 'IndexError: index 0 is out of bounds'),
    'select_few': (Failure.TOO_FEW_ENVIRONMENTS, 'ValueError: Insufficient atomic environments'),
    'activeset_few': (Failure.TOO_FEW_ENVIRONMENTS, 'ValueError: Insufficient atomic environments'),
    'activeset_missing_element': (Failure.TOO_FEW_ENVIRONMENTS, 'ValueError: Insufficient atomic environments'),
    'activeset_no_forces': (Failure.MISSING_FORCES, "KeyError: 'forces'"),
    'activeset_batch_with_filter': (Failure.BATCH_NEEDS_ALL_ATOMS, 'WARNING! Error-based selection of atoms in batch'),
    'activeset_unknown_element': (Failure.UNKNOWN_ELEMENT, "KeyError: np.bytes_(b'Al')"),
    'activeset_empty': (Failure.EMPTY_DATASET, 'IndexError: index 0 is out of bounds'),
    'yaml2yace_wrong': (Failure.BAD_POTENTIAL, 'RuntimeError: bad conversion'),
    'collect_empty': (Failure.NOTHING_COLLECTED, "KeyError: 'ase_atoms'"),
    'disk_full': (Failure.DISK_FULL, 'the traceback breaks off'),
}


@pytest.mark.parametrize(
    ('run', 'failure', 'line'), [(run, *expected) for run, expected in RUNS.items()], ids=list(RUNS)
)
def test_real_failures_are_told_apart(read, run, failure, line):
    """Each run that failed is diagnosed with the line that shows why."""
    assert read(run, 'exit_code').strip() == '1'
    diagnosis = diagnose(read(run, 'stderr.txt'))
    assert diagnosis is not None
    assert diagnosis.failure is failure
    assert diagnosis.last_line.startswith(line)
    assert diagnosis.explanation == failure.explanation


@pytest.mark.parametrize('run', ['ok', 'ok_tensorpot', 'nan', 'sigterm', 'select', 'activeset', 'augment', 'info'])
def test_no_failure_is_found_where_there_is_none(read, run):
    """A log on stderr is no failure, and neither is a job that was killed."""
    assert diagnose(read(run, 'stderr.txt')) is None


@pytest.mark.parametrize(
    ('line', 'failure'),
    [
        ('MemoryError', Failure.HOST_OUT_OF_MEMORY),
        ('numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3 TiB', Failure.HOST_OUT_OF_MEMORY),
        ("terminate called after throwing an instance of 'std::bad_alloc'", Failure.HOST_OUT_OF_MEMORY),
        ('RuntimeError: No further batch size reduction is possible, stopping', Failure.GPU_OUT_OF_MEMORY),
        ("ModuleNotFoundError: No module named 'numpy._core'", Failure.PICKLE_VERSION),
        ("ModuleNotFoundError: No module named 'tensorpotential'", Failure.EVALUATOR_NOT_INSTALLED),
        ('ValueError: Columns must be same length as key', Failure.EMPTY_DATASET),
        ('ValueError: Input matrix must not be singular', Failure.SINGULAR_PROJECTIONS),
        ('OSError: [Errno 28] No space left on device', Failure.DISK_FULL),
        ('TypeError: something new', Failure.UNEXPECTED),
    ],
)
def test_failures_that_are_hard_to_provoke(line, failure):
    """Lines that other versions, larger jobs or a GPU give are known too; all else is reported with its last line."""
    trace = '' if line.startswith('terminate') else 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n'
    diagnosis = diagnose(f'2026-11-22 23:18:21,619 - root - INFO - Start\n{trace}{line}\n')
    assert diagnosis is not None
    assert (diagnosis.failure, diagnosis.last_line) == (failure, line)


def test_tensorflow_that_breaks_on_import_is_incompatible():
    """An error inside TensorFlow's import is not the user's input."""
    text = (
        'Traceback (most recent call last):\n'
        '  File "/opt/pacemaker/lib/python3.11/site-packages/pyace/fitadapter.py", line 92, in fit\n'
        '    from tensorflow.python.framework.errors_impl import ResourceExhaustedError\n'
        "AttributeError: module 'numpy' has no attribute 'gone'\n"
    )
    diagnosis = diagnose(text)
    assert diagnosis is not None
    assert diagnosis.failure is Failure.EVALUATOR_INCOMPATIBLE


@pytest.mark.parametrize('run', ['unknown_element', 'select_unknown_element', 'activeset_unknown_element'])
def test_the_unknown_element_is_named(read, run):
    """The diagnosis says which element the potential lacks."""
    diagnosis = diagnose(read(run, 'stderr.txt'))
    assert diagnosis is not None
    assert diagnosis.element == 'Al'


def test_the_last_exception_of_a_chain_counts():
    """Of chained tracebacks the last one names the failure."""
    text = (
        'Traceback (most recent call last):\n  File "a", line 1, in f\nKeyError: \'x\'\n\nDuring handling of the above '
        'exception, another exception occurred:\n\nTraceback (most recent call last):\n  File "b", line 2, in g\n'
        'MemoryError\n2026-11-22 23:18:21,619 - root - INFO - Bye\n'
    )
    diagnosis = diagnose(text)
    assert diagnosis is not None
    assert diagnosis.last_line == 'MemoryError'


@pytest.mark.parametrize('failure', Failure)
def test_every_failure_is_explained_in_one_sentence(failure):
    """Each cause has a sentence that ends in a full stop."""
    assert failure.explanation.endswith('.')
    assert '\n' not in failure.explanation
