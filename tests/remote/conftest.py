"""What the tests of the travelling scripts share."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib import resources
from types import SimpleNamespace

import pytest

MODULES = ('budget', 'maxvol', 'memory', 'pool', 'projections', 'report', 'sampling', 'strategies', 'structures')


@pytest.fixture(scope='session')
def select() -> Iterator[SimpleNamespace]:
    """Return the modules of the script that selects, as they find each other in the folder of a job."""
    folder = str(resources.files('aiida_autopipec.remote'))
    sys.path.insert(0, folder)
    yield SimpleNamespace(**{name: importlib.import_module(f'select_{name}') for name in MODULES})
    sys.path.remove(folder)
