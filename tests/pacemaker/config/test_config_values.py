"""Values of the wrong type, sign or range are refused before anything is submitted."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import config_problems, render_input_yaml, validate_config

EMBEDDING_WITHOUT_CORE = {
    'npot': 'FinnisSinclairShiftedScaled',
    'fs_parameters': [1, 1, 1, 0.5],
    'ndensity': 2,
}


def at(config: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """Return the section that holds a key, and the name of the key."""
    *sections, name = path.split('.')
    for section in sections:
        config = config.setdefault(section, {})
    return config, name


@pytest.mark.parametrize(
    ('path', 'value', 'allowed'),
    [
        ('seed', -1, 'at least 0'),
        ('seed', 1.5, 'an integer'),
        ('seed', 2**32, 'at most 4294967295'),
        ('backend', None, 'must have a value'),
        ('backend.evaluator', 'pyacee', 'pyace or tensorpot'),
        ('backend.display_step', 0, 'at least 1'),
        ('backend.batch_size', True, 'an integer'),
        ('backend.batch_size_reduction_factor', 1.0, 'greater than 1'),
        ('backend.gpu_config', {'gpu_ind': -2}, 'at least -1'),
        ('fit', [], 'a mapping'),
        ('fit.maxiter', -5, 'at least 1'),
        ('fit.maxiter', '100', 'an integer'),
        ('fit.optimizer', 'bfgs', 'BFGS'),
        ('fit.loss.kappa', 1.5, 'from 0'),
        ('fit.loss.kappa', 'Auto', 'auto'),
        ('fit.loss.L1_coeffs', -1e-8, 'at least 0'),
        ('fit.loss.L2_coeffs', float('nan'), 'finite'),
        ('fit.ladder_step', 0, 'an integer of at least 1'),
        ('fit.ladder_step', 1.0, 'a fraction'),
        ('fit.ladder_step', [10, 20], 'one number of functions and one fraction'),
        ('fit.trainable_parameters', {'Al': 'funcs'}, 'must be func, radial'),
        ('fit.trainable_parameters', ['func'], 'chemical symbols'),
        ('fit.options', {'gtol': 'small'}, 'a number'),
        ('fit.options', {'ftol': 1e-9}, 'not an option of BFGS'),
        ('fit.options', {'hess_inv0': [[1.0, 0.0]]}, 'square'),
        ('fit.repulsion', 'zbl', 'auto'),
        ('fit.callbacks', ['os.system'], 'allow_callbacks: true'),
        ('fit.callbacks', ['system'], 'module.function'),
        ('fit.callbacks', [], 'at least 1'),
        ('allow_callbacks', True, 'no effect without fit.callbacks'),
        ('fit.loss.L2_coeffs', 2, 'at most 1'),
        ('data.aug_factor', 10.0, 'at most 1'),
        ('fit.weighting', {'type': 'UniformWeightingPolicy'}, 'left out'),
        ('fit.weighting', {'type': 'ExternalWeightingPolicy', 'filename': 'w.pckl.gzip'}, 'dataset'),
        ('fit.weighting', {'type': 'EnergyBasedWeightingPolicy', 'DElow': 5.0, 'DEup': 1.0}, 'above DElow'),
        ('fit.weighting', {'type': 'EnergyBasedWeightingPolicy', 'n_lower': 5}, 'both n_lower and n_upper'),
        ('data.reference_energy', 3.0, 'auto'),
        ('data.reference_energy', {'Al': 'x'}, 'finite energy'),
        ('data.reference_energy', {'Al': -0.1, 'Ni': -0.2}, 'does not list'),
        ('potential', 'potential.yaml', 'input initial_potential'),
        ('potential.deltaSplineBins', 0, 'at least 1e-05'),
        ('potential.elements', ['Al', 'Al'], 'once'),
        ('potential.elements', ['Alu'], 'chemical symbols'),
        ('potential.elements', [False], 'unquoted No'),
        ('potential.elements', 'Al', 'a list'),
        ('potential.embeddings.Al.npot', 'FinnisSinclar', 'FinnisSinclair'),
        ('potential.embeddings.Al.ndensity', 1, 'must hold 2 numbers'),
        ('potential.embeddings.Al.fs_parameters', [1, 1], 'must hold 4 numbers'),
        ('potential.embeddings.Al.fs_parameters', [1, 1, 1, 0], 'positive exponent'),
        ('potential.embeddings.Al.fs_parameters', [1, 1, 1], 'pairs of prefactor and exponent'),
        ('potential.bonds.Al.rcut', -4.0, 'greater than 0'),
        ('potential.bonds.Al.rcut', 600, 'at most 30'),
        ('potential.bonds.Al.rcut', [4.0], 'a number'),
        ('potential.bonds.Al.dcut', 4.5, 'less than rcut'),
        ('potential.bonds.Al.radbase', 'Bessel', 'SBessel'),
        ('potential.bonds.Al.radparameters', 5.25, 'a list'),
        ('potential.bonds.Al.core-repulsion', [1.0, 2.0, 3.0], 'at most 2 values'),
        ('potential.functions.Al.nradmax_by_orders', [0, 1], 'swapped'),
        ('potential.functions.Al.nradmax_by_orders', [3], 'as long as'),
        ('potential.functions.Al.lmax_by_orders', [0, 11], 'at most 10'),
        ('potential.functions.Al.lmax_by_orders', [2, 1], 'start with 0'),
        ('potential.functions.Al.coefs_init', 'ones', 'random'),
    ],
)
def test_a_wrong_value_is_refused(unary: dict[str, Any], path: str, value: Any, allowed: str) -> None:
    """The sentence names the key and what is allowed."""
    section, name = at(unary, path)
    section[name] = value
    # a mistake between two keys may be told at the section or at the other key
    section_path = path.rsplit('.', 1)[0]
    problems = config_problems(unary)
    assert any(problem.startswith(section_path) and allowed in problem for problem in problems), problems


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'potential.bonds': {'UNARY': {'radbase': 'SBessel', 'radparameters': [5.25], 'rcut': 4.0}}}, 'AlNi'),
        ({'potential.bonds.ALL.rcut': 0.005}, 'dcut'),
        ({'potential.bonds.AlCu': {'rcut': 4.0}}, 'names Cu'),
        ({'potential.bonds.BINARY.inner_cutoff_type': 'zbl'}, 'one inner_cutoff_type'),
        ({'potential.bonds.AlNi': {'rcut': 4.0}, 'potential.bonds.NiAl': {'rcut': 5.0}}, 'same bond'),
        ({'potential.bonds.TERNARY': {'rcut': 4.0}}, 'unknown key'),
        ({'potential.bonds.UNARY': {'core-repulsion': [1.0, 1.0]}}, 'never acts'),
        ({'potential.embeddings': {'Al': {}}}, 'must state npot'),
        ({'potential.functions': {'UNARY': {'nradmax_by_orders': [2], 'lmax_by_orders': [0]}}}, 'Ni around Al'),
        ({'potential.functions': {'BINARY': {'nradmax_by_orders': [2], 'lmax_by_orders': [0]}}}, 'functions to Al '),
        ({'potential.functions.AlAl': {'nradmax_by_orders': [2], 'lmax_by_orders': [0]}}, 'must be written Al'),
        ({'potential.functions.number_of_functions_per_element': 1}, 'at least 2'),
        ({'fit.repulsion': 'auto'}, 'overwrite r_in'),
        ({'fit.loss.w_orth': 1e-4}, 'tensorpot'),
        ({'potential.bonds.AlNi': {'nradbase': 1}}, 'nradbase of AlNi must be at least 2, which the functions need'),
        ({'potential.bonds.Al': {'nradmax': 1}}, 'nradmax of Al must be at least 2'),
        ({'potential.bonds.ALL.lmax': 0}, 'lmax of AlNi must be at least 1'),
        ({'potential.embeddings.ALL': EMBEDDING_WITHOUT_CORE}, 'rho_core_cut for Al, for its bond AlNi has'),
        (
            {
                'fit.ladder_step': 10,
                'fit.min_relative_test_loss_per_iter': 1e-5,
                'backend.evaluator': 'tensorpot',
            },
            'the ladder is lost',
        ),
        ({'fit.min_relative_test_loss_per_iter': 1e-5}, 'no test loss'),
        ({'fit.early_stopping_patience': 20}, 'no effect without'),
        ({'fit.ladder_type': 'power_order'}, 'without fit.ladder_step'),
        ({'fit.noise_absolute_sigma': 0.1}, 'fit_cycles'),
        ({'fit.trainable_parameters': ['AlCu']}, 'names Cu'),
        ({'backend.n_workers': 2}, 'parallel_mode'),
        ({'backend.evaluator': 'tensorpot', 'fit.optimizer': 'Powell'}, 'evaluator tensorpot'),
        ({'data.reference_energy': {'Al': -0.1}}, 'an energy to Ni'),
        ({'data.reference_energy': {'Al': -0.1, 'Ni': -0.2, 'shfit': 0.1}}, 'did you mean shift'),
    ],
)
def test_keys_that_contradict_each_other_are_refused(
    binary: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    """Values that are right alone and wrong together are refused with the reason."""
    for path, value in changes.items():
        section, name = at(binary, path)
        section[name] = value
    assert any(sentence in problem for problem in config_problems(binary)), config_problems(binary)


def test_every_broken_value_is_refused(config: dict[str, Any], key_path: tuple[str, ...]) -> None:
    """A value that no key can have is refused wherever it stands, with a sentence that starts with its path."""
    section = config
    for part in key_path[:-1]:
        section = section[part]
    section[key_path[-1]] = [['?']]
    assert any(problem.startswith('.'.join(key_path)) for problem in config_problems(config)), config_problems(config)


@pytest.mark.parametrize('given', [{}, {'potential': {'reset': True}}])
def test_a_ladder_without_a_shape_is_refused(given: dict[str, Any]) -> None:
    """Pacemaker would empty the given potential and go on from nothing, or crash."""
    problems = config_problems({**given, 'fit': {'ladder_step': 10}})
    assert [problem for problem in problems if problem.startswith('fit.ladder_step: needs a potential section')]


def test_numbers_that_only_yaml_1_2_knows_are_numbers(unary: dict[str, Any]) -> None:
    """PyYAML reads 1e-8 as text; it means the same as for Pacemaker."""
    unary['fit']['loss']['L1_coeffs'] = '1e-8'
    assert validate_config(unary).fit.loss.l1_coeffs == 1e-8


@pytest.mark.parametrize('key', ['AlNi', 'NiAl', 'Al Ni', '(Al, Ni)', ('Al', 'Ni')])
def test_pairs_may_be_written_in_every_way_that_pacemaker_reads(binary: dict[str, Any], key: Any) -> None:
    """Symbols joined, spaced, in brackets or as a tuple name the same bond."""
    binary['potential']['bonds'][key] = {'rcut': 6.5}
    assert validate_config(binary).cutoff == 6.5


def test_the_most_specific_functions_decide_on_high_orders(binary: dict[str, Any]) -> None:
    """Orders from six on are limited for pairs, and not where only single elements get them."""
    six = {'nradmax_by_orders': [2, 2, 1, 1, 1, 2], 'lmax_by_orders': [0, 1, 1, 1, 1, 1]}
    binary['potential']['functions']['ALL'] = six
    assert config_problems(binary) == []
    del binary['potential']['functions']['BINARY']
    assert config_problems(binary)[0].startswith('potential.functions.ALL.nradmax_by_orders: must be at most 1')


def test_callbacks_are_taken_with_consent(unary: dict[str, Any]) -> None:
    """With the consent stated the names are kept, and the consent itself stays out of the file."""
    unary['fit']['callbacks'] = ['my_checks.after_each_iteration']
    unary['allow_callbacks'] = True
    config = validate_config(unary)
    text = render_input_yaml(config, train_filename='t.pckl.gzip')
    assert 'callbacks: [my_checks.after_each_iteration]' in text
    assert 'allow_callbacks' not in text
    assert validate_config(config.to_dict()) == config


def test_none_is_none(unary: dict[str, Any]) -> None:
    """Pacemaker's documentation writes ``None``, which YAML reads as text."""
    unary['fit']['weighting'] = {'type': 'EnergyBasedWeightingPolicy', 'wlow': 'None'}
    weighting = validate_config(unary).fit.weighting
    assert weighting is not None
    assert weighting.wlow is None


def test_a_set_of_kinds_is_a_list(unary: dict[str, Any]) -> None:
    """``{func, radial}`` is a form of Pacemaker's documentation, and a mapping without values to YAML."""
    unary['fit']['trainable_parameters'] = {'Al': {'radial': None, 'func': None}}
    assert validate_config(unary).fit.trainable_parameters == {'Al': ['func', 'radial']}
