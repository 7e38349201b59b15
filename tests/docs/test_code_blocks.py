"""The Python blocks of the tutorial and of the how-tos, run in their order with the real Pacemaker."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiida.engine
import pytest
from aiida import orm

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
PAGES = (
    'data',
    'triage',
    'protocols',
    'reference-energies',
    'reference-potentials',
    'split-and-selection',
    'update',
    'settings',
    'existing-input',
    'import-fit',
    'provenance',
    'acceleration',
    'validate',
    'export',
    'watch',
    'cluster',
    'without-aiida',
)
BLOCK = re.compile(r'^```python\n(.*?)^```', re.DOTALL | re.MULTILINE)

pytestmark = [
    pytest.mark.pacemaker,
    # the import of an archive makes aiida-core 2.9 touch its groups while it flushes
    pytest.mark.filterwarnings('ignore:Object of type <Db'),
]


def submit_here(process: Any, inputs: Any = None, **options: Any) -> orm.ProcessNode:
    """Stand in for `submit`, which needs a daemon: run the process here. The integration tests have a daemon."""
    options.pop('wait', None)
    options.pop('wait_interval', None)
    return aiida.engine.run_get_node(process, inputs, **options)[1]


def run_page(page: Path, namespace: dict[str, Any]) -> None:
    """Run the blocks of a page; a failure shows the line of the page."""
    text = page.read_text()
    blocks = list(BLOCK.finditer(text))
    assert blocks, f'{page} has no Python block'
    for block in blocks:
        padding = '\n' * text.count('\n', 0, block.start(1))
        exec(compile(padding + block.group(1), page, 'exec'), namespace)  # noqa: S102 - our own documentation


@pytest.fixture(scope='module')
def tutorial(register_codes: Callable[[], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Run the tutorial once, and return the names that it defines."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp('docs')
    (folder / 'examples').symlink_to(ROOT / 'examples')
    (folder / 'calculations.aiida').symlink_to(ROOT / 'tests' / 'fixtures' / 'dft' / 'quantumespresso.aiida')
    patch.chdir(folder)
    patch.setattr('aiida.engine.submit', submit_here)
    register_codes()
    namespace: dict[str, Any] = {'__name__': 'tutorial'}
    run_page(DOCS / 'tutorials' / 'first-potential.md', namespace)
    yield namespace
    patch.undo()


def test_every_page_with_code_is_run() -> None:
    """No page has Python blocks that no test runs; `programs` is run with the programs that it is about."""
    with_code = {page.stem for page in DOCS.rglob('*.md') if BLOCK.search(page.read_text())}
    assert with_code == {*PAGES, 'programs', 'first-potential'}


def test_the_tutorial_trains_a_potential(tutorial: dict[str, Any]) -> None:
    """The tutorial ends with a potential, its errors are sensible, and it wrote the files that it names."""
    errors = tutorial['workchain'].outputs.output_parameters['errors']
    assert errors['train']['rmse_energy_mev_per_atom'] < 100
    assert {'data.png', 'parity.png', 'learning-curve.png', 'Al.yace', 'Al.yaml', 'Al.asi'} <= set(os.listdir())


def test_the_potential_in_ase_agrees_with_the_reference(tutorial: dict[str, Any]) -> None:
    """The energy that the tutorial prints lies near that of the data for the same crystal."""
    assert tutorial['aluminium'].get_potential_energy() == pytest.approx(-3.6, abs=0.5)


@pytest.mark.parametrize('page', PAGES)
def test_the_how_to_runs(tutorial: dict[str, Any], page: str) -> None:
    """The blocks of a how-to run after those of the tutorial, in a namespace of their own."""
    run_page(DOCS / 'how-to' / f'{page}.md', dict(tutorial))
