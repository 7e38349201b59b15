"""Between labelled structures and ``ase.Atoms``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import ase
import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.collect import Collector
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

ENERGY_KEYS = ('free_energy', 'energy')
"""Where an energy is looked for, in attached results and then in ``atoms.info``: forces derive from the first."""
FORCES_KEYS = ('forces',)
STRESS_KEYS = ('stress',)


def structures_from_atoms(
    atoms: Iterable[ase.Atoms],
    *,
    names: Sequence[str] | None = None,
    require_labels: bool = True,
    energy_key: str | None = None,
    forces_key: str | None = None,
    stress_key: str | None = None,
    use_names: bool = True,
) -> LabelledStructures:
    """Take structures and labels from ``ase.Atoms``.

    Labels come from the attached results, or from ``atoms.info['energy']`` and ``atoms.arrays['forces']``. Where there
    is a free energy besides the energy, the free energy is taken, because the forces derive from it (ASE's ``energy``
    is then extrapolated to zero smearing); structures of both kinds in one set are refused. Nothing is calculated.

    :param atoms: the structures, looked at one after the other; units are those of ASE (eV, Å).
    :param names: unique names; by default ``atoms.info['name']`` where every structure has one.
    :param require_labels: whether energies and forces have to be there. Where not, either may be missing altogether.
    :param energy_key: name of the energy in ``atoms.info`` or the attached results, instead of the places above.
    :param forces_key: name of the forces in ``atoms.arrays`` or the attached results, instead of the places above.
    :param stress_key: name of the stress (Voigt, 3 × 3 or 9 components, eV/Å³, sign of ASE) in ``atoms.info`` or the
        attached results.
    :param use_names: whether names in ``atoms.info`` count.
    :raises DatasetError: if a label is missing, not finite or of the wrong shape; the message names the structure.
    """
    keys = (energy_key, forces_key, stress_key)
    collector = Collector(keys, names=names, use_names=use_names, require_labels=require_labels)
    (structures,) = _parts(atoms, collector, keys, max_bytes=None)
    return structures


def parts_from_atoms(
    atoms: Iterable[ase.Atoms],
    *,
    max_bytes: int | None,
    require_labels: bool,
    energy_key: str | None,
    forces_key: str | None,
    stress_key: str | None,
    use_names: bool,
) -> Iterator[LabelledStructures]:
    """Yield the same in parts, of which one at a time needs to be in memory.

    :param max_bytes: size of a part; without, there is one.
    :raises DatasetError: as :func:`structures_from_atoms`, at the end for what is known only then; and if the first
        part has names and a later structure has none.
    """
    keys = (energy_key, forces_key, stress_key)
    collector = Collector(keys, names=None, use_names=use_names, require_labels=require_labels)
    return _parts(atoms, collector, keys, max_bytes)


_Keys = tuple[str | None, str | None, str | None]
"""Under which energies, forces and stresses are looked for, if under no usual ones."""


def _parts(
    atoms: Iterable[ase.Atoms], collector: Collector, keys: _Keys, max_bytes: int | None
) -> Iterator[LabelledStructures]:
    for row, image in enumerate(atoms):
        if max_bytes is not None and collector.incomplete is None and not collector.has_room(image, max_bytes):
            yield collector.hand_out()
        collector.add(image, _labels(image, row, *keys))
    collector.check()
    yield collector.hand_out()


def iter_atoms(structures: LabelledStructures) -> Iterator[ase.Atoms]:
    """Yield each structure as ``ase.Atoms`` with its labels attached and its name in ``info['name']``."""
    from ase.calculators.singlepoint import SinglePointCalculator

    for row in range(len(structures)):
        part = slice(int(structures.offsets[row]), int(structures.offsets[row + 1]))
        image = ase.Atoms(
            numbers=structures.numbers[part],
            positions=structures.positions[part],
            cell=structures.cells[row],
            pbc=structures.pbc[row],
            info={'name': str(structures.names[row])},
        )
        results: dict[str, Any] = {}
        if structures.energy is not None:
            results['energy'] = float(structures.energy[row])
        if structures.forces is not None:
            results['forces'] = structures.forces[part].copy()
        if structures.stress is not None and np.isfinite(structures.stress[row]).all():
            results['stress'] = structures.stress[row].copy()
        if structures.energy_corrected is not None:
            image.info['energy_corrected'] = float(structures.energy_corrected[row])
        if results:
            image.calc = SinglePointCalculator(image, **results)
        yield image


def to_dataframe(structures: LabelledStructures) -> pd.DataFrame:
    """Return the table that Pacemaker reads, one row per structure."""
    import pandas as pd

    bounds = structures.offsets[1:-1]
    columns: dict[str, Any] = {'name': structures.names, 'ase_atoms': structures.to_atoms()}
    for column, array in (('energy', structures.energy), ('energy_corrected', structures.energy_corrected)):
        if array is not None:
            columns[column] = array
    if structures.forces is not None:
        columns['forces'] = [forces.copy() for forces in np.split(structures.forces, bounds)]
    if structures.stress is not None:
        columns['stress'] = list(structures.stress)
    if structures.energy_weights is not None:
        columns['w_energy'] = structures.energy_weights
    if structures.force_weights is not None:
        columns['w_forces'] = list(np.split(structures.force_weights, bounds))
    return pd.DataFrame(columns)


def voigt(stress: Any) -> NDArray[np.float64]:
    """Return a stress as six Voigt components (xx, yy, zz, yz, xz, xy).

    :param stress: six components, nine, or a 3 × 3 array; broadcast over leading dimensions for 3 × 3.
    :raises ValueError: if it has another shape, or a 3 × 3 array is not symmetric within 1 %.
    """
    array = np.asarray(stress, dtype=np.float64)
    if array.shape[-2:] == (3, 3):
        scale = np.maximum(np.nan_to_num(np.abs(array)).max(axis=(-2, -1), keepdims=True, initial=0.0), 1e-6)
        if np.any(np.abs(array - np.swapaxes(array, -1, -2)) > 0.01 * scale):
            raise ValueError('the stress is not symmetric')
        symmetric = (array + np.swapaxes(array, -1, -2)) / 2
        return np.stack([symmetric[..., i, j] for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))], axis=-1)
    if array.shape == (9,):
        return voigt(array.reshape(3, 3))
    if array.shape == (6,):
        return array
    raise ValueError(f'a stress has 6 components or 3 x 3, not the shape {array.shape}')


def _labels(
    image: ase.Atoms, row: int, energy_key: str | None, forces_key: str | None, stress_key: str | None
) -> dict[str, Any]:
    results = dict(image.calc.results) if image.calc is not None else {}
    if image.calc is not None and _moved_since(image):
        raise DatasetError(
            f'structure {row}: the atoms were changed after their results were computed; compute them again'
        )
    energy = _find(results, image.info, ENERGY_KEYS, energy_key)
    forces = _find(results, image.arrays, FORCES_KEYS, forces_key)
    stress = _find(results, image.info, STRESS_KEYS, stress_key)
    return {
        'smearing': None if energy_key else _smearing_contribution(results, image.info, row),
        'energy': None if energy is None else _number(energy, row),
        'forces': None if forces is None else _checked_forces(forces, len(image), row, image),
        'stress': None if stress is None else _checked_stress(stress, row),
    }


def _moved_since(image: ase.Atoms) -> bool:
    """Tell whether the results belong to other atoms than these."""
    reference = getattr(image.calc, 'atoms', None)
    if reference is None:
        return False
    if len(reference) != len(image):
        return True
    return not (
        np.array_equal(reference.numbers, image.numbers)
        and np.array_equal(reference.pbc, image.pbc)
        and np.allclose(reference.positions, image.positions, rtol=0, atol=1e-6)
        and np.allclose(reference.cell.array, image.cell.array, rtol=0, atol=1e-6)
    )


def _find(results: dict[str, Any], container: Any, keys: Sequence[str], key: str | None) -> Any:
    """Look under the key that was asked for only, else under the usual keys, in the attached results first.

    With a key the container comes first: ASE's reader of extxyz moves ``energy``, but no other name, to the results.
    """
    if key is not None:
        return container.get(key, results.get(key))
    found = (place[name] for place in (results, container) for name in keys if place.get(name) is not None)
    return next(found, None)


def _smearing_contribution(results: dict[str, Any], info: dict[str, Any], row: int) -> float | None:
    """Return by how much the free energy differs from the energy, ``None`` where only one of them is there."""
    place = info if all(results.get(key) is None for key in ENERGY_KEYS) else results
    if any(place.get(key) is None for key in ENERGY_KEYS):
        return None
    return _number(place['free_energy'], row) - _number(place['energy'], row)


def _number(energy: Any, row: int) -> float:
    try:
        return float(energy)
    except (TypeError, ValueError) as exception:
        raise DatasetError(f'the energy of structure {row} is not a number: {energy!r}') from exception


def _checked_forces(forces: Any, natoms: int, row: int, image: ase.Atoms) -> NDArray[np.float64]:
    name = image.info.get('name', image.get_chemical_formula())
    try:
        array = np.asarray(forces, dtype=np.float64)
    except (TypeError, ValueError) as exception:
        raise DatasetError(f'the forces of structure {row} (`{name}`) are not an array of numbers') from exception
    if array.shape != (natoms, 3):
        raise DatasetError(
            f'the forces of structure {row} (`{name}`) have shape {array.shape}, but its {natoms} atoms need '
            f'{(natoms, 3)}'
        )
    return array


def _checked_stress(stress: Any, row: int) -> NDArray[np.float64]:
    try:
        return voigt(stress)
    except (TypeError, ValueError) as exception:
        raise DatasetError(f'structure {row}: {exception}') from exception
