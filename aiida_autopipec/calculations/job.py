"""What every job of this package does beside running its program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiida.common.datastructures import CalcInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec
from aiida.orm import RemoteData

from aiida_autopipec.calculations.defaults import RESOURCES, with_defaults
from aiida_autopipec.calculations.single_run import run_once

Validator = Callable[[Mapping[str, Any], Any], str | None]


class PaceJob(CalcJob):
    """A job that takes the defaults of its computer and code, and may change its script before it is submitted."""

    def __init__(self, inputs: Mapping[str, Any] | None = None, *args: Any, **kwargs: Any) -> None:
        """Take the options of computer and code over where the inputs state none."""
        super().__init__(with_defaults(inputs or {}), *args, **kwargs)

    def presubmit(self, folder: Folder) -> CalcInfo:
        """Write all files of the job, then let the job change its script, which runs once if it is submitted twice."""
        calcinfo = super().presubmit(folder)
        if 'remote_folder' in self.inputs:
            return calcinfo  # an import of what has run already has no script
        filename = self.options.submit_script_filename
        with folder.open(filename) as handle:
            script = handle.read()
        changed = run_once(self.change_script(script, calcinfo))
        with folder.open(filename, 'w') as handle:
            handle.write(changed)
        return calcinfo

    def parse(self, retrieved_temporary_folder: Any = None, existing_exit_code: Any = None) -> Any:
        """Parse what was retrieved, with the node of the job's folder where that was lost.

        A daemon that is killed just after an upload leaves a job that counts as uploaded and has no `remote_folder`
        (`task_upload_job` of aiida-core 2.9.4); it would fail for the want of that output alone.
        """
        path = self.node.get_remote_workdir()
        if path is not None and 'remote_folder' not in self.outputs and 'remote_folder' not in self.inputs:
            link = self.node.base.links.get_outgoing(link_label_filter='remote_folder').first()
            self.out('remote_folder', RemoteData(path, computer=self.node.computer) if link is None else link.node)
        return super().parse(retrieved_temporary_folder, existing_exit_code)

    def change_script(self, script: str, calcinfo: CalcInfo) -> str:
        """Return the script with the probe directly before the programs, after all that prepares them.

        AiiDA puts the text of a job's options behind that of the plugin.
        """
        ours, theirs = calcinfo.prepend_text, self.options.get('prepend_text', None)
        if not ours or not theirs:
            return script
        return script.replace(f'{ours}\n\n{theirs}', f'{theirs}\n\n{ours}', 1)


def set_default_options(spec: CalcJobProcessSpec, *, parser_name: str) -> None:
    """Let a job run its parser, on one core unless more are asked for: Pacemaker does not use MPI."""
    options: Any = spec.inputs['metadata']['options']  # type: ignore[index]
    options['parser_name'].default = parser_name
    options['resources'].default = dict(RESOURCES)
    options['withmpi'].default = False


def set_validator(spec: CalcJobProcessSpec, validator: Validator) -> None:
    """Check all inputs together: first as AiiDA does for every job, then by a validator of the job.

    Both see the inputs as the job will have them, with the defaults of computer and code.
    """
    of_every_job: Any = spec.inputs.validator

    def validate(inputs: Mapping[str, Any], port: Any) -> str | None:
        filled = with_defaults(inputs)
        problem: str | None = of_every_job(filled, port)
        return problem or validator(filled, port)

    spec.inputs.validator = validate
