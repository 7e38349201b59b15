"""Repulsion that would count twice: a reference potential that repels, and a core repulsion of Pacemaker's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_autopipec.pacemaker.config.potential import PotentialShape
from aiida_autopipec.pacemaker.config.training import TrainingConfig

REPULSIVE = ('zbl', 'lennard_jones')
"""Names of the reference potentials that keep atoms apart by themselves."""


def repels(recorded: Mapping[str, Any] | None) -> str | None:
    """Return the name of the reference potential if it is one that keeps atoms apart.

    :param recorded: what is subtracted, as a user states it or as a dataset or a potential records it.
    """
    name = ((recorded or {}).get('potential') or {}).get('name')
    return name if name in REPULSIVE else None


def core_repulsion_of(config: TrainingConfig) -> str | None:
    """Return the setting that asks for Pacemaker's own core repulsion, if one does."""
    if config.fit.repulsion is not None:
        return f'fit.repulsion: {config.fit.repulsion}'
    bonds = config.potential.bonds if isinstance(config.potential, PotentialShape) else {}
    asking = [key for key, bond in bonds.items() if bond.core_repulsion is not None]
    return f'potential.bonds.{asking[0]}.core-repulsion' if asking else None


def repulsion_problem(config: TrainingConfig, recorded: Mapping[str, Any] | None) -> str | None:
    """Return whether atoms would be kept apart twice.

    Pacemaker puts its repulsion in the place of the fit, and a simulation adds the reference potential to both.

    :param recorded: what is subtracted from the labels.
    """
    name, setting = repels(recorded), core_repulsion_of(config)
    if name is None or setting is None:
        return None
    return (
        f'`config` sets {setting}, but the potential {name} is subtracted from the labels and added again in a '
        'simulation: atoms would be kept apart twice, which no data have seen; choose one of the two'
    )
