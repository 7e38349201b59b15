"""The page on dataset files says what is so."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.pickles.spelling import ATOMS, CHAIN, DATA_FRAME, GETITEM, LIST, MAP, REPEAT, SLICE

PAGE = (Path(__file__).parents[3] / 'docs' / 'topics' / 'dataset-files.md').read_text()


def test_the_example_of_limits_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that raises the limits reads a dataset."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).parent / 'real' / 'selected.pkl.gz', 'old.pckl.gzip')
    (block,) = re.findall(r'^```py\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {}
    exec(compile(block, 'dataset-files.md', 'exec'), namespace)  # noqa: S102 - our own documentation
    assert len(namespace['structures']) > 0


def test_every_public_name_of_a_file_is_on_the_page() -> None:
    """The names that our files spell are listed."""
    for name in (ATOMS, CHAIN, DATA_FRAME, GETITEM, LIST, MAP, REPEAT, SLICE):
        spelled = f'{name.module}.{name.name}'.removeprefix('builtins.')
        assert f'`{spelled}`' in PAGE, spelled
