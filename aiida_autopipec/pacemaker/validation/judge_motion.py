"""Judges of what moves: vibrations and hot dynamics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.validation.criteria import Criterion, above, below, fact
from aiida_autopipec.pacemaker.validation.measurements import Measurements
from aiida_autopipec.pacemaker.validation.parameters import DynamicsCheck, PhononCheck


def judge_phonons(measured: Measurements, settings: PhononCheck) -> list[Criterion]:
    """Judge the frequencies of a crystal: imaginary ones, which ASE gives as negative, mean that it falls apart.

    :raises OutputError: if there are none.
    """
    frequencies = measured.of('phonons').get('frequencies')
    if frequencies is None or frequencies.ndim != 2 or frequencies.size == 0:
        raise OutputError('the frequencies are missing')
    lowest = float(np.min(frequencies))
    size = ' x '.join(str(number) for number in measured.facts['phonons'].get('supercell') or [])
    return [
        below(
            'phonons',
            'largest imaginary frequency',
            max(0.0, -lowest) if np.isfinite(lowest) else lowest,
            settings.most_imaginary,
            'meV',
            f'supercell {size}' if size else '',
        ),
        below('phonons', 'highest frequency', float(np.max(frequencies)), None, 'meV'),
    ]


def judge_dynamics(
    measured: Measurements, settings: DynamicsCheck, elements: Sequence[str], *, has_grades: bool
) -> list[Criterion]:
    """Judge a hot simulation.

    :param elements: those of the potential.
    :param has_grades: whether an active set was given.
    :raises OutputError: if there is no trajectory.
    """
    columns = measured.of('dynamics')
    needed = {'time', 'temperature', 'energy', 'distance'} | ({'gamma'} if has_grades else set())
    if not needed <= columns.keys() or len({columns[name].shape for name in needed}) != 1:
        raise OutputError('the trajectory lacks a quantity')
    if columns['time'].ndim != 1:
        raise OutputError('the trajectory is no list of times')
    planned, reached = settings.steps * settings.timestep, float(columns['time'][-1]) if columns['time'].size else 0.0
    stopped = measured.text('dynamics', 'stopped')
    complete = not stopped and reached > planned - settings.every * settings.timestep
    detail = '' if complete else f'stopped at {reached:g} fs: {stopped}'
    criteria = [fact('dynamics', f'reaches {planned:g} fs', complete, detail)]
    if columns['time'].size == 0:
        return criteria
    ratio = float(columns['temperature'].max()) / settings.temperature
    criteria.append(
        below('dynamics', 'highest temperature over that of the thermostat', ratio, settings.max_temperature_ratio, '')
    )
    criteria.append(
        above('dynamics', 'shortest distance', float(columns['distance'].min()),
              _shortest_allowed(elements, settings.radius_factor), 'Å')
    )  # fmt: skip
    if has_grades:
        criteria.append(
            below('dynamics', 'largest extrapolation grade', float(columns['gamma'].max()), settings.max_gamma, '')
        )
    return criteria


def _shortest_allowed(elements: Sequence[str], factor: float) -> float:
    """Return the distance (Å) that no two atoms may come below."""
    from ase.data import atomic_numbers, covalent_radii

    radii = [float(covalent_radii[atomic_numbers[element]]) for element in elements]
    return factor * min(sum(pair) for pair in itertools.combinations_with_replacement(radii, 2))
