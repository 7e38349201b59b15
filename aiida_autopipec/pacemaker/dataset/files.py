"""Datasets in files: Pacemaker's ``.pckl.gzip``, extxyz, and every other format that ASE reads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.pacemaker.dataset.atoms import ENERGY_KEYS, FORCES_KEYS, parts_from_atoms
from aiida_autopipec.pacemaker.dataset.checks import check_unique_names
from aiida_autopipec.pacemaker.dataset.storage import MAX_SHARD_BYTES
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError, FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.formats import structures_from_frame
from aiida_autopipec.pacemaker.pickles import read_frame

if TYPE_CHECKING:
    import ase

PICKLE_SUFFIXES = ('.pckl.gzip', '.pkl.gz', '.pckl.gz', '.pkl.gzip')
"""Endings of the tables that Pacemaker's programs write."""

REFUSED_FORMATS = {
    'py': 'is a program',
    'python': 'is a program',
    'bundletrajectory': 'may hold pickles',
    'trj': 'may hold pickles',
    'postgresql': 'is a connection to a server',
    'mysql': 'is a connection to a server',
    'mariadb': 'is a connection to a server',
}
"""Formats of ASE (3.22 to 3.29) whose readers run what they read or connect to where it says, and why they are refused.
No other reader of these versions calls ``eval``, ``exec`` or ``pickle``."""


class ImportOptions(BaseModel):
    """How a file is read."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    format: str | None = Field(None, description='Format by the name that ASE gives it; by default by file name.')
    names: Literal['file', 'content', 'pacemaker'] = Field(
        'file',
        description='Take names from the file where it has them, or make unique ones from the content; with pacemaker '
        'a table without names gets those that Pacemaker gives it, FILE:ROW.',
    )
    energy_key: str | None = Field(None, description='Name of the energy among the properties of a frame, in eV.')
    forces_key: str | None = Field(None, description='Name of the forces among the arrays of a frame, in eV/Å.')
    stress_key: str | None = Field(
        None, description='Name of the stress among the properties of a frame, in eV/Å³, negative when compressed.'
    )
    require_labels: bool = Field(True, description='Whether a missing energy or missing forces are an error.')

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ImportOptions:
        """Read options.

        :raises ConfigError: if a key is unknown or a value is not possible; the message names the key.
        """
        try:
            return cls.model_validate(mapping)
        except ValidationError as exception:
            error = exception.errors(include_url=False)[0]
            known = ', '.join(cls.model_fields)
            message = f' is unknown; known are {known}' if error['type'] == 'extra_forbidden' else f': {error["msg"]}'
            raise ConfigError(f'import option `{error["loc"][0]}`{message}') from exception


def read_structures(path: Path, options: ImportOptions | None = None) -> tuple[LabelledStructures, dict[str, Any]]:
    """Read a file of any supported format.

    :return: the structures, and a report of the format, of where labels come from, and of what was left out.
    :raises InputError: if the file cannot be read, is not safe, or a label is missing or wrong.
    """
    reader = PartReader(path, options)
    (structures,) = reader
    return structures, reader.report


def check_file(path: Path, options: ImportOptions | None = None) -> None:
    """Read a file part by part, and keep nothing but names.

    :raises InputError: as :func:`read_structures`.
    """
    check_unique_names(np.concatenate([part.names for part in PartReader(path, options, MAX_SHARD_BYTES)]))


class PartReader:
    """A file of any supported format that is read part by part, where ASE reads frame by frame; tables as a whole."""

    def __init__(self, path: Path, options: ImportOptions | None = None, max_bytes: int | None = None) -> None:
        """Look for the file.

        :param max_bytes: size of a part in memory; without, there is one part.
        :raises FileFormatError: if there is no such file.
        """
        if not path.is_file():
            raise FileFormatError(f'there is no file `{path}`')
        self._path = path
        self._options = options or ImportOptions()
        self._max_bytes = max_bytes
        self.report: dict[str, Any] = {}
        """Of the format, of where labels come from, and of what was left out; complete when all parts were read."""

    def __iter__(self) -> Iterator[LabelledStructures]:
        """Yield the parts.

        :raises InputError: if the file cannot be read, is not safe, or a label is missing or wrong; when all was read
            for what is known only then.
        """
        if self._path.name.endswith(PICKLE_SUFFIXES):
            structures, self.report = _read_table(self._path, self._options)
            yield structures
        else:
            yield from self._read_with_ase()

    def _read_with_ase(self) -> Iterator[LabelledStructures]:
        from ase.io.formats import filetype

        path, options = self._path, self._options
        with _reading(path, options):
            kind = options.format or filetype(path.as_posix())
        if kind in REFUSED_FORMATS:
            raise UnsafeFileError(
                f'`{path.name}` is not read as {kind}: that format {REFUSED_FORMATS[kind]}; convert it to extxyz'
            )
        frames = _iter_frames(path, kind, options)
        first = next(frames, None)
        parts = parts_from_atoms(
            frames if first is None else itertools.chain([first], frames),
            require_labels=options.require_labels,
            energy_key=options.energy_key,
            forces_key=options.forces_key,
            stress_key=options.stress_key,
            use_names=options.names != 'content',
            max_bytes=self._max_bytes,
        )
        n_frames = 0
        for part in parts:
            n_frames += len(part)
            self.report = {
                'format': kind,
                'frames': n_frames,
                'energy': 'none' if part.energy is None else options.energy_key or _name_of_energy(first),
                'forces': 'none' if part.forces is None else options.forces_key or FORCES_KEYS[0],
            }
            yield part


def _read_table(path: Path, options: ImportOptions) -> tuple[LabelledStructures, dict[str, Any]]:
    keys = ('format', 'energy_key', 'forces_key', 'stress_key')
    stated = [key for key in keys if getattr(options, key) is not None]
    if stated:
        raise ConfigError(f'import option `{stated[0]}` is for files that ASE reads, not for `{path.name}`')
    frame = read_frame(path)
    structures, report = structures_from_frame(
        frame, require_labels=options.require_labels, unique_names=options.names == 'content'
    )
    if options.names == 'pacemaker' and 'name' not in frame.columns:
        # ACEDataset.load_dataset, python-ace 0.4.0rc1
        structures = structures.replace(names=np.array([f'{path.name}:{row}' for row in range(len(structures))]))
    return structures, {'format': 'pacemaker', **report}


def _iter_frames(path: Path, kind: str, options: ImportOptions) -> Iterator[ase.Atoms]:
    """Yield one frame at a time: objects of ASE take several times the memory of their numbers."""
    import ase.io

    with _reading(path, options):
        yield from ase.io.iread(path, index=':', format=kind, do_not_split_by_at_sign=True)


@contextmanager
def _reading(path: Path, options: ImportOptions) -> Iterator[None]:
    """Say in one way that ASE cannot read a file.

    :raises FileFormatError: whatever ASE raises inside.
    """
    from ase.io.formats import UnknownFileTypeError

    try:
        yield
    except UnknownFileTypeError as exception:
        raise FileFormatError(
            f'`{path.name}` is not of a format that ASE recognises; state it as `format`, or rename a Pacemaker '
            'dataset to end in .pckl.gzip'
        ) from exception
    except Exception as exception:  # ASE's many readers raise what they like on a damaged file
        raise FileFormatError(
            f'`{path.name}` cannot be read as {options.format or "its format"}: {exception}'
        ) from exception


def _name_of_energy(image: ase.Atoms | None) -> str:
    """Return which energy the label of a structure is; those of the others are of the same kind."""
    if image is None:  # a set without structures is refused before
        return 'none'
    results = {} if image.calc is None else image.calc.results
    return next(key for place in (results, image.info) for key in ENERGY_KEYS if place.get(key) is not None)
