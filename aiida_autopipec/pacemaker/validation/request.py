"""What the travelling script is told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.reference_potentials import LennardJones, ReferencePotential
from aiida_autopipec.pacemaker.validation.parameters import CHECKS, Check, ValidationParameters

NEEDS = {
    'volume': ('crystal',),
    'elastic': ('crystal',),
    'phonons': ('crystal',),
    'errors': ('dataset',),
    'export': ('lammps_potential',),
}
"""Inputs without which a check cannot be run; dynamics take a crystal or else a dataset."""


def possible_checks(parameters: ValidationParameters, given: Sequence[str]) -> tuple[Check, ...]:
    """Return the checks to run, in their order.

    :param given: which of ``crystal``, ``dataset`` and ``lammps_potential`` there are.
    :raises ConfigError: if a check is asked for that lacks its input.
    """
    possible: list[Check] = []
    for check in CHECKS:
        missing = [name for name in NEEDS.get(check, ()) if name not in given]
        if check == 'dynamics' and not {'crystal', 'dataset'} & set(given):
            missing = ['crystal']
        if not missing:
            possible.append(check)
        wanted = (*(parameters.checks or ()), *(parameters.required or ()))
        if missing and check in wanted:
            raise ConfigError(f'the check `{check}` needs `{missing[0]}`: give it, or leave the check out')
    return tuple(check for check in possible if parameters.checks is None or check in parameters.checks)


def reference_settings(reference: ReferencePotential | None, elements: Sequence[str]) -> dict[str, Any] | None:
    """Return a reference potential as the script reads it: mixed parameters are stated pair by pair.

    :param elements: those of the potential.
    """
    if not isinstance(reference, LennardJones):
        return None if reference is None else reference.as_dict()
    from ase.data import atomic_numbers

    pairs = []
    for first, second in itertools.combinations_with_replacement(elements, 2):
        terms = reference.terms(first, second)
        numbers = [int(atomic_numbers[first]), int(atomic_numbers[second])]
        pairs.append({'numbers': numbers, 'epsilon': terms.epsilon, 'sigma': terms.sigma, 'cutoff': terms.cutoff})
    return {'name': 'lennard_jones', 'pairs': pairs, 'shift': reference.shift}


def script_settings(
    parameters: ValidationParameters,
    checks: Sequence[Check],
    *,
    elements: Sequence[str],
    reference: ReferencePotential | None,
    crystal: dict[str, Any] | None = None,
    labels_are_totals: bool = True,
    files: dict[str, str],
) -> dict[str, Any]:
    """Return what ``validate.py`` reads.

    :param crystal: ``numbers``, ``positions`` (Å) and ``cell`` (Å).
    :param labels_are_totals: whether the energies and forces of the dataset contain the reference potential.
    :param files: names of ``potential`` and, where there are such, ``active_set``, ``lammps_potential``, ``dataset``.
    """
    return {
        'checks': list(checks),
        'elements': sorted(elements),
        'reference': reference_settings(reference, elements),
        'crystal': crystal,
        'labels_are_totals': labels_are_totals,
        **{name: files.get(name) for name in ('potential', 'active_set', 'lammps_potential', 'dataset')},
        'dimer': parameters.dimer.model_dump(include={'shortest', 'step'}),
        'volume': parameters.volume.model_dump(include={'smallest', 'largest', 'points'}),
        'elastic': parameters.elastic.model_dump(include={'strain'}),
        'phonons': parameters.phonons.model_dump(include={'max_atoms'}),
        'dynamics': parameters.dynamics.model_dump(
            include={'temperature', 'timestep', 'steps', 'every', 'min_atoms', 'seed'}
        ),
    }
