"""What is left to do of a training that was cut off: settings for the runs that finish it.

How Pacemaker behaves was found by stopping it (python-ace 0.4.0rc1): ``-p`` goes on with the basis as it is, ``-ip``
with a ladder first adds the functions of the next step, whatever remains of the one before, and a potential that has
all functions already ends it without a fit. So a minimisation that was cut off is finished by ``-p`` without the
ladder, and the ladder is climbed on from there by ``-ip``; the settings decide which it is (``render_input_yaml``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.outputs.states import Position

_LADDER = ('ladder_step', 'ladder_type')
_NOISE = ('noise_relative_sigma', 'noise_absolute_sigma', 'randomize_func_coeffs')
_EARLY_STOPPING = (
    'min_relative_train_loss_per_iter',
    'min_relative_test_loss_per_iter',
    'early_stopping_patience',
)

EXPORT_GTOL = 1.0
"""A limit on the gradient that every trained state meets by orders of magnitude: the optimiser returns it unchanged."""

Config = dict[str, Any]


def rest_of(stated: Mapping[str, Any], position: Position) -> list[Config]:
    """Return the settings of the runs that finish a training, in their order; each starts from the result before.

    The first one starts from the state. The iterations of a minimisation that was cut off are counted on, and the fit
    cycles and ladder steps after it follow as they were asked for. Where noise is applied between cycles, the cycle
    that was cut off goes on for all of ``maxiter``, because Pacemaker applies noise only between cycles of one run.

    :param stated: the settings of the run that was cut off.
    :param position: how far its state is.
    """
    settings = TrainingConfig.model_validate(stated)
    single = without_ladder(stated)
    runs = _rest_of_the_cycles(single, settings, position)
    if settings.fit.ladder_step is not None and not position.ladder_is_climbed:
        runs.append(dict(stated))
    return runs or [export_only(stated)]


def _rest_of_the_cycles(single: Config, settings: TrainingConfig, position: Position) -> list[Config]:
    """Return the runs that finish the minimisation and the fit cycles of one basis."""
    fit = settings.fit
    left = fit.fit_cycles - position.cycle - 1
    if any(getattr(fit, key) > 0 for key in _NOISE):
        cycles = left + (not position.finished)
        return [_with_cycles(single, cycles)] if cycles > 0 else []
    remaining = 0 if position.finished else fit.maxiter - position.iteration
    runs = []
    if remaining > 0:
        runs.append(with_fit(_with_cycles(single, 1), maxiter=remaining))
    if left > 0:
        runs.append(_with_cycles(single, left))
    return runs


def without_ladder(stated: Mapping[str, Any]) -> Config:
    """Return settings that go on from a potential with its own basis: ``potential`` would reset it, or grow it."""
    config = without_fit(stated, *_LADDER)
    config.pop('potential', None)
    return config


def another_round(stated: Mapping[str, Any]) -> Config:
    """Return settings that go on with a finished fit for another ``maxiter`` iterations."""
    return _with_cycles(without_ladder(stated), 1)


def export_only(stated: Mapping[str, Any]) -> Config:
    """Return settings that fit nothing: the given potential is written, predicted with and exported as it is.

    The optimiser finds the gradient small enough at once; it makes a single iteration where that should not be so.
    ``pacemaker --no-fit`` writes no potential.
    """
    config = without_fit(without_ladder(stated), *_NOISE, *_EARLY_STOPPING, 'fit_cycles')
    return with_fit(config, optimizer='BFGS', maxiter=1, options={'gtol': EXPORT_GTOL})


def is_export_only(stated: Mapping[str, Any]) -> bool:
    """Return whether settings are those of :func:`export_only`."""
    fit = stated.get('fit') or {}
    return fit.get('maxiter') == 1 and fit.get('options') == {'gtol': EXPORT_GTOL}


def from_scratch(stated: Mapping[str, Any], *, given_shape: bool) -> Config:
    """Return settings that do not use the coefficients of a start potential, only its shape where none is stated.

    :param given_shape: the shape comes from a given potential.
    """
    return {**stated, 'potential': {'reset': True}} if given_shape else dict(stated)


def with_noise(stated: Mapping[str, Any], sigma: float) -> Config:
    """Return settings that shake all coefficients once: a start at which no gradient acts cannot be left otherwise.

    Pacemaker applies noise before each fit cycle after the first, and the first ends at once where nothing moves.

    :param sigma: width of the noise, absolute.
    """
    cycles = max(2, int((stated.get('fit') or {}).get('fit_cycles', 1)))
    return with_fit(without_fit(stated, *_NOISE), fit_cycles=cycles, noise_absolute_sigma=sigma)


def with_batch_size(stated: Mapping[str, Any], size: int) -> Config:
    """Return settings with another number of structures per batch."""
    return {**stated, 'backend': {**(stated.get('backend') or {}), 'batch_size': size}}


def with_fit(stated: Mapping[str, Any], **changes: Any) -> Config:
    """Return settings with other values in the section ``fit``."""
    return {**stated, 'fit': {**(stated.get('fit') or {}), **changes}}


def without_fit(stated: Mapping[str, Any], *keys: str) -> Config:
    """Return settings without some keys of the section ``fit``."""
    fit = {key: value for key, value in (stated.get('fit') or {}).items() if key not in keys}
    return {**stated, 'fit': fit}


def _with_cycles(stated: Mapping[str, Any], cycles: int) -> Config:
    """Return settings with another number of fit cycles; noise has no meaning with a single one."""
    config = without_fit(stated, 'fit_cycles', *(_NOISE if cycles == 1 else ()))
    return config if cycles == 1 else with_fit(config, fit_cycles=cycles)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Config:
    """Return the changes that make one mapping of another; ``None`` removes a key.

    :param before: settings in which ``None`` is no value.
    """
    changes: Config = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and (inner := difference(old, value)):
            changes[key] = inner
        elif not (isinstance(old, Mapping) and isinstance(value, Mapping)) and (key not in before or old != value):
            changes[key] = value
    return changes


def merged(before: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """Return a mapping with changes as :func:`difference` gives them."""
    after = {key: value for key, value in before.items() if changes.get(key, value) is not None or key not in changes}
    for key, value in changes.items():
        if value is None:
            continue
        old = before.get(key)
        after[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return after
