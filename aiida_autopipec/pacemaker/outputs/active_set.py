"""Active sets (``.asi``): an npz archive with one inverse matrix per element, as ``pace_activeset`` writes it."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError

#: Largest total size of the matrices (bytes): 100 elements of 1 000 functions take 0.8 GB.
MAX_BYTES = 1024**3

_MEMBER = re.compile(r'([A-Z][a-z]?)\.npy\Z')

#: Entries of the inverse of a set in which a function is zero for all atoms: the program puts 1e-16 in its place. Real
#: sets stay below 1e5.
SINGULAR_ENTRY = 1e12
#: Singular values below this fraction of the largest are rounding.
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class ActiveSetInfo:
    """Facts about an active set.

    :param n_functions: rows of the inverse matrix by element: its functions, times the densities for a nonlinear one.
    :param finite: no entry is NaN or infinite; a set of too similar structures may not be.
    :param largest_entry: largest absolute value by element; values far above 1e8 tell of a nearly singular set, which
        gives useless extrapolation grades.
    :param rank: numerical rank of the matrix by element; 0 if it is not finite.
    """

    n_functions: Mapping[str, int]
    finite: bool
    largest_entry: Mapping[str, float]
    rank: Mapping[str, int]

    @property
    def singular_elements(self) -> tuple[str, ...]:
        """Return the elements whose atoms could not tell all functions apart: gamma means nothing there."""
        return tuple(
            sorted(
                element
                for element, n in self.n_functions.items()
                if self.rank[element] < n or self.largest_entry[element] > SINGULAR_ENTRY
            )
        )

    @property
    def elements(self) -> tuple[str, ...]:
        """Return the chemical symbols, sorted."""
        return tuple(sorted(self.n_functions))


def parse_active_set(content: bytes, *, max_bytes: int = MAX_BYTES) -> ActiveSetInfo:
    """Read an active set without trusting it.

    :param content: bytes of the ``.asi`` file.
    :param max_bytes: limit for the unpacked size.
    :raises UnsafeFileError: if the archive unpacks to more than ``max_bytes``, or would need pickle.
    :raises FileFormatError: if it is no active set.
    """
    matrices = _read_matrices(content, max_bytes)
    magnitudes = {element: float(np.abs(matrix).max(initial=0.0)) for element, matrix in matrices.items()}
    return ActiveSetInfo(
        n_functions={element: len(matrix) for element, matrix in matrices.items()},
        finite=all(bool(np.isfinite(matrix).all()) for matrix in matrices.values()),
        largest_entry=magnitudes,
        rank={element: _rank(matrix) for element, matrix in matrices.items()},
    )


def _rank(matrix: NDArray[np.float64]) -> int:
    """Return the numerical rank; the program inverts singular sets too, by the pseudoinverse, which has the same."""
    if not np.isfinite(matrix).all():
        return 0
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(values > values[0] * _NEGLIGIBLE))


def _read_matrices(content: bytes, max_bytes: int) -> dict[str, NDArray[np.float64]]:
    """Return the matrix of each element."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > max_bytes:
                raise UnsafeFileError(
                    f'the active set unpacks to {size} bytes, more than {max_bytes}; refuse this file.'
                )
            matrices = {}
            for member in members:
                match = _MEMBER.match(member.filename)
                if match is None:
                    raise FileFormatError(
                        f'the active set holds {member.filename!r}, which is no element; give an `.asi`.'
                    )
                with archive.open(member) as stream:
                    matrices[match[1]] = _read_matrix(stream, match[1], member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise FileFormatError(f'the active set is damaged or not an `.asi` ({error}); make it again.') from None
    if not matrices:
        raise FileFormatError('the active set has no element; make it again with `pace_activeset`.')
    return matrices


def _read_matrix(stream: IO[bytes], element: str, size: int) -> NDArray[np.float64]:
    """Return one square matrix; its header must not promise more than the member holds.

    numpy allocates what the header says before it reads.
    """
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(stream)
    except (KeyError, ValueError) as error:
        raise FileFormatError(f'the active set of {element} is not a numpy array ({error}).') from None
    if dtype.hasobject:
        raise UnsafeFileError(f'the active set of {element} holds Python objects, which reading would execute.')
    if dtype.kind != 'f' or len(shape) != 2 or shape[0] != shape[1] or min(shape) < 1:
        raise FileFormatError(
            f'the active set of {element} is {dtype} of shape {shape}, not a square matrix of floats.'
        )
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > size:
        raise FileFormatError(f'the active set of {element} promises {n_bytes} bytes and holds {size}; it is damaged.')
    data = stream.read(n_bytes)
    if len(data) != n_bytes:
        raise FileFormatError(f'the active set of {element} is cut off; copy or make it again.')
    matrix = np.frombuffer(data, dtype=dtype).reshape(shape, order='F' if fortran else 'C')
    return matrix.astype(np.float64)
