"""Calculation job that selects structures which span the space of a basis."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, ArrayData, Dict

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.common import RETRIEVED_ALWAYS, add_probe, code_info, send_scripts, write_dataset
from aiida_autopipec.calculations.exit_codes import define_ends, define_failures, define_selection_failures
from aiida_autopipec.calculations.job import PaceJob, set_default_options, set_validator
from aiida_autopipec.calculations.pacemaker_version import version_of
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import commands, filenames
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.config.basis import basis_config
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.errors import InputError
from aiida_autopipec.pacemaker.formats import save_shards
from aiida_autopipec.pacemaker.selection.candidates import Candidates, describe_candidates, selection_problem
from aiida_autopipec.pacemaker.selection.parameters import SelectParameters
from aiida_autopipec.pacemaker.selection.script import script_settings

PROGRAM = 'pace_select'
SCRIPT = 'select_structures'


class PaceSelectCalculation(PaceJob):
    """Select the structures that span the space of a basis best.

    The basis is that of a potential, or of a training config: then an untrained potential is built first, in the same
    job. Only an active set that is given is taken into account, never a file that lies there by accident.

    A script that travels with the job selects, in Pacemaker's own Python. Where that is not found and one round of
    MaxVol is all that is asked for, the program `pace_select` does it.
    """

    CACHE_VERSION = 3

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
            'output_parameters',
            valid_type=Dict,
            help='Which rows were selected, best first; structures and atoms; what is left uncovered.',
        )
        spec.output(
            'explanation',
            valid_type=ArrayData,
            required=False,
            help='Why each candidate was selected or not, one number for each; see Explanation.',
        )
        spec.default_output_node = 'output_parameters'
        define_failures(spec)
        define_selection_failures(spec)
        define_ends(spec)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files and describe the runs."""
        write_dataset(self.inputs.dataset, folder, filenames.CANDIDATES, weights=False)
        calcinfo = CalcInfo()
        calcinfo.provenance_exclude_list = [
            filenames.CANDIDATES,
            filenames.CANDIDATES_INDEX,
            filenames.BASIS_DATA,
        ]
        calcinfo.local_copy_list = []
        if 'potential' in self.inputs:
            node = self.inputs.potential
            calcinfo.local_copy_list.append((node.uuid, node.filename, filenames.POTENTIAL))
        else:
            self._write_basis_input(folder)
        if 'active_set' in self.inputs:
            node = self.inputs.active_set
            calcinfo.local_copy_list.append((node.uuid, node.filename, filenames.KNOWN_ACTIVE_SET))
        self._write_settings(folder)
        calcinfo.codes_info = self._runs()
        programs = [SCRIPT, PROGRAM] if 'potential' in self.inputs else ['pacemaker', SCRIPT, PROGRAM]
        calcinfo.retrieve_list = [
            *RETRIEVED_ALWAYS,
            filenames.SELECTION,
            *(name(program) for program in programs for name in (filenames.stdout_of, filenames.stderr_of)),
        ]
        # `pace_select` writes a pickle, which is read by the safe reader
        calcinfo.retrieve_temporary_list = [(f'{filenames.SELECTED}*', '.', 0), (f'{filenames.EXPLANATION}*', '.', 0)]
        add_probe(calcinfo, folder, code=self.inputs.code, python=self.inputs.codes.get('python', None))
        send_scripts(calcinfo, folder, *filenames.SELECT_SCRIPTS)
        return calcinfo

    def change_script(self, script: str, calcinfo: CalcInfo) -> str:
        """Return the script of the job with the travelling script before, or instead of, ``pace_select``.

        Its first act is to write a file: where that is not there, it could not run.
        """
        script = super().change_script(script, calcinfo)
        line = next(line for line in script.splitlines() if f"> '{filenames.stdout_of(PROGRAM)}'" in line)
        fallback = f'[ -e {filenames.SELECTION} ] || {line}' if self._parameters().plain else ''
        return script.replace(line, f'{self._command()}\n{fallback}'.rstrip(), 1)

    def _command(self) -> str:
        python = self.inputs.codes.get('python', None)
        finder = ['sh', filenames.PYTHON_FINDER, str(self.inputs.code.get_executable())]
        command = [*(finder if python is None else [str(python.get_executable())]), filenames.SELECT_SCRIPTS[0]]
        return f'{shlex.join(command)} > {filenames.stdout_of(SCRIPT)} 2> {filenames.stderr_of(SCRIPT)}'

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

    def _write_settings(self, folder: Folder) -> None:
        """Write what the travelling script reads: settings, and what is known of each candidate."""
        candidates = candidates_of(self.inputs.dataset, self._parameters())
        arrays: Any = candidates.arrays()
        np.savez(folder.get_abs_path(filenames.CANDIDATES_INDEX), **arrays)
        settings = script_settings(
            self._parameters(),
            potential=self._potential(),
            n_atoms=self.inputs.dataset.n_atoms,
            shares=candidates.shares,
            with_active_set='active_set' in self.inputs,
            requested_kb=self.options.get('max_memory_kb', None),
        )
        with folder.open(filenames.SELECTION_SETTINGS, 'w') as handle:
            json.dump(settings, handle, indent=2, sort_keys=True)

    def _runs(self) -> list[CodeInfo]:
        runs = []
        if 'potential' not in self.inputs:
            arguments = commands.train_arguments(input_filename=filenames.BASIS_INPUT, dry_run=True)
            runs.append(code_info(self.inputs.codes.pacemaker, 'pacemaker', arguments, with_mpi=False))
        arguments = commands.select_arguments(
            potential=self._potential(),
            candidates=[filenames.CANDIDATES],
            output=filenames.SELECTED,
            parameters=self._parameters(),
            active_set=filenames.KNOWN_ACTIVE_SET if 'active_set' in self.inputs else None,
        )
        runs.append(code_info(self.inputs.code, PROGRAM, arguments, with_mpi=False))
        return runs

    def _potential(self) -> str:
        return filenames.POTENTIAL if 'potential' in self.inputs else filenames.UNTRAINED_POTENTIAL

    def _parameters(self) -> SelectParameters:
        return parameters_of(self.inputs)


def parameters_of(inputs: Mapping[str, Any]) -> SelectParameters:
    """Return the settings, with all defaults."""
    stated = inputs['parameters'].get_dict() if 'parameters' in inputs else {}
    return commands.parse_parameters(SelectParameters, stated)


def candidates_of(dataset: PaceDatasetData, parameters: SelectParameters) -> Candidates:
    """Return what is known of each candidate.

    :raises InputError: if what is to be kept is not there, or the quotas name other groups than there are.
    """
    return describe_candidates(dataset.stored_shards(), parameters)


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
    return candidates_problem(parameters_of(inputs), inputs['dataset'], with_active_set='active_set' in inputs) or (
        elements_problem(inputs)
    )


def candidates_problem(parameters: SelectParameters, dataset: PaceDatasetData, *, with_active_set: bool) -> str | None:
    """Return why a pool cannot give what is asked for, as far as it can be known before."""
    if problem := selection_problem(parameters, dataset.get_sizes(), with_active_set=with_active_set):
        return problem
    if not parameters.looks_at_structures:
        return None
    try:
        kept = candidates_of(dataset, parameters).keep
    except InputError as exception:
        return str(exception)
    budget = parameters.budget(dataset.n_atoms)
    used = int(dataset.get_sizes()[kept].sum()) if budget.in_atoms else int(kept.sum())
    if budget.amount is not None and used > budget.amount:
        unit = 'atoms' if budget.in_atoms else 'structures'
        return f'what is kept in any case has {used} {unit}, but only {budget.amount} may be selected: choose more'
    return None


def elements_problem(inputs: Mapping[str, Any]) -> str | None:
    """Return which elements the pool has and the basis lacks."""
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
