"""Versions of Pacemaker whose ``input.yaml`` differs.

Before 0.4 the top-level key ``cutoff`` is compulsory; 0.4 ignores it with a warning and takes the largest ``rcut``
(``bin/pacemaker`` of python-ace 0.2.7 to 0.3, ``pyace/cli/pacemaker.py`` of 0.4.0rc1). Keys and defaults are else the
same.
"""

from __future__ import annotations

import re

from aiida_autopipec.pacemaker.errors import ConfigError

#: What is written where nothing is stated: the version that pip installs.
CURRENT_VERSION = '0.4'
OLDEST = (0, 2)
_FIRST_WITHOUT_CUTOFF = (0, 4)
_START = re.compile(r'(\d+)\.(\d+)(?!\d)')


def check_version(version: str) -> tuple[int, int]:
    """Return the generation of Pacemaker that a version belongs to, as (major, minor).

    :param version: as ``pacemaker --version`` prints it, ``0.4.0rc1``, or its beginning, ``0.3``.
    :raises ConfigError: if it is no version, or one whose input file is not known.
    """
    found = _START.match(version)
    if found is None:
        raise ConfigError(f'{version!r} is no version of Pacemaker; state it as `pacemaker --version` prints it: 0.4.0')
    generation = (int(found.group(1)), int(found.group(2)))
    if generation < OLDEST:
        raise ConfigError(f'Pacemaker {version} is too old; versions from 0.2 on can be used')
    return generation


def needs_cutoff(version: str) -> bool:
    """Say whether this version of Pacemaker must be told the cutoff of its neighbour lists.

    :param version: as ``pacemaker --version`` prints it.
    :raises ConfigError: see :func:`check_version`.
    """
    return check_version(version) < _FIRST_WITHOUT_CUTOFF
