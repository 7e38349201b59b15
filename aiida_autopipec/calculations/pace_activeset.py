"""Calculation job that computes the active set of a potential with ``pace_activeset``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, Dict, SinglefileData

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.common import (
    RETRIEVED_ALWAYS,
    add_collect_script,
    add_probe,
    code_info,
    write_dataset,
)
from aiida_autopipec.calculations.exit_codes import define_failures, define_singular_active_set
from aiida_autopipec.calculations.job import PaceJob, set_default_options, set_validator
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import commands, filenames

PROGRAM = 'pace_activeset'


class PaceActivesetCalculation(PaceJob):
    """Compute the active set of a potential on its data: what tells interpolation from extrapolation."""

    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define ports and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The program `pace_activeset`.')
        ports.add_potential(spec, 'potential', purpose='The potential (`.yaml`).', required=True)
        spec.input(
            'dataset', valid_type=PaceDatasetData, help='The structures whose atoms the active set is chosen from.'
        )
        ports.add_active_set_parameters(spec, 'parameters', purpose='Settings of the program; see ActiveSetParameters.')
        ports.add_codes(spec)
        set_validator(spec, validate_inputs)
        set_default_options(spec, parser_name='autopipec.pace_activeset')
        spec.output('active_set', valid_type=SinglefileData, help='Inverse active set per element (`.asi`).')
        spec.output('output_parameters', valid_type=Dict, help='Functions, atoms and largest gamma per element.')
        spec.default_output_node = 'output_parameters'
        define_failures(spec)
        define_singular_active_set(spec)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files and describe the run."""
        stated = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        write_dataset(self.inputs.dataset, folder, filenames.TRAINING_SET, weights=False)
        calcinfo = CalcInfo()
        calcinfo.local_copy_list = [
            (self.inputs.potential.uuid, self.inputs.potential.filename, filenames.OUTPUT_POTENTIAL)
        ]
        calcinfo.provenance_exclude_list = [filenames.TRAINING_SET]
        arguments = commands.activeset_arguments(
            potential=filenames.OUTPUT_POTENTIAL,
            datasets=[filenames.TRAINING_SET],
            parameters=commands.parse_parameters(commands.ActiveSetParameters, stated),
        )
        calcinfo.codes_info = [code_info(self.inputs.code, PROGRAM, arguments, with_mpi=False)]
        calcinfo.retrieve_list = [
            *RETRIEVED_ALWAYS,
            filenames.OUTPUT_ACTIVE_SET,
            filenames.stdout_of(PROGRAM),
            filenames.stderr_of(PROGRAM),
        ]
        python = self.inputs.codes.get('python', None)
        add_probe(calcinfo, folder, code=self.inputs.code, python=python)
        add_collect_script(calcinfo, folder, task='activeset', code=self.inputs.code, python=python)
        return calcinfo


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Check the potential against the data."""
    if any(port not in inputs for port in ('potential', 'dataset')):
        return None
    if validation.validate_potential(inputs['potential'], None):
        return None  # reported by the port itself
    stated = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    if not stated.get('all_atoms', False) and not inputs['dataset'].labelled:
        return (
            'the dataset has no forces, which tell bad atoms apart: set `all_atoms` in `parameters` to take all atoms'
        )
    elements = validation.potential_info(inputs['potential']).elements
    return validation.computers_problem(inputs) or validation.elements_problem(
        tuple(elements), {'dataset': inputs['dataset']}
    )
