"""What is allowed and yet probably not meant: sentences for the user, which refuse nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aiida_autopipec.pacemaker.config.inheritance import bond_of
from aiida_autopipec.pacemaker.config.potential import PotentialShape
from aiida_autopipec.pacemaker.config.species import pairs
from aiida_autopipec.pacemaker.config.training import TrainingConfig

#: Time of evaluator ``pyace`` for energy and forces of one atom: so much, and so much for each function of its element.
#: Measured with 20 to 700 functions of 1 to 3 elements and 32 to 82 neighbours (python-ace 0.4.0rc1, one core of 2026).
SECONDS_PER_ATOM = 10e-6
SECONDS_PER_FUNCTION = 0.25e-6
#: Size of data for which the time is told when the data are not known: a small training set.
TYPICAL_ATOMS = 1000
#: Longer than this is no sensible time for so little data; real sets are ten times larger.
SENSIBLE_SECONDS = 6 * 3600.0
#: Methods that need no gradient, which evaluator ``pyace`` computes by one evaluation per parameter.
WITHOUT_GRADIENT = ('Nelder-Mead', 'Powell')


def config_remarks(config: TrainingConfig, n_atoms: int = TYPICAL_ATOMS) -> list[str]:
    """Return one sentence for each thing that is allowed and probably not meant.

    :param config: the settings.
    :param n_atoms: atoms in the training set.
    """
    return [*_cost_remarks(config, n_atoms), *_stopping_remarks(config), *_core_remarks(config)]


def pyace_evaluations(config: TrainingConfig) -> int | None:
    """Return how often evaluator ``pyace`` computes all data in one minimisation, or nothing if the basis is not known.

    scipy is given no gradient there (``pyace/pyacefit.py``, python-ace 0.4.0rc1), so each iteration takes one
    evaluation per parameter and one more.
    """
    size = config.basis_size
    if size is None:
        return None
    if config.fit.optimizer in WITHOUT_GRADIENT:
        return config.fit.maxiter
    radial = sum(size.radial.values())
    trained = {'func': size.n_parameters - radial, 'radial': radial}
    choice = config.fit.trainable_parameters
    n_parameters = trained.get(choice, size.n_parameters) if isinstance(choice, str) else size.n_parameters
    return config.fit.maxiter * (n_parameters + 1)


def pyace_seconds(config: TrainingConfig, n_atoms: int) -> float | None:
    """Return about how long a fit with evaluator ``pyace`` takes on one core, or nothing if the basis is not known.

    A ladder is counted as its last step.

    :param n_atoms: atoms in the training set.
    """
    size, evaluations = config.basis_size, pyace_evaluations(config)
    if size is None or evaluations is None:
        return None
    functions = size.n_functions / len(config.elements)
    return config.fit.fit_cycles * evaluations * n_atoms * (SECONDS_PER_ATOM + SECONDS_PER_FUNCTION * functions)


def _cost_remarks(config: TrainingConfig, n_atoms: int) -> Iterator[str]:
    seconds = pyace_seconds(config, n_atoms)
    size = config.basis_size
    if config.backend.evaluator != 'pyace' or size is None or seconds is None or seconds < SENSIBLE_SECONDS:
        return
    yield (
        f'backend.evaluator: pyace computes the gradient by differences, {size.n_parameters} parameters '
        f'({size.n_functions} functions) and fit.maxiter = {config.fit.maxiter} take up to {pyace_evaluations(config)} '
        f'passes over the data, about {_duration(seconds)} on one core for {n_atoms} atoms; use tensorpot, or '
        'fewer functions.'
    )


def _duration(seconds: float) -> str:
    days = seconds / 86400
    return f'{seconds / 3600:.0f} hours' if days < 2 else f'{days:.0f} days'


def _stopping_remarks(config: TrainingConfig) -> Iterator[str]:
    fit = config.fit
    for key in ('min_relative_train_loss_per_iter', 'min_relative_test_loss_per_iter'):
        if getattr(fit, key) is not None and fit.early_stopping_patience > fit.maxiter:
            yield (
                f'fit.{key}: never stops the fit, for fit.early_stopping_patience = {fit.early_stopping_patience} is '
                f'more than fit.maxiter = {fit.maxiter}.'
            )


def _core_remarks(config: TrainingConfig) -> Iterator[str]:
    if not isinstance(config.potential, PotentialShape) or config.fit.repulsion == 'auto':
        return
    bare = [
        ''.join(dict.fromkeys(pair))
        for pair in pairs(config.elements)
        if pair[0] <= pair[1]
        and (bond := bond_of(pair, config.potential.bonds)).r_in is not None
        and bond.core_repulsion is None
    ]
    if bare:
        yield (
            f'potential.bonds: r_in of {", ".join(bare)} without core-repulsion switches the potential off below r_in, '
            'and nothing keeps atoms apart there; state core-repulsion, or add a repulsion of your own to the MD.'
        )
