"""How structures are grouped in plots: by composition, or by what their names begin with."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage.alike import Compositions

MAX_GROUPS = 7
OTHER = 'other'
_NUMBERED_END = re.compile(r'([-_.]?(\d[\d.]*|[0-9a-f]{12}))+$')


@dataclasses.dataclass(frozen=True)
class Groups:
    """Groups of structures, the largest first, the rest as ``other``.

    :param labels: name of each group.
    :param members: ``(n,)`` number of the group of each structure.
    """

    labels: tuple[str, ...]
    members: NDArray[np.int64]


def group_structures(structures: LabelledStructures, composition: Compositions) -> Groups:
    """Group by reduced formula where there are several, otherwise by family of names (``fcc-volume-0.80``)."""
    reduced = composition.counts // np.gcd.reduce(composition.counts, axis=1)[:, None]
    _, first, members = np.unique(reduced, axis=0, return_index=True, return_inverse=True)
    if len(first) > 1:
        return _largest([composition.formula(row) for row in first.tolist()], members.reshape(-1))
    stems = [_NUMBERED_END.sub('', name) or name for name in structures.names.tolist()]
    families, members = np.unique(np.array(stems), return_inverse=True)
    if len(families) > max(2 * MAX_GROUPS, len(structures) // 2):
        return Groups(labels=(composition.formula(0),), members=np.zeros(len(structures), dtype=np.int64))
    return _largest(families.tolist(), members.reshape(-1))


def _largest(labels: list[str], members: NDArray[np.int64]) -> Groups:
    """Keep the largest groups and put the others together."""
    sizes = np.bincount(members, minlength=len(labels))
    order = np.lexsort((np.array(labels), -sizes))
    number = np.empty(len(labels), dtype=np.int64)
    number[order] = np.arange(len(labels))
    names = [labels[place] for place in order.tolist()]
    if len(names) > MAX_GROUPS + 1:
        names = [*names[:MAX_GROUPS], OTHER]
    return Groups(labels=tuple(names), members=np.minimum(number[members], len(names) - 1))
