"""From a protocol, facts about the data and overrides to the settings of a training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aiida_autopipec.pacemaker.acceleration import parse_acceleration
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.cost.facts import DataFacts
from aiida_autopipec.pacemaker.early_stopping import early_stopping_problem, parse_early_stopping
from aiida_autopipec.pacemaker.errors import ConfigError, DatasetError
from aiida_autopipec.workflows.protocols.choices import choose
from aiida_autopipec.workflows.protocols.loading import default_protocol, merged, protocol_settings
from aiida_autopipec.workflows.protocols.rules import Rules

SETTINGS = ('config', 'split', 'reference', 'refinement')
"""Inputs of the work chain that a protocol makes."""
OF_THE_FIT = ('acceleration', 'early_stopping')
"""Inputs of the training job that a protocol makes."""
CHOSEN = ('rules', *SETTINGS, *OF_THE_FIT)
"""Overrides that change what a protocol says; all others are inputs as they stand."""


@dataclasses.dataclass(frozen=True)
class ProtocolSettings:
    """Settings of a training.

    :param config: checked, in Pacemaker's spelling.
    :param split: how a test set is set aside, if it is.
    :param reference: what is subtracted from total energies, if anything.
    :param refinement: what the second of two stages does otherwise, if there are two.
    :param reasons: one sentence for each choice.
    :param training: inputs of the training job: how the fit begins and ends, where it is not the plain one.
    """

    config: dict[str, Any]
    split: dict[str, Any] | None
    reference: dict[str, Any] | None
    refinement: dict[str, Any] | None
    reasons: tuple[str, ...]
    training: dict[str, Any]

    def as_inputs(self) -> dict[str, Any]:
        """Return the inputs of the work chain that are settings."""
        inputs = {key: getattr(self, key) for key in SETTINGS}
        return {key: value for key, value in inputs.items() if value is not None}


def settings_from_protocol(
    facts: DataFacts,
    *,
    protocol: str | None = None,
    evaluator: str = 'pyace',
    overrides: Mapping[str, Any] | None = None,
    two_stages: bool = False,
    has_test_data: bool = False,
) -> ProtocolSettings:
    """Return the settings that a protocol makes for some data.

    :param facts: of the data.
    :param protocol: its name; by default ``balanced``.
    :param evaluator: ``tensorpot`` or ``pyace``; what ``overrides`` say in ``config.backend.evaluator`` counts more.
    :param overrides: of ``rules``, ``config``, ``split``, ``reference``, ``refinement``, ``acceleration`` and
        ``early_stopping``; ``None`` takes a key away.
    :param two_stages: whether a second stage weights energies more.
    :param has_test_data: whether there are test data, so that none are set aside.
    :raises ConfigError: if there is no such protocol, or a setting is unknown or impossible; the message names it.
    :raises DatasetError: if nothing can be learned from the data, or their reference energies are not known.
    """
    if not isinstance(two_stages, bool):
        raise ConfigError(f'`two_stages` has to be true or false, but is {two_stages!r}')
    stated = dict(overrides or {})
    backend = (stated.get('config') or {}).get('backend') or {}
    evaluator = backend.get('evaluator', evaluator)
    settings = protocol_settings(protocol, evaluator, two_stages=two_stages)
    rules = Rules.from_mapping(merged(settings['rules'], stated.get('rules') or {}))
    chosen, reasons = choose(facts, rules, settings['config'])
    checked = TrainingConfig.model_validate(merged(chosen, stated.get('config') or {}))
    wanted = {} if has_test_data or facts.n_structures < rules.split_from_structures else {'split': settings['split']}
    wanted |= {'refinement': settings['refinement']} if two_stages else {}
    wanted = merged(wanted, {key: stated[key] for key in ('split', 'refinement', 'reference') if key in stated})
    if 'reference' not in stated:
        wanted['reference'] = _reference(facts, checked)
    begin_and_end = {**settings, **{key: stated[key] for key in OF_THE_FIT if key in stated}}
    has_test_set = has_test_data or 'split' in wanted
    if (overrides or {}).get('early_stopping') is not None and not has_test_set:
        raise ConfigError('`overrides.early_stopping` needs a test set: state `split` or `test_datasets`')
    training = _training(begin_and_end, checked, has_test_set=has_test_set)
    return ProtocolSettings(
        config=checked.to_dict(),
        split=wanted.get('split'),
        reference=wanted.get('reference'),
        refinement=wanted.get('refinement'),
        reasons=(
            f'protocol {protocol or default_protocol()}, evaluator {evaluator}',
            *reasons,
            *(f'{key}: {_in_words(value)}' for key, value in training.items()),
        ),
        training=training,
    )


def _training(settings: Mapping[str, Any], config: TrainingConfig, *, has_test_set: bool) -> dict[str, Any]:
    """Return how the fit begins and ends, where it is not the plain one.

    :raises ConfigError: if a setting is unknown or impossible.
    """
    training: dict[str, Any] = {}
    stated, patience = settings.get('acceleration'), settings.get('early_stopping')
    if stated is not None:
        acceleration = parse_acceleration({'mode': stated} if isinstance(stated, str) else stated)
        if acceleration.mode != 'none':
            training['acceleration'] = acceleration.model_dump(exclude_unset=True)
    if patience is not None and has_test_set:
        stopping = parse_early_stopping(patience if isinstance(patience, Mapping) else {'patience': patience})
        if problem := early_stopping_problem(stopping, config, has_test_set=True):
            raise ConfigError(problem)
        training['early_stopping'] = stopping.model_dump(exclude_unset=True)
    return training


def _in_words(settings: Mapping[str, Any]) -> str:
    return ', '.join(f'{key} {value}' for key, value in settings.items()) or 'as usual'


def _reference(facts: DataFacts, config: TrainingConfig) -> dict[str, Any] | None:
    """Return what to subtract: nothing where that was done, or else the isolated atoms of the data.

    :raises DatasetError: if the data have neither; a reference is never made up.
    """
    if facts.relative or config.data.reference_energy is not None or config.cutoff is None:
        return None
    missing = sorted(set(facts.elements) - facts.isolated_elements(config.cutoff))
    if missing:
        raise DatasetError(
            f'the data hold no isolated atom of {", ".join(missing)}, so it is not known what energies are relative '
            "to: state it with the override `reference`, as {'method': 'single_atom_energies', 'single_atom_energies': "
            "{…}} in eV, or {'method': 'least_squares'}"
        )
    return {'method': 'isolated_atoms'}
