"""Names of the files of a job: those that we choose, and those that Pacemaker's programs choose."""

from __future__ import annotations

# written by us
INPUT = 'input.yaml'
TRAINING_SET = 'train.pckl.gzip'
TEST_SET = 'test.pckl.gzip'
CANDIDATES = 'candidates.pckl.gzip'
BASIS_INPUT = 'basis.yaml'
BASIS_DATA = 'basis.pckl.gzip'
INITIAL_POTENTIAL = 'initial_potential.yaml'
POTENTIAL = 'potential.yaml'
ACTIVE_SET = 'potential.asi'
KNOWN_ACTIVE_SET = 'known.asi'

# written by the programs
OUTPUT_POTENTIAL = 'output_potential.yaml'
OUTPUT_LAMMPS_POTENTIAL = 'output_potential.yace'
OUTPUT_ACTIVE_SET = 'output_potential.asi'
UNTRAINED_POTENTIAL = 'target_potential.yaml'
FIRST_INTERIM_POTENTIAL = 'interim_potential_0.yaml'
INTERIM_POTENTIALS = 'interim_potential_*.yaml'
LOG = 'log.txt'
METRICS = 'metrics.txt'
CYCLE_METRICS = 'cycle_metrics.txt'
LADDER_METRICS = 'ladder_metrics.txt'
TEST_METRICS = 'test_metrics.txt'
TRAINING_PREDICTIONS = 'train_pred.pckl.gzip'
TEST_PREDICTIONS = 'test_pred.pckl.gzip'
SELECTED = 'selected.pkl.gz'

# scripts that travel with the job, and what they write
PROBE_SCRIPT = 'probe.py'
COLLECT_SCRIPT = 'collect.py'
PYTHON_FINDER = 'with_pacemaker_python.sh'
ENVIRONMENT = 'environment.json'
PREDICTIONS = 'predictions.npz'
SELECTED_NAMES = 'selected.json'
COLLECT_OUTCOME = 'collect.json'


def stdout_of(program: str) -> str:
    """Return the file that takes what a program prints."""
    return f'{program}.out'


def stderr_of(program: str) -> str:
    """Return the file that takes what a program prints to stderr: its log, and the traceback of a failure."""
    return f'{program}.err'
