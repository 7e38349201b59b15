"""Judges of energy curves: two atoms, and a crystal under pressure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.reference_potentials.zbl import bare
from aiida_autopipec.pacemaker.validation.criteria import Criterion, above, below, fact
from aiida_autopipec.pacemaker.validation.measurements import Measurements
from aiida_autopipec.pacemaker.validation.parameters import DimerCheck, VolumeCheck

Array = NDArray[np.float64]


def judge_dimers(measured: Measurements, settings: DimerCheck, elements: Sequence[str]) -> list[Criterion]:
    """Judge the curve of every pair of elements.

    :raises OutputError: if a curve is missing.
    """
    curves = measured.of('dimer')
    criteria = []
    for pair in itertools.combinations_with_replacement(sorted(elements), 2):
        name = '_'.join(pair)
        try:
            distances, energy, force = curves['distances'], curves[f'{name}_energy'], curves[f'{name}_force']
        except KeyError as error:
            raise OutputError(f'the dimer curves lack {error}') from None
        if not distances.shape == energy.shape == force.shape or distances.ndim != 1 or len(distances) < 2:
            raise OutputError(f'the dimer curve of {name} is no curve')
        criteria += _judge_pair(pair, distances, energy, force, settings)
    return criteria


def repulsive_below(pair: tuple[str, str], settings: DimerCheck) -> float:
    """Return the distance (Å) below which two atoms have to repel each other."""
    from ase.data import atomic_numbers, covalent_radii

    stated = settings.distances.get('-'.join(sorted(pair)))
    radii = float(sum(covalent_radii[atomic_numbers[element]] for element in pair))
    return settings.radius_factor * radii if stated is None else stated


def _judge_pair(
    pair: tuple[str, str], distances: Array, energy: Array, force: Array, settings: DimerCheck
) -> list[Criterion]:
    from ase.data import atomic_numbers

    label = '-'.join(pair)
    if not (np.isfinite(energy).all() and np.isfinite(force).all()):
        first = distances[~(np.isfinite(energy) & np.isfinite(force))][-1]
        return [fact('dimer', f'{label} is finite', False, f'not at {first:.2f} Å')]
    limit = repulsive_below(pair, settings)
    criteria = [
        below('dimer', f'{label} deepest well', float(-energy.min()), settings.deepest_well, 'eV',
              f'at {distances[energy.argmin()]:.2f} Å')
    ]  # fmt: skip
    inside = distances < limit
    if inside.any():
        pulling = np.flatnonzero(inside & (force <= 0))
        detail = f'not at {distances[pulling[-1]]:.2f} Å' if pulling.size else ''
        criteria.append(fact('dimer', f'{label} repels below {limit:.2f} Å', pulling.size == 0, detail))
        numbers = [np.array([atomic_numbers[element]]) for element in pair]
        nuclei = float(bare(distances[:1], *numbers)[0][0])
        criteria.append(
            above('dimer', f'{label} energy at {distances[0]:.2f} Å', float(energy[0]),
                  settings.least_part_of_zbl * nuclei, 'eV')
        )  # fmt: skip
    jumps = _jumps(distances, energy, force)
    criteria.append(
        below('dimer', f'{label} jump of the energy', float(jumps.max()), settings.largest_jump, 'eV',
              f'at {distances[jumps.argmax()]:.2f} Å')
    )  # fmt: skip
    hole = _hole(distances, energy, settings.barrier)
    criteria.append(fact('dimer', f'{label} has no hole', hole is None, '' if hole is None else f'one at {hole:.2f} Å'))
    return criteria


def _jumps(distances: Array, energy: Array, force: Array) -> Array:
    """Return how much of each change of the energy (eV) no force accounts for."""
    change, step = np.diff(energy), np.diff(distances)
    work = (force[1:] + force[:-1]) / 2 * step
    # the trapezoidal rule is wrong by step²/12 times the second logarithmic derivative, which a wall of nuclei has: for
    # ZBL of aluminium by 4 % of the change at 0.5 Å with steps of 0.1 Å, a quarter of what is allowed here
    allowed = np.abs(change) * (2 * step / distances[:-1]) ** 2
    return np.maximum(np.abs(change + work) - allowed, 0.0)


def _hole(distances: Array, energy: Array, barrier: float) -> float | None:
    """Return where the curve comes down again inside of its wall, ``None`` where it does not.

    The wall begins where the energy first exceeds the barrier as the atoms approach.
    """
    high = np.flatnonzero(energy > barrier)
    if high.size == 0:
        return None
    inside = energy[: high[-1] + 1]
    falling = np.flatnonzero(np.diff(inside) >= 0)
    return float(distances[falling[-1]]) if falling.size else None


def judge_volumes(measured: Measurements, settings: VolumeCheck) -> list[Criterion]:
    """Judge the energy of a crystal against its volume.

    :raises OutputError: if there is no curve.
    """
    curve = measured.of('volume')
    if not {'volumes', 'energy'} <= curve.keys() or curve['volumes'].shape != curve['energy'].shape:
        raise OutputError('the energies against volume are missing')
    volume, energy = curve['volumes'], curve['energy']
    if volume.ndim != 1 or len(volume) < 3:
        raise OutputError('the energies against volume are no curve')
    if not np.isfinite(energy).all():
        return [fact('volume', 'energies are finite', False)]
    lowest = int(energy.argmin())
    criteria = [fact('volume', 'the minimum lies inside', 0 < lowest < len(energy) - 1,
                     f'at {volume[lowest]:.3f} Å³ per atom')]  # fmt: skip
    falling = np.flatnonzero(np.diff(energy[: lowest + 1]) >= 0)
    detail = f'not at {volume[falling[-1]]:.3f} Å³ per atom' if falling.size else ''
    criteria.append(fact('volume', 'compression costs energy', falling.size == 0, detail))
    best, given = measured.number('volume', 'volume'), measured.number('volume', 'given_volume')
    if best is None or given is None or given <= 0:
        return [*criteria, fact('volume', 'there is an equation of state', False)]
    criteria.append(below('volume', 'change of volume', abs(best / given - 1), settings.max_volume_change, ''))
    modulus = measured.number('volume', 'bulk_modulus')
    low, high = settings.bulk_modulus or (None, None)
    criteria.append(above('volume', 'bulk modulus', modulus, low, 'GPa'))
    if high is not None:
        criteria.append(below('volume', 'bulk modulus', modulus, high, 'GPa'))
    return criteria
