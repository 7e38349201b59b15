"""What the checks share: the dataset, what has been computed of it, and the list of findings."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.triage.alike import Compositions
from aiida_autopipec.pacemaker.triage.neighbours import Neighbours
from aiida_autopipec.pacemaker.triage.report import Finding
from aiida_autopipec.pacemaker.triage.rules import FindingKind, TriageRules


@dataclasses.dataclass(eq=False)
class Inspection:
    """A look at a dataset.

    :param structures: the dataset.
    :param rules: thresholds.
    :param composition: numbers of atoms by element.
    :param neighbours: nearest neighbours within the cutoff of the rules.
    :param findings: what was found so far.
    :param not_checked: what could not be looked for, in sentences.
    """

    structures: LabelledStructures
    rules: TriageRules
    composition: Compositions
    neighbours: Neighbours
    findings: list[Finding] = dataclasses.field(default_factory=list)
    not_checked: list[str] = dataclasses.field(default_factory=list)

    @property
    def isolated(self) -> NDArray[np.bool_]:
        """``(n,)``: in which structures no atom has a neighbour within the cutoff."""
        nearest = np.minimum.reduceat(self.neighbours.distances, self.structures.offsets[:-1])
        return np.asarray(~np.isfinite(nearest))

    def add(
        self, kind: FindingKind, row: int, value: float, threshold: float, sentence: str, other: int | None = None
    ) -> None:
        """Write down a finding.

        :param other: row of the structure that this one is a copy of.
        """
        names = self.structures.names
        self.findings.append(
            Finding(
                kind=kind,
                row=row,
                name=str(names[row]),
                value=float(value),
                threshold=float(threshold),
                sentence=sentence,
                other=None if other is None else str(names[other]),
            )
        )

    def skip(self, kind: FindingKind, reason: str) -> None:
        """Write down what is not looked for, or not everywhere."""
        self.not_checked.append(f'{kind.value}: {reason}')
