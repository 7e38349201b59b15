"""What is done beside a fit while it runs: Pacemaker imports this module, and calls it after each iteration.

``fit.callbacks`` of the input names :func:`after_iteration`. Two things are done, each only if its file is there:

- ``hess_inv0.npy`` becomes the first inverse Hessian of BFGS (``fit.options.hess_inv0``), which is large as YAML;
- ``early_stopping_settings.json``: the potential with the lowest test loss is kept as ``best_potential.yaml``, and a
  minimisation whose test loss falls no more is ended, as Pacemaker ends one itself: by ``StopIteration``.

Whatever goes wrong here, the fit goes on without it, and ``early_stopping.json`` says why.
"""

import json
import logging
import math
import os
import sys
import time

HESSIAN = 'hess_inv0.npy'
DELIVERED = 'hess_inv0.delivered'
OPTIONS = {'gtol': 1e-8, 'disp': True}  # what Pacemaker takes where no options are given; `options` replaces them
SETTINGS = 'early_stopping_settings.json'
OUTCOME = 'early_stopping.json'
BEST = 'best_potential.yaml'
# scipy ends these by StopIteration since 1.11 (`_call_callback_maybe_halt`); others would end Pacemaker
ENDED_BY_CALLBACK = ('BFGS', 'L-BFGS-B', 'CG', 'Nelder-Mead', 'Powell')
FIRST_SCIPY = (1, 11)

SHAKEN = ('noise_relative_sigma', 'noise_absolute_sigma', 'randomize_func_coeffs')  # before each later cycle

log = logging.getLogger('pyace.autopipec_hook')


def after_iteration(
    basis_config=None, current_fit_iteration=0, current_fit_cycle=0, current_ladder_step=0, **unknown_arguments
):
    """Look at the test loss after an iteration; Pacemaker calls this with the names of its arguments."""
    take_hessian_back()
    if _watch is None:
        return
    reason = _watch.look(basis_config, current_fit_iteration + 1, current_fit_cycle, current_ladder_step)
    if reason is not None:
        log.info(reason)
        raise StopIteration(reason)


class Watch:
    """Follows the test loss over all minimisations of a run.

    :param patience: iterations that may pass until the test loss has fallen by ``least_improvement`` of itself.
    :param stop: whether a minimisation is ended then.
    """

    def __init__(self, patience, least_improvement, stop):
        self.patience = patience
        self.least_improvement = least_improvement
        self.stop = stop
        self.test = None
        self.here = None  # ladder step and cycle
        self.reference = math.inf  # test loss of this minimisation that is to be improved
        self.reference_iteration = 0
        self.outcome = {'used': True, 'looks': 0, 'best': None, 'last': None, 'stopped': [], 'seconds': 0.0}

    def look(self, config, iteration, cycle, ladder_step):
        """Take the state of a fit after an iteration, and return why to stop, or nothing."""
        if not self.outcome['used']:
            return None
        start = time.time()
        try:
            return self.judge(config, iteration, cycle, ladder_step)
        except Exception as error:
            self.outcome.update(used=False, reason='%s: %s' % (type(error).__name__, str(error)[:300]))
            return None
        finally:
            self.outcome['seconds'] = round(self.outcome['seconds'] + time.time() - start, 3)
            try:
                write_json(OUTCOME, self.outcome)
            except OSError as error:  # a full disk ends no fit
                log.warning('%s: %s', OUTCOME, error)

    def judge(self, config, iteration, cycle, ladder_step):
        """Compare the test losses that are new, and return why to stop, or nothing."""
        fit = find_fit()
        if self.test is None:
            self.test = test_of(fit)
        if self.here != (ladder_step, cycle):
            self.here, self.reference, self.reference_iteration = (ladder_step, cycle), math.inf, 0
            # of later minimisations nobody keeps the start, which differs from the end of the one before
            first = not fit.ladder_scheme and cycle == 0
            start = self.test.start(fit) if first else None
            if start is not None:
                self.take(start, fit.target_bbasisconfig, 0)
        metrics = self.test.now(fit, config)
        if metrics is None:
            return None
        self.take(metrics, config, iteration)
        if iteration - self.reference_iteration < self.patience or not self.stop:
            return None
        reason = why_not_stopped(fit)
        if reason is not None:
            self.outcome['reason'] = reason
            return None
        self.outcome['stopped'].append(self.place(iteration))
        return 'Stopped: the test loss has not fallen by %g of itself, %g, in the last %d iterations' % (
            self.least_improvement,
            self.reference,
            iteration - self.reference_iteration,
        )

    def take(self, metrics, config, iteration):
        """Take one state with its test loss."""
        value = float(metrics['loss'])
        found = dict(self.place(iteration), test_loss=value if math.isfinite(value) else None)
        for name in ('rmse_epa', 'rmse_f_comp'):
            number = float(metrics[name])
            found[name] = number if math.isfinite(number) else None
        self.outcome['looks'] += 1
        self.outcome['last'] = found
        best = self.outcome['best']
        if math.isfinite(value) and (best is None or value < best['test_loss']):
            # the name that counts appears at once: the job may be killed while the file is written
            config.save(BEST + '.part')
            os.replace(BEST + '.part', BEST)
            self.outcome['best'] = found
        if value < self.reference * (1 - self.least_improvement) or self.reference == math.inf:
            self.reference, self.reference_iteration = value if math.isfinite(value) else math.inf, iteration

    def place(self, iteration):
        """Return where the fit is."""
        return {'ladder_step': self.here[0], 'fit_cycle': self.here[1], 'iteration': iteration}


class OwnTest:
    """Test losses with evaluator ``pyace``, for which Pacemaker computes none while it fits.

    ``PyACEFit`` cannot compute them beside a fit: it keeps the structures in a variable of all its instances.
    """

    def start(self, fit):
        """Return the metrics before the first iteration."""
        return self.now(fit, fit.target_bbasisconfig)

    def now(self, fit, config):
        """Return the metrics of a potential, by Pacemaker's loss (``pyace.pyacefit.PyACEFit.loss``)."""
        import numpy as np
        from pyace.basis import ACEBBasisSet
        from pyace.calculator import ACECalculator
        from pyace.evaluator import ACECTildeEvaluator

        basis = ACEBBasisSet(config)
        spec, frame = fit.loss_spec, fit.test_data
        # pyace does not keep what it is given alive: without these names it reads freed memory
        functions = basis.to_ACECTildeBasisSet()
        evaluator = ACECTildeEvaluator(functions)
        calculator = ACECalculator(evaluator)
        loss = regularisation(basis, spec)
        energies, forces = [], []
        for environment, energy, labels, weight, weights in zip(
            *(frame[name] for name in ('atomic_env', 'energy_corrected', 'forces', 'w_energy', 'w_forces'))
        ):
            calculator.compute(environment)
            n_atoms = environment.n_atoms_real
            energies.append((calculator.energy - energy) / n_atoms)
            forces.append(np.asarray(calculator.forces)[:n_atoms] - np.asarray(labels))
            loss += (1 - spec.kappa) * float(np.ravel(weight)[0]) * energies[-1] ** 2
            loss += spec.kappa * float((np.ravel(weights)[:, None] * forces[-1] ** 2).sum())
        return {
            'loss': loss,
            'rmse_epa': np.sqrt(np.mean(np.square(energies))),
            'rmse_f_comp': np.sqrt(np.mean(np.concatenate(forces) ** 2)),
        }


def regularisation(basis, spec):
    """Return the part of the loss that the coefficients make by themselves."""
    import numpy as np

    coefficients = np.asarray(basis.basis_coeffs)
    loss = spec.L1_coeffs * np.abs(coefficients).sum() + spec.L2_coeffs * (coefficients**2).sum()
    weights = [spec.w0_rad, spec.w1_rad, spec.w2_rad]
    if any(weights):
        from pyace.radial import RadialFunctionSmoothness, RadialFunctionsValues

        smooth = RadialFunctionSmoothness(RadialFunctionsValues(basis)).smooth_quad
        loss += float(np.dot(weights, smooth[:3]))
    return float(loss)


class PacemakersTest:
    """Test losses with evaluator ``tensorpot``: Pacemaker computes them at each ``display_step``."""

    def __init__(self):
        self.seen = None

    def start(self, fit):
        """Return the metrics before the first iteration, if they are the newest ones."""
        metrics = fit.fit_backend.last_test_metric_data
        if not metrics or metrics['iter_num'] != 0:
            return None
        self.seen = metrics
        return metrics

    def now(self, fit, config):
        """Return the metrics if they are those of this iteration, and nothing at iterations without."""
        metrics = fit.fit_backend.last_test_metric_data
        # it counts the iteration before it calls
        if not metrics or metrics is self.seen or metrics['iter_num'] != fit.fit_backend.fitter.iter_num - 1:
            return None
        self.seen = metrics
        return metrics


def test_of(fit):
    """Return where the test losses of a fit come from."""
    if fit.test_data is None:
        raise ValueError('there is no test set')
    return OwnTest() if fit.evaluator_name == 'pyace' else PacemakersTest()


test_of.__test__ = False  # not a test of pytest's


def find_fit():
    """Return the fit that calls: Pacemaker hands over the potential only (python-ace 0.4.0rc1, `callback_hook`)."""
    frame = sys._getframe(1)
    while frame is not None:
        candidate = frame.f_locals.get('self')
        if hasattr(candidate, 'test_data') and hasattr(candidate, 'fit_backend'):
            return candidate
        frame = frame.f_back
    raise LookupError('this version of Pacemaker calls back in another way')


def why_not_stopped(fit):
    """Return why a minimisation cannot be ended from here, or nothing."""
    import scipy

    optimizer = fit.fit_config.get('optimizer')
    if optimizer not in ENDED_BY_CALLBACK:
        return 'the optimizer %s cannot be ended from outside' % optimizer
    if tuple(int(part) for part in scipy.__version__.split('.')[:2]) < FIRST_SCIPY:
        return 'scipy %s cannot be ended from outside' % scipy.__version__
    return None


def deliver_hessian():
    """Put the first inverse Hessian into the settings of the fit that imports this module."""
    import numpy as np

    frame = sys._getframe(1)
    while frame is not None:
        settings = frame.f_locals.get('fit_config')
        if isinstance(settings, dict) and 'callbacks' in settings:
            matrix = np.load(HESSIAN, allow_pickle=False)
            _settings['fit'] = settings
            settings['options'] = dict(OPTIONS, **(settings.get('options') or {}), hess_inv0=matrix)
            with open(DELIVERED, 'w') as handle:
                handle.write('%d\n' % len(matrix))
            return
        frame = frame.f_back


def take_hessian_back():
    """Let later cycles that begin elsewhere do so without the curvature, which they would only be misled by."""
    settings = _settings.get('fit', {})
    if any(settings.get(name) for name in SHAKEN):
        settings.get('options', {}).pop('hess_inv0', None)  # the minimisation that runs has it already


def write_json(filename, content):
    """Write a file that is whole whenever it is there."""
    with open(filename + '.part', 'w') as handle:
        json.dump(content, handle, indent=2, sort_keys=True)
    os.replace(filename + '.part', filename)


def read_watch():
    """Return what follows the test loss, if that is asked for."""
    if not os.path.exists(SETTINGS):
        return None
    with open(SETTINGS) as handle:
        return Watch(**json.load(handle))


_watch = None
_settings = {}  # of the fit, once it has the curvature
try:
    _watch = read_watch()
    if os.path.exists(HESSIAN):
        deliver_hessian()
except Exception as problem:
    log.warning('%s: %s', type(problem).__name__, problem)
