"""Calculation job that trains a potential with ``pacemaker``, and exports it in the same stay in the queue."""

from __future__ import annotations

from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida.orm import AbstractCode, ArrayData, Dict, RemoteData, SinglefileData

from aiida_autopipec.calculations import validation
from aiida_autopipec.calculations.common import (
    RETRIEVED_ALWAYS,
    add_collect_script,
    code_info,
    set_default_options,
    write_dataset,
)
from aiida_autopipec.calculations.exit_codes import define_failures, define_singular_active_set, define_verdicts
from aiida_autopipec.data.dataset import PaceDatasetData
from aiida_autopipec.pacemaker import commands, filenames
from aiida_autopipec.pacemaker.config import TrainingConfig, render_input_yaml
from aiida_autopipec.pacemaker.outputs import strip_fit_history


class PaceTrainCalculation(CalcJob):
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
        spec.input(
            'config',
            valid_type=Dict,
            serializer=validation.serialize_dict,
            validator=validation.validate_config,
            help="Pacemaker's `input.yaml` without names of files; see TrainingConfig.",
        )
        spec.input(
            'initial_potential',
            valid_type=SinglefileData,
            required=False,
            validator=validation.validate_potential,
            help='Potential (`.yaml`) to go on from: with the same basis, or as the start of a ladder if `config` has '
            'one.',
        )
        spec.input(
            'parent_folder',
            valid_type=RemoteData,
            required=False,
            help='Folder of an earlier training on the same computer, to go on from its first interim potential.',
        )
        spec.input_namespace('codes', help='Other programs on the same computer.')
        spec.input('codes.yaml2yace', valid_type=AbstractCode, required=False, help='`pace_yaml2yace`.')
        spec.input('codes.activeset', valid_type=AbstractCode, required=False, help='`pace_activeset`.')
        spec.input(
            'codes.python',
            valid_type=AbstractCode,
            required=False,
            help="Pacemaker's own Python; by default it is found from the executable of `code`.",
        )
        spec.input(
            'active_set_parameters',
            valid_type=Dict,
            required=False,
            serializer=validation.serialize_dict,
            validator=validation.validate_active_set_parameters,
            help='Settings of `codes.activeset`; see ActiveSetParameters.',
        )
        spec.inputs.validator = validation.validate_training
        set_default_options(spec, parser_name='autopipec.pace_train')
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

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the input files and describe the runs."""
        config = TrainingConfig.model_validate(self.inputs.config.get_dict())
        test_filename = filenames.TEST_SET if 'test_dataset' in self.inputs else None
        goes_on = 'initial_potential' in self.inputs or 'parent_folder' in self.inputs
        with folder.open(filenames.INPUT, 'w') as handle:
            handle.write(
                render_input_yaml(
                    config,
                    train_filename=filenames.TRAINING_SET,
                    test_filename=test_filename,
                    initial_potential_filename=filenames.INITIAL_POTENTIAL if goes_on else None,
                )
            )
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
        calcinfo.codes_info = self._runs()
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
        add_collect_script(
            calcinfo, folder, task='train', code=self.inputs.code, python=self.inputs.codes.get('python', None)
        )
        return calcinfo

    def _programs(self) -> list[str]:
        optional = [('yaml2yace', 'pace_yaml2yace'), ('activeset', 'pace_activeset')]
        return ['pacemaker', *(program for port, program in optional if port in self.inputs.codes)]

    def _runs(self) -> list[CodeInfo]:
        """Describe the training, the export and the active set, in this order."""
        with_mpi = bool(self.inputs.metadata.options.withmpi)
        arguments = commands.train_arguments(input_filename=filenames.INPUT)
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
