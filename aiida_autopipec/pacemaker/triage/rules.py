"""What is looked for in a dataset, from which value on, and what happens to a structure where it is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.errors import ConfigError


class FindingKind(str, Enum):
    """What can look wrong with a structure."""

    ENERGY_OUTLIER = 'energy_outlier'
    FORCE_OUTLIER = 'force_outlier'
    LARGE_FORCE = 'large_force'
    TOO_CLOSE = 'too_close'
    TINY_VOLUME = 'tiny_volume'
    NO_NEIGHBOURS = 'no_neighbours'
    RARE_ELEMENT = 'rare_element'
    DUPLICATE = 'duplicate'
    NEAR_DUPLICATE = 'near_duplicate'
    CONFLICTING_DUPLICATE = 'conflicting_duplicate'
    CONFLICTING_NEAR_DUPLICATE = 'conflicting_near_duplicate'


class Action(str, Enum):
    """What happens to a structure with a finding."""

    REPORT = 'report'
    DROP = 'drop'


UNITS: Mapping[FindingKind, str] = {
    FindingKind.ENERGY_OUTLIER: 'robust standard deviations',
    FindingKind.FORCE_OUTLIER: 'robust standard deviations',
    FindingKind.LARGE_FORCE: 'eV/Å',
    FindingKind.TOO_CLOSE: 'sums of covalent radii',
    FindingKind.TINY_VOLUME: 'volumes of the covalent spheres',
    FindingKind.NO_NEIGHBOURS: 'neighbours',
    FindingKind.RARE_ELEMENT: 'structures',
    FindingKind.DUPLICATE: 'Å',
    FindingKind.NEAR_DUPLICATE: 'Å',
    FindingKind.CONFLICTING_DUPLICATE: 'tolerances of the labels',
    FindingKind.CONFLICTING_NEAR_DUPLICATE: 'tolerances of the labels',
}
"""In what the value and the threshold of a finding are measured."""


class TriageRules(BaseModel):
    """What is looked for, and what happens then; ``None`` (``null`` in a file) turns a check off."""

    model_config = ConfigDict(frozen=True, extra='forbid', allow_inf_nan=False)

    cutoff_angstrom: float = Field(
        6.0, gt=0, description='Distance in Å within which atoms are neighbours: the largest rcut of the potential'
    )
    energy_outlier_score: float | None = Field(
        10.0,
        gt=0,
        description='Distance from the median energy per atom of structures alike, in robust standard deviations, '
        'beyond which an energy is an outlier',
    )
    energy_scale_floor_ev_per_atom: float = Field(
        0.005, gt=0, description='Smallest robust standard deviation of energies, in eV/atom: agreement is no error'
    )
    force_outlier_score: float | None = Field(
        3.5,
        gt=0,
        description='Distance of the logarithm of the largest force of a structure from the median of structures '
        'alike, in robust standard deviations, beyond which it is an outlier',
    )
    force_floor_ev_per_angstrom: float = Field(
        0.1, gt=0, description='Forces in eV/Å below which a structure is at rest and tells nothing about the others'
    )
    max_force_ev_per_angstrom: float | None = Field(
        None, gt=0, description='Largest force in eV/Å that is no finding whatever the others are'
    )
    min_group_size: int = Field(
        10, ge=3, description='Number of structures alike below which they are compared with all compositions instead'
    )
    min_distance_fraction: float | None = Field(
        0.6, gt=0, le=2, description='Shortest distance of two atoms as a fraction of the sum of their covalent radii'
    )
    min_volume_fraction: float | None = Field(
        0.4, gt=0, description='Smallest volume of a periodic cell as a fraction of the volume of the covalent spheres'
    )
    report_without_neighbours: bool = Field(
        True, description='Whether structures are reported in which no atom has a neighbour within the cutoff'
    )
    min_structures_per_element: int | None = Field(
        10, ge=1, description='Number of structures with an element below which the element is rare'
    )
    near_duplicate_tolerance_angstrom: float | None = Field(
        1e-3,
        ge=1e-6,
        le=0.1,
        description='Largest displacement of an atom or cell vector in Å between structures that count as the same',
    )
    label_tolerance_ev_per_atom: float = Field(
        1e-3, gt=0, description='Difference in eV/atom from which on the same structure has different energies'
    )
    label_tolerance_ev_per_angstrom: float = Field(
        0.1, gt=0, description='Difference in eV/Å from which on the same structure has different forces'
    )
    actions: dict[FindingKind, Action] = Field(
        default_factory=dict, description='What happens by kind of finding: `report` (default) or `drop`'
    )

    def action(self, kind: FindingKind) -> Action:
        """Return what happens to a structure with a finding of this kind."""
        return self.actions.get(kind, Action.REPORT)

    @property
    def dropped_kinds(self) -> frozenset[FindingKind]:
        """Kinds of findings for which a structure is left out."""
        return frozenset(kind for kind in FindingKind if self.action(kind) is Action.DROP)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> TriageRules:
        """Read rules that the user states, for example from a YAML file.

        :raises ConfigError: if a key is unknown or a value impossible; the message names the nearest key.
        """
        try:
            return cls.model_validate(mapping)
        except ValidationError as exception:
            raise ConfigError(_sentence(exception.errors(include_url=False)[0])) from None


def _sentence(error: ErrorDetails) -> str:
    """Say in one sentence what is wrong with the first wrong key."""
    keys = [str(part) for part in error['loc'] if part != '[key]']
    path = '.'.join(['rules', *keys])
    if error['type'] == 'extra_forbidden':
        return f'`{path}` is unknown; {_advice(keys[-1], TriageRules.model_fields)}'
    if '[key]' in error['loc']:
        return f'`{path}` is no kind of finding; {_advice(keys[-1], [kind.value for kind in FindingKind])}'
    if not keys:
        return f'the rules must be a mapping, not {error["input"]!r}'
    return f'`{path}` is {error["input"]!r}: {error["msg"][:1].lower()}{error["msg"][1:]}'


def _advice(name: str, candidates: Iterable[str]) -> str:
    names = list(candidates)
    near = nearest(name, names)
    return f'the possible ones are {", ".join(names)}' if near is None else f'did you mean `{near}`?'
