"""Which Pacemaker the code on a computer is: stated once, on the code.

::

    code = orm.load_code('pacemaker@cluster')
    code.base.extras.set('pacemaker_version', '0.3.0')   # as `pacemaker --version` prints it
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.orm import AbstractCode

from aiida_autopipec.pacemaker.config import TrainingConfig
from aiida_autopipec.pacemaker.config.versions import CURRENT_VERSION, check_version, needs_cutoff
from aiida_autopipec.pacemaker.errors import ConfigError

EXTRA = 'pacemaker_version'
"""Name of the extra of a code that states its version; without it the code is the current one."""


def version_of(code: AbstractCode) -> str:
    """Return the version of Pacemaker that a code is."""
    return str(code.base.extras.get(EXTRA, CURRENT_VERSION))


def version_problem(config: TrainingConfig, inputs: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the version that is stated on the code, if anything.

    :param inputs: those of a training.
    """
    code = inputs.get('code', None)
    if code is None:
        return None
    version = version_of(code)
    try:
        check_version(version)
    except ConfigError as exception:
        return f'the extra `{EXTRA}` of the code {code.label}: {exception}'
    if needs_cutoff(version) and config.cutoff is None and 'initial_potential' not in inputs:
        return (
            f'Pacemaker {version} must be told a cutoff, which the `parent_folder` does not say: give the potential as '
            '`initial_potential`, or state the shape of the potential in `config`'
        )
    return None
