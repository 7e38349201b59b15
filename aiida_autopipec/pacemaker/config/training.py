"""``TrainingConfig``: everything that Pacemaker reads from ``input.yaml``, apart from file names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.backend import BackendSettings
from aiida_autopipec.pacemaker.config.base import Section, SectionError, about, plain
from aiida_autopipec.pacemaker.config.basis_size import BasisSize
from aiida_autopipec.pacemaker.config.consistency import callback_problems, config_consistency
from aiida_autopipec.pacemaker.config.data import DataSettings
from aiida_autopipec.pacemaker.config.dump import dump_yaml
from aiida_autopipec.pacemaker.config.fit import FitSettings
from aiida_autopipec.pacemaker.config.loss import Seed
from aiida_autopipec.pacemaker.config.potential import Potential, PotentialShape
from aiida_autopipec.pacemaker.config.problems import sentences
from aiida_autopipec.pacemaker.config.settings import iter_settings
from aiida_autopipec.pacemaker.errors import ConfigError


class TrainingConfig(Section):
    """The settings of a training, checked so that Pacemaker ignores and misreads none of them.

    Build it with :meth:`model_validate` from a mapping in Pacemaker's own spelling. The names of files are no
    settings: the calculation adds them with
    :func:`aiida_autopipec.pacemaker.config.render.render_input_yaml`.
    """

    SOURCE: ClassVar[str] = sources.PAGE
    NULLABLE: ClassVar[frozenset[str]] = frozenset({'potential'})

    seed: Seed = Field(
        default=42,
        description='Seed of all random numbers of the fit.',
        json_schema_extra=about(source=sources.CODE_PROGRAM),
    )
    metadata: Annotated[dict[str, str], Field(min_length=1)] | None = Field(
        default=None,
        description='Notes kept in the input file; Pacemaker 0.4 does not carry them to the potential.',
        json_schema_extra=about(default='none', source=sources.METADATA),
    )
    potential: Potential | None = Field(
        default=None,
        description='Shape of the potential; without it the fit goes on from the given initial potential.',
        json_schema_extra=about(default='the given one', source=sources.POTENTIAL),
    )
    allow_callbacks: bool = Field(
        default=False,
        description='Consent to fit.callbacks, which import and run code on the computer; a key of this plugin.',
        json_schema_extra=about(source=''),
    )
    data: DataSettings = Field(
        default=DataSettings(), description='Treatment of the dataset.', json_schema_extra=about(source=sources.DATA)
    )
    fit: FitSettings = Field(
        default=FitSettings(),
        description='Loss, weights, minimiser, cycles and ladder.',
        json_schema_extra=about(source=sources.FIT),
    )
    backend: BackendSettings = Field(
        default=BackendSettings(),
        description='What evaluates the potential.',
        json_schema_extra=about(source=sources.BACKEND),
    )

    @classmethod
    def model_validate(cls, obj: Any, **kwargs: Any) -> Self:
        """Check a mapping as it stands in ``input.yaml``, without file names.

        :param obj: the mapping.
        :param kwargs: options of pydantic.
        :raises ConfigError: with one sentence for each thing that is wrong.
        """
        try:
            return super().model_validate(obj, **kwargs)
        except ValidationError as error:
            raise ConfigError(' '.join(sentences(error, tuple(iter_settings(cls))))) from error

    @model_validator(mode='before')
    @classmethod
    def make_plain(cls, value: Any) -> Any:
        """Take any kind of mapping, tuples for lists, and numbers of numpy."""
        return plain(value) if isinstance(value, Mapping) else value

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the sections against each other."""
        SectionError.raise_any(config_consistency(self.potential, self.data, self.fit, self.backend))
        SectionError.raise_any(callback_problems(self.fit, allowed=self.allow_callbacks))
        return self

    @property
    def elements(self) -> tuple[str, ...]:
        """Return the elements in alphabetic order; none if the potential is given from outside."""
        return self.potential.elements if isinstance(self.potential, PotentialShape) else ()

    @property
    def cutoff(self) -> float | None:
        """Return the largest outer cutoff in Å; nothing if the potential is given from outside."""
        return self.potential.cutoff if isinstance(self.potential, PotentialShape) else None

    @property
    def basis_size(self) -> BasisSize | None:
        """Return the number of functions and parameters; nothing if the potential is given from outside."""
        return self.potential.size if isinstance(self.potential, PotentialShape) else None

    @property
    def needs_initial_potential(self) -> bool:
        """Say whether the calculation must be given a potential, because the shape is not stated."""
        return not isinstance(self.potential, PotentialShape)

    @property
    def needs_test_dataset(self) -> bool:
        """Say whether a setting has no effect without a test set."""
        return self.fit.min_relative_test_loss_per_iter is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings in Pacemaker's spelling: those that were made, and those that must be explicit.

        Explicit are the seeds (``EnergyBasedWeightingPolicy`` shuffles unseeded by default), the evaluator (without
        a ``backend`` section Pacemaker 0.4.0rc1 crashes) and ``data.reference_energy``: if it is absent, Pacemaker
        takes the one in the metadata of an initial potential and overwrites ``energy_corrected``.
        """
        settings = self.to_mapping()
        fit = settings.get('fit', {})
        if 'weighting' in fit:
            fit['weighting'].setdefault('seed', self.seed)
        sections = {
            'seed': self.seed,
            'allow_callbacks': settings.get('allow_callbacks'),
            'metadata': settings.get('metadata'),
            'potential': settings.get('potential'),
            'data': {'reference_energy': self.data.reference_energy, **settings.get('data', {})},
            'fit': fit,
            'backend': {'evaluator': self.backend.evaluator, **settings.get('backend', {})},
        }
        return {key: value for key, value in sections.items() if value not in (None, {})}

    def to_yaml(self) -> str:
        """Return ``input.yaml`` without file names; equal settings give equal text."""
        return dump_yaml(self.to_dict())


@cache
def _adapter() -> TypeAdapter[TrainingConfig]:
    return TypeAdapter(TrainingConfig)


def validate_config(mapping: Mapping[str, Any]) -> TrainingConfig:
    """Return a checked configuration.

    :param mapping: settings as they stand in ``input.yaml``, without file names.
    :raises ConfigError: with one sentence for each thing that is wrong.
    """
    return TrainingConfig.model_validate(mapping)


def config_problems(mapping: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each thing that is wrong with a configuration, and none if it is right.

    :param mapping: settings as they stand in ``input.yaml``, without file names.
    """
    try:
        _adapter().validate_python(mapping)
    except ValidationError as error:
        return sentences(error, tuple(iter_settings(TrainingConfig)))
    return []
