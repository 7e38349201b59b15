"""The module that Pacemaker calls after each iteration, where no Pacemaker is needed."""

from __future__ import annotations

import importlib.util
import json
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aiida_autopipec.pacemaker import early_stopping

SOURCE = Path(str(resources.files('aiida_autopipec.remote') / 'autopipec_hook.py'))


class Potential:
    """What the module does with a potential: it saves it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save(self, filename: str) -> None:
        """Write the potential."""
        Path(filename).write_text(self.text)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that imports the module in a folder with some settings."""
    monkeypatch.chdir(tmp_path)

    def run(settings: Any = None) -> ModuleType:
        if settings is not None:
            Path('early_stopping_settings.json').write_text(json.dumps(settings))
        spec = importlib.util.spec_from_file_location('autopipec_hook', SOURCE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return run


SETTINGS = {'patience': 3, 'least_improvement': 0.1, 'stop': True}


def test_without_settings_nothing_is_done(load):
    """A job that is only accelerated is not followed."""
    module = load()
    module.after_iteration(basis_config=Potential('a'), current_fit_iteration=0)
    assert not Path('early_stopping.json').exists()


@pytest.mark.parametrize('settings', [{'patience': 3}, 'three', {**SETTINGS, 'more': 1}])
def test_settings_that_cannot_be_read_stop_nothing(load, settings):
    """Pacemaker can always import the module, or it would not begin."""
    load(settings).after_iteration(basis_config=Potential('a'), current_fit_iteration=0)


def test_a_matrix_that_cannot_be_read_stops_nothing(load):
    """The fit begins without the curvature, and nothing says that it was handed over."""
    Path('hess_inv0.npy').write_text('damaged')
    fit_config = {'callbacks': ['autopipec_hook.after_iteration']}
    load()
    assert 'options' not in fit_config
    assert not Path('hess_inv0.delivered').exists()


def test_whatever_fails_the_fit_goes_on(load):
    """A Pacemaker that calls in another way is reported, once, and not disturbed."""
    module = load(SETTINGS)
    for iteration in range(3):
        module.after_iteration(basis_config=Potential('a'), current_fit_iteration=iteration, something_new=1)
    outcome = json.loads(Path('early_stopping.json').read_text())
    assert outcome['used'] is False
    assert 'another way' in outcome['reason']


def test_the_lowest_loss_is_kept(load):
    """Neither a higher loss nor one that is not finite replaces it."""
    watch = load(SETTINGS)._watch
    watch.here = (0, 0)
    for iteration, loss in enumerate((3.0, 2.0, float('nan'), 2.5, float('inf')), 1):
        watch.take({'loss': loss, 'rmse_epa': 0.1, 'rmse_f_comp': 0.2}, Potential(str(loss)), iteration)
    assert Path('best_potential.yaml').read_text() == '2.0'
    assert watch.outcome['best']['iteration'] == 2
    assert watch.outcome['last']['test_loss'] is None


def test_small_gains_are_progress_only_together(load):
    """What counts is the fall below the last loss that counted, not below the one before."""
    watch = load(SETTINGS)._watch
    watch.here = (0, 0)
    for iteration, loss in enumerate((1.0, 0.95, 0.91, 0.89, 0.85), 1):
        watch.take({'loss': loss, 'rmse_epa': 0.1, 'rmse_f_comp': 0.2}, Potential(str(loss)), iteration)
    assert (watch.reference, watch.reference_iteration) == (0.89, 4)


def test_a_report_that_cannot_be_written_ends_no_fit(load):
    """A full disk, or a folder of that name, is no reason to end a fit."""
    module = load(SETTINGS)
    Path('early_stopping.json.part').mkdir()
    module.after_iteration(basis_config=Potential('a'), current_fit_iteration=0)
    assert not Path('early_stopping.json').exists()


def test_the_same_optimizers_can_be_ended_inside_and_outside(load):
    """What is refused before a submission is what the module, which travels alone, would not end."""
    assert load().ENDED_BY_CALLBACK == early_stopping.ENDED_BY_CALLBACK
