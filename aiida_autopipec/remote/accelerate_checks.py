"""Tests that an accelerated start passes before Pacemaker begins with it.

Part of ``accelerate.py``. They use Pacemaker's own evaluator and its own loss (``pyace.pyacefit.PyACEFit``) on the
potential as it was written to disk.
"""

import numpy as np

ENERGY_ERROR = 1e-8  # eV/atom
FORCE_ERROR = 1e-6  # eV/Å
LOSS_ERROR = 1e-6  # relative
N_STRUCTURES = 6


class MismatchError(Exception):
    """Says which test failed."""


def check(problem, filename, predicted, rows):
    """Compare what the linear algebra says with what Pacemaker says of the file.

    :param predicted: of each row, energy per atom and forces, and what these coefficients cost by themselves.
    :param rows: of the structures that are compared.
    :returns: the largest differences.
    :raises MismatchError: if one is too large.
    """
    from pyace.basis import BBasisConfiguration
    from pyace.pyacefit import PyACEFit

    values, own = predicted
    frame = problem.frame.iloc[rows].copy()
    fit = PyACEFit(
        basis=BBasisConfiguration(filename),
        loss_spec=problem.loss,
        executors_kw_args={'parallel_mode': 'serial', 'batch_size': len(frame)},
        trainable_parameters=problem.trainable_parameters,
    )
    fit.preprocess_dataframe(frame)
    fit.structures_dataframe = frame
    found = fit.predict_energy_forces(fit.trainable_params, keep_parallel_dataexecutor=True)
    loss = float(fit.loss(fit.trainable_params))
    energy = force = 0.0
    closed = own
    for row, (mine, my_forces), e, forces in zip(rows, values, found['energy_pred'], found['forces_pred']):
        structure = problem.structures[row]
        energy = max(energy, abs(mine - float(np.ravel(e)[0]) / len(structure.forces)))
        force = max(force, float(np.abs(my_forces - np.asarray(forces)).max()))
        closed += (1 - problem.kappa) * structure.energy_weight * (mine - structure.energy) ** 2
        closed += problem.kappa * float(structure.force_weights @ ((my_forces - structure.forces) ** 2).sum(axis=1))
    report = {
        'structures': len(rows),
        'energy_error_ev_per_atom': energy,
        'force_error_ev_per_angstrom': force,
        'loss_error_relative': abs(loss - closed) / max(abs(loss), np.finfo(float).tiny),
    }
    limits = (
        ('energy_error_ev_per_atom', ENERGY_ERROR),
        ('force_error_ev_per_angstrom', FORCE_ERROR),
        ('loss_error_relative', LOSS_ERROR),
    )
    for name, limit in limits:
        if not report[name] <= limit:  # NaN is no match either
            raise MismatchError(
                '%s is %.3g, more than %.0e: linear algebra and evaluator disagree' % (name, report[name], limit)
            )
    return report
