"""The commands around datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from aiida_autopipec.cli.files import check_target
from aiida_autopipec.cli.messages import blame, describe
from aiida_autopipec.cli.nodes import add_to_group
from aiida_autopipec.cli.params import options, types
from aiida_autopipec.cli.triage import cmd_check
from aiida_autopipec.pacemaker.formats import SUFFIX

if TYPE_CHECKING:
    from aiida.orm import TrajectoryData

    from aiida_autopipec.data.dataset import PaceDatasetData

MAX_PLOTTED_ATOMS = 3_000_000
"""Atoms of which a plot is made; of a larger dataset it shows some structures, and takes seconds and not minutes."""
EXTXYZ_SUFFIXES = ('.extxyz', '.xyz')


@click.group('dataset')
def cmd_dataset() -> None:
    """Import, check, show, export, merge and split datasets."""


cmd_dataset.add_command(cmd_check)


@cmd_dataset.command('import')
@click.argument('files', nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--format', 'format', help='Format by the name that ASE gives it; by default by file name.')
@click.option(
    '--names',
    type=click.Choice(['file', 'content', 'pacemaker']),
    help='Names of structures from the file, unique ones from the content, or FILE:ROW as Pacemaker gives.',
)
@click.option('--energy-key', help='Name of the energy among the properties of a frame, in eV.')
@click.option('--forces-key', help='Name of the forces among the arrays of a frame, in eV/Å.')
@click.option('--stress-key', help='Name of the stress among the properties of a frame, in eV/Å³.')
@options.LABEL
@options.GROUP
@options.PROFILE
def cmd_import(files: tuple[Path, ...], label: str, group: str | None, **stated: str | None) -> None:
    """Import FILES: Pacemaker's .pckl.gzip, extxyz, or any other format that ASE reads."""
    from aiida.orm import Dict, SinglefileData

    from aiida_autopipec.calculations.functions.convert import import_dataset
    from aiida_autopipec.pacemaker.dataset.files import ImportOptions, check_file

    parameters = {key: value for key, value in stated.items() if value is not None}
    with blame('FILES'):
        for path in files:  # all are read before a node is stored: what is wrong leaves nothing behind
            check_file(path, ImportOptions.from_mapping(parameters))
    for path in files:
        node = SinglefileData(path.absolute())
        node.label = path.name
        stated_here = Dict(parameters) if parameters else None
        with blame('FILES'):
            _report(import_dataset(file=node, parameters=stated_here)['dataset'], label or path.name, group)


@cmd_dataset.command('convert')
@click.argument('trajectories', nargs=-1, type=types.TRAJECTORY)
@click.option(
    '--from-group',
    'source',
    metavar='LABEL',
    help='Group with StructureData, each with an ArrayData of the same label that holds its energy and forces.',
)
@options.ON_CONFLICT_OPTION
@click.option(
    '--parameters',
    type=types.YamlMapping(),
    help='YAML file that says what the arrays of TRAJECTORIES are (needed where no known code made them), and what '
    'becomes of frames: `remove_duplicates`, `on_conflict`.',
)
@options.LABEL
@options.GROUP
@options.PROFILE
def cmd_convert(
    trajectories: tuple[TrajectoryData, ...],
    source: str | None,
    on_conflict: str,
    parameters: dict[str, Any] | None,
    label: str,
    group: str | None,
) -> None:
    """Turn TRAJECTORIES of DFT calculations into datasets, or the labelled structures of a group into one."""
    from aiida.orm import Dict

    from aiida_autopipec.calculations.functions.convert import convert_trajectory

    if bool(trajectories) == (source is not None):
        raise click.UsageError('give either TRAJECTORIES or --from-group')
    if trajectories and click.get_current_context().get_parameter_source('on_conflict') is not ParameterSource.DEFAULT:
        raise click.UsageError(
            '--on-conflict is for --from-group; for TRAJECTORIES state `remove_duplicates: true` and `on_conflict` in '
            '--parameters'
        )
    if source is not None:
        if parameters is not None:
            raise click.UsageError('--parameters is for TRAJECTORIES, not for --from-group')
        _report(_converted_group(source, on_conflict), label, group)
    for trajectory in trajectories:
        inputs: dict[str, Any] = {} if parameters is None else {'parameters': Dict(parameters)}
        with blame('TRAJECTORIES' if parameters is None else '--parameters'):
            converted = convert_trajectory(trajectory=trajectory, **inputs)
        _report(converted['dataset'], label, group)
        duplicates = converted['report'].get_dict().get('duplicates')
        if duplicates is not None:
            removed = duplicates['structures_in'] - duplicates['structures_out']
            click.echo(f'{removed} duplicates removed: see report <{converted["report"].pk}>\n')


@cmd_dataset.command('show')
@click.argument('dataset', type=types.DATASET)
@click.option(
    '--plot',
    type=click.Path(dir_okay=False, path_type=Path),
    help='Draw energies, forces, elements and distances into this .png, .svg or .pdf.',
)
@click.option('-f', '--force', is_flag=True, help='Overwrite the plot.')
@options.PROFILE
def cmd_show(dataset: PaceDatasetData, plot: Path | None, force: bool) -> None:
    """Show what DATASET holds."""
    if plot is not None:
        from aiida_autopipec.pacemaker.plots import plot_dataset

        check_target(plot, force, '--plot')
        with blame('--plot'):
            drawn = dataset.get_sample(MAX_PLOTTED_ATOMS)
            plot_dataset(drawn, plot, chosen_from=dataset.n_structures)
    click.echo(describe(dataset))
    if plot is not None:
        part = '' if len(drawn) == dataset.n_structures else f'; it shows {len(drawn)} structures, evenly chosen'
        click.echo(f'\nthe plot is in {plot}{part}')


@cmd_dataset.command('export')
@click.argument('dataset', type=types.DATASET)
@click.argument('file', type=click.Path(dir_okay=False, path_type=Path))
@click.option('-f', '--force', is_flag=True, help='Overwrite FILE.')
@options.PROFILE
def cmd_export(dataset: PaceDatasetData, file: Path, force: bool) -> None:
    """Write DATASET to FILE: .pckl.gzip for Pacemaker, or .extxyz, by its ending."""
    check_target(file, force, 'FILE')
    _writer(file)(dataset, file)
    click.echo(f'{dataset.n_structures} structures with {dataset.n_atoms} atoms are in {file}')


@cmd_dataset.command('merge')
@click.argument('datasets', nargs=-1, required=True, type=types.DATASET)
@options.ON_CONFLICT_OPTION
@options.LABEL
@options.GROUP
@options.PROFILE
def cmd_merge(datasets: tuple[PaceDatasetData, ...], on_conflict: str, label: str, group: str | None) -> None:
    """Put DATASETS together, and keep one of each exact duplicate."""
    from aiida.orm import Str

    from aiida_autopipec.calculations.functions.combine import merge_datasets

    if len(datasets) < 2:
        raise click.BadParameter('give at least two datasets to merge', param_hint='DATASETS')
    keyed = {f'dataset_{number:05d}': dataset for number, dataset in enumerate(datasets)}
    with blame('DATASETS'):
        outcome = merge_datasets(on_conflict=Str(on_conflict), **keyed)
    counts = outcome['report']['counts']
    click.echo(f'{counts["duplicates_removed"]} exact duplicates were removed')
    if counts['conflicting_labels']:
        click.echo(f'{counts["conflicting_labels"]} equal structures had different labels: {on_conflict}')
    _report(outcome['dataset'], label, group)


@cmd_dataset.command('split')
@click.argument('dataset', type=types.DATASET)
@options.split_options(required=True)
@options.PROFILE
def cmd_split(dataset: PaceDatasetData, test_fraction: float, seed: int) -> None:
    """Divide DATASET into a training set and a test set."""
    from aiida.orm import Float, Int

    from aiida_autopipec.calculations.functions.combine import split_dataset

    with blame('--test-fraction'):
        sides = split_dataset(dataset=dataset, test_fraction=Float(test_fraction), seed=Int(seed))
    for name in ('training_set', 'test_set'):
        click.echo(f'{name}:')
        _report(sides[name], f'{dataset.label} {name}'.strip(), None)


def _converted_group(source: str, on_conflict: str) -> PaceDatasetData:
    """Turn the structures of a group, each with the labels that have the same label as node, into a dataset."""
    from aiida_autopipec.calculations.functions.many import convert_many_structures
    from aiida_autopipec.data.singles import rows_of_group

    with blame('--from-group'):
        rows = rows_of_group(source)
        with click.progressbar(length=len(rows), label='converting', file=click.get_text_stream('stderr')) as bar:
            outcome = convert_many_structures(
                rows, on_conflict=on_conflict, progress=lambda done, _: bar.update(done - bar.pos)
            )
    dataset: PaceDatasetData = outcome['dataset']
    return dataset


def _report(dataset: PaceDatasetData, label: str, group: str | None) -> None:
    """Name a new dataset, file it and show it."""
    dataset.label = label
    if group:
        add_to_group(dataset, group)
    click.echo(describe(dataset) + '\n')


def _writer(file: Path) -> Callable[[PaceDatasetData, Path], None]:
    """Return the function that writes the format of a file name."""
    if file.name.endswith(SUFFIX):
        return _write_pacemaker
    if file.suffix in EXTXYZ_SUFFIXES:
        return _write_extxyz
    raise click.BadParameter(f'`{file.name}` has to end in {SUFFIX} (for Pacemaker) or .extxyz', param_hint='FILE')


def _write_pacemaker(dataset: PaceDatasetData, file: Path) -> None:
    from aiida_autopipec.pacemaker.dataset.periodic import PeriodicPart
    from aiida_autopipec.pacemaker.formats import save_shards

    save_shards(map(PeriodicPart, dataset.stored_shards()), file)


def _write_extxyz(dataset: PaceDatasetData, file: Path) -> None:
    import ase.io

    file.unlink(missing_ok=True)
    for shard in dataset.iter_shards():
        ase.io.write(file, shard.to_atoms(), format='extxyz', append=True)
