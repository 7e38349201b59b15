"""The input that Pacemaker is run with to begin better, and how it is given the curvature.

Part of ``accelerate.py``.
"""

import json
import os

import numpy as np

POTENTIAL = 'prefit.yaml'
HESSIAN = 'hess_inv0.npy'
HOOK = 'autopipec_hook'  # hands the file over, where Pacemaker can import it
LARGEST_IN_YAML = 500  # coefficients: Pacemaker's YAML reader needs 75 µs for each of the numbers, so 19 s
LARGEST_IN_FILE = 2000
OPTIONS = {'gtol': 1e-8, 'disp': True}  # what Pacemaker takes where no options are given; `options` replaces them


def why_no_curvature(problem, settings):
    """Return why Pacemaker cannot be given a first inverse Hessian, or nothing."""
    fit = settings.get('fit') or {}
    largest = LARGEST_IN_FILE if can_hand_over() else LARGEST_IN_YAML
    if fit.get('optimizer', 'BFGS') != 'BFGS':
        return 'only BFGS takes a first inverse Hessian, not %s' % fit['optimizer']
    if 'hess_inv0' in (fit.get('options') or {}):
        return 'the settings state one (fit.options.hess_inv0)'
    if problem.climbs:
        return 'the number of coefficients changes from step to step of a ladder'
    if len(problem.trainable) > largest:
        return 'the potential has %d coefficients, more than %d' % (len(problem.trainable), largest)
    return None


def can_hand_over():
    """Return whether Pacemaker, which has the same environment, can import what reads a matrix from a file."""
    folders = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    return any(folder and os.path.isfile(os.path.join(folder, HOOK + '.py')) for folder in folders)


def as_seen_by(settings, problem, matrix):
    """Return the matrix in the size that the evaluator's optimiser has.

    `pyace` leaves frozen coefficients out, `tensorpot` multiplies their gradient by zero.
    """
    if (settings.get('backend') or {}).get('evaluator') != 'tensorpot':
        return matrix
    full = np.eye(len(problem.trainable))
    full[np.ix_(problem.trainable, problem.trainable)] = matrix
    return full


def write_input(settings, filename, problem, matrix):
    """Write the input that begins better; JSON is YAML 1.2, which Pacemaker reads."""
    changed = dict(settings)
    if problem.climbs:
        changed['potential'] = dict(settings['potential'], initial_potential=POTENTIAL)
    elif not problem.goes_on:
        changed.pop('metadata', None)  # it stands in the potential
        changed['potential'] = POTENTIAL
    if matrix is not None:
        changed['fit'] = with_matrix(settings.get('fit') or {}, matrix)
    with open(filename + '.part', 'w') as handle:
        json.dump(changed, handle)
    os.replace(filename + '.part', filename)


def with_matrix(fit, matrix):
    """Return the settings of the fit that bring the matrix: by a file, which is faster, or as they are."""
    if not can_hand_over():
        return dict(fit, options=dict(OPTIONS, **(fit.get('options') or {}), hess_inv0=matrix.tolist()))
    np.save(HESSIAN, matrix)
    known = [name for name in fit.get('callbacks') or () if not name.startswith(HOOK + '.')]
    return dict(fit, callbacks=[HOOK + '.after_iteration', *known])
