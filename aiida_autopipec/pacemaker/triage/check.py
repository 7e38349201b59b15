"""Triage as a whole: look at everything, then leave out what the rules say."""

from __future__ import annotations

from collections.abc import Sequence

from aiida_autopipec.pacemaker.dataset.pool import Loadable, Pool
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import DatasetError
from aiida_autopipec.pacemaker.triage.copies import check_copies
from aiida_autopipec.pacemaker.triage.geometry import check_contacts, check_elements, check_isolation, check_volumes
from aiida_autopipec.pacemaker.triage.inspection import Inspection
from aiida_autopipec.pacemaker.triage.labels import check_energies, check_forces
from aiida_autopipec.pacemaker.triage.report import TriageReport
from aiida_autopipec.pacemaker.triage.rules import TriageRules
from aiida_autopipec.pacemaker.triage.traits import join_traits, traits_of

_CHECKS = (
    check_energies,
    check_forces,
    check_contacts,
    check_volumes,
    check_isolation,
    check_elements,
    check_copies,
)


def find_problems(
    structures: LabelledStructures | Sequence[Loadable], rules: TriageRules | None = None
) -> TriageReport:
    """Look for what is wrong with a dataset before anyone trains on it; nothing is changed.

    Structures without labels are checked too; the report says what could not be looked for.

    :param structures: the dataset, or its parts, of which only a few are in memory at a time.
    :param rules: thresholds, by default those of :class:`TriageRules`.
    """
    rules = TriageRules() if rules is None else rules
    parts: Sequence[Loadable] = [structures] if isinstance(structures, LabelledStructures) else structures
    # loaded for this and let go: the pool reads again what is compared later
    traits = join_traits((traits_of(part.load(), rules) for part in parts), sum(len(part) for part in parts))
    inspection = Inspection(pool=Pool(parts), traits=traits, rules=rules)
    for check in _CHECKS:
        check(inspection)
    findings = sorted(inspection.findings, key=lambda finding: finding.row)
    return TriageReport(len(traits), tuple(findings), tuple(inspection.not_checked))


def apply(
    structures: LabelledStructures, report: TriageReport, rules: TriageRules
) -> tuple[LabelledStructures, LabelledStructures | None]:
    """Leave out the structures with a finding for which the rules say ``drop``.

    Why each of them is left out is in :meth:`TriageReport.reasons_to_drop`.

    :param report: of these structures.
    :return: what is kept, the very same object if nothing is dropped; and what is dropped, ``None`` if nothing is.
    :raises DatasetError: if the report is of other structures, or the rules leave nothing.
    """
    check_report(report, len(structures), rules)
    mask = report.drop_mask(rules)
    if not mask.any():
        return structures, None
    return structures.take(~mask), structures.take(mask)


def check_report(report: TriageReport, n_structures: int, rules: TriageRules) -> None:
    """Check that a report can be applied.

    :raises DatasetError: if it is of another number of structures, or the rules leave nothing.
    """
    if report.n_structures != n_structures:
        raise DatasetError(f'the report is of {report.n_structures} structures, but the dataset has {n_structures}')
    if report.drop_mask(rules).all():
        kinds = ', '.join(sorted(kind.value for kind in rules.dropped_kinds & set(report.counts)))
        raise DatasetError(
            f'the rules drop all {n_structures} structures ({kinds}): nothing is left to train on; drop fewer kinds of '
            'findings or change their thresholds'
        )
