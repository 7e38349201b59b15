"""Keys are explained, and new inputs are what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig, config_remarks, iter_settings
from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import ConfigError
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.pacemaker.input_files import (
    Level,
    check_input,
    explain_config,
    explain_keys,
    template_config,
    template_text,
)
from aiida_autopipec.pacemaker.outputs import parse_potential


def test_all_keys_are_listed() -> None:
    """Without a query every key has its line with meaning and default."""
    lines = explain_keys().splitlines()
    assert [line.split()[0] for line in lines] == [setting.name for setting in iter_settings(TrainingConfig)]
    assert any(line.startswith('fit.maxiter ') and line.endswith('[100]') for line in lines)


@pytest.mark.parametrize(
    ('query', 'words'),
    [
        ('fit.loss.kappa', ['number or auto', 'default  0.0', 'https://']),
        ('kappa', ['fit.loss.kappa']),
        ('potential.bonds.ALL.rcut', ['potential.bonds.<elements>.rcut', 'unit     Å', 'default  not set']),
        ('loss.kappa', ['fit.loss.kappa']),
        ('fit.loss', ['section', 'fit.loss.L1_coeffs']),
        ('elements', ['potential.elements', 'required']),
    ],
)
def test_a_key_is_explained(query: str, words: list[str]) -> None:
    """A key is found by its path or by the end of it, and explained with type, unit, default and source."""
    text = explain_keys(query)
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ('query', 'words'),
    [('kapa', 'fit.loss.kappa'), ('fit.maxitr', 'fit.maxiter'), ('data.filename', 'dataset'), ('cutoff', '0.4')],
)
def test_an_unknown_key_is_refused_with_the_nearest(query: str, words: str) -> None:
    """A key that is not there is named with the nearest one, or with what to use instead."""
    with pytest.raises(ConfigError, match=words):
        explain_keys(query)


@pytest.mark.parametrize('n_elements', [1, 2, 3, 4])
def test_the_explained_input_means_the_same(n_elements: int) -> None:
    """An explained input is an input again, with the same settings, and its defaults are commented out."""
    config = template_config(['Al', 'Ni', 'Ti', 'Co'][:n_elements])
    text = explain_config(config)
    assert check_input(text).settings().to_dict() == config.to_dict()
    assert '  # fit_cycles: 1 ' in text


def test_defaults_that_are_uncommented_change_nothing() -> None:
    """What is commented out as the default is the default."""
    config = template_config(['Al'])
    lines = [line.replace('# batch_size: 10 ', 'batch_size: 10 ') for line in explain_config(config).splitlines()]
    stated = check_input('\n'.join(lines)).settings()
    assert stated.backend.batch_size == config.backend.batch_size
    assert 'batch_size' in stated.backend.model_fields_set


def test_a_section_with_nothing_in_it_stays_an_input() -> None:
    """A section of which nothing is stated is commented out as a whole, not left as null."""
    config = TrainingConfig.model_validate({'data': {}, 'fit': {'loss': {}}, 'potential': {'reset': True}})
    assert check_input(explain_config(config)).settings().model_dump() == config.model_dump()


@pytest.mark.parametrize('evaluator', ['pyace', 'tensorpot'])
def test_a_template_gives_no_reason_for_advice(evaluator: Any) -> None:
    """A template passes the strict check, and nothing in it is unreasonable."""
    config = template_config(['Ni', 'Al'], evaluator)
    report = check_input(template_text(config, ['because']))
    assert report.of(Level.ERROR, Level.ADVICE) == []
    assert config_remarks(config) == []


def test_a_template_for_what_is_no_element_is_refused() -> None:
    """A symbol that is none is named."""
    with pytest.raises(ConfigError, match='Xx'):
        template_config(['Al', 'Xx'])


@pytest.mark.pacemaker
def test_pacemaker_runs_a_template(make_atoms: Callable[..., list[Any]], tmp_path: Path) -> None:
    """The real Pacemaker takes a template as it stands, comments included, and builds the basis that it asks for."""
    structures = LabelledStructures.from_atoms(make_atoms(4))
    save_to_pacemaker_format(structures.replace(energy_corrected=structures.energy), tmp_path / 'data.pckl.gzip')
    config = template_config(['Al'])
    (tmp_path / 'my.yaml').write_text(template_text(config))
    done = subprocess.run(
        [str(Path(sys.executable).parent / 'pacemaker'), 'my.yaml', '-d', 'data.pckl.gzip', '--dry-run'],
        cwd=tmp_path,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'MPLBACKEND': 'agg'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    built = parse_potential((tmp_path / 'target_potential.yaml').read_text())
    assert config.basis_size is not None
    assert built.total_functions == config.basis_size.n_functions
    assert built.cutoff == config.cutoff
