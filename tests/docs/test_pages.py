"""What the pages promise about the package."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from aiida_autopipec.cli.root import cmd_root

ROOT = Path(__file__).parents[2]


def test_every_dependency_has_its_reason() -> None:
    """The page about dependencies has a row for each dependency that the package declares, and no other."""
    declared = re.search(
        r'^dependencies = \[\n(.*?)^\]', (ROOT / 'pyproject.toml').read_text(), re.DOTALL | re.MULTILINE
    )
    assert declared is not None
    names = set(re.findall(r"^\s*'([a-z0-9-]+)", declared.group(1), re.MULTILINE))
    rows = set(
        re.findall(r'^\| ([a-z0-9-]+)', (ROOT / 'docs' / 'topics' / 'dependencies.md').read_text(), re.MULTILINE)
    )
    assert rows - {'package', '---'} == names


def test_every_calculation_function_has_an_entry_in_the_reference() -> None:
    """The reference names all entry points of calculation functions."""
    functions = re.findall(
        r"^'(autopipec\.\w+)' = '[\w.]+\.functions\.", (ROOT / 'pyproject.toml').read_text(), re.MULTILINE
    )
    page = (ROOT / 'docs' / 'reference' / 'functions.md').read_text()
    assert functions
    assert [name for name in functions if f'`{name}`' not in page] == []


def test_the_output_of_the_check_is_what_the_page_shows() -> None:
    """The page about triage shows what the command prints for the example data."""
    page = (ROOT / 'docs' / 'how-to' / 'triage.md').read_text()
    shown = re.search(r'^\$ aiida-autopipec dataset check (examples/\S+)\n(.*?)^```', page, re.DOTALL | re.MULTILINE)
    assert shown is not None
    printed = CliRunner().invoke(cmd_root, ['dataset', 'check', str(ROOT / shown.group(1))])
    assert printed.output == shown.group(2)
