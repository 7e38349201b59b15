"""What is allowed and probably not meant is told, and refuses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import config_problems, config_remarks, validate_config
from aiida_autopipec.pacemaker.config.remarks import pyace_evaluations, pyace_seconds

LARGE = {'nradmax_by_orders': [15, 6, 4, 3], 'lmax_by_orders': [0, 3, 3, 2]}


def remarks(config: dict[str, Any], n_atoms: int = 1000) -> list[str]:
    """Return the remarks on a configuration with which nothing is wrong."""
    assert config_problems(config) == []
    return config_remarks(validate_config(config), n_atoms)


def test_a_small_fit_gets_no_remark(unary: dict[str, Any]) -> None:
    """Nothing is said where nothing is odd."""
    unary['fit']['maxiter'] = 100
    assert remarks(unary) == []


def test_a_fit_that_pyace_cannot_do_gets_an_estimate(unary: dict[str, Any]) -> None:
    """Parameters, passes over the data and time are named, with what to do instead."""
    unary['potential']['functions'] = {'ALL': LARGE}
    unary['fit']['maxiter'] = 2000
    (remark,) = remarks(unary, 20000)
    assert remark.startswith('backend.evaluator: pyace computes the gradient by differences')
    assert 'for 20000 atoms; use tensorpot' in remark
    assert 'days' in remark


@pytest.mark.parametrize('change', [{'evaluator': 'tensorpot'}, {'evaluator': 'pyace', 'n_workers': 8}])
def test_the_estimate_is_of_pyace_only(unary: dict[str, Any], change: dict[str, Any]) -> None:
    """Tensorpot has gradients; the cores that pyace may use do not change that."""
    unary['potential']['functions'] = {'ALL': LARGE}
    unary['fit']['maxiter'] = 2000
    unary['backend'] = {**change, **({'parallel_mode': 'process'} if 'n_workers' in change else {})}
    assert bool(remarks(unary)) == (change['evaluator'] == 'pyace')


@pytest.mark.parametrize(
    ('change', 'evaluations'),
    [
        ({}, 31),
        ({'trainable_parameters': 'func'}, 19),
        ({'trainable_parameters': 'radial'}, 13),
        ({'trainable_parameters': ['Al']}, 31),
        ({'optimizer': 'Powell', 'options': {'ftol': 1e-3}}, 1),
    ],
)
def test_evaluations_per_iteration(unary: dict[str, Any], change: dict[str, Any], evaluations: int) -> None:
    """A gradient takes one evaluation per trained parameter and one more, a method without gradients one."""
    unary['fit'].update({'maxiter': 50, **change})
    assert pyace_evaluations(validate_config(unary)) == 50 * evaluations


def test_cycles_and_atoms_count(unary: dict[str, Any]) -> None:
    """Twice the cycles or twice the atoms take twice the time."""
    unary['fit']['maxiter'] = 50
    once = pyace_seconds(validate_config(unary), 1000)
    assert once is not None
    assert pyace_seconds(validate_config(unary), 2000) == pytest.approx(2 * once)
    unary['fit']['fit_cycles'] = 2
    assert pyace_seconds(validate_config(unary), 1000) == pytest.approx(2 * once)


def test_nothing_is_estimated_without_a_shape() -> None:
    """The basis of a given potential is not known here."""
    config = validate_config({})
    assert (pyace_evaluations(config), pyace_seconds(config, 1000), config_remarks(config)) == (None, None, [])


def test_a_stop_that_never_comes_is_told(unary: dict[str, Any]) -> None:
    """With more patience than iterations the criterion never acts."""
    unary['fit']['early_stopping_patience'] = 3
    assert remarks(unary) == [
        'fit.min_relative_train_loss_per_iter: never stops the fit, for fit.early_stopping_patience = 3 is more than '
        'fit.maxiter = 2.'
    ]


def test_an_inner_cutoff_without_repulsion_is_told(unary: dict[str, Any]) -> None:
    """Below r_in nothing at all would act."""
    unary['potential']['bonds']['Al'].update({'r_in': 1.5, 'delta_in': 0.1})
    unary['fit'].update({'maxiter': 30})
    del unary['fit']['repulsion']
    assert remarks(unary) == [
        'potential.bonds: r_in of Al without core-repulsion switches the potential off below r_in, and nothing keeps '
        'atoms apart there; state core-repulsion, or add a repulsion of your own to the MD.'
    ]
