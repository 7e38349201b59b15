"""The folder of a finished fit, as a user of Pacemaker keeps it. Everything in it is untrusted."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.input_files.check import InputReport, check_input
from aiida_autopipec.pacemaker.input_files.document import MAX_BYTES
from aiida_autopipec.pacemaker.input_files.remarks import Level, Remark

MAX_FILE_BYTES = 512 * 1024**2
"""Largest file that is kept; the log of a fit of a week has some 10 MB."""

_KEPT = (
    filenames.OUTPUT_POTENTIAL,
    filenames.OUTPUT_LAMMPS_POTENTIAL,
    filenames.OUTPUT_ACTIVE_SET,
    filenames.INTERIM_POTENTIALS,
    filenames.LOG,
    filenames.METRICS,
    filenames.CYCLE_METRICS,
    filenames.LADDER_METRICS,
    filenames.TEST_METRICS,
    filenames.TRAINING_PREDICTIONS,
    filenames.TEST_PREDICTIONS,
    filenames.PREDICTIONS,
    filenames.ENVIRONMENT,
    filenames.COLLECT_OUTCOME,
    '*.out',
    '*.err',
)


@dataclass(frozen=True)
class FitFolder:
    """A finished fit.

    :param path: the folder.
    :param report: what its input means; keys that Pacemaker ignored are left out of the settings.
    :param remarks: what the folder lacks.
    """

    path: Path
    report: InputReport
    remarks: tuple[Remark, ...]

    def datasets(self) -> list[Path]:
        """Return the training sets.

        :raises FileFormatError: if one is not in the folder; it says with which option to give it.
        """
        names = self.report.files.datasets
        if not names:
            raise FileFormatError(f'`{filenames.INPUT}` names no data: give them with --dataset')
        return [self._inside(name, 'the dataset', '--dataset') for name in names]

    def test_datasets(self) -> list[Path]:
        """Return the test sets, none if the input names none.

        :raises FileFormatError: if one is not in the folder.
        """
        return [self._inside(name, 'the test set', '--test-dataset') for name in self.report.files.test_datasets]

    def initial_potential(self) -> Path | None:
        """Return the potential that the fit started from, if the input names one.

        :raises FileFormatError: if it is not in the folder.
        """
        name = self.report.files.initial_potential or self.report.files.potential
        return None if name is None else self._inside(name, 'the potential', '--initial-potential')

    def _inside(self, name: str, kind: str, option: str) -> Path:
        """Return a file that the input names; one elsewhere is not read, because the input is not the user's word."""
        places = [self.path / name]
        if self.report.files.datapath is not None:
            places.append(self.path / self.report.files.datapath / name)
        for place in places:
            try:
                check_regular(self.path, place)
            except (FileNotFoundError, UnsafeFileError, ValueError):
                continue
            return place
        raise FileFormatError(
            f'{kind} `{name}` that `{filenames.INPUT}` names is not in the folder `{self.path}`: give it with {option}'
        )


def read_fit_folder(path: Path, *, input_filename: str = filenames.INPUT) -> FitFolder:
    """Look at the folder of a finished fit; no data are read yet.

    :param path: the folder.
    :param input_filename: name of the input in it.
    :raises FileFormatError: if it lacks the input, or any potential.
    :raises UnsafeFileError: if a file that would be kept is a link that leads out of it, a pipe, or too large.
    """
    if not path.is_dir():
        raise FileFormatError(f'there is no folder `{path}`')
    text = _read_input(path, input_filename)
    report = check_input(text, done=True)
    check_kept_files(path)
    if not any((path / name).is_file() for name in (filenames.OUTPUT_POTENTIAL, filenames.FIRST_INTERIM_POTENTIAL)):
        raise FileFormatError(
            f'the folder `{path}` has neither `{filenames.OUTPUT_POTENTIAL}` nor '
            f'`{filenames.FIRST_INTERIM_POTENTIAL}`: rename the potential if `pacemaker -o` gave it another name'
        )
    return FitFolder(path, report, tuple(_missing(path)))


def _read_input(path: Path, name: str) -> str:
    try:
        size = check_regular(path, path / name)
    except FileNotFoundError:
        raise FileFormatError(
            f'the folder `{path}` has no `{name}`: name the input of Pacemaker with --input, or choose the folder that '
            'it ran in'
        ) from None
    if size > MAX_BYTES:
        raise UnsafeFileError(f'`{name}` has {size} bytes: no input is that large')
    try:
        return (path / name).read_text(encoding='utf-8')
    except UnicodeDecodeError:
        raise FileFormatError(f'`{name}` is no text') from None


def check_kept_files(path: Path) -> None:
    """Check the files that would be copied from a folder.

    :raises UnsafeFileError: if one is a link that leads out of the folder, no regular file, or too large.
    """
    for pattern in _KEPT:
        for file in sorted(path.glob(pattern)):
            size = check_regular(path, file)
            if size > MAX_FILE_BYTES:
                raise UnsafeFileError(
                    f'`{file.name}` has {size} bytes, more than {MAX_FILE_BYTES}: remove or shorten it'
                )


def check_regular(folder: Path, file: Path) -> int:
    """Return the size of a file in a folder.

    :raises FileNotFoundError: if it is not there.
    :raises UnsafeFileError: if it is no regular file, or not in the folder: a link would bring any file of the user
        into the database, and a pipe would be waited for without end.
    """
    real = file.resolve(strict=True)
    if not real.is_relative_to(folder.resolve()):
        raise UnsafeFileError(f'`{file.name}` leads out of the folder, to `{real}`: copy the file into the folder')
    information = real.stat()
    if not stat.S_ISREG(information.st_mode):
        raise UnsafeFileError(f'`{file.name}` is no regular file: remove it from the folder')
    return information.st_size


def _missing(path: Path) -> Iterator[Remark]:
    """Yield what the graph will lack."""
    for name, text in (
        (filenames.OUTPUT_POTENTIAL, 'is not there: the fit counts as interrupted'),
        (filenames.METRICS, 'is not there: whether the fit was any good cannot be told'),
        (filenames.LOG, 'is not there: versions, times and sizes will be missing'),
        (filenames.TRAINING_PREDICTIONS, 'is not there: errors on the data will be missing'),
    ):
        if not (path / name).is_file():
            yield Remark(Level.ADVICE, (name,), text)
