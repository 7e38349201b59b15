"""The command that trains a potential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aiida_autopipec.cli.console import Console
from aiida_autopipec.cli.cost import cost_lines
from aiida_autopipec.cli.import_fit import cmd_import
from aiida_autopipec.cli.launch import (
    TrainingRequest,
    check_choice,
    check_config,
    check_inputs,
    follow_protocol,
    job_options,
    parse_reference_option,
    training_codes,
    training_inputs,
)
from aiida_autopipec.cli.messages import blame, fail
from aiida_autopipec.cli.params import options, types
from aiida_autopipec.cli.progress import watch
from aiida_autopipec.cli.results import (
    error_table,
    fit_lines,
    gave_result,
    reason_of_failure,
    triage_line,
    warning_line,
)
from aiida_autopipec.cli.triage import stated_rules

if TYPE_CHECKING:
    from aiida.orm import Computer, Node, ProcessNode


@click.group('train')
def cmd_train() -> None:
    """Train potentials, and import those that were trained without AiiDA."""


cmd_train.add_command(cmd_import)


@cmd_train.command('launch')
@click.option('--dataset', 'datasets', multiple=True, required=True, type=types.TRAINABLE, help='Data; repeatable.')
@click.option('--config', type=types.YamlMapping(), help="Pacemaker's input.yaml without file names.")
@click.option('--protocol', metavar='NAME', help='Instead: settings chosen from the data; fast, balanced or accurate.')
@click.option('--overrides', type=types.YamlMapping(), help='YAML file with what --protocol should do otherwise.')
@click.option(
    '--evaluator',
    type=click.Choice(['tensorpot', 'pyace']),
    help='For --protocol; by default tensorpot where the job asks for a GPU.',
)
@click.option('--two-stages', is_flag=True, help='For --protocol: train again, with more weight on energies.')
@options.COMPUTER
@options.split_options(required=False)
@click.option('--max-structures', type=click.IntRange(min=1), help='Train on a selection of so many structures.')
@click.option(
    '--reference',
    metavar='METHOD|FILE',
    help='Subtracted before training: isolated_atoms, least_squares, or a YAML file of eV by element, or of a whole '
    'reference with `method` and `potential`.',
)
@options.ON_CONFLICT_OPTION
@options.RULES
@options.DROP
@click.option('--initial-potential', type=types.POTENTIAL, help='Potential (.yaml) to update.')
@click.option('--pacemaker', type=types.CodeType(), help='Code; by default `pacemaker` on --computer.')
@click.option('--yaml2yace', type=types.CodeType(), help='Code; by default `pace_yaml2yace` on --computer.')
@click.option('--activeset', type=types.CodeType(), help='Code; by default `pace_activeset` on --computer.')
@click.option('--select', type=types.CodeType(), help='Code; by default `pace_select` on --computer.')
@click.option('--gpus', type=click.IntRange(min=0), help='GPUs that the training asks its scheduler for.')
@click.option('--num-cores', type=click.IntRange(min=1), help='Cores of one node.')
@click.option('--resources', type=types.YamlMapping(), help='YAML file with other resources of the scheduler.')
@click.option('--walltime', type=click.IntRange(min=1), help='Minutes.')
@click.option('--queue', help='Queue or partition.')
@click.option('--account', help='Account to charge.')
@click.option('--custom-scheduler-commands', help='Further lines of the job script, such as `#SBATCH --gres=gpu:1`.')
@click.option('--daemon/--no-daemon', default=True, show_default=True, help='Submit, or run in this terminal.')
@click.option('--watch/--no-watch', 'show', default=True, show_default=True, help='Show progress until it is done.')
@click.option('--dry-run', is_flag=True, help='Check everything that can be checked, and submit nothing.')
@options.PROFILE
def cmd_launch(
    datasets: tuple[Node, ...],
    config: dict[str, Any] | None,
    protocol: str | None,
    overrides: dict[str, Any] | None,
    evaluator: str | None,
    two_stages: bool,
    computer: Computer | None,
    test_fraction: float | None,
    seed: int,
    max_structures: int | None,
    reference: str | None,
    on_conflict: str,
    rules: dict[str, Any] | None,
    drop: tuple[str, ...],
    initial_potential: Node | None,
    gpus: int | None,
    daemon: bool,
    show: bool,
    dry_run: bool,
    **others: Any,
) -> None:
    """Train a potential: merge, check, subtract the reference, split, select, train, export."""
    check_choice(config, protocol, {'--overrides': overrides, '--evaluator': evaluator, '--two-stages': two_stages})
    with blame('--config'):
        check_config(config or {})
    with blame('--reference'):
        parsed_reference = None if reference is None else parse_reference_option(reference)
    triage = stated_rules(rules, drop)
    stated = {program: others.pop(program) for program in ('pacemaker', 'yaml2yace', 'activeset', 'select')}
    with blame('--computer'):
        codes = training_codes(computer, stated, with_selection=max_structures is not None)
    request = TrainingRequest(
        datasets=datasets,
        config=config or {},
        codes=codes,
        reference=parsed_reference,
        split=None if test_fraction is None else {'test_fraction': test_fraction, 'seed': seed},
        max_structures=max_structures,
        on_conflict=on_conflict,
        triage=triage,
        initial_potential=initial_potential,
        gpus=gpus,
        options=job_options(**others),
    )
    if protocol is not None:
        with blame('--protocol'):
            request = follow_protocol(request, protocol, overrides or {}, evaluator=evaluator, two_stages=two_stages)
    inputs = training_inputs(request)
    with blame():
        check_inputs(inputs)
    if dry_run:
        with blame():
            click.echo('\n'.join(cost_lines(request)))
        click.echo('the inputs are in order; nothing was submitted')
        return
    node = _submit(inputs, show) if daemon else _run(inputs)
    if show and daemon:
        _watch(node)
    _finish(node)


def _run(inputs: dict[str, Any]) -> ProcessNode:
    """Run in this process; AiiDA prints the reports."""
    from aiida.engine import run_get_node

    from aiida_autopipec.workflows.train import TrainPotentialWorkChain

    return run_get_node(TrainPotentialWorkChain, **inputs)[1]


def _submit(inputs: dict[str, Any], show: bool) -> ProcessNode:
    """Hand over to the daemon.

    :param show: whether the user wants to see it through, which needs the daemon now.
    """
    from aiida.engine import submit
    from aiida.engine.daemon.client import get_daemon_client
    from aiida.manage import get_manager

    from aiida_autopipec.workflows.train import TrainPotentialWorkChain

    if get_manager().get_broker() is None:
        fail('this profile has no broker, so nothing can be submitted: use --no-daemon')
    is_running = get_daemon_client().is_daemon_running
    if not is_running and show:
        fail('the daemon is not running: start it with `verdi daemon start`, or use --no-daemon')
    node: ProcessNode = submit(TrainPotentialWorkChain, **inputs)
    click.echo(f'submitted {node.process_label}<{node.pk}> {node.uuid}')
    if not is_running:
        click.echo('the daemon is not running: start it with `verdi daemon start`')
    return node


def _watch(node: ProcessNode) -> None:
    """Look on; who stops looking does not stop the process."""
    try:
        watch(node, Console())
    except KeyboardInterrupt:
        click.echo('\nthe daemon goes on with it')


def _finish(node: ProcessNode) -> None:
    """Say what came out, or where to look for it."""
    if not node.is_terminated:
        click.echo(f'look with `verdi process status {node.pk}`')
        return
    if not gave_result(node):
        fail(f'{node.process_label}<{node.pk}> failed: {reason_of_failure(node)}')
    report = node.outputs['triage_report']
    click.echo(f'\n{triage_line(node)}: see `verdi data core.dict show {report.pk}`')
    click.echo('\n' + error_table(node) + '\n')
    for line in fit_lines(node.outputs.output_parameters.get_dict()):
        click.echo(line)
    for label in ('potential', 'best_potential', 'lammps_potential', 'active_set'):
        if label in node.outputs:
            click.echo(f'{label:<17} {node.outputs[label].uuid}')
    if not node.is_finished_ok:
        click.echo('\n' + warning_line(node))
    click.echo(f'\nfiles: `verdi node repo dump UUID FOLDER`; steps: `verdi process status {node.pk}`')
