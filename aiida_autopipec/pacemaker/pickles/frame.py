"""What comes out of a dataset file, and the limits under which it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

GIB = 1 << 30
#: Below this, the ratio of decompressed to compressed size says nothing: a few equal structures shrink a lot.
UNSUSPICIOUS_BYTES = 256 << 20


@dataclass(frozen=True)
class ReadLimits:
    """Limits for reading one untrusted file; exceeding any of them ends in an ``UnsafeFileError``.

    The defaults serve a million structures of 32 atoms (1.8 GiB of arrays). Labelled structures shrink by less than
    half, and a file of equal structures about tenfold, so a hundredfold ratio beyond 256 MiB is no dataset.

    :param max_decompressed_bytes: bound of the decompressed pickle, and of the arrays that are handed back, which are
        in memory beside those of the reading process (in a temporary file where the system has no files in memory).
    :param max_ratio: bound of decompressed over compressed size, once 256 MiB are passed.
    :param memory_bytes: address space of the reading process at most; a smaller file gets less (see
        :meth:`memory_bytes_for`). A file of many small objects (one ``ase.Atoms`` per structure, as pandas writes it)
        takes 5 to 6 times its own size, one that this package wrote 2 times.
    :param seconds: processor time of the reading process, and the wall-clock time that the caller waits for it.
    """

    max_decompressed_bytes: int = 8 * GIB
    max_ratio: float = 100.0
    memory_bytes: int = 24 * GIB
    seconds: float = 600.0

    def decompressed_bytes_for(self, file_size: int) -> int:
        """Return how many bytes a file of ``file_size`` compressed bytes may decompress to."""
        return min(self.max_decompressed_bytes, max(UNSUSPICIOUS_BYTES, int(self.max_ratio * file_size)))

    def memory_bytes_for(self, file_size: int) -> int:
        """Return the address space for a file: 1 GiB (Python and numpy take a third) and four times its content."""
        return min(self.memory_bytes, GIB + 4 * self.decompressed_bytes_for(file_size))


@dataclass(frozen=True, eq=False)
class RawFrame:
    """The plain arrays of a dataset file with ``n`` rows and ``total`` atoms, as the file gives them.

    A label that a row lacks (``None`` or NaN in the file) is NaN here, and an empty string in a column of strings.

    :param offsets: (n + 1,) int64; the atoms of row ``i`` are ``offsets[i]:offsets[i + 1]`` of the per-atom arrays.
    :param index: (n,) int64, the row labels of the table; ``0 .. n - 1`` where the file's labels are no integers.
    :param numbers: (total,) int64 atomic numbers, or None in a table without ``ase_atoms`` (``train_pred``).
    :param positions: (total, 3) in Å, or None.
    :param cells: (n, 3, 3) in Å, one cell vector per row, or None.
    :param pbc: (n, 3) bool, or None.
    :param columns: one (n,) array of float64, int64, bool or strings per column of plain values.
    :param atom_columns: one (total, ...) float64 array per column with a value for each atom, such as ``forces``.
    :param vector_columns: one (n, k) float64 array per column with the same few numbers in each row, such as ``stress``
        (k = 6, or 9 for a full tensor in row order).
    :param calculator_energy: (n,) energies of attached ASE calculators, or None if no structure has one.
    :param calculator_free_energy: (n,) the same for ``free_energy``, from which a smeared calculation's forces derive.
    :param calculator_forces: (total, 3), or None.
    :param calculator_stress: (n, 6) in ASE's Voigt order, or None.
    :param ignored: one sentence for each thing in the file that is not in these arrays.
    """

    offsets: NDArray[np.int64]
    index: NDArray[np.int64]
    numbers: NDArray[np.int64] | None = None
    positions: NDArray[np.float64] | None = None
    cells: NDArray[np.float64] | None = None
    pbc: NDArray[np.bool_] | None = None
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    atom_columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    vector_columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    calculator_energy: NDArray[np.float64] | None = None
    calculator_free_energy: NDArray[np.float64] | None = None
    calculator_forces: NDArray[np.float64] | None = None
    calculator_stress: NDArray[np.float64] | None = None
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.offsets) - 1
