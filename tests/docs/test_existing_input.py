"""The page about existing inputs shows what the command prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from aiida_autopipec.cli.root import cmd_root
from aiida_autopipec.pacemaker.dataset.files import read_structures
from aiida_autopipec.pacemaker.dataset.periodic import without_mixed_periodicity
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format

PAGE = Path(__file__).parents[2] / 'docs' / 'how-to' / 'existing-input.md'


def test_the_page_shows_what_the_check_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The input of the page gives the output of the page."""
    text = PAGE.read_text()
    given = re.search(r'^```yaml\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
    shown = re.search(r'^\$ aiida-autopipec (config check .*?)\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
    assert given is not None
    assert shown is not None
    monkeypatch.chdir(tmp_path)
    Path('old.yaml').write_text(given.group(1))
    assert CliRunner().invoke(cmd_root, shown.group(1).split()).output == shown.group(2)


@pytest.mark.pacemaker
def test_pacemaker_says_nothing_against_the_input_of_the_page(tmp_path: Path) -> None:
    """Pacemaker runs the input of the page without a word about the misspelt key, as the page says."""
    given = re.search(r'^```yaml\n(.*?)^```', PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert given is not None
    (tmp_path / 'input.yaml').write_text(given.group(1))
    data = PAGE.parents[2] / 'examples' / 'data' / 'al-lda' / 'al-lda.extxyz'
    structures = read_structures(data)[0]
    crystals = without_mixed_periodicity(structures.take(structures.sizes > 1))
    save_to_pacemaker_format(crystals.replace(energy_corrected=0 * crystals.energy), tmp_path / 'train.pckl.gzip')
    done = subprocess.run(
        [str(Path(sys.executable).parent / 'pacemaker'), '--dry-run'],
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'kapa' not in done.stderr
