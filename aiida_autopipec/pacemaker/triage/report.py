"""What triage found."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.triage.rules import UNITS, FindingKind, TriageRules

MAX_LISTED = 1000
"""Findings of one kind that are written down one by one where nothing is dropped; their number always is."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that looks wrong with one structure.

    :param kind: what looks wrong.
    :param row: row of the structure in the dataset.
    :param name: its name.
    :param value: what was measured, in :data:`~aiida_autopipec.pacemaker.triage.rules.UNITS` of the kind.
    :param threshold: what it was compared with.
    :param sentence: both in words, with units.
    :param other: name of the structure that this one is a copy of, for duplicates.
    """

    kind: FindingKind
    row: int
    name: str
    value: float
    threshold: float
    sentence: str
    other: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored on a node."""
        fields = {**dataclasses.asdict(self), 'kind': self.kind.value, 'unit': UNITS[self.kind]}
        return {key: value for key, value in fields.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class TriageReport:
    """All findings of a dataset.

    :param n_structures: number of structures that were looked at.
    :param findings: in the order of rows.
    :param not_checked: one sentence for each thing that was not looked for, or not everywhere.
    """

    n_structures: int
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.findings)

    @property
    def counts(self) -> dict[FindingKind, int]:
        """Number of structures by kind of finding, those that occur only."""
        number = Counter(kind for kind, _ in {(finding.kind, finding.row) for finding in self.findings})
        return {kind: number[kind] for kind in FindingKind if number[kind]}

    def of_kind(self, kind: FindingKind) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def reasons_to_drop(self, rules: TriageRules) -> dict[int, tuple[Finding, ...]]:
        """Return by row, for each structure that the rules leave out, the findings that are the reason."""
        dropped_kinds = rules.dropped_kinds
        reasons: dict[int, list[Finding]] = {}
        for finding in self.findings:
            if finding.kind in dropped_kinds:
                reasons.setdefault(finding.row, []).append(finding)
        return {row: tuple(reasons[row]) for row in sorted(reasons)}

    def drop_mask(self, rules: TriageRules) -> NDArray[np.bool_]:
        """Return ``(n,)`` which structures the rules leave out."""
        mask = np.zeros(self.n_structures, dtype=bool)
        mask[list(self.reasons_to_drop(rules))] = True
        return mask

    def as_dict(self, rules: TriageRules) -> dict[str, Any]:
        """Return what is stored on a node: the rules, every structure that is dropped with its reasons, the findings.

        At most :data:`MAX_LISTED` findings of a kind are listed one by one; ``counts`` and ``dropped`` are complete.
        """
        reasons = self.reasons_to_drop(rules)
        return {
            'structures_in': self.n_structures,
            'structures_kept': self.n_structures - len(reasons),
            'structures_dropped': len(reasons),
            'counts': {kind.value: number for kind, number in self.counts.items()},
            'findings': [finding.as_dict() for kind in FindingKind for finding in self.of_kind(kind)[:MAX_LISTED]],
            'dropped': [
                {
                    'row': row,
                    'name': findings[0].name,
                    'kinds': [finding.kind.value for finding in findings],
                    'reasons': [finding.sentence for finding in findings],
                }
                for row, findings in reasons.items()
            ],
            'not_checked': list(self.not_checked),
            'rules': rules.model_dump(mode='json'),
        }


def summary(report: Mapping[str, Any]) -> str:
    """Say in one line what a stored report holds: each kind of finding with its number, and what is dropped.

    :param report: as :meth:`TriageReport.as_dict` returns it.
    """
    counts = ', '.join(f'{kind} {number}' for kind, number in report['counts'].items())
    parts = [f'{report["structures_in"]} structures were checked, {counts or "nothing looks wrong"}']
    if counts:
        number = report['structures_dropped']
        parts.append(f'{number} {"is" if number == 1 else "are"} dropped' if number else 'nothing is dropped')
    if report['not_checked']:
        parts.append('some checks were not possible everywhere')
    return '; '.join(parts)
