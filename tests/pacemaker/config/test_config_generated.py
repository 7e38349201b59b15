"""Hundreds of generated configurations: what the model accepts, the real Pacemaker accepts, with the basis promised."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aiida_autopipec.pacemaker.config import TrainingConfig, config_problems, validate_config

pytestmark = [
    pytest.mark.pacemaker,
    pytest.mark.skipif(find_spec('pyace') is None, reason="needs the real Pacemaker: pip install '.[pacemaker]'"),
]

EXAMPLES = 200
#: a larger basis takes seconds to build, and shows nothing new
MOST_FUNCTIONS = 1500
ELEMENTS = ('Al', 'Cu', 'Ni', 'Zn')
FUNCTION_KEYS = {1: 'UNARY', 2: 'BINARY', 3: 'TERNARY', 4: 'QUATERNARY'}

Answer = dict[str, Any]


# Strategies: valid by construction


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Return numbers as a person writes them."""
    return st.floats(low, high, allow_subnormal=False).map(lambda value: float(f'{value:.4g}'))


def maybe(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings that have any of the keys."""
    return st.fixed_dictionaries({}, optional=keys)


def either(keys: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Return mappings that have at most one of the keys."""
    return st.one_of(st.just({}), *(st.fixed_dictionaries({key: value}) for key, value in keys.items()))


@st.composite
def embeddings(draw: st.DrawFn, *, core: bool) -> dict[str, Any]:
    """Return one embedding, with a core cutoff where a bond has a core repulsion."""
    n_density = draw(st.integers(1, 3))
    exponents = draw(st.lists(st.sampled_from([1, 0.5, 0.75, 2]), min_size=n_density, max_size=n_density))
    cut = {'rho_core_cut': draw(numbers(1, 3000)), 'drho_core_cut': draw(numbers(1, 250))}
    return {
        'npot': draw(st.sampled_from(['FinnisSinclairShiftedScaled', 'FinnisSinclair'])),
        'fs_parameters': [value for exponent in exponents for value in (1, exponent)],
        'ndensity': n_density,
        **(cut if core else draw(st.sampled_from([{}, cut]))),
    }


@st.composite
def bonds(draw: st.DrawFn, *, core: str | None) -> dict[str, Any]:
    """Return one complete bond."""
    rcut = draw(numbers(3.5, 7.0))
    bond = {
        'radbase': draw(st.sampled_from(['SBessel', 'ChebExpCos', 'ChebPow', 'ChebLinear'])),
        'radparameters': [draw(numbers(0.5, 8.0))],
        'rcut': rcut,
        **draw(maybe(dcut=numbers(0.001, 2.0), NameOfCutoffFunction=st.just('cos'))),
    }
    if core is not None:
        r_in = draw(numbers(0.5, 2.5))
        bond |= {'r_in': r_in, 'delta_in': draw(numbers(0.05, 0.5)), 'inner_cutoff_type': core}
        bond['core-repulsion'] = [draw(numbers(1, 500)), draw(numbers(0.5, 5))] if core == 'distance' else [1, 1]
    return bond


@st.composite
def function_blocks(draw: st.DrawFn, n_species: int) -> dict[str, Any]:
    """Return functions for a block, the fewer the more elements it has."""
    largest_n = {1: (8, 4, 3, 2, 2, 2), 2: (5, 3, 2, 2, 1, 1), 3: (4, 2, 2, 1), 4: (3, 2, 1)}[n_species]
    largest_l = {1: (0, 5, 4, 2, 1, 1), 2: (0, 4, 2, 1, 1, 0), 3: (0, 3, 2, 1), 4: (0, 2, 1)}[n_species]
    orders = draw(st.integers(1, len(largest_n)))
    return {
        'nradmax_by_orders': [draw(st.integers(min(n, 1), n)) for n in largest_n[:orders]],
        'lmax_by_orders': [draw(st.integers(0, l_max)) for l_max in largest_l[:orders]],
        **draw(maybe(coefs_init=st.sampled_from(['zero', 'random']))),
    }


@st.composite
def functions(draw: st.DrawFn, elements: tuple[str, ...]) -> dict[str, Any]:
    """Return functions for all elements and pairs, stated in one of the forms."""
    size = len(elements)
    form = draw(st.sampled_from(['ALL', 'nary', 'nary and elements', 'ALL and nary']))
    # one block of all sizes at once must be as small as that of the largest size
    section: dict[str, Any] = {'ALL': draw(function_blocks(size))} if 'ALL' in form else {}
    if 'nary' in form:
        needed = range(1, min(size, 2) + 1) if form != 'ALL and nary' else [draw(st.integers(1, size))]
        section |= {FUNCTION_KEYS[n]: draw(function_blocks(n)) for n in needed}
        if size > 2 and draw(st.booleans()):
            section['TERNARY'] = draw(function_blocks(3))
    if 'elements' in form:
        section[elements[0]] = draw(function_blocks(1))
        if size > 1:
            section[draw(st.sampled_from(['{}{}', '{} {}', '({},{})'])).format(elements[1], elements[0])] = draw(
                function_blocks(2)
            )
    if draw(st.integers(0, 3)) == 0:
        section['number_of_functions_per_element'] = draw(st.integers(2**size, 60))
    return section


@st.composite
def potentials(draw: st.DrawFn) -> dict[str, Any]:
    """Return a shape for one to four elements."""
    elements = tuple(draw(st.permutations(ELEMENTS))[: draw(st.sampled_from([1, 1, 2, 2, 3, 4]))])
    core = draw(st.sampled_from([None, None, 'distance', 'zbl']))
    embedding = embeddings(core=core is not None)
    by_element = {element: draw(embedding) for element in elements}
    bond_section: dict[str, Any] = {'ALL': draw(bonds(core=core))}
    if draw(st.booleans()):
        bond_section['UNARY'] = draw(bonds(core=core))
    if len(elements) > 1 and draw(st.booleans()):
        key = draw(st.sampled_from(['BINARY', ''.join(elements[:2])]))
        bond_section[key] = draw(bonds(core=core))
    if len(elements) > 1 and draw(st.booleans()):
        # the keys that the specific bond leaves out are those of the general one
        bond_section[f'{elements[-1]} {elements[-1]}'] = {'rcut': draw(numbers(5.0, 8.0))}
    return {
        'elements': list(elements),
        'embeddings': draw(st.sampled_from([{'ALL': by_element[elements[0]]}, by_element])),
        'bonds': bond_section,
        'functions': draw(functions(elements)),
        **draw(maybe(deltaSplineBins=st.sampled_from([0.001, 0.005]))),
    }


weightings = maybe(
    DElow=numbers(0.5, 2.0),
    DEup=numbers(5.0, 20.0),
    DFup=numbers(10.0, 100.0),
    DE=numbers(0.1, 2.0),
    DF=numbers(0.1, 2.0),
    wlow=numbers(0.1, 0.9) | st.none(),
    energy=st.sampled_from(['convex_hull', 'cohesive']),
    reftype=st.sampled_from(['all', 'bulk']),
    seed=st.integers(0, 1000),
).map(lambda section: {'type': 'EnergyBasedWeightingPolicy', **section})

optimizers = st.sampled_from(
    [
        {},
        {'optimizer': 'BFGS', 'options': {'gtol': 1e-6, 'disp': True}},
        {'optimizer': 'L-BFGS-B', 'options': {'maxcor': 50, 'ftol': '1e-9'}},
        {'optimizer': 'CG', 'options': {'gtol': 1e-7}},
        {'optimizer': 'Nelder-Mead', 'options': {'adaptive': True}},
    ]
)

cycles = st.one_of(
    st.just({}),
    either(
        {key: numbers(1e-4, 1e-1) for key in ('noise_relative_sigma', 'noise_absolute_sigma', 'randomize_func_coeffs')}
    ).map(lambda noise: {'fit_cycles': 3, **noise}),
)

ladders = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {'ladder_step': st.one_of(st.integers(1, 50), numbers(0.01, 0.9), st.just([10, 0.02]), st.just([0.1, 5]))},
        optional={'ladder_type': st.sampled_from(['body_order', 'power_order'])},
    ),
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """Return a valid configuration."""
    potential = draw(potentials())
    elements = potential['elements']
    loss = maybe(
        kappa=numbers(0, 1) | st.just('auto'),
        L1_coeffs=st.sampled_from([0, 1e-8, '1e-8']),
        L2_coeffs=numbers(0, 1e-4),
        w0_rad=numbers(0, 1e-4),
        w1_rad=numbers(0, 1e-4),
        w2_rad=numbers(0, 1e-4),
    )
    trainable = st.sampled_from(
        [
            'ALL',
            'func',
            'radial',
            'UNARY',
            elements[0],
            {elements[0]: 'func'},
            [elements[0]],
            {'ALL': ['func', 'radial']},
        ]
    )
    core_is_stated = any('r_in' in bond for bond in potential['bonds'].values())
    stopping = st.sampled_from([{}, {'min_relative_train_loss_per_iter': 5e-5, 'early_stopping_patience': 20}])
    return {
        'seed': draw(st.integers(0, 2**32 - 1)),
        **draw(maybe(metadata=st.just({'purpose': 'a test', 'note': '1e-3'}))),
        'potential': potential,
        **draw(maybe(data=maybe(aug_factor=numbers(1e-6, 1), ignore_weights=st.booleans()))),
        'fit': {
            **draw(maybe(loss=loss, weighting=weightings, trainable_parameters=trainable, maxiter=st.integers(1, 99))),
            **draw(optimizers),
            **draw(cycles),
            **draw(ladders),
            **draw(stopping),
            **({} if core_is_stated else draw(maybe(repulsion=st.just('auto')))),
        },
        'backend': {
            **draw(maybe(evaluator=st.just('pyace'), display_step=st.integers(1, 100), batch_size=st.integers(1, 100))),
            **draw(st.sampled_from([{}, {'parallel_mode': 'process', 'n_workers': 1}])),
        },
    }


def lines(problems: list[str]) -> str:
    """Return problems for a person to read."""
    return '\n'.join(problems)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(mapping=configs())
def test_pacemaker_builds_the_basis_that_the_configuration_promises(
    dry_run: Callable[[TrainingConfig], Answer], mapping: dict[str, Any]
) -> None:
    """The program accepts the file, and its functions, parameters and cutoff are those that the model told before."""
    problems = config_problems(mapping)
    assert not problems, f'{lines(problems)}\n{json.dumps(mapping)}'
    config = validate_config(mapping)
    size = config.basis_size
    assert size is not None
    if size.n_functions > MOST_FUNCTIONS:
        return

    answer = dry_run(config)

    assert 'error' not in answer, f'{answer["error"]}\n{config.to_yaml()}'
    assert {tuple(name.split()): count for name, count in answer['functions'].items()} == dict(size.functions)
    assert answer['cutoff'] == config.cutoff
    if config.potential.functions.number_of_functions_per_element is None:
        assert size.n_parameters == answer['parameters'], config.to_yaml()
    else:
        assert size.n_parameters >= answer['parameters'], config.to_yaml()
    if config.fit.loss.kappa != 'auto':
        assert answer['kappa'] == config.fit.loss.kappa
