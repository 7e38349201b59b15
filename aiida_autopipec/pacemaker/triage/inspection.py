"""What the checks share: the dataset, what is known of it, and the list of findings."""

from __future__ import annotations

import dataclasses

from aiida_autopipec.pacemaker.dataset.pool import Pool
from aiida_autopipec.pacemaker.triage.report import Finding
from aiida_autopipec.pacemaker.triage.rules import FindingKind, TriageRules
from aiida_autopipec.pacemaker.triage.traits import Traits


@dataclasses.dataclass(eq=False)
class Inspection:
    """A look at a dataset.

    :param pool: the dataset.
    :param traits: what is known of each structure.
    :param rules: thresholds.
    :param findings: what was found so far.
    :param not_checked: what could not be looked for, in sentences.
    """

    pool: Pool
    traits: Traits
    rules: TriageRules
    findings: list[Finding] = dataclasses.field(default_factory=list)
    not_checked: list[str] = dataclasses.field(default_factory=list)

    def add(
        self, kind: FindingKind, row: int, value: float, threshold: float, sentence: str, other: int | None = None
    ) -> None:
        """Write down a finding.

        :param other: row of the structure that this one is a copy of.
        """
        names = self.traits.names
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
