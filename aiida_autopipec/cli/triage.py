"""The command that looks for what is wrong with a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_autopipec.cli.messages import blame, table
from aiida_autopipec.cli.params import options, types
from aiida_autopipec.pacemaker.triage import FindingKind, TriageRules

if TYPE_CHECKING:
    from aiida_autopipec.data.dataset import PaceDatasetData

MAX_NAMES = 3
"""Structures that are named for each kind of finding."""
MAX_NAME_LENGTH = 40
MAX_DROPPED = 20
"""Dropped structures that are listed on the screen; the report lists them all."""


def _dataset_or_file(ctx: click.Context, param: click.Parameter, value: str) -> Any:
    """Return the path of a file, for which no profile is needed, or else load the node."""
    if ctx.resilient_parsing:
        return value
    if not value.isdigit() and Path(value).is_file():
        return Path(value)
    if '.' in value or '/' in value:  # neither is in a pk or a UUID
        raise click.BadParameter(f'there is no file `{value}`', ctx, param)
    options.load_profile(ctx, param, ctx.meta.get(options.PROFILE_NAME))
    return types.DATASET.convert(value, param, ctx)


@click.command('check')
@click.argument('dataset', metavar='DATASET|FILE', callback=_dataset_or_file)
@options.RULES
@options.DROP
@click.option(
    '--cutoff',
    type=click.FloatRange(0, min_open=True),
    help='Distance in Å within which atoms are neighbours: the largest rcut of the potential. By default that of the '
    f'rules, or {TriageRules().cutoff_angstrom:g}.',
)
@options.PROFILE_WHERE_NEEDED
def cmd_check(
    dataset: PaceDatasetData | Path, rules: dict[str, Any] | None, drop: tuple[str, ...], cutoff: float | None
) -> None:
    """Report what looks wrong with DATASET, and leave out what the rules say.

    Of a node, what is kept and what is dropped are new nodes. Of a FILE nothing is stored.
    """
    stated = stated_rules(rules, drop)
    if cutoff is not None:
        stated['cutoff_angstrom'] = cutoff
    if isinstance(dataset, Path):
        _check_file(dataset, stated)
    else:
        _check_node(dataset, stated)


def stated_rules(rules: Mapping[str, Any] | None, drop: Sequence[str]) -> dict[str, Any]:
    """Return the rules of a file together with the kinds of findings that are dropped besides.

    :raises click.BadParameter: if a rule is unknown or impossible.
    """
    stated = dict(rules or {})
    with blame('--rules'):
        TriageRules.from_mapping(stated)
    if drop:
        stated['actions'] = {**stated.get('actions', {}), **dict.fromkeys(drop, 'drop')}
    return stated


def _check_node(dataset: PaceDatasetData, stated: dict[str, Any]) -> None:
    from aiida.orm import Dict

    from aiida_autopipec.calculations.functions.triage import check_dataset

    with blame('--drop or --rules'):
        outcome = check_dataset(dataset=dataset, rules=Dict(stated) if stated else None)
    report = outcome['report']
    click.echo(findings_text(report.get_dict()))
    for name in ('kept', 'dropped'):
        if name in outcome:
            node = outcome[name]
            node.label = f'{dataset.label} {name}'.strip()
            click.echo(f'{name:<8} {node.n_structures} structures, pk {node.pk}, uuid {node.uuid}')
    click.echo(f'{"report":<8} pk {report.pk}: all findings and reasons, with `verdi data core.dict show {report.pk}`')


def _check_file(path: Path, stated: dict[str, Any]) -> None:
    from aiida_autopipec.pacemaker.dataset.files import ImportOptions, read_structures
    from aiida_autopipec.pacemaker.triage import find_problems
    from aiida_autopipec.pacemaker.triage.check import check_report

    with blame('DATASET|FILE'):
        structures, _ = read_structures(path, ImportOptions())
    rules = TriageRules.from_mapping(stated)
    found = find_problems(structures, rules)
    with blame('--drop or --rules'):
        check_report(found, len(structures), rules)
    click.echo(findings_text(found.as_dict(rules), dropped='would be dropped'))
    click.echo('nothing is stored: import the file to drop structures and keep the provenance')


def findings_text(report: Mapping[str, Any], *, dropped: str = 'dropped') -> str:
    """Return a stored report as text: findings by kind, what could not be checked, and what is dropped and why.

    :param dropped: what is said of the structures that the rules leave out.
    """
    counts, cutoff = report['counts'], report['rules']['cutoff_angstrom']
    title = f'{report["structures_in"]} structures, neighbours within {cutoff:g} Å'
    if not counts:
        blocks = [f'{title}: nothing looks wrong']
    else:
        kinds = {kind: list(found) for kind, found in groupby(report['findings'], key=lambda finding: finding['kind'])}
        rows = [_row(counts[kind], found) for kind, found in kinds.items()]
        blocks = [
            table(['finding', 'structures', 'threshold', 'first of them'], rows, title=title, text=(0, 2, 3)),
            _lines('for example:', [_sentence(found[0]['name'], found[0]['sentence']) for found in kinds.values()]),
        ]
    if report['not_checked']:
        blocks.append(_lines('not checked:', report['not_checked']))
    blocks.append(_dropped_text(report['dropped'], dropped))
    return '\n\n'.join(blocks) + '\n'


def _row(number: int, findings: Sequence[Mapping[str, Any]]) -> list[str]:
    first = findings[0]
    names = list(dict.fromkeys(_short(finding['name']) for finding in findings))[:MAX_NAMES]
    more = ', …' if number > len(names) else ''
    return [
        FindingKind(first['kind']).value,
        str(number),
        f'{first["threshold"]:g} {first["unit"]}',
        ', '.join(names) + more,
    ]


def _dropped_text(dropped: Sequence[Mapping[str, Any]], title: str) -> str:
    if not dropped:
        return 'nothing is dropped'
    sentences = [_sentence(entry['name'], '; '.join(entry['reasons'])) for entry in dropped[:MAX_DROPPED]]
    if len(dropped) > MAX_DROPPED:
        sentences.append(f'and {len(dropped) - MAX_DROPPED} more')
    return _lines(f'{title} ({len(dropped)}):', sentences)


def _sentence(name: str, text: str) -> str:
    return f'{_short(name)}: {text}'


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME_LENGTH else name[: MAX_NAME_LENGTH - 1] + '…'


def _lines(title: str, sentences: Sequence[str]) -> str:
    return '\n'.join([title, *(f'  {sentence}' for sentence in sentences)])
