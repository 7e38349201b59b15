"""What is allowed and yet probably not meant: sentences for the user, which refuse nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aiida_autopipec.pacemaker.config.inheritance import bond_of
from aiida_autopipec.pacemaker.config.potential import PotentialShape
from aiida_autopipec.pacemaker.config.species import pairs
from aiida_autopipec.pacemaker.config.training import TrainingConfig


def config_remarks(config: TrainingConfig) -> list[str]:
    """Return one sentence for each thing that is allowed and probably not meant.

    :param config: the settings.
    """
    return [*_stopping_remarks(config), *_core_remarks(config)]


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
