"""What is allowed and probably not meant is told, and refuses nothing."""

from __future__ import annotations

from typing import Any

from aiida_autopipec.pacemaker.config import config_problems, config_remarks, validate_config


def remarks(config: dict[str, Any]) -> list[str]:
    """Return the remarks on a configuration with which nothing is wrong."""
    assert config_problems(config) == []
    return config_remarks(validate_config(config))


def test_a_small_fit_gets_no_remark(unary: dict[str, Any]) -> None:
    """Nothing is said where nothing is odd."""
    unary['fit']['maxiter'] = 100
    assert remarks(unary) == []


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
