"""Read a dataset file that nobody vouches for: start the child process, and check what it answers."""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import tempfile
from io import BufferedRandom
from pathlib import Path
from typing import IO, Any, BinaryIO

import isal
import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import AutopipecError, DatasetError, FileFormatError, InputError, UnsafeFileError
from aiida_autopipec.pacemaker.pickles.frame import RawFrame, ReadLimits
from aiida_autopipec.pacemaker.pickles.sandbox import wire

_CHILD = Path(__file__).parent / 'sandbox' / 'main.py'
#: The dynamic loader may need these to start Python or numpy on a cluster; nothing else of the environment goes on.
_LOADER_VARIABLES = ('LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SYSTEMROOT')
_SETTINGS = {
    **{f'{library}_NUM_THREADS': '1' for library in ('OPENBLAS', 'OMP', 'MKL')},
    # memory comes in pieces of 2 MiB instead of 4 kB, where the C library and the system know how
    'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1',
}
_ERRORS: dict[str, type[InputError]] = {
    error.__name__: error for error in (DatasetError, FileFormatError, UnsafeFileError)
}
_MAX_MESSAGE = 500
_MAX_POLL = 2**31 - 1  # milliseconds that fit into what the system takes


def read_frame(path: str | os.PathLike[str], limits: ReadLimits | None = None) -> RawFrame:
    """Return the plain arrays of a Pacemaker dataset (``.pckl.gzip``, ``.pkl.gz``) without running anything in it.

    Reads what pandas 1.1 to 3.1 wrote, with calculators attached or not, and what Pacemaker itself writes
    (``fitting_data_info``, ``train_pred``, ``selected``).

    :param path: the file.
    :param limits: bounds for memory, time and size; default :class:`ReadLimits`.
    :raises FileFormatError: if the file does not exist, is no dataset, or is damaged or truncated.
    :raises UnsafeFileError: if it names what no dataset needs, or exceeds the limits.
    :raises DatasetError: if its labels contradict its structures; the message names the row.
    """
    path = Path(path)
    try:
        return _read(path, limits or ReadLimits())
    except InputError as error:
        raise type(error)(f'{path.name}: {error}') from error.__cause__


def _read(path: Path, limits: ReadLimits) -> RawFrame:
    if path.exists() and not path.is_file():
        raise FileFormatError('This is not a Pacemaker dataset: it is no regular file.')  # a pipe may never end
    try:
        file = path.open('rb')
    except OSError as error:
        raise FileFormatError(f'The file cannot be opened ({error.strerror}); check its name.') from error
    with file, _file_in_memory() as answer, tempfile.TemporaryDirectory() as folder:
        status = _run_child(file, answer, folder, limits)
        answer.seek(0)
        try:
            head = wire.receive_head(answer)
        except ValueError:
            raise _silence(status) from None
        if 'error' in head:
            kind = _ERRORS.get(str(head['error']), FileFormatError)
            raise kind(_printable(str(head.get('message'))))
        try:
            return _checked_frame(wire.receive_arrays(answer, head), head.get('ignored', []))
        except (ValueError, KeyError, TypeError) as error:
            raise UnsafeFileError('Reading the file gave arrays that contradict each other: refused.') from error


def _file_in_memory() -> BufferedRandom:
    """Return a file that needs no disk, where the system has such files."""
    try:
        descriptor = _open_memory()
    except (AttributeError, OSError):
        return tempfile.TemporaryFile()
    return os.fdopen(descriptor, 'w+b')


def _open_memory() -> int:
    if sys.platform != 'linux':
        raise OSError('there are none')
    return os.memfd_create('dataset')


def _run_child(file: BinaryIO, answer: IO[bytes], folder: str, limits: ReadLimits) -> int:
    """Run the child to its end and return its exit status."""
    size = os.fstat(file.fileno()).st_size
    request = {
        'packages': sorted({str(Path(package.__path__[0]).parent) for package in (np, isal)}),
        'bytes': limits.decompressed_bytes_for(size),
        'memory': limits.memory_bytes_for(size),
        'seconds': math.ceil(limits.seconds),
    }
    environment = {name: os.environ[name] for name in _LOADER_VARIABLES if name in os.environ} | _SETTINGS
    command = [sys.executable, '-I', '-S', str(_CHILD.resolve()), json.dumps(request)]
    with subprocess.Popen(
        command, stdin=file, stdout=answer, stderr=subprocess.DEVNULL, cwd=folder, env=environment
    ) as child:
        try:
            return _wait(child, limits.seconds)
        except subprocess.TimeoutExpired:
            raise UnsafeFileError(
                f'Reading the file took more than {limits.seconds:g} s: stopped (raise `seconds` of ReadLimits).'
            ) from None
        finally:
            child.kill()  # nothing happens to one that has ended


def _wait(child: subprocess.Popen[bytes], seconds: float) -> int:
    """Wait until a process ends, and return its exit status.

    With a limit, ``Popen.wait`` looks after the process every 50 ms only; Linux can say when it ends.

    :raises subprocess.TimeoutExpired: if it does not within that time.
    """
    try:
        descriptor = _open_process(child.pid)
    except (AttributeError, OSError):  # not every system, Python, kernel and container has it
        return child.wait(seconds)
    try:
        ends = select.poll()
        ends.register(descriptor, select.POLLIN)
        if not ends.poll(min(1000 * seconds, _MAX_POLL)):
            raise subprocess.TimeoutExpired(child.args, seconds)
    finally:
        os.close(descriptor)
    return child.wait(seconds)


def _open_process(pid: int) -> int:
    """Return a file descriptor that is ready when a process ends."""
    if sys.platform != 'linux':
        raise OSError('there are none')
    return os.pidfd_open(pid)


def _silence(status: int) -> AutopipecError:
    """Return the error for a child that ended without an answer: by a signal at its limits, or before it began."""
    if status > 0:
        return AutopipecError(
            f'The process that reads untrusted files failed (status {status}): {sys.executable} must be able to '
            'import numpy and isal, and without files in memory (not Linux) the folder for temporary files needs room.'
        )
    return UnsafeFileError(
        f'The process that reads the file ended without an answer (signal {-status}), most likely at its limits of '
        'memory and time: refused (raise those of ReadLimits if you trust it).'
    )


def _printable(text: str) -> str:
    """Return a text of an untrusted file as it may be shown in a terminal."""
    return ''.join(c if c.isprintable() else '?' for c in text[:_MAX_MESSAGE])


def _checked_frame(arrays: dict[str, NDArray[Any]], ignored: list[Any]) -> RawFrame:
    """Return the frame if all shapes fit together.

    :raises ValueError: if they do not.
    """
    offsets = _typed(arrays.pop('offsets'), 'i')
    if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
        raise ValueError('offsets')
    n, total = len(offsets) - 1, int(offsets[-1])
    calculator = {key: arrays.pop(f'calculator:{key}', None) for key in ('energy', 'free_energy', 'forces', 'stress')}
    structure = {key: arrays.pop(key, None) for key in ('numbers', 'positions', 'cells', 'pbc')}
    grouped: dict[str, dict[str, NDArray[Any]]] = {'column': {}, 'atoms': {}, 'vector': {}}
    index = arrays.pop('index')
    for key, array in arrays.items():
        group, name = key.split(':', 1)
        grouped[group][name] = array
    return RawFrame(
        offsets=offsets,
        index=_shaped(_typed(index, 'i'), (n,)),
        numbers=_optional(structure['numbers'], 'i', (total,)),
        positions=_optional(structure['positions'], 'f', (total, 3)),
        cells=_optional(structure['cells'], 'f', (n, 3, 3)),
        pbc=_optional(structure['pbc'], 'b', (n, 3)),
        columns={name: _shaped(array, (n,)) for name, array in grouped['column'].items()},
        atom_columns={name: _rows(array, total) for name, array in grouped['atoms'].items()},
        vector_columns={name: _rows(array, n) for name, array in grouped['vector'].items()},
        calculator_energy=_optional(calculator['energy'], 'f', (n,)),
        calculator_free_energy=_optional(calculator['free_energy'], 'f', (n,)),
        calculator_forces=_optional(calculator['forces'], 'f', (total, 3)),
        calculator_stress=_optional(calculator['stress'], 'f', (n, 6)),
        ignored=tuple(_printable(str(what)) for what in ignored),
    )


def _typed(array: NDArray[Any], kind: str) -> NDArray[Any]:
    if array.dtype.kind != kind:
        raise ValueError(f'type {array.dtype}')
    return array


def _shaped(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f'shape {array.shape}')
    return array


def _rows(array: NDArray[Any], count: int) -> NDArray[Any]:
    return _shaped(_typed(array, 'f'), (count, *array.shape[1:]))


def _optional(array: NDArray[Any] | None, kind: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    return None if array is None else _shaped(_typed(array, kind), shape)
