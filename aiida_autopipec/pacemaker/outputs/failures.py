"""Why a program of Pacemaker failed, from what it printed to stderr."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from aiida_autopipec.pacemaker.outputs.records import parse_records


class Failure(str, Enum):
    """Causes of a failure that can be told apart; the values are stable names."""

    MISSING_ENERGY = 'missing_energy'
    NO_REFERENCE_ENERGY = 'no_reference_energy'
    EXTREME_ENERGY = 'extreme_energy'
    MISSING_FORCES = 'missing_forces'
    MISSING_ATOMS = 'missing_atoms'
    NAN_ENERGY = 'nan_energy'
    NAN_FORCES = 'nan_forces'
    FORCE_SHAPE = 'force_shape'
    EMPTY_DATASET = 'empty_dataset'
    NO_NEIGHBOURS = 'no_neighbours'
    TRUNCATED_DATASET = 'truncated_dataset'
    NOT_GZIP = 'not_gzip'
    PICKLE_VERSION = 'pickle_version'
    FILE_NOT_FOUND = 'file_not_found'
    UNKNOWN_ELEMENT = 'unknown_element'
    NEGATIVE_CUTOFF = 'negative_cutoff'
    UNKNOWN_RADIAL_BASIS = 'unknown_radial_basis'
    UNKNOWN_EVALUATOR = 'unknown_evaluator'
    EVALUATOR_NOT_INSTALLED = 'evaluator_not_installed'
    EVALUATOR_INCOMPATIBLE = 'evaluator_incompatible'
    INCOMPLETE_INPUT = 'incomplete_input'
    BAD_POTENTIAL = 'bad_potential'
    HOST_OUT_OF_MEMORY = 'host_out_of_memory'
    GPU_OUT_OF_MEMORY = 'gpu_out_of_memory'
    EARLY_STOPPING_CRASH = 'early_stopping_crash'
    TOO_FEW_ENVIRONMENTS = 'too_few_environments'
    SINGULAR_PROJECTIONS = 'singular_projections'
    BATCH_NEEDS_ALL_ATOMS = 'batch_needs_all_atoms'
    NOTHING_COLLECTED = 'nothing_collected'
    NOTHING_AUGMENTED = 'nothing_augmented'
    DISK_FULL = 'disk_full'
    UNEXPECTED = 'unexpected'

    @property
    def explanation(self) -> str:
        """Return one sentence: what happened, and what to do."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Failure.MISSING_ENERGY: 'The dataset has neither a column `energy_corrected` nor `energy`; add the energies (eV).',
    Failure.NO_REFERENCE_ENERGY: 'The dataset has total energies only; add `energy_corrected`, or set a reference.',
    Failure.EXTREME_ENERGY: (
        'The corrected energies lie outside -20 to 250 eV/atom, and without a column `energy` Pacemaker cannot compute '
        'a reference itself; subtract single-atom energies first.'
    ),
    Failure.MISSING_FORCES: (
        'The dataset has no column `forces`; add the forces (eV/Å), or for an active set use all atoms (`-a`).'
    ),
    Failure.MISSING_ATOMS: 'The dataset has no column `ase_atoms`; add the structures.',
    Failure.NAN_ENERGY: 'An energy of the dataset is not a number; remove that structure or mend its label.',
    Failure.NAN_FORCES: 'A force of the dataset is not a number; remove that structure or mend its label.',
    Failure.FORCE_SHAPE: 'The forces of a structure do not have the shape (atoms, 3); mend that label.',
    Failure.EMPTY_DATASET: 'The dataset has no structures; give at least one.',
    Failure.NO_NEIGHBOURS: 'No structure has two atoms within the cutoff; raise `rcut` or add denser structures.',
    Failure.TRUNCATED_DATASET: 'The dataset file ends too early; copy or write it again.',
    Failure.NOT_GZIP: 'The dataset file is not compressed with gzip; write it again as `.pckl.gzip`.',
    Failure.PICKLE_VERSION: (
        'The dataset was pickled with other versions of pandas or numpy than those beside Pacemaker; write it with '
        '`save_to_pacemaker_format`, which every version reads.'
    ),
    Failure.FILE_NOT_FOUND: 'A file that the input names does not exist where the job ran; check the file names.',
    Failure.UNKNOWN_ELEMENT: 'The dataset has an element that the potential lacks; add it, or remove the structures.',
    Failure.NEGATIVE_CUTOFF: 'A cutoff (`rcut`) or another size of the basis is negative; correct it.',
    Failure.UNKNOWN_RADIAL_BASIS: 'Pacemaker does not know the radial basis; use `radbase: SBessel` or `ChebExpCos`.',
    Failure.UNKNOWN_EVALUATOR: 'Pacemaker does not know the evaluator; use `pyace` or `tensorpot`.',
    Failure.EVALUATOR_NOT_INSTALLED: (
        'The evaluator `tensorpot` cannot be imported on the computer; install `tensorpotential` with numpy < 2.4 and '
        'pandas < 3 beside Pacemaker, or use `pyace`.'
    ),
    Failure.EVALUATOR_INCOMPATIBLE: (
        'The evaluator `tensorpot` does not work with the libraries beside it; install numpy < 2.4 and pandas < 3.'
    ),
    Failure.INCOMPLETE_INPUT: 'The input lacks the section `backend`, `potential` or `data`; add it.',
    Failure.BAD_POTENTIAL: 'The potential file cannot be read as a B-basis; give a `.yaml` that Pacemaker wrote.',
    Failure.HOST_OUT_OF_MEMORY: 'The computer ran out of memory; ask for more, or train on fewer atoms.',
    Failure.GPU_OUT_OF_MEMORY: 'Not even one structure at a time fits into the GPU; use a larger GPU or smaller cells.',
    Failure.EARLY_STOPPING_CRASH: (
        'Pacemaker crashed because the last test metrics asked for early stopping after the last iteration '
        '(python-ace#86); the fit is complete up to there: go on from the interim potential, or raise `maxiter`.'
    ),
    Failure.TOO_FEW_ENVIRONMENTS: (
        'An element has fewer atoms in the dataset than functions in the basis; add structures or use a smaller basis.'
    ),
    Failure.SINGULAR_PROJECTIONS: (
        'The atoms of an element are too much alike to tell the functions of the basis apart; add diverse structures.'
    ),
    Failure.BATCH_NEEDS_ALL_ATOMS: 'An active set in batches needs all atoms; pass `-a` or leave out the batch size.',
    Failure.NOTHING_COLLECTED: 'The folder holds no readable VASP run; check the path.',
    Failure.NOTHING_AUGMENTED: 'No compressed structure passed the filters; train the potential on more structures.',
    Failure.DISK_FULL: 'The disk or the quota of the computer is full; make room.',
    Failure.UNEXPECTED: 'The program failed in a way that is not known here; read the end of its stderr.',
}


@dataclass(frozen=True)
class Diagnosis:
    """A failure with its evidence.

    :param failure: what went wrong.
    :param last_line: the line that names the exception, or the last error of the log.
    """

    failure: Failure
    last_line: str

    @property
    def explanation(self) -> str:
        """Return one sentence: what happened, and what to do."""
        return self.failure.explanation

    @property
    def element(self) -> str | None:
        """Return the element that the potential lacks, where that is the failure."""
        match = _UNKNOWN_ELEMENT.search(self.last_line)
        return match[1] if match and self.failure is Failure.UNKNOWN_ELEMENT else None


#: numpy 2 prints the key as ``np.bytes_(b'Al')``, numpy 1 as ``b'Al'``, pace_select as ``'Al'``.
_UNKNOWN_ELEMENT = re.compile(r"^KeyError: (?:np\.bytes_\()?b?'([A-Z][a-z]?)'\)?$")

#: (failure, pattern of the exception's line, pattern anywhere before it or ``None``); the first that matches counts.
_RULES: tuple[tuple[Failure, str, str | None], ...] = (
    (Failure.EARLY_STOPPING_CRASH, r'TestLossChangeTooSmallException', None),
    (Failure.GPU_OUT_OF_MEMORY, r'No further batch size reduction is possible', None),
    (Failure.GPU_OUT_OF_MEMORY, r'ResourceExhaustedError|CUDA_ERROR_OUT_OF_MEMORY', None),
    (Failure.GPU_OUT_OF_MEMORY, r'errors encountered.*batch size reduction', None),
    (Failure.NEGATIVE_CUTOFF, r'std::bad_array_new_length', None),
    (Failure.HOST_OUT_OF_MEMORY, r'MemoryError|std::bad_alloc|Cannot allocate memory|^Killed$', None),
    (Failure.DISK_FULL, r'No space left on device|Disk quota exceeded', None),
    (Failure.MISSING_ENERGY, r'Column `energy` or `energy_corrected` not found', None),
    (Failure.NO_REFERENCE_ENERGY, r"Neither 'energy_corrected' column nor", None),
    (Failure.EXTREME_ENERGY, r"^KeyError: 'energy'$", r'Some values of corrected energy'),
    (Failure.MISSING_ENERGY, r"^KeyError: 'energy(?:_corrected)?'$", None),
    (Failure.MISSING_FORCES, r"Column `forces` not found|^KeyError: 'forces'$", None),
    (Failure.NOTHING_COLLECTED, r"^KeyError: 'ase_atoms'$", r'pace_collect\.py'),
    (Failure.NOTHING_AUGMENTED, r'No augmented structures found', None),
    (Failure.MISSING_ATOMS, r"no 'ase_atoms' column found|^KeyError: 'ase_atoms'$", None),
    (Failure.NAN_ENERGY, r'energy_corrected(?:_per_atom)? (?:column )?contains? NaNs?', None),
    (Failure.NAN_FORCES, r'forces column contains NaN', None),
    (Failure.FORCE_SHAPE, r'forces has wrong shape', None),
    # pandas 2 and 3 stumble over an empty table in different places
    (Failure.EMPTY_DATASET, r'Columns must be same length as key|Couldn.t operate with empty dataset', None),
    (Failure.EMPTY_DATASET, r'Error', r' - (?: 0 structures found|Number of structures: 0|0 structures in candidate)'),
    (Failure.EMPTY_DATASET, r'_UFuncNoLoopError', r'df\.index\.map\(str\)'),
    (Failure.NO_NEIGHBOURS, r'^ZeroDivisionError', r'preparedata\.py'),
    (Failure.TRUNCATED_DATASET, r'^EOFError|pickle data was truncated|^zlib\.error', None),
    (Failure.NOT_GZIP, r'BadGzipFile|Not a gzipped file', None),
    (Failure.PICKLE_VERSION, r"No module named '(?:numpy\._core|pandas\.|pyarrow)", None),
    (Failure.PICKLE_VERSION, r'StringDtype|unsupported pickle protocol', None),
    (Failure.PICKLE_VERSION, r'Error', r'in read_pickle\n'),
    (Failure.UNKNOWN_EVALUATOR, r'Unknown evaluator type|is not a valid evaluator', None),
    (Failure.EVALUATOR_NOT_INSTALLED, r"No module named '(?:tensorflow|tensorpotential|tf_keras|keras)", None),
    # numpy 2.4 makes an error of what it had only warned of
    (Failure.EVALUATOR_INCOMPATIBLE, r'only 0-dimensional arrays can be converted', r'/tensorpotential/'),
    (Failure.EVALUATOR_INCOMPATIBLE, r'Error', r'^ +(?:import|from) (?:tensorflow|tensorpotential|tf_keras)\b'),
    (Failure.UNKNOWN_RADIAL_BASIS, r'Unknown radial basis function name', None),
    (
        Failure.INCOMPLETE_INPUT,
        r"'Namespace' object has no attribute 'query_data'|section is not (?:provided|given)",
        None,
    ),
    (Failure.TOO_FEW_ENVIRONMENTS, r'Insufficient atomic environments', None),
    (Failure.SINGULAR_PROJECTIONS, r'Input matrix must not be singular', None),
    (Failure.BATCH_NEEDS_ALL_ATOMS, r'in batch mode is not implemented', None),
    (Failure.UNKNOWN_ELEMENT, _UNKNOWN_ELEMENT.pattern, None),
    (Failure.BAD_POTENTIAL, r'bad conversion|YAML::|yaml-cpp: error|invalid node', None),
    (Failure.FILE_NOT_FOUND, r'^FileNotFoundError|^RuntimeError: File .* not found', None),
)

_TRACEBACK = 'Traceback (most recent call last):'
_EXCEPTION = re.compile(r'^(?:[A-Za-z_][\w.]*: .*|[A-Za-z_][\w.]*)$')
#: What the C++ runtime and the shell write where Python cannot.
_NATIVE = re.compile(
    r'^.*(?:terminate called after throwing|what\(\): |std::bad_alloc|^Killed$|Out of memory).*$', re.M
)


def diagnose(stderr: str) -> Diagnosis | None:
    """Say why ``pacemaker``, ``pace_select``, ``pace_activeset`` or another program of Pacemaker failed.

    A non-empty stderr is normal, as all programs log there: ask only about a run that failed (exit code not 0). Of a
    long text only the end is looked at.

    :param stderr: what the program printed to stderr; ``log.txt`` does not have the traceback.
    :return: ``None`` where there is neither a traceback nor an error, as after SIGTERM.
    """
    text = stderr[-_LOOK_AT:].replace('\r', '\n')
    if _breaks_off(text):
        return Diagnosis(Failure.DISK_FULL, 'the traceback breaks off')
    line = last_exception(text)
    if line is None:
        return None
    for failure, pattern, context in _RULES:
        if re.search(pattern, line) and (context is None or re.search(context, text, re.MULTILINE)):
            return Diagnosis(failure, line)
    return Diagnosis(Failure.UNEXPECTED, line)


def _breaks_off(text: str) -> bool:
    """Return whether a traceback ends in the middle of a line: a full disk took no more of it."""
    _, found, tail = text.rpartition(_TRACEBACK)
    return bool(found) and not text.endswith('\n') and not any(map(_EXCEPTION.match, tail.splitlines()))


#: Characters of stderr that are searched: the traceback comes last, and a day's log in front of it is of no use.
_LOOK_AT = 200_000


def last_exception(stderr: str) -> str | None:
    """Return the line that names the last exception, the last native error, or the last record of level ERROR.

    :param stderr: what the program printed to stderr.
    """
    _, found, tail = stderr.rpartition(_TRACEBACK)
    if found:
        for line in tail.splitlines():
            if line and not line[0].isspace() and _EXCEPTION.match(line):
                return line.rstrip()
    native = _NATIVE.findall(stderr)
    if native:
        return str(native[-1]).strip()
    errors = [record.first_line for record in parse_records(stderr) if record.level in {'E', 'C'}]
    return errors[-1] if errors else None
