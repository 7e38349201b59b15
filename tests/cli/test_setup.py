"""Registering Pacemaker's programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from aiida_autopipec.calculations.defaults import stated_for_code, stated_for_computer
from aiida_autopipec.cli.cluster import parse_cluster
from aiida_autopipec.cli.machine import create_computer
from aiida_autopipec.cli.root import cmd_root
from aiida_autopipec.pacemaker.errors import ConfigError

Run = Callable[..., Result]
EXAMPLES = Path(__file__).parents[2] / 'examples' / 'computers'


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """Return a folder with two of the programs."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name in ('pacemaker', 'pace_select'):
        (folder / name).touch(mode=0o755)
    return folder


def labels() -> list[str]:
    """Return the labels of all codes."""
    from aiida.orm import InstalledCode, QueryBuilder

    return sorted(code.full_label for code in QueryBuilder().append(InstalledCode).all(flat=True))


def test_programs_of_a_folder_become_codes(
    run_cli: Run, aiida_profile_clean: Any, aiida_localhost: Any, bin_dir: Path
) -> None:
    """What is found is registered by name, what is missing is named; a second run changes nothing."""
    arguments = ('setup', '--computer', aiida_localhost.label, '--bin-dir', bin_dir, '--prepend-text', 'module load x')
    first = run_cli(*arguments)
    expected = [f'pace_select@{aiida_localhost.label}', f'pacemaker@{aiida_localhost.label}']
    assert labels() == expected
    assert f'pacemaker@{aiida_localhost.label}: new' in first.output
    assert 'missing    pace_yaml2yace' in first.output
    second = run_cli(*arguments)
    assert labels() == expected
    assert f'pacemaker@{aiida_localhost.label}: there already' in second.output
    from aiida.orm import load_code

    assert load_code(expected[1]).prepend_text == 'module load x'


def test_suffix_tells_installations_apart(
    run_cli: Run, aiida_profile_clean: Any, aiida_localhost: Any, bin_dir: Path
) -> None:
    """Another installation on the same computer needs a suffix, and is refused without."""
    other = bin_dir.parent / 'other'
    bin_dir.rename(other)
    bin_dir.mkdir()
    (bin_dir / 'pacemaker').touch()
    run_cli('setup', '--computer', aiida_localhost.label, '--bin-dir', other)
    refused = run_cli('setup', '--computer', aiida_localhost.label, '--bin-dir', bin_dir, fails=True)
    assert '--label-suffix' in refused.output
    run_cli('setup', '--computer', aiida_localhost.label, '--bin-dir', bin_dir, '--label-suffix', '-new')
    assert f'pacemaker-new@{aiida_localhost.label}' in labels()


@pytest.mark.parametrize(
    ('folder', 'sentence'), [('/', 'none of the programs'), ('relative', 'not an absolute path'), (None, '--bin-dir')]
)
def test_wrong_folders_are_refused(
    run_cli: Run, aiida_profile_clean: Any, aiida_localhost: Any, folder: str | None, sentence: str
) -> None:
    """A folder without programs, a relative one, and none at all are refused, and nothing is stored."""
    stated = () if folder is None else ('--bin-dir', folder)
    assert sentence in run_cli('setup', '--computer', aiida_localhost.label, *stated, fails=True).output
    assert labels() == []


def test_unknown_computer_is_named(run_cli: Run, aiida_profile_clean: Any) -> None:
    """A computer that AiiDA does not know is named."""
    assert 'nowhere' in run_cli('setup', '--computer', 'nowhere', '--bin-dir', '/bin', fails=True).output


def test_one_way_has_to_be_chosen(run_cli: Run, aiida_profile_clean: Any) -> None:
    """Nothing and two things at once are refused."""
    assert 'Give one of' in run_cli('setup', fails=True).output
    assert 'Give one of' in run_cli('setup', '--localhost', '--computer', 'x', fails=True).output


def test_file_describes_computer_and_codes(
    run_cli: Run, aiida_profile_clean: Any, bin_dir: Path, tmp_path: Path
) -> None:
    """A computer and its codes come from one file, twice the same."""
    from aiida.orm import load_code, load_computer

    content = {
        'computer': {
            'label': 'here',
            'hostname': 'localhost',
            'transport': 'core.local',
            'scheduler': 'core.direct',
            'work_dir': str(tmp_path),
            'minimum_job_poll_interval': 0,
            'safe_interval': 0,
        },
        'codes': [{'bin_dir': str(bin_dir), 'label_suffix': '-gpu', 'prepend_text': 'module load cuda'}],
    }
    path = tmp_path / 'cluster.yaml'
    path.write_text(yaml.safe_dump(content))
    run_cli('setup', '--config', path)
    assert 'there already' in run_cli('setup', '--config', path).output
    assert labels() == ['pace_select-gpu@here', 'pacemaker-gpu@here']
    assert load_code('pacemaker-gpu@here').prepend_text == 'module load cuda'
    assert load_computer('here').get_minimum_job_poll_interval() == 0


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        ('[1, 2]', 'has to hold a mapping'),
        ('a: [', 'is not YAML'),
        ('{computer: 3, codes: [{bin_dir: /d}]}', '`computer` has to hold a mapping'),
        ('computer: {label: a, label: b}', 'computer.label stands twice'),
        ('computer: {label: a, hostname: b, work_dir: /c}', '`codes`'),
        ('{computer: {label: a, hostname: b, work_dir: /c, colour: red}, codes: [{bin_dir: /d}]}', '`computer.colour`'),
    ],
)
def test_wrong_files_are_refused(
    run_cli: Run, aiida_profile_clean: Any, tmp_path: Path, content: str, sentence: str
) -> None:
    """A file that is no description is refused, with the key that is wrong."""
    path = tmp_path / 'cluster.yaml'
    path.write_text(content)
    result = run_cli('setup', '--config', path, fails=True)
    assert sentence in result.output
    assert '--config' in result.output


@pytest.mark.parametrize('path', sorted(EXAMPLES.glob('*.yaml')), ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    """The files in `examples/computers` are what the command reads."""
    assert parse_cluster(yaml.safe_load(path.read_text())).codes


COMPUTER = {'label': 'a', 'hostname': 'b', 'work_dir': '/c'}
CODE = {'bin_dir': '/d'}


@pytest.mark.parametrize(
    ('computer', 'code', 'sentence'),
    [
        ({}, {'bindir': '/d'}, r'`codes\.0\.bindir` is unknown; did you mean bin_dir\?'),
        ({'schedular': 'core.slurm'}, {}, r'`computer\.schedular` is unknown; did you mean scheduler\?'),
        ({'colour': 'red'}, {}, r'`computer\.colour` is unknown; known are label, hostname'),
        ({'scheduler': 'core.slrum'}, {}, r'`computer\.scheduler: core.slrum` is unknown; did you mean core.slurm\?'),
        ({'transport': 'core.shs'}, {}, r'did you mean core.ssh\?'),
        ({'transport_options': {'hostname': 'x'}}, {}, r'`computer.transport_options.hostname` is unknown; '),
        ({'options': {'partition': 'gpu'}}, {}, r'`computer.options.partition` is unknown; known are queue_name'),
        ({}, {'options': {'acount': 'x'}}, r'`codes.0.options.acount` is unknown; did you mean account\?'),
        ({}, {'options': {'gpus': {'cout': 1}}}, r'`codes.0.options.gpus`: `gpus.cout` is unknown; did you mean count'),
        ({'gpu_form': 'ngpus'}, {}, r'`computer.gpu_form`: `gpus.form` is `ngpus`, which SlurmScheduler does not know'),
        (
            {'prepend_text': 'module load x'},
            {'prepend_text': '#SBATCH -C gpu'},
            'would ignore the line `#SBATCH -C gpu`',
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_named(computer: dict[str, Any], code: dict[str, Any], sentence: str) -> None:
    """Each mistake is answered by one sentence that names the key, and where one is near, what was meant."""
    with pytest.raises(ConfigError, match=sentence):
        parse_cluster({'computer': {**COMPUTER, **computer}, 'codes': [{**CODE, **code}]})


def test_the_example_of_a_cluster_works(
    run_cli: Run,
    aiida_profile_clean: Any,
    bin_dir: Path,
    tmp_path: Path,
    make_atoms: Any,
    make_config: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With another host and folder the example makes codes whose trainings ask SLURM for a GPU, and others do not."""
    from aiida.engine import run_get_node
    from aiida.orm import load_code, load_computer

    from aiida_autopipec.calculations.pace_train import PaceTrainCalculation
    from aiida_autopipec.data.dataset import PaceDatasetData
    from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures

    monkeypatch.chdir(tmp_path)
    content = yaml.safe_load((EXAMPLES / 'slurm-gpu.yaml').read_text())
    content['computer'] |= {'transport': 'core.local', 'work_dir': str(tmp_path)}
    for installation in content['codes']:
        installation['bin_dir'] = str(bin_dir)
    path = tmp_path / 'cluster.yaml'
    path.write_text(yaml.safe_dump(content))
    assert 'defaults   cluster: written' in run_cli('setup', '--config', path).output
    again = run_cli('setup', '--config', path).output
    assert 'new' not in again
    assert 'written' not in again
    assert load_computer('cluster').scheduler_type == 'core.slurm'

    structures = LabelledStructures.from_atoms(make_atoms(8))
    dataset = PaceDatasetData.from_structures(structures.replace(energy_corrected=structures.energy))
    scripts = {}
    for label, evaluator in (('pacemaker-gpu', 'tensorpot'), ('pacemaker', 'pyace')):
        config = {**make_config(), 'backend': {'evaluator': evaluator}}
        inputs = {'code': load_code(f'{label}@cluster'), 'dataset': dataset, 'config': config}
        metadata = {'dry_run': True, 'store_provenance': False}
        _, node = run_get_node(PaceTrainCalculation, **inputs, metadata=metadata)
        scripts[label] = (Path(node.dry_run_info['folder']) / '_aiidasubmit.sh').read_text().splitlines()
    assert '#SBATCH --gres=gpu:1' in scripts['pacemaker-gpu']
    assert '#SBATCH --partition=gpu' in scripts['pacemaker-gpu']
    assert '#SBATCH --cpus-per-task=8' in scripts['pacemaker-gpu']
    assert not any('gpu' in line for line in scripts['pacemaker'] if line.startswith('#'))
    for lines in scripts.values():
        assert '#SBATCH --account=my-project' in lines
        command = next(number for number, line in enumerate(lines) if line and not line.startswith('#'))
        assert not any(line.startswith('#SBATCH') for line in lines[command:])


def test_answers_are_enough(aiida_profile_clean: Any, bin_dir: Path, tmp_path: Path) -> None:
    """A cluster with GPUs is set up from answers, which are kept as a file that says the same."""
    from aiida.orm import load_code, load_computer

    saved = tmp_path / 'saved.yaml'
    answers = ['here', 'mine', 'core.local', 'core.slurm', str(tmp_path), str(bin_dir), 'module load cuda', 'cpu', 'me']
    answers += ['', 'y', 'gpus', 'a100', 'gpu', 'y']
    result = CliRunner().invoke(cmd_root, ['setup', '--ask', '--save', str(saved)], input='\n'.join(answers) + '\n')
    assert result.exit_code == 0, result.output
    assert labels() == ['pace_select-gpu@mine', 'pace_select@mine', 'pacemaker-gpu@mine', 'pacemaker@mine']
    computer = load_computer('mine')
    assert computer.get_prepend_text() == 'module load cuda'
    assert stated_for_computer(computer) == {'gpu_form': 'gpus', 'options': {'queue_name': 'cpu', 'account': 'me'}}
    options = {'queue_name': 'gpu', 'gpus': {'count': 1, 'type': 'a100'}}
    assert stated_for_code(load_code('pacemaker-gpu@mine')) == {'options': options}
    assert stated_for_code(load_code('pacemaker@mine')) == {}
    assert 'new' not in CliRunner().invoke(cmd_root, ['setup', '--config', str(saved)]).output


def test_answers_may_be_taken_back(aiida_profile_clean: Any, bin_dir: Path, tmp_path: Path) -> None:
    """Who says no in the end has changed nothing."""
    from aiida.orm import Computer, QueryBuilder

    answers = ['localhost', 'here', 'core.direct', str(tmp_path), str(bin_dir), '', 'n', 'n']
    result = CliRunner().invoke(cmd_root, ['setup', '--ask'], input='\n'.join(answers) + '\n')
    assert 'nothing was done' in result.output
    assert QueryBuilder().append(Computer, filters={'label': 'here'}).count() == 0


@pytest.mark.parametrize('transport', ['core.ssh', 'core.ssh_async'])
def test_computers_behind_ssh(aiida_profile_clean: Any, transport: str) -> None:
    """A computer behind SSH is made and configured without a connection; it takes the options of its transport."""
    settings = parse_cluster({'computer': {**COMPUTER, 'transport': transport}, 'codes': [CODE]}).computer.model_dump()
    computer = create_computer(settings['label'], settings)
    assert computer.is_configured
    assert computer.transport_type == transport


def test_localhost_from_nothing(tmp_path: Path, bin_dir: Path) -> None:
    """Without any profile, `setup --localhost --yes` makes profile, computer and codes, and again changes nothing."""
    environment = {**os.environ, 'HOME': str(tmp_path), 'AIIDA_PATH': str(tmp_path)}
    command = [str(Path(sys.executable).parent / 'aiida-autopipec'), 'setup', '--localhost', '--bin-dir', str(bin_dir)]

    def run(*more: str) -> str:
        done = subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=True, input='')
        return done.stdout

    first = run('--yes')
    assert 'profile    autopipec: new' in first
    assert 'code       pacemaker@localhost: new' in first
    second = run()
    assert 'new' not in second
    assert 'code       pacemaker@localhost: there already' in second
