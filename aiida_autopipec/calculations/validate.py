"""Calculation job that checks whether a potential is safe to simulate with."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, ArrayData, Dict, SinglefileData, StructureData

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.common import RETRIEVED_ALWAYS, add_probe, code_info, send_scripts
from aiida_autopipec.calculations.exit_codes import define_ends, define_failures, define_validation
from aiida_autopipec.calculations.job import PaceJob, set_default_options, set_validator
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.data.validation_inputs import checks_of, labels_of, parameters_of, potential_of, reference_of
from aiida_autopipec.pacemaker import filenames
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.reference_potentials import parse_reference_potential
from aiida_autopipec.pacemaker.validation import parse_validation_parameters, reference_settings, script_settings

PROGRAM = 'validate'
GEOMETRY = ('numbers', 'positions', 'cells', 'pbc', 'offsets')


class ValidateCalculation(PaceJob):
    """Check a potential before it is used: short range, volumes, vibrations, hot dynamics, held-out errors, export.

    A script that travels with the job measures, in Pacemaker's own Python; thresholds decide afterwards.
    """

    CACHE_VERSION = 2

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define ports and exit codes."""
        super().define(spec)
        spec.input(
            'code',
            valid_type=AbstractCode,
            help="Any program of Pacemaker, such as `pacemaker`, or Pacemaker's own Python; the program is not run.",
        )
        ports.add_potential(spec, 'potential', purpose='The potential (`.yaml`).', required=True)
        ports.add_active_set(spec, purpose='Its active set (`.asi`), for extrapolation grades.')
        spec.input(
            'lammps_potential',
            valid_type=SinglefileData,
            required=False,
            help='The `.yace` made from it, to be compared with it.',
        )
        spec.input(
            'test_dataset', valid_type=PaceDatasetData, required=False, help='Structures that were not trained on.'
        )
        spec.input(
            'crystal',
            valid_type=StructureData,
            required=False,
            help='A periodic crystal, near the volume at which it is stable.',
        )
        ports.add_dict(
            spec,
            'reference_potential',
            purpose='The reference potential that was subtracted, where the potential does not say it: '
            '`{name: zbl, inner: 3.0, outer: 4.0}`.',
            validator=_validate_reference,
        )
        ports.add_dict(
            spec,
            'parameters',
            purpose='Checks and their thresholds; see ValidationParameters.',
            validator=_validate_parameters,
        )
        ports.add_codes(spec)
        set_validator(spec, validate_inputs)
        set_default_options(spec, parser_name='autopipec.validate')
        spec.output('report', valid_type=Dict, help='Passed or failed, check by check, with values and thresholds.')
        spec.output('curves', valid_type=ArrayData, required=False, help='All that was measured.')
        spec.default_output_node = 'report'
        define_failures(spec)
        define_ends(spec)
        define_validation(spec)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write settings and structures, and describe the run."""
        files = {
            'potential': filenames.POTENTIAL,
            'active_set': filenames.KNOWN_ACTIVE_SET,
            'lammps_potential': filenames.LAMMPS_POTENTIAL,
        }
        calcinfo = CalcInfo()
        calcinfo.local_copy_list = [
            (self.inputs[port].uuid, self.inputs[port].filename, name)
            for port, name in files.items()
            if port in self.inputs
        ]
        calcinfo.provenance_exclude_list = [filenames.VALIDATION_DATA]
        self._write_settings(folder, {port: name for port, name in files.items() if port in self.inputs})
        calcinfo.codes_info = [code_info(self.inputs.code, PROGRAM, [], with_mpi=False)]
        calcinfo.retrieve_list = [
            *RETRIEVED_ALWAYS,
            filenames.VALIDATION,
            filenames.stdout_of(PROGRAM),
            filenames.stderr_of(PROGRAM),
        ]
        calcinfo.retrieve_temporary_list = [(f'{filenames.VALIDATION_ARRAYS}*', '.', 0)]
        add_probe(calcinfo, folder, code=self.inputs.code, python=_python(self.inputs))
        send_scripts(calcinfo, folder, *filenames.VALIDATE_SCRIPTS)
        return calcinfo

    def change_script(self, script: str, calcinfo: CalcInfo) -> str:
        """Return the script of the job with the travelling script in the place of the program."""
        script = super().change_script(script, calcinfo)
        output = f"> '{filenames.stdout_of(PROGRAM)}'"
        line = next(line for line in script.splitlines() if output in line)
        return script.replace(line, self._command(), 1)

    def _command(self) -> str:
        python = _python(self.inputs)
        finder = ['sh', filenames.PYTHON_FINDER, str(self.inputs.code.get_executable())]
        command = [
            *(finder if python is None else [str(python.get_executable())]),
            filenames.VALIDATE_SCRIPTS[0],
            filenames.VALIDATION_SETTINGS,
        ]
        return f'{shlex.join(command)} > {filenames.stdout_of(PROGRAM)} 2> {filenames.stderr_of(PROGRAM)}'

    def _write_settings(self, folder: Folder, files: dict[str, str]) -> None:
        """Write what the travelling script reads."""
        totals = True
        if 'test_dataset' in self.inputs:
            totals = labels_of(self.inputs).totals
            structures = without_mixed_periodicity(self.inputs.test_dataset.get_structures())
            arrays: Any = {name: getattr(structures, name) for name in GEOMETRY}
            np.savez(folder.get_abs_path(filenames.VALIDATION_DATA), **arrays)
            files = {**files, 'dataset': filenames.VALIDATION_DATA}
        settings = script_settings(
            parameters_of(self.inputs),
            checks_of(self.inputs),
            elements=potential_of(self.inputs).elements,
            reference=reference_of(self.inputs),
            crystal=_crystal(self.inputs['crystal']) if 'crystal' in self.inputs else None,
            labels_are_totals=totals,
            files=files,
        )
        with folder.open(filenames.VALIDATION_SETTINGS, 'w') as handle:
            json.dump(settings, handle, indent=2, sort_keys=True)


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Check the inputs against each other."""
    if 'potential' not in inputs or validation.validate_potential(inputs['potential'], None):
        return None  # reported by the port itself
    if 'parameters' in inputs and _validate_parameters(inputs['parameters'], None):
        return None
    if problem := validation.computers_problem(inputs):
        return problem
    elements = potential_of(inputs).elements
    try:
        checks_of(inputs)
        reference_settings(reference_of(inputs), elements)
        if 'test_dataset' in inputs:
            labels_of(inputs)
    except InputError as exception:
        return str(exception)
    return _structures_problem(inputs, elements)


def _structures_problem(inputs: Mapping[str, Any], elements: tuple[str, ...]) -> str | None:
    """Return what is wrong with crystal and test set, if anything."""
    present = {}
    if 'test_dataset' in inputs:
        present['test_dataset'] = set(inputs['test_dataset'].elements)
        if not inputs['test_dataset'].labelled:
            return 'the structures of `test_dataset` have no energies or no forces: label them first'
    if 'crystal' in inputs:
        present['crystal'] = set(inputs['crystal'].get_symbols_set())
        if not all(inputs['crystal'].pbc):
            return '`crystal` is not periodic in all three directions: give a bulk crystal'
    for port, symbols in present.items():
        if lacking := sorted(symbols - set(elements)):
            return f'`{port}` contains {", ".join(lacking)}, which the potential lacks (it has {", ".join(elements)})'
    return None


def _python(inputs: Mapping[str, Any]) -> AbstractCode | None:
    """Return Pacemaker's Python, where it is given."""
    code: AbstractCode = inputs['code']
    stated: AbstractCode | None = inputs.get('codes', {}).get('python', None)
    if stated is None and PurePosixPath(str(code.get_executable())).name.startswith('python'):
        return code
    return stated


def _crystal(node: StructureData) -> dict[str, Any]:
    atoms = node.get_ase()
    return {
        'numbers': atoms.numbers.tolist(),
        'positions': atoms.positions.tolist(),
        'cell': atoms.cell[:].tolist(),
    }


def _validate_parameters(value: Dict, _: Any) -> str | None:
    try:
        parse_validation_parameters(value.get_dict())
    except InputError as exception:
        return str(exception)
    return None


def _validate_reference(value: Dict, _: Any) -> str | None:
    try:
        parse_reference_potential(value.get_dict())
    except InputError as exception:
        return str(exception)
    return None
