"""Calculation job that trains a potential with ``pacemaker``, and exports it in the same stay in the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJobProcessSpec
from aiida.orm import AbstractCode, ArrayData, Dict, RemoteData, SinglefileData

from aiida_autopipec.calculations import ports, validation
from aiida_autopipec.calculations.acceleration import acceleration_of, add_acceleration, define_acceleration
from aiida_autopipec.calculations.common import (
    RETRIEVED_ALWAYS,
    add_collect_script,
    add_probe,
    code_info,
    write_dataset,
)
from aiida_autopipec.calculations.early_stopping import (
    add_early_stopping,
    add_hook,
    define_early_stopping,
    early_stopping_of,
    stopping_problem,
)
from aiida_autopipec.calculations.exit_codes import (
    define_ends,
    define_environment,
    define_failures,
    define_singular_active_set,
    define_stops,
    define_verdicts,
)
from aiida_autopipec.calculations.gpu_option import define_gpus, expected_gpus, gpus_problem, script_with_gpus
from aiida_autopipec.calculations.gpus import GpuRequest
from aiida_autopipec.calculations.job import PaceJob, set_default_options, set_validator
from aiida_autopipec.calculations.monitoring import define_monitor
from aiida_autopipec.calculations.pacemaker_version import version_of
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import commands, filenames
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.early_stopping import CALLBACK
from aiida_autopipec.pacemaker.outputs import strip_fit_history


class PaceTrainCalculation(PaceJob):
    """Train an ACE potential with ``pacemaker input.yaml``.

    With ``codes.yaml2yace`` and ``codes.activeset`` the same job writes the potential for LAMMPS and the active set.
    Whether the fit is good for anything is judged by its metrics: an untrained or diverged one does not finish with 0.
    """

    CACHE_VERSION = 1

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Define ports and exit codes."""
        super().define(spec)
        spec.input('code', valid_type=AbstractCode, help='The program `pacemaker`.')
        spec.input(
            'dataset',
            valid_type=PaceDatasetData,
            validator=validation.validate_labelled,
            help='The training set.',
        )
        spec.input(
            'test_dataset',
            valid_type=PaceDatasetData,
            required=False,
            validator=validation.validate_labelled,
            help='The test set; errors on it are reported, nothing is trained on it.',
        )
        ports.add_config(spec)
        ports.add_potential(
            spec,
            'initial_potential',
            purpose='Potential (`.yaml`) to go on from: with the same basis, or as the start of a ladder if `config` '
            'has one.',
        )
        spec.input(
            'parent_folder',
            valid_type=RemoteData,
            required=False,
            help='Folder of an earlier training on the same computer, to go on from its first interim potential.',
        )
        define_acceleration(spec)
        define_early_stopping(spec)
        ports.add_codes(spec, yaml2yace='`pace_yaml2yace`.', activeset='`pace_activeset`.')
        ports.add_active_set_parameters(
            spec, 'active_set_parameters', purpose='Settings of `codes.activeset`; see ActiveSetParameters.'
        )
        set_validator(spec, validate_inputs)
        set_default_options(spec, parser_name='autopipec.pace_train')
        define_gpus(spec)
        spec.output('potential', valid_type=SinglefileData, required=False, help='The potential (`.yaml`).')
        spec.output(
            'lammps_potential', valid_type=SinglefileData, required=False, help='The potential for LAMMPS (`.yace`).'
        )
        spec.output(
            'active_set', valid_type=SinglefileData, required=False, help='Inverse active set per element (`.asi`).'
        )
        spec.output(
            'interim_potential',
            valid_type=SinglefileData,
            required=False,
            help='The last state of a fit that did not end well (`.yaml`), to go on from.',
        )
        spec.output(
            'output_parameters', valid_type=Dict, required=False, help='Errors, iterations, versions, timings, device.'
        )
        spec.output(
            'environment',
            valid_type=Dict,
            required=False,
            help='Where the job ran: host, GPUs, memory, versions, job and node of the scheduler.',
        )
        spec.output(
            'learning_curve',
            valid_type=ArrayData,
            required=False,
            help='One array per column of `metrics.txt`, and of `test_metrics.txt` with the prefix `test_`.',
        )
        spec.output(
            'predictions',
            valid_type=ArrayData,
            required=False,
            help='Reference and predicted energies (eV) and forces (eV/Å) of both sets, with the rows in the datasets.',
        )
        spec.default_output_node = 'output_parameters'
        define_failures(spec)
        define_verdicts(spec)
        define_ends(spec)
        spec.exit_code(
            320,
            'ERROR_EXPORT_FAILED',
            message='The potential for LAMMPS could not be written: {detail}',
            invalidates_cache=True,
        )
        spec.exit_code(
            321,
            'ERROR_ACTIVE_SET_FAILED',
            message='The active set could not be computed: {detail}',
            invalidates_cache=True,
        )
        spec.exit_code(
            700,
            'WARNING_PREDICTIONS_MISSING',
            message='The potential is trained, but its predictions on the data are missing.',
            invalidates_cache=True,
        )
        define_singular_active_set(spec)
        define_environment(spec)
        define_stops(spec)
        define_monitor(spec)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files and describe the runs."""
        config = TrainingConfig.model_validate(self.inputs.config.get_dict())
        test_filename = filenames.TEST_SET if 'test_dataset' in self.inputs else None
        self._write_input(folder, config, filenames.INPUT)
        write_dataset(self.inputs.dataset, folder, filenames.TRAINING_SET)
        if test_filename is not None:
            write_dataset(self.inputs.test_dataset, folder, test_filename)
        calcinfo = CalcInfo()
        calcinfo.provenance_exclude_list = [filenames.TRAINING_SET, filenames.TEST_SET]
        if 'initial_potential' in self.inputs:
            # a potential remembers how many fit cycles made it, and Pacemaker skips a fit that has no more to do
            text = strip_fit_history(self.inputs.initial_potential.get_content(mode='r'))
            with folder.open(filenames.INITIAL_POTENTIAL, 'w') as handle:
                handle.write(text)
        elif 'parent_folder' in self.inputs:
            parent = self.inputs.parent_folder
            source = f'{parent.get_remote_path()}/{filenames.FIRST_INTERIM_POTENTIAL}'
            calcinfo.remote_copy_list = [(parent.computer.uuid, source, filenames.INITIAL_POTENTIAL)]
        calcinfo.codes_info = self._runs(config)
        calcinfo.retrieve_list = [
            *RETRIEVED_ALWAYS,
            filenames.OUTPUT_POTENTIAL,
            filenames.OUTPUT_LAMMPS_POTENTIAL,
            filenames.OUTPUT_ACTIVE_SET,
            (filenames.INTERIM_POTENTIALS, '.', 0),
            filenames.LOG,
            filenames.METRICS,
            filenames.CYCLE_METRICS,
            filenames.LADDER_METRICS,
            filenames.TEST_METRICS,
            *(name(program) for program in self._programs() for name in (filenames.stdout_of, filenames.stderr_of)),
        ]
        # where the travelling script could not run, the predictions come as pickles and are read by the safe reader
        calcinfo.retrieve_temporary_list = [filenames.PREDICTIONS, ('*_pred.pckl.gzip', '.', 0)]
        python = self.inputs.codes.get('python', None)
        add_probe(calcinfo, folder, code=self.inputs.code, python=python, arguments=self._needs(config))
        self._add_helpers(calcinfo, folder, config, python)
        add_collect_script(calcinfo, folder, task='train', code=self.inputs.code, python=python)
        return calcinfo

    def _write_input(self, folder: Folder, config: TrainingConfig, filename: str, *callbacks: str) -> None:
        goes_on = 'initial_potential' in self.inputs or 'parent_folder' in self.inputs
        text = render_input_yaml(
            config,
            train_filename=filenames.TRAINING_SET,
            test_filename=filenames.TEST_SET if 'test_dataset' in self.inputs else None,
            initial_potential_filename=filenames.INITIAL_POTENTIAL if goes_on else None,
            version=version_of(self.inputs.code),
            cutoff=self._initial_cutoff(),
            callbacks=callbacks,
        )
        with folder.open(filename, 'w') as handle:
            handle.write(text)

    def _add_helpers(
        self, calcinfo: CalcInfo, folder: Folder, config: TrainingConfig, python: AbstractCode | None
    ) -> None:
        """Add what makes a fit begin better and end sooner, each with an input of its own for Pacemaker."""
        stopping, acceleration = early_stopping_of(self.inputs), acceleration_of(self.inputs)
        if stopping is not None or acceleration is not None:
            add_hook(calcinfo, folder)
        if stopping is not None:
            self._write_input(folder, config, filenames.FOLLOWED_INPUT, CALLBACK)
            add_early_stopping(calcinfo, folder, stopping, code=self.inputs.code, python=python)
        if acceleration is not None:
            source = filenames.INPUT if stopping is None else filenames.FOLLOWED_INPUT
            add_acceleration(calcinfo, folder, acceleration, source=source, code=self.inputs.code, python=python)

    def _input_filename(self) -> str:
        """Return the name of the input that Pacemaker is run with."""
        if acceleration_of(self.inputs) is not None:
            return filenames.ACCELERATED_INPUT
        return filenames.INPUT if early_stopping_of(self.inputs) is None else filenames.FOLLOWED_INPUT

    def change_script(self, script: str, calcinfo: CalcInfo) -> str:
        """Return the script with the request for GPUs."""
        changed = super().change_script(script, calcinfo)
        return changed if self.node.computer is None else script_with_gpus(changed, self.options, self.node.computer)

    def _initial_cutoff(self) -> float | None:
        """Return the largest cutoff (Å) of the potential that is gone on from, if it is known before the job runs."""
        if 'initial_potential' not in self.inputs:
            return None
        return validation.potential_info(self.inputs.initial_potential).cutoff

    def _needs(self, config: TrainingConfig) -> list[str]:
        """Return what the training needs of the computer, as the probe takes it."""
        arguments = ['--evaluator', config.backend.evaluator]
        gpus = self._expected_gpus(config)
        if gpus.count:
            arguments += ['--gpus', str(gpus.count), *([] if gpus.required else ['--cpu-will-do'])]
        return arguments

    def _expected_gpus(self, config: TrainingConfig) -> GpuRequest:
        return expected_gpus(self.options, config, {'code': self.inputs.code, **self.inputs.codes})

    def _programs(self) -> list[str]:
        optional = [('yaml2yace', 'pace_yaml2yace'), ('activeset', 'pace_activeset')]
        return ['pacemaker', *(program for port, program in optional if port in self.inputs.codes)]

    def _runs(self, config: TrainingConfig) -> list[CodeInfo]:
        """Describe the training, the export and the active set, in this order."""
        with_mpi = bool(self.inputs.metadata.options.withmpi)
        # without it TensorFlow does not log which device it uses
        verbose = self._expected_gpus(config).count > 0
        arguments = commands.train_arguments(input_filename=self._input_filename(), verbose_tensorflow=verbose)
        runs = [code_info(self.inputs.code, 'pacemaker', arguments, with_mpi=with_mpi)]
        codes = self.inputs.codes
        if 'yaml2yace' in codes:
            arguments = commands.yaml2yace_arguments(
                potential=filenames.OUTPUT_POTENTIAL, output=filenames.OUTPUT_LAMMPS_POTENTIAL
            )
            runs.append(code_info(codes.yaml2yace, 'pace_yaml2yace', arguments, with_mpi=False))
        if 'activeset' in codes:
            stated = self.inputs.active_set_parameters.get_dict() if 'active_set_parameters' in self.inputs else {}
            arguments = commands.activeset_arguments(
                potential=filenames.OUTPUT_POTENTIAL,
                datasets=[filenames.TRAINING_SET],
                parameters=commands.parse_parameters(commands.ActiveSetParameters, stated),
            )
            runs.append(code_info(codes.activeset, 'pace_activeset', arguments, with_mpi=False))
        return runs


def validate_inputs(inputs: Mapping[str, Any], port: Any) -> str | None:
    """Check datasets, config, initial potential and the request for GPUs against each other."""
    if 'config' not in inputs:
        return gpus_problem(inputs, None)  # a work chain that exposes the other ports
    if validation.validate_config(inputs['config'], None):
        return None  # reported by the port itself
    config = TrainingConfig.model_validate(inputs['config'].get_dict())
    return (
        validation.validate_training(inputs, port)
        or stopping_problem(inputs, config, has_test_set='test_dataset' in inputs)
        or gpus_problem(inputs, config)
    )
