"""What a part of a dataset can do, whether it is in memory or in a file."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures


class Part(Protocol):
    """Structures whose arrays can be asked for one by one, so that they need not be in memory together."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms in all structures."""

    @property
    def present(self) -> frozenset[str]:
        """Which fields there are."""

    def __len__(self) -> int: ...

    def field(self, name: str) -> NDArray[Any]:
        """Return one array."""


class LoadablePart(Part, Protocol):
    """Structures that can be read array by array, or as a whole."""

    def load(self) -> LabelledStructures:
        """Return the structures as a whole."""
