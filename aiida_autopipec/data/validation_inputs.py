"""What the inputs of a validation mean, for the job that runs it and the parser that judges it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_autopipec.pacemaker.dataset.recorded import METADATA_KEY, from_metadata
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.outputs.potential import PotentialInfo, parse_potential
from aiida_autopipec.pacemaker.reference_potentials import ReferencePotential, parse_reference_potential
from aiida_autopipec.pacemaker.validation import (
    Labels,
    Subject,
    ValidationParameters,
    parse_validation_parameters,
    possible_checks,
    relate_labels,
)
from aiida_autopipec.pacemaker.validation.parameters import Check

PORTS = (
    'potential',
    'active_set',
    'lammps_potential',
    'test_dataset',
    'crystal',
    'reference_potential',
    'parameters',
)
"""Inputs that decide what is checked, and against what."""


def parameters_of(inputs: Mapping[str, Any]) -> ValidationParameters:
    """Return the settings, with all defaults.

    :raises ConfigError: if one is unknown or not possible.
    """
    return parse_validation_parameters(inputs['parameters'].get_dict() if 'parameters' in inputs else {})


def checks_of(inputs: Mapping[str, Any]) -> tuple[Check, ...]:
    """Return the checks that are run.

    :raises ConfigError: if one is asked for that lacks its input.
    """
    given = {'test_dataset': 'dataset', 'crystal': 'crystal', 'lammps_potential': 'lammps_potential'}
    return possible_checks(parameters_of(inputs), [name for port, name in given.items() if port in inputs])


def reference_of(inputs: Mapping[str, Any]) -> ReferencePotential | None:
    """Return the reference potential that belongs to the potential, ``None`` if there is none.

    :raises ConfigError: if the potential records another one than is stated.
    """
    record = _record(inputs)
    recorded = None if record is None else record.get('potential')
    stated = inputs['reference_potential'].get_dict() if 'reference_potential' in inputs else None
    if stated is None:
        return None if recorded is None else parse_reference_potential(recorded)
    potential = parse_reference_potential(stated)
    if record is not None and potential.as_dict() != recorded:
        raise ConfigError(
            'the potential itself records what was subtracted, which is not `reference_potential`: leave that out'
        )
    return potential


def labels_of(inputs: Mapping[str, Any]) -> Labels:
    """Return how the labels of the test set relate to the potential.

    :raises DatasetError: if they are relative to different things.
    """
    dataset, record = inputs['test_dataset'], _record(inputs)
    reference = reference_of(inputs)
    if record is None and reference is not None:
        # the single-atom energies are not known, and not compared
        record = {'method': 'already_corrected', 'single_atom_energies': {}, 'potential': reference.as_dict()}
    return relate_labels(record, dataset.reference, has_corrected=dataset.has_energy_corrected)


def subject_of(inputs: Mapping[str, Any]) -> Subject:
    """Return what is judged.

    :raises DatasetError: if the labels of the test set cannot be compared with the potential.
    """
    structures = None
    if 'test_dataset' in inputs:
        structures = labels_of(inputs).apply(inputs['test_dataset'].get_structures())
    return Subject(
        elements=potential_of(inputs).elements,
        has_grades='active_set' in inputs,
        structures=structures,
        energy=None if structures is None else structures.energy_corrected,
    )


def potential_of(inputs: Mapping[str, Any]) -> PotentialInfo:
    """Return what the potential is about.

    :raises InputError: if the file is none.
    """
    return parse_potential(inputs['potential'].get_content(mode='rb').decode(errors='replace'))


def _record(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the potential says was subtracted before its training.

    :raises FileFormatError: if it says it in another form.
    """
    written = potential_of(inputs).metadata.get(METADATA_KEY)
    return None if written is None else from_metadata(written)
