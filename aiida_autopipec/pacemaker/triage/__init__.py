"""Triage of a dataset: what looks wrong before anyone trains on it.

:func:`find_problems` looks and changes nothing, :func:`apply` leaves out what the rules say, and lists it.
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.triage.check import apply, find_problems
from aiida_autopipec.pacemaker.triage.report import Finding, TriageReport
from aiida_autopipec.pacemaker.triage.rules import Action, FindingKind, TriageRules

__all__ = ['Action', 'Finding', 'FindingKind', 'TriageReport', 'TriageRules', 'apply', 'find_problems']
