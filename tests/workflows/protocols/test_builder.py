"""Builders from protocols, and a training by one with the real Pacemaker."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiida.engine import run_get_node
from aiida.orm import Dict, InstalledCode, SinglefileData

from aiida_autopipec.calculations.functions.convert import import_dataset
from aiida_autopipec.cli.launch import check_inputs
from aiida_autopipec.pacemaker.config import render_input_yaml, validate_config
from aiida_autopipec.pacemaker.config.basis import basis_config
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError, InputError
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.workflows.protocols import loading
from aiida_autopipec.workflows.train import TrainPotentialWorkChain

AL_LDA = Path(__file__).parents[3] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'


def pruned(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was set in a builder, as `submit` takes it."""
    inputs = {key: pruned(value) if isinstance(value, Mapping) else value for key, value in namespace.items()}
    return {key: value for key, value in inputs.items() if value is not None and (value or not isinstance(value, dict))}


@pytest.fixture(scope='module')
def al_lda(aiida_profile: Any) -> SinglefileData:
    """Return the example data of aluminium, with an isolated atom."""
    return SinglefileData(AL_LDA).store()


@pytest.fixture(scope='module')
def build(al_lda: SinglefileData, programs: dict[str, Any]) -> Any:
    """Return a function that builds for the example data."""

    def from_protocol(protocol: str | None = None, **options: Any) -> Any:
        return TrainPotentialWorkChain.get_builder_from_protocol(programs['pacemaker'], al_lda, protocol, **options)

    return from_protocol


def test_the_builder_is_complete(build: Any) -> None:
    """Code, data and a protocol are enough: config, reference and test set are chosen, and the description says why."""
    builder = build()
    assert builder.config.get_dict()['potential']['elements'] == ['Al']
    assert builder.reference.get_dict() == {'method': 'isolated_atoms'}
    assert builder.split.get_dict()['test_fraction'] == 0.1
    assert set(builder.datasets) == {'data'}
    assert 'protocol balanced, evaluator pyace' in builder.metadata.description
    assert '257 atoms of Al' in builder.metadata.description
    check_inputs(pruned(builder))


def test_every_kind_of_data_gives_the_same_settings(
    programs: dict[str, Any], make_atoms: Any, as_dataset: Any, as_trajectory: Any, as_file: Any, as_structures: Any,
    convention: dict[str, Any],
) -> None:  # fmt: skip
    """A dataset, a trajectory, a file and single structures of the same content are looked at alike."""
    images = make_atoms(8)[1::2]
    common = {'overrides': {'reference': {'method': 'least_squares'}}}
    kinds: list[dict[str, Any]] = [
        {'datasets': as_dataset(images)},
        {'datasets': {'t': as_trajectory(images)}, 'conversion': {'t': convention}},
        {'datasets': {'f': as_file(images)}},
        as_structures(images),
    ]
    builders = [
        TrainPotentialWorkChain.get_builder_from_protocol(programs['pacemaker'], **kind, **common) for kind in kinds
    ]
    assert len({str(builder.config.get_dict()) for builder in builders}) == 1
    for builder in builders:
        check_inputs(pruned(builder))


def test_looking_at_data_leaves_no_trace(build: Any) -> None:
    """Choosing settings converts data without a process in the graph."""
    from aiida.orm import ProcessNode, QueryBuilder

    before = QueryBuilder().append(ProcessNode).count()
    build('fast')
    assert QueryBuilder().append(ProcessNode).count() == before


def test_overrides_and_options_arrive(build: Any, programs: dict[str, Any]) -> None:
    """Overrides of any port, options of the job and other programs stand in the builder."""
    builder = build(
        codes={'yaml2yace': programs['pace_yaml2yace']},
        options={'max_wallclock_seconds': 600},
        overrides={
            'triage': {'actions': {'duplicate': 'drop'}},
            'restart': {'max_iterations': 2},
            'pace_train': {'metadata': {'options': {'queue_name': 'short'}}},
            'metadata': {'description': 'mine'},
        },
    )
    options = builder.pace_train.metadata.options
    assert (options.max_wallclock_seconds, options.queue_name) == (600, 'short')
    assert builder.pace_train.codes.yaml2yace == programs['pace_yaml2yace']
    assert builder.triage.get_dict() == {'actions': {'duplicate': 'drop'}}
    assert builder.metadata.description == 'mine'


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        ({'confg': {}}, '`overrides.confg` is unknown; did you mean `overrides.config`?'),
        ({'rule': {}}, 'did you mean `overrides.rules`?'),
        ({'pace_train': {'metadata': {'option': {}}}}, 'did you mean `overrides.pace_train.metadata.options`?'),
        ({'pace_train': {'metadata': {'options': {'max_wallclock': 3}}}}, 'max_wallclock_seconds`?'),
        ({'datasets': {}}, '`datasets` is an argument of its own'),
        ({'pace_train': 3}, '`overrides.pace_train` has to be a mapping'),
        ({'config': {'fit': {'loss': {'kapa': 1}}}}, 'fit.loss.kappa'),
    ],
)
def test_unknown_overrides_are_refused(build: Any, overrides: dict[str, Any], sentence: str) -> None:
    """A key that no port has is an error that names the nearest one, at any depth."""
    with pytest.raises(ConfigError) as caught:
        build(overrides=overrides)
    assert sentence in str(caught.value)


def test_a_job_that_asks_for_a_gpu_gets_tensorpot(build: Any, localhost: Any, al_lda: SinglefileData) -> None:
    """A directive for a GPU, in the options or with the code, chooses the evaluator; the user may state another."""
    asks = {'custom_scheduler_commands': '#SBATCH --gres=gpu:1'}
    assert build(options=asks).config.get_dict()['backend']['evaluator'] == 'tensorpot'
    assert build(options=asks, evaluator='pyace').config.get_dict()['backend']['evaluator'] == 'pyace'
    code = InstalledCode(
        label='gpu', computer=localhost, filepath_executable='/bin/true', prepend_text='#SBATCH --gpus=1'
    ).store()
    builder = TrainPotentialWorkChain.get_builder_from_protocol(code, al_lda)
    assert builder.config.get_dict()['backend']['evaluator'] == 'tensorpot'


def test_protocols_are_listed() -> None:
    """Names come with what each is for, and the default is one of them."""
    available = TrainPotentialWorkChain.get_available_protocols()
    assert TrainPotentialWorkChain.get_default_protocol() == 'balanced'
    assert list(available) == ['balanced', 'fast', 'accurate']


def test_no_data_at_all(programs: dict[str, Any]) -> None:
    """Without data nothing can be chosen."""
    with pytest.raises(DatasetError, match='there are no structures'):
        TrainPotentialWorkChain.get_builder_from_protocol(programs['pacemaker'])


@pytest.mark.parametrize(
    ('refinement', 'sentence'),
    [({}, '`refinement` is empty'), ({'los': {'kappa': 0.1}}, 'fit.loss'), ({'ladder_step': -1}, 'fit.ladder_step')],
)
def test_wrong_second_stages_are_refused(build: Any, refinement: dict[str, Any], sentence: str) -> None:
    """What the second stage does otherwise is checked before anything runs."""
    builder = build()
    builder.refinement = Dict(refinement)
    with pytest.raises(InputError) as caught:
        check_inputs(pruned(builder))
    assert sentence in str(caught.value)


@pytest.mark.pacemaker
@pytest.mark.parametrize('evaluator', ['pyace', 'tensorpot'])
@pytest.mark.parametrize('protocol', ['fast', 'balanced', 'accurate'])
def test_pacemaker_builds_the_basis(
    build: Any, al_lda: SinglefileData, programs: dict[str, Any], tmp_path: Path, protocol: str, evaluator: str
) -> None:
    """The real Pacemaker accepts the settings, and makes as many functions as they promise.

    Settings for tensorpot are tried with their basis alone, as TensorFlow is not there.
    """
    config = validate_config(build(protocol, evaluator=evaluator).config.get_dict())
    shown = config if evaluator == 'pyace' else basis_config(config)
    structures = import_dataset(al_lda, metadata={'store_provenance': False})['dataset'].get_structures()
    bulk = structures.take(structures.pbc.all(axis=1)).take(range(8))
    save_to_pacemaker_format(bulk.replace(energy_corrected=bulk.energy * 0), tmp_path / 'train.pckl.gzip')
    (tmp_path / 'input.yaml').write_text(render_input_yaml(shown, train_filename='train.pckl.gzip'))
    done = subprocess.run(
        [programs['pacemaker'].filepath_executable, '--dry-run'],
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    basis = yaml.safe_load((tmp_path / 'target_potential.yaml').read_text())
    assert config.basis_size is not None
    assert sum(len(block['nbody']) for block in basis['species']) == config.basis_size.n_functions


@pytest.mark.pacemaker
def test_fast_trains_in_two_stages(build: Any, programs: dict[str, Any]) -> None:
    """The protocol `fast` trains on the example data, and a second stage goes on from there with a smaller kappa."""
    builder = build(
        'fast',
        codes={'yaml2yace': programs['pace_yaml2yace']},
        two_stages=True,
        overrides={
            'config': {'fit': {'maxiter': 4, 'early_stopping_patience': 3}},
            'refinement': {'maxiter': 2, 'early_stopping_patience': 1},
        },
    )
    node = run_get_node(builder)[1]
    assert node.exit_status == 0, node.exit_message
    stages = {
        link.link_label: link.node
        for link in node.base.links.get_outgoing().all()
        if link.link_label in ('train', 'refine')
    }
    assert set(stages) == {'train', 'refine'}
    first, second = stages['train'], stages['refine']
    assert 'lammps_potential' not in first.outputs
    assert second.inputs.pace_train.initial_potential == first.outputs.potential
    kappas = [stage.inputs.pace_train.config.get_dict()['fit']['loss']['kappa'] for stage in (first, second)]
    assert kappas == [0.9, 0.05]
    assert node.outputs.potential == second.outputs.potential
    assert node.outputs.output_parameters['iterations'] == 2
    assert 'lammps_potential' in node.outputs


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ({'datasets': 12}, '`datasets` has to be a node'),
        ({'codes': {'yaml2yac': 'a@b'}}, 'did you mean `codes.yaml2yace`'),
        ({'options': {'prepend_txt': ''}}, 'did you mean `options.prepend_text`'),
        ({'overrides': [1]}, '`overrides` has to be a mapping'),
        ({'overrides': {'config': 3}}, r'`overrides\.config` has to be a mapping'),
        ({'overrides': {'restart': {'max_attemts_without_progress': 1}}}, r'restart\.max_attempts_without_progress'),
    ],
)
def test_wrong_arguments_are_named(aiida_code_installed: Any, arguments: dict[str, Any], sentence: str) -> None:
    """What is not possible is told in a sentence, not by what fails because of it."""
    code = aiida_code_installed(label='any', filepath_executable='/nowhere/pacemaker')
    with pytest.raises(InputError, match=sentence):
        TrainPotentialWorkChain.get_builder_from_protocol(code, **arguments)


def test_a_fit_begins_and_ends_in_the_plain_way_unless_it_is_asked_for(build: Any) -> None:
    """No protocol ends a fit by itself; one word in the overrides does, and the description says so."""
    for protocol in TrainPotentialWorkChain.get_available_protocols():
        assert build(protocol).pace_train.early_stopping is None
    builder = build(overrides={'acceleration': 'full', 'early_stopping': 80})
    assert builder.pace_train.acceleration.get_dict() == {'mode': 'full'}
    assert builder.pace_train.early_stopping.get_dict() == {'patience': 80}
    assert 'acceleration: mode full; early_stopping: patience 80' in builder.metadata.description
    check_inputs(pruned(builder))


def test_fits_are_accelerated_where_that_was_measured_to_pay(build: Any) -> None:
    """Those of `fast` with evaluator pyace; one word in the overrides changes that."""
    on = {
        (protocol, evaluator)
        for protocol in TrainPotentialWorkChain.get_available_protocols()
        for evaluator in ('pyace', 'tensorpot')
        if build(protocol, overrides={'config': {'backend': {'evaluator': evaluator}}}).pace_train.acceleration
    }
    assert on == {('fast', 'pyace')}
    for overrides in ({'acceleration': 'none'}, {'acceleration': None}):
        assert build('fast', overrides=overrides).pace_train.acceleration is None
    own = build('fast', overrides={'pace_train': {'acceleration': {'mode': 'full', 'seed': 3}}})
    assert own.pace_train.acceleration.get_dict() == {'mode': 'full', 'seed': 3}


def test_one_word_in_the_file_accelerates(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a protocol says counts where the overrides say nothing, and less than they do."""
    content = yaml.safe_load(yaml.safe_dump(loading._content()))
    content['default']['early_stopping'] = 100
    content['protocols']['fast']['evaluators']['pyace']['acceleration'] = 'prefit'
    monkeypatch.setattr(loading, '_content', lambda: content)
    assert build('fast').pace_train.acceleration.get_dict() == {'mode': 'prefit'}
    assert build('fast').pace_train.early_stopping.get_dict() == {'patience': 100}
    assert build('fast', overrides={'split': None}).pace_train.early_stopping is None


@pytest.mark.parametrize(
    ('overrides', 'said'),
    [
        ({'acceleration': 'fast'}, '`mode`'),
        ({'early_stopping': 0}, '`patience`'),
        ({'early_stopping': 10, 'config': {'backend': {'evaluator': 'tensorpot'}}}, 'each 50 iterations'),
        ({'aceleration': 'full'}, 'did you mean `overrides.acceleration`'),
    ],
)
def test_impossible_begins_and_ends_are_refused(build: Any, overrides: dict[str, Any], said: str) -> None:
    """The key is named before anything is submitted."""
    with pytest.raises(ConfigError, match=said):
        build(overrides=overrides)
