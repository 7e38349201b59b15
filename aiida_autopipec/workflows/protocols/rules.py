"""The numbers that choices from the data follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.errors import ConfigError


class Rules(BaseModel):
    """How a protocol turns facts about the data into settings; the key ``rules`` of the overrides."""

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)

    cutoff_over_nearest_neighbour: float = Field(
        gt=1, description='`rcut` as a multiple of the longest median nearest-neighbour distance of an element'
    )
    smallest_cutoff_angstrom: float = Field(gt=0, description='Smallest `rcut` in Å, whatever the distances')
    largest_cutoff_angstrom: float = Field(gt=0, description='Largest `rcut` in Å, whatever the distances')
    environments_per_function: float = Field(
        gt=0, description='Atoms of the rarest element for each basis function of an element'
    )
    smallest_basis: int = Field(ge=1, description='Smallest number of functions per element')
    largest_basis: int = Field(ge=1, description='Largest number of functions per element')
    ladder_from_basis: int = Field(ge=1, description='Functions per element from which a ladder is climbed, if any')
    weight_by_energy_from_ev_per_atom: float | None = Field(
        default=None,
        gt=0,
        description='Range of energies in eV/atom from which structures weigh less the higher they lie; null: never',
    )
    split_from_structures: int = Field(ge=2, description='Number of structures from which a test set is set aside')
    atoms_per_batch: int = Field(ge=1, description='Atoms that are evaluated at a time with evaluator `tensorpot`')

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Rules:
        """Read the rules of a protocol with what the user states otherwise.

        :raises ConfigError: if a key is unknown or a value impossible; the message names the key.
        """
        try:
            return cls.model_validate(dict(mapping))
        except ValidationError as exception:
            error = exception.errors(include_url=False)[0]
            key = str(error['loc'][0])
            if error['type'] == 'extra_forbidden':
                near = nearest(key, cls.model_fields)
                advice = f'did you mean `{near}`?' if near else f'the rules are {", ".join(cls.model_fields)}'
                raise ConfigError(f'`rules.{key}` is unknown; {advice}') from exception
            text = f'{error["msg"][:1].lower()}{error["msg"][1:]}'
            raise ConfigError(f'`rules.{key}` is {error["input"]!r}: {text}') from exception
