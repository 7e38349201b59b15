"""Calculation job that selects structures by D-optimality with ``pace_select``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, Dict

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.common import (
    RETRIEVED_ALWAYS,
    add_collect_script,
    add_probe,
    code_info,
    write_dataset,
)
from aiida_autopipec.calculations.exit_codes import define_failures
from aiida_autopipec.calculations.job import PaceJob, set_default_options, set_validator
from aiida_autopipec.calculations.pacemaker_version import version_of
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import commands, filenames
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.config.basis import basis_config
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.formats import save_shards

PROGRAM = 'pace_select'


class PaceSelectCalculation(PaceJob):
    """Select the structures that span the space of a basis best.

    The basis is that of a potential, or of a training config: then an untrained potential is built first, in the same
    job. Only an active set that is given is taken into account, never a file that lies there by accident.
    """

    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define ports and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The program `pace_select`.')
        spec.input('dataset', valid_type=PaceDatasetData, help='The candidates; they need no labels.')
        ports.add_potential(spec, 'potential', purpose='The potential (`.yaml`) whose basis counts.')
        ports.add_config(
            spec,
            purpose='Instead of a potential: the training config whose basis counts. Needs `codes.pacemaker`.',
            required=False,
        )
        ports.add_active_set(
            spec,
            purpose='Active set (`.asi`) of what is known already; candidates are chosen for what they add to it.',
        )
        ports.add_select_parameters(spec, 'parameters', purpose='Settings of the selection; see SelectParameters.')
        ports.add_codes(spec, pacemaker='`pacemaker`, to build a basis from `config`.')
        set_validator(spec, validate_inputs)
        set_default_options(spec, parser_name='autopipec.pace_select')
        spec.output('selected', valid_type=PaceDatasetData, help='The selected structures, in the order of the pool.')
        spec.output(
            'output_parameters', valid_type=Dict, help='Which rows were selected, best first; structures and atoms.'
        )
        spec.default_output_node = 'output_parameters'
        define_failures(spec)
        spec.exit_code(
            340, 'ERROR_NOTHING_SELECTED', message='No structure of the pool adds anything to the active set.'
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files and describe the runs."""
        write_dataset(self.inputs.dataset, folder, filenames.CANDIDATES, weights=False)
        calcinfo = CalcInfo()
        calcinfo.provenance_exclude_list = [filenames.CANDIDATES, filenames.BASIS_DATA]
        calcinfo.local_copy_list = []
        if 'potential' in self.inputs:
            node = self.inputs.potential
            calcinfo.local_copy_list.append((node.uuid, node.filename, filenames.POTENTIAL))
        else:
            self._write_basis_input(folder)
        if 'active_set' in self.inputs:
            node = self.inputs.active_set
            calcinfo.local_copy_list.append((node.uuid, node.filename, filenames.KNOWN_ACTIVE_SET))
        calcinfo.codes_info = self._runs()
        programs = [PROGRAM] if 'potential' in self.inputs else ['pacemaker', PROGRAM]
        calcinfo.retrieve_list = [
            *RETRIEVED_ALWAYS,
            filenames.SELECTED_NAMES,
            *(name(program) for program in programs for name in (filenames.stdout_of, filenames.stderr_of)),
        ]
        # where the travelling script could not run, the selection comes as a pickle and is read by the safe reader
        calcinfo.retrieve_temporary_list = [(f'{filenames.SELECTED}*', '.', 0)]
        python = self.inputs.codes.get('python', None)
        add_probe(calcinfo, folder, code=self.inputs.code, python=python)
        add_collect_script(calcinfo, folder, task='select', code=self.inputs.code, python=python)
        return calcinfo

    def _write_basis_input(self, folder: Folder) -> None:
        """Write what builds the untrained potential: the config, and the smallest dataset that Pacemaker accepts.

        The basis depends on the config alone, but even a dry run reads a dataset and its labels. The first structure of
        the pool stands there with labels of zero; nothing is fitted to them.
        """
        config = TrainingConfig.model_validate(self.inputs.config.get_dict())
        first = next(self.inputs.dataset.iter_shards()).take([0])
        blank = first.replace(
            energy=None,
            energy_corrected=np.zeros(1),
            forces=np.zeros_like(first.positions),
            stress=None,
            energy_weights=None,
            force_weights=None,
        )
        save_shards([without_mixed_periodicity(blank)], folder.get_abs_path(filenames.BASIS_DATA))
        with folder.open(filenames.BASIS_INPUT, 'w') as handle:
            handle.write(
                render_input_yaml(
                    basis_config(config),
                    train_filename=filenames.BASIS_DATA,
                    version=version_of(self.inputs.codes.pacemaker),
                )
            )

    def _runs(self) -> list[CodeInfo]:
        runs = []
        if 'potential' not in self.inputs:
            arguments = commands.train_arguments(input_filename=filenames.BASIS_INPUT, dry_run=True)
            runs.append(code_info(self.inputs.codes.pacemaker, 'pacemaker', arguments, with_mpi=False))
        stated = self.inputs.parameters.get_dict() if 'parameters' in self.inputs else {}
        arguments = commands.select_arguments(
            potential=filenames.POTENTIAL if 'potential' in self.inputs else filenames.UNTRAINED_POTENTIAL,
            candidates=[filenames.CANDIDATES],
            output=filenames.SELECTED,
            parameters=commands.parse_parameters(commands.SelectParameters, stated),
            active_set=filenames.KNOWN_ACTIVE_SET if 'active_set' in self.inputs else None,
        )
        runs.append(code_info(self.inputs.code, PROGRAM, arguments, with_mpi=False))
        return runs


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Check candidates, basis and number against each other."""
    if 'dataset' not in inputs:
        return None
    if problem := validation.computers_problem(inputs):
        return problem
    if ('potential' in inputs) == ('config' in inputs):
        return 'give either a `potential` or a `config` whose basis counts'
    if 'config' in inputs and 'pacemaker' not in inputs.get('codes', {}):
        return '`config` needs `codes.pacemaker`, which builds the basis'
    if 'config' in inputs and not validation.validate_config(inputs['config'], None) and not _elements(inputs):
        return '`config` states no shape of the potential, so there is no basis: state it, or give a `potential`'
    if validation.validate_select_parameters(inputs.get('parameters', Dict()), None):
        return None  # reported by the port itself
    wanted = inputs['parameters'].get_dict().get('max_structures') if 'parameters' in inputs else None
    pool = inputs['dataset'].n_structures
    if wanted is not None and wanted > pool:
        return f'`max_structures` is {wanted}, but the pool has only {pool} structures: choose fewer'
    elements = _elements(inputs)
    lacking = sorted(set(inputs['dataset'].elements) - set(elements)) if elements else []
    if lacking:
        return (
            f'the pool contains {", ".join(lacking)}, which the basis lacks (it has {", ".join(elements)}): add it to '
            'the basis, or remove those structures'
        )
    return None


def _elements(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    if 'potential' in inputs:
        if validation.validate_potential(inputs['potential'], None):
            return ()
        return tuple(validation.potential_info(inputs['potential']).elements)
    if validation.validate_config(inputs['config'], None):
        return ()  # reported by the port itself
    return tuple(TrainingConfig.model_validate(inputs['config'].get_dict()).elements)
