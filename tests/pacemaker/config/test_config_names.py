"""Keys that Pacemaker would ignore are refused, with the name that was probably meant."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig, config_problems, iter_settings
from aiida_autopipec.pacemaker.errors import AutopipecError, ConfigError


def put(config: dict[str, Any], path: str, value: Any) -> None:
    """Set a key of a nested mapping, making the sections on the way."""
    *sections, name = path.split('.')
    for section in sections:
        config = config.setdefault(section, {})
    config[name] = value


def test_every_misspelt_key_is_refused(config: dict[str, Any], key_path: tuple[str, ...]) -> None:
    """A key with a letter too many is refused with a sentence that starts with its path."""
    section = config
    for part in key_path[:-1]:
        section = section[part]
    misspelt = key_path[-1] + 'x'
    section[misspelt] = section.pop(key_path[-1])

    problems = config_problems(config)

    assert any(problem.startswith('.'.join((*key_path[:-1], misspelt)) + ': unknown key') for problem in problems)


@pytest.mark.parametrize(
    ('path', 'meant'),
    [
        ('fit.maxitr', 'fit.maxiter'),
        ('fitt', 'fit'),
        ('fit.loss.kapa', 'fit.loss.kappa'),
        ('potential.bonds.Al.rcutt', 'potential.bonds.Al.rcut'),
        ('potential.bonds.UNRAY', 'potential.bonds.UNARY'),
        ('potential.functions.number_of_function_per_element', 'potential.functions.number_of_functions_per_element'),
        ('backend.batchsize', 'backend.batch_size'),
        ('data.filenme', 'data.filename'),
    ],
)
def test_the_nearest_name_is_proposed(unary: dict[str, Any], path: str, meant: str) -> None:
    """The sentence on a misspelt key proposes the nearest key of the same section."""
    put(unary, path, 1)
    assert [
        problem for problem in config_problems(unary) if f'{path}: ' in problem and f'did you mean {meant}' in problem
    ]


@pytest.mark.parametrize(
    ('path', 'home'),
    [
        ('fit.kappa', 'fit.loss.kappa'),
        ('fit.evaluator', 'backend.evaluator'),
        ('maxiter', 'fit.maxiter'),
        ('potential.rcut', 'potential.bonds.<elements>.rcut'),
        ('potential.bonds.Al.rho_core_cut', 'potential.embeddings.<elements>.rho_core_cut'),
        ('fit.reference_energy', 'data.reference_energy'),
    ],
)
def test_the_right_section_is_proposed(unary: dict[str, Any], path: str, home: str) -> None:
    """The sentence on a key in the wrong section names the right one."""
    put(unary, path, 1)
    assert f'{path}: unknown key here; did you mean {home}?' in config_problems(unary)


@pytest.mark.parametrize(
    ('path', 'remedy'),
    [
        ('cutoff', 'rcut'),
        ('data.filename', 'input dataset'),
        ('data.test_filename', 'input test_dataset'),
        ('data.test_size', 'input test_dataset'),
        ('data.datapath', 'input'),
        ('data.seed', 'top-level key seed'),
        ('potential.filename', 'input initial_potential'),
        ('potential.initial_potential', 'input initial_potential'),
        ('potential.element', 'elements'),
        ('callbacks', 'fit.callbacks'),
        ('fit.options.maxiter', 'fit.maxiter'),
        ('fit.loss.w_stress', 'no stress term'),
    ],
)
def test_keys_with_another_home_are_refused_with_it(unary: dict[str, Any], path: str, remedy: str) -> None:
    """Keys that the plugin owns, or that mean nothing, are refused with what to do instead."""
    put(unary, path, 'x')
    assert [problem for problem in config_problems(unary) if problem.startswith(f'{path}: ') and remedy in problem]


def test_all_mistakes_are_listed_at_once(unary: dict[str, Any]) -> None:
    """Three mistakes in three sections give three sentences, in the error as in the list."""
    put(unary, 'fit.maxitr', 3)
    put(unary, 'backend.display_step', -1)
    put(unary, 'potential.bonds.Al.rcut', 'far')

    problems = config_problems(unary)

    assert sorted(problem.split(':')[0] for problem in problems) == [
        'backend.display_step',
        'fit.maxitr',
        'potential.bonds.Al.rcut',
    ]
    with pytest.raises(ConfigError) as caught:
        TrainingConfig.model_validate(unary)
    assert str(caught.value) == ' '.join(problems)


def test_the_error_is_of_this_package_and_a_value_error(unary: dict[str, Any]) -> None:
    """A refused configuration is an AutopipecError and a ValueError."""
    put(unary, 'fitt', {})
    with pytest.raises(AutopipecError) as caught:
        TrainingConfig.model_validate(unary)
    assert isinstance(caught.value, ValueError)


def test_every_setting_is_described() -> None:
    """Each setting has one sentence of meaning and a source, from which the reference page is made."""
    settings = list(iter_settings(TrainingConfig))
    assert len(settings) > 100
    own = {'allow_callbacks'}
    assert [setting.name for setting in settings if not setting.source.startswith('https://')] == sorted(own)
    assert [setting.name for setting in settings if not (setting.field.description or '').endswith('.')] == []


def test_lengths_and_energies_have_units() -> None:
    """What has a unit in its meaning states it as its unit."""
    settings = [setting for setting in iter_settings(TrainingConfig) if not setting.is_section]
    words = {' in Å': 'Å', ' in eV/atom': 'eV/atom', ' in eV/Å': 'eV/Å', ' in MB': 'MB'}
    wrong = [
        setting.name
        for setting in settings
        for word, unit in words.items()
        if f'{word} ' in f'{setting.field.description} ' and setting.unit != unit
    ]
    assert wrong == []
