"""What is allowed and yet probably not meant: sentences for the user, which refuse nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator

from aiida_autopipec.pacemaker.config.blocks import Bond
from aiida_autopipec.pacemaker.config.coverage import bond_name
from aiida_autopipec.pacemaker.config.inheritance import bond_of, embedding_of
from aiida_autopipec.pacemaker.config.potential import PotentialShape
from aiida_autopipec.pacemaker.config.species import pairs
from aiida_autopipec.pacemaker.config.training import TrainingConfig


def config_remarks(config: TrainingConfig) -> list[str]:
    """Return one sentence for each thing that is allowed and probably not meant.

    :param config: the settings.
    """
    return [*_stopping_remarks(config), *_core_remarks(config), *_density_remarks(config)]


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


def _density_remarks(config: TrainingConfig) -> Iterator[str]:
    """Yield bonds at whose inner cutoff the energy jumps.

    With ``inner_cutoff_type: density`` the core repulsion switches the potential off; a potential that is still on
    at ``r_in - delta_in`` ends there abruptly (python-ace 0.4.0rc1).
    """
    if not isinstance(config.potential, PotentialShape) or config.fit.repulsion == 'auto':
        return
    for pair in pairs(config.elements):
        bond = bond_of(pair, config.potential.bonds)
        limit = embedding_of(pair[0], config.potential.embeddings).rho_core_cut
        if bond.inner_cutoff_type != 'density' or limit is None or None in (bond.r_in, bond.core_repulsion):
            continue
        end = (bond.r_in or 0.0) - (bond.delta_in or 0.0)
        reached = core_repulsion_energy(bond, end) if end > 0 else math.inf
        if reached < limit:
            yield (
                f'potential.bonds: at {end:g} Å (r_in - delta_in of {bond_name(pair)}) the core repulsion is '
                f'{reached:.3g} eV, less than rho_core_cut = {limit:g} eV of {pair[0]}: with inner_cutoff_type density '
                'the energy of two atoms jumps there; choose a smaller rho_core_cut or a smaller r_in.'
            )


def core_repulsion_energy(bond: Bond, distance: float) -> float:
    """Return the core repulsion (eV) that an atom gets from one neighbour.

    :param bond: with ``core-repulsion`` and ``rcut``; not of the type ``zbl``.
    :param distance: in Å, below ``rcut``.
    """
    prefactor, decay = bond.core_repulsion or (0.0, 0.0)
    outer = (1 + math.cos(math.pi * distance / (bond.rcut or math.inf))) / 2
    return prefactor * math.exp(-decay * distance**2) / distance * outer
