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
LOCK = '.autopipec-lock'
END_OF_SCRIPT = '.autopipec-end'
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
SELECT_SCRIPTS = (
    'select_structures.py',
    'select_budget.py',
    'select_maxvol.py',
    'select_memory.py',
    'select_pool.py',
    'select_projections.py',
    'select_report.py',
    'select_sampling.py',
    'select_strategies.py',
)
"""The first one is run; it imports the others."""
SELECTION_SETTINGS = 'selection_settings.json'
CANDIDATES_INDEX = 'candidates.npz'
SELECTION = 'selection.json'
EXPLANATION = 'selection.npz'
COLLECT_OUTCOME = 'collect.json'
ACCELERATION_SCRIPTS = (
    'accelerate.py',
    'accelerate_checks.py',
    'accelerate_curvature.py',
    'accelerate_input.py',
    'accelerate_linear.py',
    'accelerate_problem.py',
    'accelerate_workers.py',
)
"""The first one is run; it imports the others."""
ACCELERATED_INPUT = 'accelerated.yaml'
ACCELERATION = 'acceleration.json'
HOOK_FOLDER = 'hook'
HOOK = 'autopipec_hook.py'
FOLLOWED_INPUT = 'followed.yaml'
HESSIAN_DELIVERED = 'hess_inv0.delivered'
EARLY_STOPPING_SETTINGS = 'early_stopping_settings.json'
EARLY_STOPPING = 'early_stopping.json'
BEST_POTENTIAL = 'best_potential.yaml'

# a validation
VALIDATE_SCRIPTS = (
    'validate.py',
    'validate_potential.py',
    'validate_curves.py',
    'validate_crystal.py',
    'validate_elastic.py',
    'validate_data.py',
)
"""The first one is started, the others lie beside it."""
VALIDATION_SETTINGS = 'validate.json'
VALIDATION_DATA = 'validate_data.npz'
VALIDATION = 'validation.json'
VALIDATION_ARRAYS = 'validation.npz'
LAMMPS_POTENTIAL = 'potential.yace'


def stdout_of(program: str) -> str:
    """Return the file that takes what a program prints."""
    return f'{program}.out'


def stderr_of(program: str) -> str:
    """Return the file that takes what a program prints to stderr: its log, and the traceback of a failure."""
    return f'{program}.err'
