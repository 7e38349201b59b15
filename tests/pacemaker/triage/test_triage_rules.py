"""Rules: what they refuse, and what they leave out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError
from aiida_autopipec.pacemaker.triage import Action, FindingKind, TriageRules, apply, find_problems
from aiida_autopipec.pacemaker.triage import report as reports
from aiida_autopipec.pacemaker.triage.rules import UNITS


@pytest.mark.parametrize(
    ('mapping', 'sentence'),
    [
        ({'cutoff_angstroms': 5}, r'`rules.cutoff_angstroms` is unknown; did you mean `cutoff_angstrom`\?'),
        ({'xyzzy': 5}, '`rules.xyzzy` is unknown; the possible ones are cutoff_angstrom, '),
        (
            {'actions': {'too_clos': 'drop'}},
            r'`rules.actions.too_clos` is no kind of finding; did you mean `too_close`',
        ),
        ({'actions': {'too_close': 'delete'}}, "`rules.actions.too_close` is 'delete': input should be 'report' or"),
        ({'cutoff_angstrom': -1}, '`rules.cutoff_angstrom` is -1: input should be greater than 0'),
        ({'energy_outlier_score': float('nan')}, '`rules.energy_outlier_score` is nan: input should be'),
        ([], r'the rules must be a mapping, not \[\]'),
    ],
)
def test_wrong_rules_are_refused_in_one_sentence(mapping, sentence: str) -> None:
    """An unknown key is refused with the nearest one, an impossible value with what it may be."""
    with pytest.raises(ConfigError, match=sentence):
        TriageRules.from_mapping(mapping)


def test_rules_survive_json() -> None:
    """Rules that are written to a node or file are read back as the same rules."""
    rules = TriageRules(cutoff_angstrom=5.5, actions={FindingKind.DUPLICATE: Action.DROP}, min_volume_fraction=None)
    assert TriageRules.from_mapping(json.loads(rules.model_dump_json())) == rules


def test_rules_and_kinds_are_described() -> None:
    """Each rule has a description, and each kind of finding a unit."""
    assert all(field.description for field in TriageRules.model_fields.values())
    assert set(UNITS) == set(FindingKind)


def test_nothing_is_dropped_by_default(make_set, append) -> None:
    """Without an action a finding is reported, and the very same structures are kept."""
    structures = append(make_set(), 5)
    rules = TriageRules()
    report = find_problems(structures, rules)
    assert len(report.findings) == 1
    assert apply(structures, report, rules) == (structures, None)


def test_dropped_structures_are_listed_with_reasons(make_set, append) -> None:
    """What is dropped is returned and listed with all reasons; findings of other kinds drop nothing."""
    structures = append(make_set(), 5)
    energy = structures.energy.copy()
    energy[7] += 4
    structures = structures.replace(energy=energy)
    rules = TriageRules.from_mapping({'actions': {'duplicate': 'drop', 'energy_outlier': 'report'}})
    report = find_problems(structures, rules)
    kept, dropped = apply(structures, report, rules)
    assert dropped is not None
    assert dropped.names.tolist() == ['copy']
    assert len(kept) == 30
    summary = report.as_dict(rules)
    assert (summary['structures_in'], summary['structures_kept']) == (31, 30)
    assert summary['counts'] == {'energy_outlier': 1, 'duplicate': 1}
    (entry,) = summary['dropped']
    assert (entry['row'], entry['name'], entry['kinds']) == (30, 'copy', ['duplicate'])
    assert entry['reasons'] == ['it is the same structure as `frame-5` (row 5), with the same labels']
    assert summary['rules']['actions'] == {'duplicate': 'drop', 'energy_outlier': 'report'}


def test_report_is_json(make_set, append) -> None:
    """A report holds nothing that JSON or the database cannot: no NaN, no infinity, no numpy."""
    structures = make_set()
    cells, positions = structures.cells.copy(), structures.positions.copy()
    cells[3, 2] = cells[3, 0] + [0, 0, 0.01]
    cells[6], positions[24:28] = 90 * np.eye(3), 20 * np.arange(4)[:, None]
    structures = append(structures.replace(cells=cells, positions=positions), 5)
    rules = TriageRules()
    summary = find_problems(structures, rules).as_dict(rules)
    assert len(summary['counts']) >= 3
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_long_lists_are_cut_but_counted(make_set, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many findings of a kind the first are listed, but counts and dropped structures are complete."""
    monkeypatch.setattr(reports, 'MAX_LISTED', 3)
    structures = make_set(20)
    numbers = structures.numbers.copy()
    numbers[::8] = 12
    rules = TriageRules.from_mapping({'min_structures_per_element': 15, 'actions': {'rare_element': 'drop'}})
    summary = find_problems(structures.replace(numbers=numbers), rules).as_dict(rules)
    assert summary['counts']['rare_element'] == 10
    assert len([found for found in summary['findings'] if found['kind'] == 'rare_element']) == 3
    assert len(summary['dropped']) == 10


def test_rules_that_leave_nothing_are_refused(make_set) -> None:
    """Dropping every structure is an error that names the kinds of findings."""
    structures = make_set(5)
    rules = TriageRules.from_mapping({'actions': {'rare_element': 'drop'}})
    with pytest.raises(DatasetError, match=r'the rules drop all 5 structures \(rare_element\)'):
        apply(structures, find_problems(structures, rules), rules)


def test_report_of_another_set_is_refused(make_set) -> None:
    """A report is applied to the structures that it is of."""
    rules = TriageRules()
    with pytest.raises(DatasetError, match='the report is of 5 structures, but the dataset has 4'):
        apply(make_set(4), find_problems(make_set(5), rules), rules)


def test_findings_do_not_depend_on_the_order(make_set, append) -> None:
    """Shuffled structures have the same findings, by name, where no copies are involved."""
    structures = make_set(40)
    energy = structures.energy.copy()
    energy[7] += 4
    structures = structures.replace(energy=energy)
    order = np.random.default_rng(0).permutation(40)
    assert [found.name for found in find_problems(structures.take(order)).findings] == ['frame-7']


def test_triage_needs_no_aiida() -> None:
    """Triage and plots can be used without AiiDA."""
    code = (
        'import sys, aiida_autopipec.pacemaker.triage, aiida_autopipec.pacemaker.plots; print("aiida" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'


def test_page_lists_all_rules_and_kinds() -> None:
    """The page about triage names each kind of finding, and each rule with its default."""
    page = (Path(__file__).parents[3] / 'docs' / 'how-to' / 'triage.md').read_text()
    for name, field in TriageRules.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert f'| `{name}` | {default} |' in page
    assert all(f'| `{kind.value}` |' in page for kind in FindingKind)
