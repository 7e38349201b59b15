"""Launching a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

Run = Callable[..., Result]
Make = Callable[..., Any]


@pytest.fixture
def config_file(tmp_path: Path, config: dict[str, Any]) -> Callable[..., Path]:
    """Return a function that writes the settings of a training."""

    def write(**changes: Any) -> Path:
        path = tmp_path / 'input.yaml'
        path.write_text(yaml.safe_dump({**config, **changes}))
        return path

    return write


@pytest.fixture
def programs(aiida_profile_clean: Any, aiida_localhost: Any) -> str:
    """Register codes that never run, and return the label of their computer."""
    from aiida.orm import InstalledCode

    for label in ('pacemaker', 'pace_yaml2yace', 'pace_activeset', 'pace_select'):
        InstalledCode(label=label, computer=aiida_localhost, filepath_executable=f'/bin/{label}').store()
    label: str = aiida_localhost.label
    return label


@pytest.fixture
def launch_protocol(run_cli: Run, programs: str, dataset: Make) -> Run:
    """Return a function that runs the checks of a launch by protocol."""
    node = dataset(12)

    def run(*arguments: object, fails: bool = False) -> Result:
        stated = ('--dataset', node.pk, '--computer', programs, '--dry-run')
        return run_cli('train', 'launch', *stated, *arguments, fails=fails)

    return run


@pytest.fixture
def launch(run_cli: Run, programs: str, config_file: Make, dataset: Make) -> Run:
    """Return a function that runs the checks of a launch."""
    node = dataset(12)

    def run(*arguments: object, config: Path | None = None, fails: bool = False) -> Result:
        stated = ('--dataset', node.pk, '--config', config or config_file(), '--computer', programs)
        return run_cli('train', 'launch', *stated, '--dry-run', *arguments, fails=fails)

    return run


def test_dry_run_checks_and_submits_nothing(launch: Run) -> None:
    """Good inputs are found to be in order, with every option, and no process is made."""
    from aiida.orm import ProcessNode, QueryBuilder

    launch('--reference', 'least_squares', '--test-fraction', 0.2, '--max-structures', 5, '--num-cores', 2)
    result = launch('--reference', 'least_squares', '--walltime', 30, '--queue', 'gpu', '--account', 'me')
    assert 'in order' in result.output
    assert QueryBuilder().append(ProcessNode).count() == 0


def test_gpus_are_those_of_the_training(launch: Run, config_file: Make) -> None:
    """A GPU is asked for in the training, which is refused where its evaluator cannot use one."""
    stated = ('--reference', 'least_squares', '--max-structures', 5, '--gpus')
    on_gpu = config_file(backend={'evaluator': 'tensorpot'})
    assert 'in order' in launch(*stated, 1, config=on_gpu).output
    assert 'in order' in launch(*stated, 0, config=config_file(backend={'evaluator': 'pyace'})).output
    output = launch(*stated, 1, config=config_file(backend={'evaluator': 'pyace'}), fails=True).output
    assert 'gpus' in output
    assert 'pyace' in output


def test_unknown_config_key_is_named(launch: Run, config_file: Make) -> None:
    """A misspelt key of the settings is named together with the option."""
    result = launch(config=config_file(fitt={'maxiter': 3}), fails=True)
    assert '--config' in result.output
    assert 'fitt' in result.output


def test_file_names_in_config_are_refused(launch: Run, config_file: Make) -> None:
    """Settings that name files are refused: the work chain gives the files."""
    assert 'filename' in launch(config=config_file(data={'filename': 'a.pckl.gzip'}), fails=True).output


def test_element_that_the_config_lacks(launch: Run, dataset: Make) -> None:
    """A dataset with another element is refused before anything is submitted."""
    assert 'contains Cu' in launch('--dataset', dataset(4, symbol='Cu').pk, fails=True).output


def test_settings_are_read_as_pacemaker_reads_them(launch: Run, config_file: Make) -> None:
    """A number such as 1e-8 is one, as in YAML 1.2, and a key that stands twice is refused with its lines."""
    path = config_file(fit={'maxiter': 5, 'loss': {'kappa': 0.3}})
    text = path.read_text().replace('kappa: 0.3', 'kappa: 3e-1')
    path.write_text(text)
    assert 'in order' in launch('--reference', 'least_squares', config=path).output
    path.write_text(text + 'seed: 1\nseed: 2\n')
    assert 'seed stands twice' in launch(config=path, fails=True).output


@pytest.mark.parametrize(
    ('value', 'sentence'), [('isolated', 'is neither isolated_atoms nor'), ('wrong.yaml', '--reference')]
)
def test_wrong_references_are_refused(
    launch: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, sentence: str
) -> None:
    """A reference that is neither a method nor a file of energies is refused."""
    monkeypatch.chdir(tmp_path)
    Path('wrong.yaml').write_text('[1, 2]')
    assert sentence in launch('--reference', value, fails=True).output


def test_reference_from_a_file(launch: Run, tmp_path: Path) -> None:
    """Single-atom energies come from a YAML file."""
    (tmp_path / 'energies.yaml').write_text('Al: -1.5\n')
    assert 'in order' in launch('--reference', tmp_path / 'energies.yaml').output


def test_rules_of_triage(launch: Run, tmp_path: Path) -> None:
    """Rules and kinds to drop are taken, and wrong ones are named together with the option."""
    rules = tmp_path / 'rules.yaml'
    rules.write_text('min_group_size: 5\n')
    stated = ('--reference', 'least_squares', '--rules', rules)
    assert 'in order' in launch(*stated, '--drop', 'duplicate').output
    assert "'twin' is not one of" in launch(*stated, '--drop', 'twin', fails=True).output
    rules.write_text('min_group: 5\n')
    assert 'did you mean `min_group_size`?' in launch(*stated, fails=True).output
    output = launch('--reference', 'isolated_atoms', '--drop', 'no_neighbours', fails=True).output
    assert '`triage` drops `no_neighbours`' in output


def test_file_that_is_no_potential(launch: Run) -> None:
    """An initial potential that is something else is refused."""
    from aiida.orm import SinglefileData

    node = SinglefileData.from_string('no potential', filename='p.yaml').store()
    assert 'initial_potential' in launch('--initial-potential', node.pk, fails=True).output


def test_programs_that_are_not_registered(run_cli: Run, config_file: Make, dataset: Make, aiida_localhost: Any) -> None:
    """A computer without the programs is answered with how to register them."""
    arguments = ('train', 'launch', '--dataset', dataset().pk, '--config', config_file())
    result = run_cli(*arguments, '--computer', aiida_localhost.label, fails=True)
    assert 'aiida-autopipec setup' in ' '.join(result.output.split())
    assert '--pacemaker' in run_cli(*arguments, fails=True).output


def test_without_broker_nothing_is_submitted(run_cli: Run, programs: str, config_file: Make, dataset: Make) -> None:
    """A profile without a broker is answered with what to do instead."""
    from aiida.orm import ProcessNode, QueryBuilder

    stated = ('--dataset', dataset(12).pk, '--config', config_file(), '--computer', programs)
    stated += ('--reference', 'least_squares')
    assert '--no-daemon' in run_cli('train', 'launch', *stated, fails=True).output
    assert QueryBuilder().append(ProcessNode).count() == 0


@pytest.mark.pacemaker
def test_trains_in_this_terminal(run_cli: Run, dataset: Make, codes: dict[str, Any], config_file: Make) -> None:
    """With `--no-daemon` a potential is trained and its errors and outputs are shown."""
    from aiida.orm import load_node

    stated = ('--dataset', dataset(14).pk, '--config', config_file(), '--pacemaker', codes['pacemaker'].pk)
    options = ('--reference', 'least_squares', '--test-fraction', 0.2, '--no-daemon')
    result = run_cli('train', 'launch', *stated, *options)
    uuids = {line.split()[0]: line.split()[1] for line in result.stdout.splitlines() if line.count('-') == 4}
    assert load_node(uuids['potential']).filename == 'potential.yaml'
    assert {'lammps_potential', 'active_set'} <= set(uuids)
    assert 'energy RMSE' in result.output


def test_dry_run_says_what_the_training_costs(launch: Run) -> None:
    """A dry run prints data, size of the potential, time and memory, of what test set and selection leave."""
    output = launch('--reference', 'least_squares').output
    assert '12 structures with 36 atoms of Al to train on' in output
    assert '12 functions, at most 40 parameters' in output
    assert 'for 5 iterations: pyace on one core' in output
    assert 'MB' in output
    output = launch('--reference', 'least_squares', '--test-fraction', 0.5, '--max-structures', 3).output
    assert '3 structures with 9 atoms' in output


def test_a_protocol_chooses_the_settings(launch_protocol: Run) -> None:
    """With a protocol no settings are needed, and the dry run says what was chosen and why."""
    output = launch_protocol('--protocol', 'fast', '--reference', 'least_squares').output
    assert 'protocol fast, evaluator pyace' in output
    assert 'times the nearest-neighbour distance of Al' in output
    assert 'in order' in output
    output = launch_protocol('--protocol', 'fast', '--reference', 'least_squares', '--evaluator', 'tensorpot').output
    assert 'tensorpot on one core' in output
    assert 'not measured' in output


def test_overrides_of_a_protocol(launch_protocol: Run, tmp_path: Path) -> None:
    """Overrides come from a file; keys that are unknown, or options of their own, are named."""
    path = tmp_path / 'overrides.yaml'
    stated = ('--protocol', 'fast', '--reference', 'least_squares', '--overrides', path)
    path.write_text('config: {fit: {maxiter: 60}}')
    assert 'for 60 iterations' in launch_protocol(*stated).output
    path.write_text('config: {fit: {maxitr: 60}}')
    assert 'fit.maxiter' in launch_protocol(*stated, fails=True).output
    path.write_text('confg: {}')
    assert 'did you mean `overrides.config`' in launch_protocol(*stated, fails=True).output
    path.write_text('on_conflict: error')
    assert 'is not for --overrides' in launch_protocol(*stated, fails=True).output


def test_settings_or_a_protocol(launch: Run, launch_protocol: Run) -> None:
    """One of settings and protocol is needed, not both, and a wrong name is answered with the nearest."""
    assert 'one of the two' in launch('--protocol', 'fast', fails=True).output
    assert 'one of the two' in launch_protocol(fails=True).output
    assert '--two-stages belongs to --protocol' in launch('--two-stages', fails=True).output
    assert 'did you mean `fast`' in launch_protocol('--protocol', 'fats', fails=True).output
    assert 'no isolated atom of Al' in ' '.join(launch_protocol('--protocol', 'fast', fails=True).output.split())
