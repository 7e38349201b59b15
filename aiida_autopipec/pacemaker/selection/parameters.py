"""Settings of a selection."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import Self

# pace_select passes this text to Python's eval, so nothing but a number and a unit may get there
MemoryLimit = Annotated[str, StringConstraints(pattern=r'^(auto|[0-9]+(\.[0-9]+)?(MB|GB))$')]
BatchSize = Annotated[int, Field(ge=1)] | Literal['auto', 'none']
Strategy = Literal['spread', 'maxvol', 'leverage', 'greedy_logdet', 'random', 'farthest_point', 'kmeans']
Kind = Literal['isolated_atoms', 'dimers', 'lowest_energy']
Fingerprint = Annotated[str, StringConstraints(pattern=r'^[0-9a-f]{32}$')]
Share = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]

DEFAULT_STRATEGY: Strategy = 'spread'
"""Where a budget is stated and no strategy."""
DEFAULT_BESIDE_ACTIVE_SET: Strategy = 'leverage'
"""The same where an active set of other data is given: the default has to look at what it spans."""
BUDGETS = ('max_structures', 'max_atoms', 'fraction')
TAKE_ACTIVE_SET = ('maxvol', 'leverage', 'greedy_logdet')
"""Strategies that choose for what is added to an active set of other data."""
_MEGABYTES = {'MB': 1.0, 'GB': 1024.0}


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much is selected.

    :param amount: structures, or atoms; ``None``: everything that one round of MaxVol touches.
    :param in_atoms: whether the amount is one of atoms.
    """

    amount: int | None
    in_atoms: bool


class MaxVolParameters(BaseModel):
    """Settings that all programs with MaxVol have."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    gamma_tolerance: float = Field(1.01, gt=1.0, description='Stop of the MaxVol algorithm.')
    maxvol_iters: int = Field(300, ge=1, description='Most iterations of the MaxVol algorithm.')
    batch_size: BatchSize = Field('auto', description='Structures considered at once; `auto` by memory, `none`: all.')
    memory_limit: MemoryLimit = Field('auto', description='Memory that projections may take, e.g. `8GB`.')


class SelectParameters(MaxVolParameters):
    """Settings of a selection."""

    strategy: Strategy | None = Field(
        None,
        description='How structures are chosen. By default `spread`, beside an active set of other data `leverage`; '
        '`maxvol` where no number is stated.',
    )
    max_structures: int | None = Field(None, ge=1, description='Number of structures to select: exactly as many.')
    max_atoms: int | None = Field(
        None, ge=1, description='Number of atoms to select: as many, or as near below as the sizes allow.'
    )
    fraction: float | None = Field(
        None, gt=0.0, le=1.0, description='Part of the *atoms* of the pool to select, instead of `max_atoms`.'
    )
    seed: int = Field(0, description='Another seed gives another draw, where the strategy draws.')
    keep: tuple[Kind, ...] = Field(
        (),
        description='What is taken in any case: `isolated_atoms`, `dimers`, and of each composition the structure with '
        'the lowest energy per atom (`lowest_energy`).',
    )
    keep_names: tuple[str, ...] = Field((), description='Names of structures that are taken in any case.')
    keep_fingerprints: tuple[Fingerprint, ...] = Field(
        (), description='Fingerprints of geometries that are taken in any case.'
    )
    quota_by: Literal['elements', 'source'] | None = Field(
        None,
        description='Divide the pool by the elements of a structure (`Al`, `Al-Cu`) or by the UUID of the node that it '
        'comes from, and give each group a part of the number.',
    )
    quotas: Literal['proportional', 'equal'] | dict[str, Share] = Field(
        'proportional', description='The parts: as in the pool, equal, or a number for each group.'
    )
    maxvol_refinement: int = Field(2, ge=1, description='Passes over the batches.')

    @model_validator(mode='after')
    def _check_together(self) -> Self:
        stated = [key for key in BUDGETS if getattr(self, key) is not None]
        if len(stated) > 1:
            raise ValueError(f'`{stated[0]}` and `{stated[1]}` are both stated: choose one')
        if not stated and self.strategy not in (None, 'maxvol'):
            raise ValueError(
                f'strategy `{self.strategy}` needs a number: state `max_structures`, `max_atoms` or `fraction`'
            )
        if not stated and self.quota_by is not None:
            raise ValueError('`quota_by` divides a number: state `max_structures`, `max_atoms` or `fraction`')
        if self.quota_by is None and self.quotas != 'proportional':
            raise ValueError('`quotas` needs `quota_by`, which says what the groups are')
        return self

    def chosen_strategy(self, *, with_active_set: bool = False) -> Strategy:
        """Return the strategy that is stated, or the default.

        :param with_active_set: whether an active set of other data is given.
        """
        if self.strategy is not None:
            return self.strategy
        if all(getattr(self, key) is None for key in BUDGETS):
            return 'maxvol'
        return DEFAULT_BESIDE_ACTIVE_SET if with_active_set else DEFAULT_STRATEGY

    @property
    def memory_limit_mb(self) -> float | None:
        """The stated limit in MiB."""
        if self.memory_limit == 'auto':
            return None
        return float(self.memory_limit[:-2]) * _MEGABYTES[self.memory_limit[-2:]]

    @property
    def plain(self) -> bool:
        """Whether ``pace_select`` alone can do it: one round of MaxVol, and nothing besides."""
        atoms = self.max_atoms is not None or self.fraction is not None
        return self.chosen_strategy() == 'maxvol' and not (atoms or self.looks_at_structures)

    @property
    def looks_at_structures(self) -> bool:
        """Whether some structures are taken in any case, or there are quotas."""
        return bool(self.keep or self.keep_names or self.keep_fingerprints or self.quota_by)

    def budget(self, n_atoms: int) -> Budget:
        """Return how much is selected.

        :param n_atoms: atoms of the pool.
        """
        if self.max_structures is not None:
            return Budget(self.max_structures, in_atoms=False)
        if self.fraction is not None:
            # 0.1 * 30 is a little more than 3
            return Budget(max(int(self.fraction * n_atoms * (1 + 1e-12)), 1), in_atoms=True)
        return Budget(self.max_atoms, in_atoms=self.max_atoms is not None)
