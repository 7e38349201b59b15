"""What a configuration says about itself, and the text it becomes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from aiida_autopipec.pacemaker.config import config_problems, render_input_yaml, validate_config
from aiida_autopipec.pacemaker.errors import ConfigError


def shuffled(value: Any) -> Any:
    """Return nested mappings with their keys in reverse order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return value


def test_the_usual_forms_are_accepted(config: dict[str, Any]) -> None:
    """Nothing is wrong with the example of each form."""
    assert config_problems(config) == []


def test_the_text_round_trips(config: dict[str, Any]) -> None:
    """A configuration read back from its own text writes the same bytes."""
    text = validate_config(config).to_yaml()
    assert validate_config(yaml.safe_load(text)).to_yaml() == text


def test_the_text_does_not_depend_on_the_order_of_keys(config: dict[str, Any]) -> None:
    """Equal settings give equal bytes."""
    assert validate_config(shuffled(config)).to_yaml() == validate_config(config).to_yaml()


def test_only_what_was_set_and_what_must_be_explicit_is_written() -> None:
    """Defaults of Pacemaker stay away, seed, evaluator and the reference energy are stated."""
    assert validate_config({}).to_dict() == {
        'seed': 42,
        'data': {'reference_energy': None},
        'backend': {'evaluator': 'pyace'},
    }


def test_the_weighting_gets_the_seed_of_the_configuration() -> None:
    """The energy based policy draws structures, and without a seed of its own it would be another fit each time."""
    config = validate_config({'seed': 5, 'fit': {'weighting': {'type': 'EnergyBasedWeightingPolicy'}}})
    assert config.to_dict()['fit']['weighting']['seed'] == 5


def test_text_that_looks_like_a_number_is_quoted() -> None:
    """YAML 1.2 would read a bare 1e-3 as a number."""
    assert "note: '1e-3'" in validate_config({'metadata': {'note': '1e-3'}}).to_yaml()


def test_elements_and_cutoff(binary: dict[str, Any]) -> None:
    """Elements come in alphabetic order, the cutoff is the largest of all bonds in Å."""
    config = validate_config(binary)
    assert config.elements == ('Al', 'Ni')
    assert config.cutoff == 4.5
    assert not config.needs_initial_potential


def test_without_a_shape_elements_and_cutoff_are_unknown() -> None:
    """The potential that the calculation is given decides then."""
    config = validate_config({})
    assert (config.elements, config.cutoff, config.needs_initial_potential) == ((), None, True)


def test_configurations_are_frozen(unary: dict[str, Any]) -> None:
    """A checked configuration cannot become a wrong one."""
    config = validate_config(unary)
    with pytest.raises(ValidationError):
        config.seed = -1


def test_file_names_are_added_in_one_place(unary: dict[str, Any]) -> None:
    """The rendered file holds both datasets and everything that the text without file names holds."""
    config = validate_config(unary)
    text = render_input_yaml(config, train_filename='train.pckl.gzip', test_filename='test.pckl.gzip')
    settings = yaml.safe_load(text)
    assert settings['data'] == {
        'filename': 'train.pckl.gzip',
        'test_filename': 'test.pckl.gzip',
        'reference_energy': None,
    }
    del settings['data']['filename'], settings['data']['test_filename']
    assert settings == config.to_dict()


@pytest.mark.parametrize(
    ('potential', 'rendered'),
    [
        (None, 'p.yaml'),
        ({'reset': True}, {'filename': 'p.yaml', 'reset': True}),
    ],
)
def test_a_given_potential_is_named_as_pacemaker_reads_it(potential: Any, rendered: Any) -> None:
    """Without a shape the section is the file; with reset it is a mapping around the file."""
    config = validate_config({} if potential is None else {'potential': potential})
    text = render_input_yaml(config, train_filename='t.pckl.gzip', initial_potential_filename='p.yaml')
    assert yaml.safe_load(text)['potential'] == rendered


def test_a_shape_grows_from_the_initial_potential(unary: dict[str, Any]) -> None:
    """With a ladder the file is where it starts, and the shape where it leads to."""
    config = validate_config({**unary, 'fit': {**unary.get('fit', {}), 'ladder_step': 2}})
    text = render_input_yaml(config, train_filename='t.pckl.gzip', initial_potential_filename='p.yaml')
    potential = yaml.safe_load(text)['potential']
    assert potential.pop('initial_potential') == 'p.yaml'
    assert potential == config.to_dict()['potential']


def test_without_a_ladder_the_fit_goes_on_with_the_basis_of_the_initial_potential(unary: dict[str, Any]) -> None:
    """Pacemaker would climb a ladder if it were given a shape as well."""
    text = render_input_yaml(validate_config(unary), train_filename='t.pckl.gzip', initial_potential_filename='p.yaml')
    assert yaml.safe_load(text)['potential'] == 'p.yaml'


def test_rendering_without_any_potential_is_refused() -> None:
    """The sentence names the input to use."""
    with pytest.raises(ConfigError, match='initial_potential'):
        render_input_yaml(validate_config({}), train_filename='t.pckl.gzip')


def test_stopping_on_the_test_loss_needs_a_test_set(unary: dict[str, Any]) -> None:
    """A criterion that could never act is refused."""
    unary['backend'] = {'evaluator': 'tensorpot'}
    unary['fit']['min_relative_test_loss_per_iter'] = 1e-5
    with pytest.raises(ConfigError, match='test_dataset'):
        render_input_yaml(validate_config(unary), train_filename='t.pckl.gzip')
