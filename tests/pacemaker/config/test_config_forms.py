"""Input files in each form of Pacemaker's documentation mean the same after they were read and written."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig, config_remarks, render_input_yaml, validate_config

FORMS = sorted((Path(__file__).parents[2] / 'fixtures' / 'config').glob('*.yaml'))

needs_pacemaker = pytest.mark.skipif(find_spec('pyace') is None, reason="needs the real Pacemaker: '.[pacemaker]'")


def pacemaker_reads(text: str) -> dict[str, Any]:
    """Return the mapping that ``pyace/cli/pacemaker.py`` makes of a file: YAML 1.2, by ruamel."""
    from ruamel.yaml import YAML

    mapping: dict[str, Any] = YAML(typ='safe', pure=True).load(text)
    return mapping


def without_files(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return the settings, as a user of the plugin states them: files are inputs of their own."""
    settings = copy.deepcopy(mapping)
    settings['data'] = {key: value for key, value in settings['data'].items() if 'filename' not in key}
    potential = settings.pop('potential')
    if isinstance(potential, dict):
        settings['potential'] = {
            key: value for key, value in potential.items() if key not in ('filename', 'initial_potential')
        }
    return settings


def written(mapping: dict[str, Any]) -> str:
    """Return the file that the calculation would write for it."""
    potential = mapping['potential']
    files = (
        [potential] if isinstance(potential, str) else [potential.get('filename'), potential.get('initial_potential')]
    )
    return render_input_yaml(
        validate_config(without_files(mapping)),
        train_filename=mapping['data']['filename'],
        test_filename=mapping['data'].get('test_filename', 'test.pckl.gzip'),
        initial_potential_filename=next(filter(None, files), None),
    )


def meaning(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return what Pacemaker's own functions make of an input file, and the rest of it with Pacemaker's defaults."""
    from pyace.lossfuncspec import LossFunctionSpecification
    from pyace.multispecies_basisextension import expand_trainable_parameters, generate_blocks_specifications_dict
    from pyace.preparedata import get_weighting_policy

    mapping = copy.deepcopy(mapping)
    potential, fit, data, backend = (mapping.pop(key) for key in ('potential', 'fit', 'data', 'backend'))
    elements: list[str] = []
    if isinstance(potential, dict) and 'elements' in potential:
        elements = sorted(potential['elements'])
        limit = potential['functions'].pop('number_of_functions_per_element', None)
        blocks = generate_blocks_specifications_dict(potential)
        rest = {
            key: item for key, item in potential.items() if key not in ('embeddings', 'bonds', 'functions', 'elements')
        }
        potential = {'deltaSplineBins': 0.001, **rest, 'blocks': blocks, 'limit': limit}
    return {
        'seed': mapping.get('seed', 42),
        'metadata': mapping.get('metadata'),
        'elements': elements,
        'potential': potential,
        'loss': vars(LossFunctionSpecification(**fit.pop('loss', {}))),
        'weighting': vars(get_weighting_policy(fit.pop('weighting', None))),
        'trainable': expand_trainable_parameters(elements or ['Al'], fit.pop('trainable_parameters', [])),
        'fit': {'optimizer': 'BFGS', 'maxiter': 100, **fit},
        'data': {'reference_energy': None, 'test_filename': 'test.pckl.gzip', **data},
        'backend': backend,
    }


@needs_pacemaker
@pytest.mark.pacemaker
@pytest.mark.parametrize('path', FORMS, ids=lambda path: path.stem)
def test_a_form_means_the_same_after_a_round_trip(path: Path) -> None:
    """Pacemaker's own functions make the same of the file and of what this package writes for it."""
    original = pacemaker_reads(path.read_text())
    text = written(original)

    once, twice = meaning(original), meaning(pacemaker_reads(text))

    # the order of groups is of no account to Pacemaker, and the plugin's own key is none of Pacemaker's
    assert {key: set(kinds) for key, kinds in once.pop('trainable').items()} == {
        key: set(kinds) for key, kinds in twice.pop('trainable').items()
    }
    assert once == twice
    assert 'allow_callbacks' not in text


@needs_pacemaker
@pytest.mark.parametrize('path', FORMS, ids=lambda path: path.stem)
def test_a_form_is_written_the_same_again(path: Path) -> None:
    """What was written, read and written again is the same text, byte for byte."""
    original = pacemaker_reads(path.read_text())
    text = written(original)
    again = pacemaker_reads(text)
    again.update({key: original[key] for key in ('allow_callbacks',) if key in original})
    assert written(again) == text


@pytest.mark.parametrize('path', FORMS, ids=lambda path: path.stem)
def test_pyyaml_reads_what_pacemaker_reads(path: Path) -> None:
    """The same file gives the same settings, read as YAML 1.1 by PyYAML or as YAML 1.2 by Pacemaker's reader."""
    import yaml

    pytest.importorskip('ruamel.yaml')
    text = path.read_text()
    configs = [validate_config(without_files(read(text))) for read in (yaml.safe_load, pacemaker_reads)]
    assert configs[0] == configs[1]


@pytest.mark.parametrize('path', FORMS, ids=lambda path: path.stem)
def test_a_form_has_all_that_the_model_says_of_it(path: Path) -> None:
    """Elements, cutoff and size of the basis are known where the file states a shape, and remarks are sentences."""
    import yaml

    config: TrainingConfig = validate_config(without_files(yaml.safe_load(path.read_text())))
    if config.elements:
        assert config.cutoff
        assert config.basis_size is not None
        assert set(config.basis_size.functions_per_element) == set(config.elements)
        assert all(count > 0 for count in config.basis_size.functions.values())
    else:
        assert (config.cutoff, config.basis_size) == (None, None)
    assert all(remark.endswith('.') for remark in config_remarks(config))
