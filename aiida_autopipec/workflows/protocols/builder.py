"""Builders of the training work chain from protocols."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiida.engine import ProcessBuilder
from aiida.engine.processes.builder import ProcessBuilderNamespace
from aiida.engine.processes.workchains.workchain import WorkChain
from aiida.orm import AbstractCode, Data, load_code

from aiida_autopipec.calculations.defaults import with_defaults
from aiida_autopipec.calculations.gpu_option import expected_gpus
from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.workflows.protocols.facts import facts_of
from aiida_autopipec.workflows.protocols.inputs import CHOSEN, settings_from_protocol
from aiida_autopipec.workflows.protocols.loading import default_protocol, merged, protocol_names
from aiida_autopipec.workflows.protocols.overrides import check_arguments, check_overrides

if TYPE_CHECKING:
    Base = WorkChain
else:
    Base = object


class TrainingProtocols(Base):
    """What a work chain that trains has of protocols; a mixin."""

    @classmethod
    def get_available_protocols(cls) -> dict[str, str]:
        """Return what each protocol is for, by its name."""
        return protocol_names()

    @classmethod
    def get_default_protocol(cls) -> str:
        """Return the name of the protocol that is used where none is named."""
        return default_protocol()

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode | str,
        datasets: Data | Mapping[str, Data] | None = None,
        protocol: str | None = None,
        *,
        codes: Mapping[str, AbstractCode | str] | None = None,
        structures: Mapping[str, Data] | None = None,
        labels: Mapping[str, Data] | None = None,
        test_datasets: Mapping[str, Data] | None = None,
        conversion: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        evaluator: str | None = None,
        two_stages: bool = False,
    ) -> ProcessBuilder:
        """Return a builder with settings chosen from the data.

        What was chosen and why stands in the description of the process.

        :param code: ``pacemaker``, or its label.
        :param datasets: data by any key, or a single node; trajectories and files are looked at as they will be
            converted.
        :param protocol: one of :meth:`get_available_protocols`; by default ``balanced``.
        :param codes: programs to run in the same job, ``yaml2yace`` and ``activeset``, or their labels.
        :param structures: single structures by any key.
        :param labels: their labels by the same keys.
        :param test_datasets: data to test on; without them a part of the data is set aside.
        :param conversion: how trajectories and files are read, by key.
        :param overrides: inputs of the work chain that count more than the protocol's, and ``rules``,
            ``acceleration`` and ``early_stopping``; mappings are merged key by key, and ``None`` takes a key away.
        :param options: of the job: ``resources``, ``max_wallclock_seconds`` and so on.
        :param evaluator: ``tensorpot`` or ``pyace``; by default ``tensorpot`` where the job asks for a GPU.
        :param two_stages: train a second time from the first result, with more weight on energies.
        :raises InputError: if the data cannot be used, or an override is unknown or impossible; the message names it.
        """
        check_overrides(overrides or {}, cls.spec().inputs)
        check_arguments(cls.spec().inputs, codes=codes, options=options)
        stated = dict(overrides or {})
        training = merged(
            {'code': _loaded(code), 'codes': {key: _loaded(value) for key, value in (codes or {}).items()}},
            merged({'metadata': {'options': dict(options or {})}}, stated.pop('pace_train', {})),
        )
        data: dict[str, Any] = {
            'datasets': _by_key(datasets),
            'structures': dict(structures or {}),
            'labels': dict(labels or {}),
            'test_datasets': dict(test_datasets or {}),
            'conversion': dict(conversion or {}),
        }
        settings = settings_from_protocol(
            facts_of(data),
            protocol=protocol,
            evaluator=evaluator or default_evaluator(training),
            overrides={key: value for key, value in stated.items() if key in CHOSEN},
            two_stages=two_stages,
            has_test_data=bool(test_datasets),
        )
        training = {**settings.training, **training}
        builder: Any = cls.get_builder()
        others = {key: value for key, value in stated.items() if key not in CHOSEN and value is not None}
        given = {key: value for key, value in data.items() if value}
        _fill(builder, {**given, **settings.as_inputs(), 'pace_train': training, **others})
        if not builder.metadata.get('description'):
            builder.metadata.description = '; '.join(settings.reasons)
        result: ProcessBuilder = builder
        return result


def default_evaluator(training: Mapping[str, Any]) -> str:
    """Return ``tensorpot`` if the job asks for a GPU, by option or by a directive of the code or computer.

    :param training: inputs of the training job.
    """
    backend = {'backend': {'evaluator': 'tensorpot'}}
    codes = {'code': training['code'], **training.get('codes', {})}
    # the defaults of computer and code ask for GPUs only for a training that can use them
    options = with_defaults({**training, 'config': backend, 'dataset': None})['metadata']['options']
    on_gpu = TrainingConfig.model_validate(backend)
    return 'tensorpot' if expected_gpus(options, on_gpu, codes).count else 'pyace'


def _fill(namespace: Any, values: Mapping[str, Any]) -> None:
    """Set values one by one: a namespace that is set as a whole loses the defaults of its ports."""
    for key, value in values.items():
        below = getattr(namespace, key, None)
        if isinstance(value, Mapping) and isinstance(below, ProcessBuilderNamespace):
            _fill(below, value)
        else:
            setattr(namespace, key, value)


def _by_key(datasets: Any) -> dict[str, Data]:
    """Return data by key, however the user gave them.

    :raises InputError: if they are no nodes.
    """
    given = {'data': datasets} if isinstance(datasets, Data) else datasets or {}
    if not isinstance(given, Mapping) or not all(isinstance(node, Data) for node in given.values()):
        raise InputError(f'`datasets` has to be a node, or nodes by any key, but is {datasets!r}')
    return dict(given)


def _loaded(code: AbstractCode | str) -> AbstractCode:
    return load_code(code) if isinstance(code, str) else code
