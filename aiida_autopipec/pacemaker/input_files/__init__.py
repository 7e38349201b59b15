"""Files that people already have: an ``input.yaml`` with all that it means, and the folder of a finished fit.

::

    report = check_input(text)                 # what Pacemaker would do with it, with line numbers
    for remark in report.remarks: print(remark)
    text = template_text(template_config(['Al', 'Ni']))  # a new one, with comments
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.input_files.check import InputReport, check_input
from aiida_autopipec.pacemaker.input_files.explain import explain_config, explain_keys
from aiida_autopipec.pacemaker.input_files.folder import FitFolder, read_fit_folder
from aiida_autopipec.pacemaker.input_files.owned import FileNames
from aiida_autopipec.pacemaker.input_files.remarks import Level, Remark
from aiida_autopipec.pacemaker.input_files.template import template_config, template_text

__all__ = [
    'FileNames',
    'FitFolder',
    'InputReport',
    'Level',
    'Remark',
    'check_input',
    'explain_config',
    'explain_keys',
    'read_fit_folder',
    'template_config',
    'template_text',
]
