"""The small programs of Pacemaker as ShellJobs, run for real."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from aiida import orm
from aiida.engine import run_get_node
from aiida.plugins import ParserFactory
from aiida_shell import ShellJob
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_autopipec.calculations import shell
from aiida_autopipec.pacemaker.errors import ConfigError, InputError
from aiida_autopipec.parsers.shell import PaceInfoParser

FIXTURES = Path(__file__).parents[1] / 'fixtures' / 'pacemaker'
HOW_TO = Path(__file__).parents[2] / 'docs' / 'how-to' / 'programs.md'
BIN = Path(sys.executable).parent

pacemaker = pytest.mark.pacemaker
pytestmark = pytest.mark.usefixtures('aiida_profile')

VASPRUN = """<?xml version="1.0"?>
<modeling>
 <kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>
 <parameters><i name="ISPIN">1</i></parameters>
 <atominfo><atoms>2</atoms><types>1</types>
  <array name="atoms"><set><rc><c>Cu</c><c>1</c></rc><rc><c>Cu</c><c>1</c></rc></set></array>
 </atominfo>
 <structure name="initialpos">{structure}</structure>
 <calculation>
  <scstep>{energy}</scstep><structure>{structure}</structure>
  <varray name="forces"><v>0.1 0 0</v><v>-0.1 0 0</v></varray>
  <varray name="stress"><v>1 0 0</v><v>0 1 0</v><v>0 0 1</v></varray>
  {energy}
 </calculation>
 <structure name="finalpos">{structure}</structure>
</modeling>
""".format(
    structure='<crystal><varray name="basis"><v>3 0 0</v><v>0 3 0</v><v>0 0 3</v></varray></crystal>'
    '<varray name="positions"><v>0 0 0</v><v>0.5 0.5 0.5</v></varray>',
    energy='<energy><i name="e_fr_energy">-7.5</i><i name="e_wo_entrp">-7.5</i><i name="e_0_energy">-7.5</i></energy>',
)


@pytest.fixture
def code(aiida_code_installed):
    """Return a factory of codes for the programs beside this Python."""

    def factory(name: str) -> orm.InstalledCode:
        if not (BIN / name).exists():
            pytest.skip(f'{name} is not beside {sys.executable}: pip install python-ace==0.4.0rc1')
        return aiida_code_installed(filepath_executable=str(BIN / name), label=name)

    return factory


@pytest.fixture
def bash(aiida_code_installed) -> orm.InstalledCode:
    """Return a code that stands for any, where nothing is run."""
    return aiida_code_installed(filepath_executable='/bin/bash')


@pytest.fixture
def potential(aiida_profile) -> orm.SinglefileData:
    """Return a trained potential of copper with nine functions."""
    return orm.SinglefileData(FIXTURES / 'ok' / 'output_potential.yaml')


@pytest.fixture
def active_set(aiida_profile) -> orm.SinglefileData:
    """Return the active set of the potential."""
    return orm.SinglefileData(FIXTURES / 'activeset' / 'p.asi')


@pytest.fixture
def dataset(aiida_profile, tmp_path: Path) -> orm.SinglefileData:
    """Return rattled copper under a name that Pacemaker would not open."""
    rng = np.random.default_rng(1)
    rows: dict[str, list[object]] = {'ase_atoms': [], 'energy_corrected': [], 'forces': []}
    for _ in range(4):
        atoms = bulk('Cu', 'fcc', a=3.6 * rng.uniform(0.97, 1.03), cubic=True)
        atoms.positions += rng.normal(scale=0.05, size=(4, 3))
        atoms.calc = EMT()
        rows['energy_corrected'].append(float(atoms.get_potential_energy()) - 14.0)
        rows['forces'].append(atoms.get_forces())
        rows['ase_atoms'].append(type(atoms)(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=True))
    path = tmp_path / 'mine.gz'
    pd.DataFrame(rows).to_pickle(path, compression='gzip', protocol=4)
    return orm.SinglefileData(path)


def run(inputs: dict[str, object]) -> tuple[dict[str, orm.Data], orm.CalcJobNode]:
    """Run a ShellJob in this process."""
    return run_get_node(ShellJob, **inputs)


@pacemaker
def test_info_counts_the_functions_of_each_element(code, potential):
    """`pace_info` gives the functions by element, the cutoff, and shapes under plain keys."""
    outputs, node = run(shell.info_inputs(code('pace_info'), potential))
    assert node.is_finished_ok, node.exit_message
    parameters = outputs['output_parameters'].get_dict()
    assert parameters['functions_per_element'] == {'Cu': 9}
    assert parameters['n_functions'] == 9
    assert parameters['cutoff'] == 4.5
    assert parameters['elements']['Cu']['n_functions'] == [3, 6]
    assert parameters['bonds']['Cu-Cu']['radbase'] == 'ChebExpCos'
    assert 'Total number of functions' in outputs['stdout'].get_content(mode='r')


def test_no_job_stores_a_pickle(bash, potential):
    """The parser is an entry point: nothing that would be executed when it is loaded becomes an input."""
    inputs = shell.info_inputs(bash, potential)
    assert 'parser' not in inputs
    assert ParserFactory(inputs['metadata']['options']['parser_name']) is PaceInfoParser


@pacemaker
def test_timing_gives_the_time_per_atom(code, potential):
    """`pace_timing` gives microseconds per atom, over all and by crystal structure."""
    outputs, node = run(shell.timing_inputs(code('pace_timing'), potential, n_structures=3))
    assert node.is_finished_ok, node.exit_message
    parameters = outputs['output_parameters'].get_dict()
    assert 0 <= parameters['microseconds_per_atom'] < 1000
    assert set(parameters['prototypes']) <= {'bcc', 'fcc'}
    assert parameters['functions_of_order_one'] == {'Cu': 3}
    assert node.inputs.arguments.get_list()[-2:] == ['-n', '3']


@pacemaker
def test_yaml2yace_gives_the_lammps_potential(code, potential):
    """`pace_yaml2yace` gives the file that LAMMPS reads."""
    outputs, node = run(shell.yaml2yace_inputs(code('pace_yaml2yace'), potential))
    assert node.is_finished_ok, node.exit_message
    assert outputs['lammps_potential'].filename == 'potential.yace'
    assert outputs['lammps_potential'].get_content(mode='r').startswith('elements: [Cu]')


@pacemaker
def test_augment_gives_structures_and_counts(code, potential, dataset, active_set):
    """`pace_augment` gives as many structures as it counts, though it logs to stderr, which aiida-shell minds."""
    inputs = shell.augment_inputs(
        code('pace_augment'), potential, dataset, active_set, {'max_seed_structures': 2, 'max_num_atoms': None}
    )
    outputs, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    parameters = outputs['output_parameters'].get_dict()
    assert parameters['n_seeds'] == 2
    assert parameters['n_made'] >= parameters['n_filtered'] >= parameters['n_selected'] > 0
    with outputs['augmented_dataset'].open(mode='rb') as handle:
        frame = pd.read_pickle(handle, compression='gzip')
    assert len(frame) == parameters['n_selected']


@pacemaker
def test_augment_takes_limits_that_look_like_options(code, potential, dataset, active_set):
    """A negative limit in scientific notation reaches `pace_augment` as a number."""
    limits = {'min_aug_epa': -1e-5, 'max_aug_epa': 1e3, 'epa_reliable_max': -1e-7, 'max_seed_structures': 1}
    _, node = run(shell.augment_inputs(code('pace_augment'), potential, dataset, active_set, limits))
    stderr = node.outputs.stderr.get_content(mode='r')
    assert 'usage:' not in stderr
    assert 'Augmentation of data' in stderr


@pacemaker
def test_augment_without_result_is_a_failure_with_a_reason(code, potential, dataset):
    """A job that augments nothing ends with the code of a failed program and says why."""
    limits = {'max_aug_epa': -1000.0, 'max_seed_structures': 1}
    outputs, node = run(shell.augment_inputs(code('pace_augment'), potential, dataset, parameters=limits))
    assert node.exit_status == ShellJob.exit_codes.ERROR_COMMAND_FAILED.status
    assert 'No compressed structure passed the filters' in node.exit_message
    assert 'output_parameters' not in outputs


@pacemaker
def test_corerep_computes_inner_cutoffs(code, potential, active_set, dataset):
    """`pace_corerep` gives a potential with the inner cutoff that it reports."""
    settings = {'num_of_structures': 2, 'nn_dist_min': 1.0, 'nn_dist_step': 0.2}
    outputs, node = run(shell.corerep_inputs(code('pace_corerep'), potential, active_set, dataset, settings))
    assert node.is_finished_ok, node.exit_message
    parameters = outputs['output_parameters'].get_dict()
    assert parameters['automatic']
    assert parameters['inner_cutoffs']['Cu-Cu'] >= 1.0
    assert 'inner_cutoff_type: zbl' in outputs['potential'].get_content(mode='r')


@pacemaker
def test_corerep_takes_inner_cutoffs_alone(code, potential):
    """With stated inner cutoffs `pace_corerep` needs neither an active set nor data."""
    outputs, node = run(
        shell.corerep_inputs(code('pace_corerep'), potential, parameters={'inner_cutoff': {'Cu-Cu': 1.9}})
    )
    assert node.is_finished_ok, node.exit_message
    assert outputs['output_parameters']['inner_cutoffs'] == {'Cu-Cu': 1.9}
    species = yaml.safe_load(outputs['potential'].get_content(mode='r'))['species']
    assert species[0]['r_in'] == pytest.approx(1.9)


@pacemaker
def test_corerep_names_its_own_failure(code, potential):
    """An inner cutoff of an element that the potential lacks is a failure of the program, in words that fit it."""
    inputs = shell.corerep_inputs(code('pace_corerep'), potential, parameters={'inner_cutoff': {'Al': 1.9}})
    outputs, node = run(inputs)
    assert node.exit_status == ShellJob.exit_codes.ERROR_COMMAND_FAILED.status
    assert '`inner_cutoff` has an element that the potential lacks' in node.exit_message
    assert "KeyError: 'Al'" in node.exit_message
    assert 'potential' not in outputs


@pacemaker
@pytest.mark.parametrize('program', ['info', 'yaml2yace'])
def test_a_file_that_is_no_potential_is_a_failure(code, program):
    """A program that cannot read the potential ends with a code other than 0 and says so."""
    wrong = orm.SinglefileData(io.BytesIO(b'elements: [Cu]\nnothing: [1, 2]\n'), filename='input.yaml')
    make = {'info': shell.info_inputs, 'yaml2yace': shell.yaml2yace_inputs}[program]
    outputs, node = run(make(code(f'pace_{program}'), wrong))
    assert node.exit_status == ShellJob.exit_codes.ERROR_COMMAND_FAILED.status
    assert 'exit status' in node.exit_message
    assert 'output_parameters' not in outputs


@pacemaker
def test_collect_reads_named_folders(code, tmp_path):
    """`pace_collect` reads several folders, subtracts stated energies, and reports what it could not read."""
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'vasprun.xml').write_text(VASPRUN[:300])
    (tmp_path / 'good').mkdir()
    (tmp_path / 'good' / 'vasprun.xml').write_text(VASPRUN)
    runs = {name: orm.FolderData(tree=tmp_path / name) for name in ('good', 'bad')}
    outputs, node = run(shell.collect_inputs(code('pace_collect'), runs, {'free_atom_energy': {'Cu': -1e-3}}))
    assert node.is_finished_ok, node.exit_message
    parameters = outputs['output_parameters'].get_dict()
    assert parameters['n_structures'] == 1
    assert parameters['reference_energies'] == {'Cu': -1e-3}
    assert len(parameters['unreadable']) == 1
    with outputs['collected_dataset'].open(mode='rb') as handle:
        frame = pd.read_pickle(handle, compression='gzip')
    assert frame['energy_corrected'][0] == pytest.approx(-7.5 + 2e-3)
    assert frame['name'][0].endswith('run_good/vasprun.xml##0')


@pacemaker
def test_collect_links_one_remote_folder(code, tmp_path, aiida_localhost):
    """One folder on the computer is searched in place, with its subfolders."""
    (tmp_path / 'below').mkdir()
    (tmp_path / 'below' / 'vasprun.xml').write_text(VASPRUN)
    remote = orm.RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    outputs, node = run(shell.collect_inputs(code('pace_collect'), remote))
    assert node.is_finished_ok, node.exit_message
    assert outputs['output_parameters']['n_structures'] == 1
    assert (Path(node.get_remote_workdir()) / 'run_0').is_symlink()


@pacemaker
def test_collect_copies_several_remote_folders(code, tmp_path, aiida_localhost):
    """Several folders on the computer are all searched."""
    runs = {}
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'vasprun.xml').write_text(VASPRUN)
        runs[name] = orm.RemoteData(computer=aiida_localhost, remote_path=str(tmp_path / name))
    outputs, node = run(shell.collect_inputs(code('pace_collect'), runs))
    assert node.is_finished_ok, node.exit_message
    assert outputs['output_parameters']['n_structures'] == 2


@pacemaker
def test_collect_of_nothing_is_a_failure_with_a_reason(code, tmp_path, aiida_localhost):
    """A folder without runs of VASP is a failure in words, not a traceback."""
    remote = orm.RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    _, node = run(shell.collect_inputs(code('pace_collect'), remote))
    assert node.exit_status == ShellJob.exit_codes.ERROR_COMMAND_FAILED.status
    assert 'holds no readable VASP run' in node.exit_message


@pacemaker
def test_collect_without_the_energy_of_an_element_is_explained(code, tmp_path, aiida_localhost):
    """An element that `free_atom_energy` lacks is named as what it is."""
    (tmp_path / 'vasprun.xml').write_text(VASPRUN)
    remote = orm.RemoteData(computer=aiida_localhost, remote_path=str(tmp_path))
    _, node = run(shell.collect_inputs(code('pace_collect'), remote, {'free_atom_energy': {'Al': -1.0}}))
    assert node.exit_status == ShellJob.exit_codes.ERROR_COMMAND_FAILED.status
    assert '`free_atom_energy` lacks' in node.exit_message


def test_a_program_that_prints_something_else_is_a_failure(bash, potential):
    """Exit status 0 without the expected text is not a success, and noise on stderr is not what fails it."""
    inputs = shell.info_inputs(bash, potential) | {'arguments': ['-c', 'echo noise >&2']}
    _, node = run(inputs)
    assert node.exit_status == ShellJob.exit_codes.ERROR_PARSER_HOOK_EXCEPTED.status
    assert 'pace_info did not finish' in node.exit_message


def test_a_missing_file_is_a_failure(bash, potential):
    """Exit status 0 without the promised file is not a success."""
    _, node = run(shell.yaml2yace_inputs(bash, potential) | {'arguments': ['-c', 'true']})
    assert node.exit_status == ShellJob.exit_codes.ERROR_OUTPUT_FILEPATHS_MISSING.status
    assert 'potential.yace' in node.exit_message


def test_the_verdict_of_the_scheduler_stays(aiida_localhost, tmp_path):
    """A job that ran out of time stays one, whatever the program left."""
    node = orm.CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:core.shell')
    node.set_exit_status(ShellJob.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME.status)
    (tmp_path / 'stdout').write_text('')
    assert PaceInfoParser(node).parse(retrieved_temporary_folder=str(tmp_path)) is None


def test_options_reach_the_job(bash, potential):
    """Options such as resources are kept beside the parser's name."""
    inputs = shell.info_inputs(bash, potential, options={'max_wallclock_seconds': 60})
    assert inputs['metadata']['options'] == {'max_wallclock_seconds': 60, 'parser_name': 'autopipec.pace_info'}


@pytest.mark.parametrize(
    ('make', 'settings', 'named'),
    [
        (shell.augment_inputs, {'max_seeds': 3}, 'max_seeds'),
        (shell.augment_inputs, {'nn_dist_step': -0.1}, 'nn_dist_step'),
        (shell.augment_inputs, {'max_aug_epa': float('nan')}, 'max_aug_epa'),
        (shell.corerep_inputs, {'inner_cutoff': {'Cu': -1.0}}, 'inner_cutoff'),
        (shell.corerep_inputs, {'inner_cutoff': {'Cu;ls': 1.0}}, 'inner_cutoff'),
        (shell.corerep_inputs, {'inner_cutoff': {}}, 'inner_cutoff'),
        (shell.corerep_inputs, {'nn_dist_min': 3.0}, 'nn_dist_max'),
    ],
)
def test_impossible_settings_are_refused(bash, potential, dataset, make, settings, named):
    """A setting that is unknown or not possible is refused by name before anything is submitted."""
    nodes = {'potential': potential, 'dataset': dataset, 'parameters': settings}
    with pytest.raises(ConfigError, match=f'`{named}`'):
        make(bash, **nodes)


@pytest.mark.parametrize('number', [0, -1, 'ten'])
def test_a_number_of_structures_must_be_positive(bash, potential, number):
    """`pace_timing` is not run on no structures."""
    with pytest.raises(ConfigError, match='`n_structures`'):
        shell.timing_inputs(bash, potential, number)


@pytest.mark.parametrize('selection', ['second', '1:2:0', '--help'])
def test_a_selection_must_be_a_name_or_a_slice(bash, selection):
    """`pace_collect` gets no selection that it would stumble over after a stay in the queue."""
    with pytest.raises(ConfigError, match='`selection`'):
        shell.collect_inputs(bash, orm.FolderData(), {'selection': selection})


def test_corerep_needs_something_to_compute_from(bash, potential, active_set):
    """Without stated inner cutoffs both the active set and the dataset are needed; the missing one is named."""
    with pytest.raises(InputError, match='needs `dataset`'):
        shell.corerep_inputs(bash, potential, active_set)


def test_corerep_refuses_data_that_it_would_not_use(bash, potential, active_set, dataset):
    """Nodes that the program would ignore do not become its provenance."""
    with pytest.raises(InputError, match='does not use `active_set` and `dataset`'):
        shell.corerep_inputs(bash, potential, active_set, dataset, {'inner_cutoff': {'Cu': 1.9}})


@pytest.mark.parametrize(
    ('inputs', 'settings'), [(shell.corerep_inputs, {'inner_cutoff': {'Cu': 1.9}}), (shell.augment_inputs, {})]
)
def test_a_repulsion_that_would_count_twice_is_refused(bash, potential, dataset, inputs, settings):
    """Where ZBL was subtracted, a simulation adds it again: Pacemaker's own does not come on top."""
    given = {'dataset': dataset} if inputs is shell.augment_inputs else {}
    inputs(bash, potential, **given, parameters=settings)
    zbl = {'name': 'zbl', 'inner': 3.0, 'outer': 4.0}
    recorded = {'method': 'isolated_atoms', 'single_atom_energies': {'Cu': -0.5}, 'potential': zbl}
    potential.base.attributes.set('reference', recorded)
    with pytest.raises(InputError, match=r'the potential zbl was subtracted .* kept apart twice'):
        inputs(bash, potential, **given, parameters=settings)


def test_collect_refuses_a_folder_of_another_computer(bash, aiida_computer_ssh):
    """A remote folder is only looked for where it lies."""
    elsewhere = aiida_computer_ssh(label='elsewhere', configure=False)
    with pytest.raises(InputError, match='lies on `elsewhere`'):
        shell.collect_inputs(bash, orm.RemoteData(computer=elsewhere, remote_path='/scratch'))


def test_collect_refuses_no_folder(bash):
    """An empty collection of runs is refused."""
    with pytest.raises(InputError, match='holds no folder'):
        shell.collect_inputs(bash, {})


@pacemaker
def test_the_how_to_works(aiida_profile_clean, code, dataset, tmp_path, monkeypatch, capsys):
    """The examples of `docs/how-to/programs.md` run in their order and print what they promise."""
    for program in ('info', 'timing', 'yaml2yace', 'corerep', 'augment', 'collect'):
        code(f'pace_{program}')
    monkeypatch.chdir(tmp_path)
    Path('potential.yaml').write_bytes((FIXTURES / 'ok' / 'output_potential.yaml').read_bytes())
    Path('potential.asi').write_bytes((FIXTURES / 'activeset' / 'p.asi').read_bytes())
    Path('train.pckl.gzip').write_bytes(dataset.get_content(mode='rb'))
    Path('vasp').mkdir()
    Path('vasp', 'vasprun.xml').write_text(VASPRUN)
    namespace: dict[str, object] = {}
    for block in re.findall(r'```python\n(.*?)```', HOW_TO.read_text(), re.DOTALL):
        exec(block, namespace)  # noqa: S102 - our own documentation
    assert namespace['node'].is_finished_ok
    functions, time, cutoffs, selected, imported, collected = capsys.readouterr().out.splitlines()
    assert functions == "{'Cu': 9}"
    assert float(time) >= 0
    assert cutoffs == "{'Cu-Cu': 1.9}"
    assert int(selected) == int(imported) > 0
    assert collected == "{'Cu': -0.25} []"
