"""Reference and predicted energies and forces of a training, and the errors that follow from them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.pickles import RawFrame

PARTS = ('train', 'test')


@dataclass(frozen=True, eq=False)
class Predictions:
    """Energies and forces of ``n`` structures with ``a`` atoms in total, as Pacemaker used and predicted them.

    :param names: ``(n,)`` names of the structures.
    :param sizes: ``(n,)`` numbers of atoms.
    :param energy: ``(n,)`` corrected energies in eV.
    :param energy_predicted: ``(n,)`` in eV.
    :param forces: ``(a, 3)`` in eV/Å.
    :param forces_predicted: ``(a, 3)`` in eV/Å.
    """

    names: NDArray[np.str_]
    sizes: NDArray[np.int64]
    energy: NDArray[np.float64]
    energy_predicted: NDArray[np.float64]
    forces: NDArray[np.float64]
    forces_predicted: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.names.ndim != 1 or self.names.dtype.kind != 'U' or len(self.names) == 0:
            raise OutputError('the predictions do not name their structures')
        if self.sizes.dtype.kind != 'i' or np.any(self.sizes < 1):
            raise OutputError('`sizes` of the predictions should be numbers of atoms')
        n, a = len(self.names), int(np.sum(self.sizes))
        expected = {
            'sizes': (n,),
            'energy': (n,),
            'energy_predicted': (n,),
            'forces': (a, 3),
            'forces_predicted': (a, 3),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype.kind not in 'if':
                raise OutputError(f'`{name}` of the predictions has shape {array.shape}, but needs {shape}')

    def errors(self) -> dict[str, float]:
        """Return root mean square, mean and largest absolute errors.

        Energies in meV/atom, forces per component in meV/Å, as Pacemaker's log gives them.
        """
        energy = 1e3 * np.abs(self.energy_predicted - self.energy) / self.sizes
        forces = 1e3 * np.abs(self.forces_predicted - self.forces)
        return {
            'rmse_energy_mev_per_atom': float(np.sqrt(np.mean(energy**2))),
            'mae_energy_mev_per_atom': float(np.mean(energy)),
            'max_error_energy_mev_per_atom': float(np.max(energy)),
            'rmse_forces_mev_per_angstrom': float(np.sqrt(np.mean(forces**2))),
            'mae_forces_mev_per_angstrom': float(np.mean(forces)),
            'max_error_forces_mev_per_angstrom': float(np.max(forces)),
        }

    def plus(self, energy: NDArray[np.float64], forces: NDArray[np.float64]) -> Predictions:
        """Return the predictions with something added to both sides, which leaves the errors as they are.

        :param energy: ``(n,)`` in eV.
        :param forces: ``(a, 3)`` in eV/Å.
        """
        return replace(
            self,
            energy=self.energy + energy,
            energy_predicted=self.energy_predicted + energy,
            forces=self.forces + forces,
            forces_predicted=self.forces_predicted + forces,
        )

    def rows_among(self, names: NDArray[np.str_]) -> NDArray[np.int64]:
        """Return the row of each structure in a dataset.

        :param names: ``(m,)`` unique names of the dataset.
        :raises OutputError: if a name is not among them.
        """
        return rows_among(self.names, names)


def rows_among(names: NDArray[np.str_], known: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the row of each structure in a dataset.

    Structures without a name are called ``FILE:ROW`` by Pacemaker, with the folders of the file as its input names
    them: where no name is known as it stands, those of the files count without their folders.

    :param names: ``(n,)`` names of the structures.
    :param known: ``(m,)`` unique names of the dataset.
    :raises OutputError: if a name is not among them.
    """
    row_of = {name: row for row, name in enumerate(known.tolist())}
    wanted = names.tolist()
    if not row_of.keys() & set(wanted):
        wanted = [name.rpartition('/')[2] for name in wanted]
    try:
        return np.array([row_of[name] for name in wanted], dtype=np.int64)
    except KeyError as error:
        raise OutputError(f'the predictions name a structure {error} that the dataset does not have') from None


def read_predictions(path: Path) -> dict[str, Predictions]:
    """Read ``predictions.npz`` as the travelling script writes it.

    :return: predictions by part, ``train`` and, if there is a test set, ``test``.
    :raises OutputError: if the file is something else.
    """
    try:
        _refuse_compressed(path)
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, MemoryError) as error:
        raise OutputError(f'`{path.name}` is no archive of arrays: {error}') from None
    return {part: _from_arrays(part, arrays) for part in PARTS if f'{part}_names' in arrays}


def predictions_from_frame(frame: RawFrame) -> Predictions:
    """Take predictions from ``train_pred.pckl.gzip`` or ``test_pred.pckl.gzip``, as the safe reader gives them.

    :raises OutputError: if columns are missing.
    """
    try:
        predicted = (
            frame.columns['energy_pred'] if 'energy_pred' in frame.columns else frame.vector_columns['energy_pred']
        )
        return Predictions(
            names=frame.columns['name'],
            sizes=np.diff(frame.offsets),
            energy=frame.columns['energy_corrected'],
            energy_predicted=predicted.reshape(-1),
            forces=frame.atom_columns['forces'],
            forces_predicted=frame.atom_columns['forces_pred'],
        )
    except KeyError as error:
        raise OutputError(f'the table of predictions has no column {error}') from None


def _refuse_compressed(path: Path) -> None:
    """Refuse an archive that unpacks to more than its size: the script compresses nothing, a bomb does."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise OutputError(f'`{path.name}` is compressed, which the script that writes it never does')


def _from_arrays(part: str, arrays: Mapping[str, NDArray[Any]]) -> Predictions:
    fields = ('names', 'sizes', 'energy', 'energy_predicted', 'forces', 'forces_predicted')
    missing = [field for field in fields if f'{part}_{field}' not in arrays]
    if missing:
        raise OutputError(f'the predictions lack `{part}_{missing[0]}`')
    values = {field: arrays[f'{part}_{field}'] for field in fields}
    if values['names'].dtype.kind == 'S':
        values['names'] = np.char.decode(values['names'], 'utf-8', 'replace')
    return Predictions(**values)
