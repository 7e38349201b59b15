"""The ``data`` section, without the file names, which belong to the calculation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PlainValidator

from aiida_autopipec.pacemaker.config import sources
from aiida_autopipec.pacemaker.config.base import Section, SectionError, about, read_number
from aiida_autopipec.pacemaker.config.blocks import Positive
from aiida_autopipec.pacemaker.config.names import nearest
from aiida_autopipec.pacemaker.config.species import SYMBOLS

#: The one table of single-atom energies inside Pacemaker (``pyace/process_df.py``, python-ace 0.4.0rc1).
REFERENCE_TABLE = 'VASP_PBE_500_0.125_0.1_NM'
SHIFT = 'shift'

ReferenceEnergy = Literal['auto', 'VASP_PBE_500_0.125_0.1_NM', 0] | dict[str, float] | None


def read_reference_energy(value: object) -> ReferenceEnergy:
    """Return a reference energy as Pacemaker understands it.

    :raises ValueError: for anything else. Numbers other than 0 are refused: ``compute_corrected_energy`` asks a
        defaultdict with ``get(element, 0)``, and so subtracts 0 whatever the number (python-ace 0.4.0rc1).
    """
    value = read_number(value)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value == 0):
        return None if value is None else 0
    if value == 'auto':
        return 'auto'
    if value == REFERENCE_TABLE:
        return 'VASP_PBE_500_0.125_0.1_NM'
    if isinstance(value, dict) and value:
        SectionError.raise_any(
            ((str(key),), text) for key, item in value.items() for text in _energy_problems(key, item)
        )
        return {key: float(value[key]) for key in sorted(value)}
    raise ValueError(
        f'must be auto, {REFERENCE_TABLE}, 0, null, or a mapping of elements to eV such as {{Al: -0.1}}, not {value!r}'
    )


def _energy_problems(key: object, value: object) -> Iterator[str]:
    if not isinstance(key, str) or (key != SHIFT and key not in SYMBOLS):
        near = nearest(str(key), [SHIFT, *sorted(SYMBOLS)])
        yield f'unknown key; did you mean {near}?' if near else 'unknown key; the keys here are elements and shift'
    number = read_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        yield f'must be a finite energy in eV, not {value!r}'


class DataSettings(Section):
    """How Pacemaker treats the dataset."""

    SOURCE: ClassVar[str] = sources.DATA

    NULLABLE: ClassVar[frozenset[str]] = frozenset({'reference_energy'})

    reference_energy: Annotated[ReferenceEnergy, PlainValidator(read_reference_energy)] = Field(
        default=None,
        description='Single-atom energies (eV) that Pacemaker subtracts from energy, overwriting energy_corrected: '
        'a mapping with an optional shift, auto (least squares), a table, or 0; default null: energy_corrected '
        'of the dataset is used as it is.',
        json_schema_extra=about(
            kind='mapping of elements and `shift` to numbers, `auto`, `VASP_PBE_500_0.125_0.1_NM`, `0` or null',
            unit='eV',
            source=sources.REFERENCE_ENERGY,
        ),
    )
    aug_factor: Annotated[Positive, Field(le=1)] = Field(
        default=1e-4, description='Factor on the weights of structures whose name starts with augmented.'
    )
    ignore_weights: bool = Field(
        default=False, description='Ignore the weights of the dataset and apply the weighting policy.'
    )
