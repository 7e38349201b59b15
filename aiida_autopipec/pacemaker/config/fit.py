"""The ``fit`` section: loss, weights, minimiser, cycles, ladder and early stopping (``pyace/generalfit.py``)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainValidator, model_validator
from typing_extensions import Self

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import Section, SectionError, about, as_tuple, read_number
from aiida_autopipec.pacemaker.config.blocks import Positive, PositiveInt, Small
from aiida_autopipec.pacemaker.config.loss import Loss, Weighting
from aiida_autopipec.pacemaker.config.optimizer import Optimizer, OptimizerOptions
from aiida_autopipec.pacemaker.config.trainable import Trainable

#: ``module.function``, as ``active_import`` of ``pyace/generalfit.py`` takes it apart.
CALLBACK = r'^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$'

LadderStep = int | float | list[int | float]


def read_ladder_step(value: object) -> LadderStep:
    """Return a ladder step: a number of functions, a fraction of those there are, or both.

    :raises ValueError: for anything else; ``1.0`` is neither an integer nor a fraction to Pacemaker.
    """
    if isinstance(value, list | tuple) and 1 <= len(value) <= 2:
        steps = [_one_step(item) for item in value]
        if len({type(step) for step in steps}) == len(steps):
            return steps
        raise ValueError(f'must hold one number of functions and one fraction, not {list(value)!r}')
    return _one_step(value)


def _one_step(value: object) -> int | float:
    number = read_number(value)
    if isinstance(number, int) and not isinstance(number, bool) and number >= 1:
        return number
    if isinstance(number, float) and 0 < number < 1:
        return number
    raise ValueError(f'must be an integer of at least 1, a fraction between 0 and 1, or a list of both, not {value!r}')


class FitSettings(Section):
    """What is minimised, how, and until when."""

    SOURCE: ClassVar[str] = sources.FIT

    loss: Loss = Field(default=Loss(), description='Weights of the terms of the loss function.')
    weighting: Weighting | None = Field(
        default=None,
        description='Policy that weights and chooses structures; default: all structures alike.',
        json_schema_extra=about(default='all alike'),
    )
    optimizer: Optimizer = Field(default='BFGS', description='Method of scipy.optimize.minimize.')
    options: OptimizerOptions | None = Field(
        default=None,
        description="Options of the method; with tensorpot they replace Pacemaker's own gtol and disp.",
        json_schema_extra=about(default='those of scipy'),
    )
    maxiter: PositiveInt = Field(
        default=100, description='Largest number of iterations of each minimisation (each cycle and ladder step).'
    )
    repulsion: Literal['auto'] | None = Field(
        default=None,
        description='auto: after the fit, ZBL core repulsion below the shortest distance of each pair in the data.',
        json_schema_extra=about(default='none'),
    )
    trainable_parameters: Trainable = Field(
        default='ALL',
        description='Groups of elements, and func or radial, that the fit may change.',
        json_schema_extra=about(
            kind='group of elements, `func`, `radial`, list of groups, or mapping of groups to `func`, `radial`'
        ),
    )
    fit_cycles: PositiveInt = Field(default=1, description='Number of minimisations in a row; the best one is kept.')
    noise_relative_sigma: Small = Field(
        default=0.0, description='Relative noise on the trainable coefficients before each cycle after the first.'
    )
    noise_absolute_sigma: Small = Field(
        default=0.0, description='Absolute noise on the trainable coefficients before each cycle after the first.'
    )
    randomize_func_coeffs: Small = Field(
        default=0.0, description='Width of new random function coefficients for each cycle: an ensemble of fits.'
    )
    ladder_step: Annotated[LadderStep, PlainValidator(read_ladder_step)] | None = Field(
        default=None,
        description='Grow the basis by so many functions, by this fraction, or by the larger of both: [10, 0.02].',
        json_schema_extra=about(
            kind='integer ≥ 1, fraction between 0 and 1, or a list of both', default='no ladder', source=sources.LADDER
        ),
    )
    ladder_type: Literal['body_order', 'power_order'] | None = Field(
        default=None,
        description='Order in which the ladder adds functions; default body_order.',
        json_schema_extra=about(default='body_order'),
    )
    min_relative_train_loss_per_iter: Annotated[Positive, Field(le=1)] | None = Field(
        default=None,
        description='Stop when the train loss falls by less than this fraction per iteration.',
        json_schema_extra=about(default='never'),
    )
    min_relative_test_loss_per_iter: Annotated[Positive, Field(le=1)] | None = Field(
        default=None,
        description='Stop when the test loss falls by less than this fraction per iteration.',
        json_schema_extra=about(default='never'),
    )
    early_stopping_patience: PositiveInt = Field(
        default=200, description='Number of iterations over which early stopping looks back.'
    )

    callbacks: Annotated[tuple[Annotated[str, Field(pattern=CALLBACK)], ...], BeforeValidator(as_tuple)] | None = Field(
        default=None,
        min_length=1,
        description='Functions that Pacemaker imports and calls after each iteration, as module.function; they must be '
        'installed on the computer, and need the top-level key allow_callbacks.',
        json_schema_extra=about(kind='list of names such as `module.function`', default='none'),
    )

    @model_validator(mode='after')
    def check(self) -> Self:
        """Check the keys against each other."""
        SectionError.raise_any([*self._option_problems(), *self._cycle_problems(), *self._stopping_problems()])
        return self

    def _option_problems(self) -> list[tuple[tuple[str, ...], str]]:
        if self.options is None:
            return []
        return [
            (('options', key), f'is not an option of {self.optimizer}')
            for key in self.options.foreign_to(self.optimizer)
        ]

    def _cycle_problems(self) -> list[tuple[tuple[str, ...], str]]:
        noise = [
            key for key in ('noise_relative_sigma', 'noise_absolute_sigma', 'randomize_func_coeffs') if self._on(key)
        ]
        if self.fit_cycles == 1:
            return [((key,), 'has no effect with a single cycle; set fit_cycles above 1') for key in noise]
        if len(noise) > 1:
            return [((noise[1],), f'must not be combined with {noise[0]}, of which Pacemaker applies only one')]
        return []

    def _on(self, key: str) -> bool:
        return bool(getattr(self, key) > 0)

    def _stopping_problems(self) -> list[tuple[tuple[str, ...], str]]:
        problems: list[tuple[tuple[str, ...], str]] = []
        thresholds = (self.min_relative_train_loss_per_iter, self.min_relative_test_loss_per_iter)
        if 'early_stopping_patience' in self.model_fields_set and thresholds == (None, None):
            text = 'has no effect without min_relative_train_loss_per_iter or min_relative_test_loss_per_iter'
            problems.append((('early_stopping_patience',), text))
        if self.min_relative_test_loss_per_iter is not None and self.ladder_step is not None:
            text = (
                'must not be combined with ladder_step: if a step ends by maxiter while this criterion is met, '
                'Pacemaker crashes and the ladder is lost (python-ace issue 86); use min_relative_train_loss_per_iter'
            )
            problems.append((('min_relative_test_loss_per_iter',), text))
        if self.ladder_type is not None and self.ladder_step is None:
            problems.append((('ladder_type',), 'has no effect without fit.ladder_step'))
        return problems
