"""What the package promises as a whole: public names, entry points and layers."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import Process
from aiida.plugins.entry_point import get_entry_point, load_entry_point

import aiida_autopipec
from aiida_autopipec import pacemaker

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = Path(aiida_autopipec.__file__).parent
PROJECT = tomllib.loads((Path(__file__).parents[1] / 'pyproject.toml').read_text(encoding='utf-8'))['project']
ENTRY_POINTS = [
    (group, name, target) for group, points in PROJECT['entry-points'].items() for name, target in points.items()
]

PUBLIC_NAMES = [
    'AseReference',
    'AutopipecError',
    'ConfigError',
    'DatasetError',
    'FileFormatError',
    'InputError',
    'LabelledStructures',
    'LennardJones',
    'NamedCalculator',
    'OutputError',
    'ReferencePotential',
    'TrainingConfig',
    'UnsafeFileError',
    'ZBL',
    'load_pacemaker_dataset',
    'merge_datasets',
    'save_to_pacemaker_format',
    'total_calculator',
]

PROMISED = {
    'aiida.calculations': {
        'pace_train', 'pace_activeset', 'pace_select', 'convert_trajectory', 'convert_structures', 'import_dataset',
        'export_dataset', 'merge_datasets', 'split_dataset', 'subtract_reference',
    },
    'aiida.parsers': {'pace_train', 'pace_activeset', 'pace_select'},
    'aiida.data': {'dataset'},
    'aiida.workflows': {'pace_train.base', 'train'},
    'aiida.calculations.monitors': {'pace_train'},
}  # fmt: skip
"""Entry points that users write into their scripts, without the prefix `autopipec.`."""

LAYERS = {
    'cli': {'workflows', 'calculations', 'parsers', 'monitors', 'data', 'pacemaker'},
    'workflows': {'calculations', 'parsers', 'monitors', 'data', 'pacemaker'},
    'calculations': {'data', 'pacemaker'},
    'parsers': {'data', 'pacemaker'},
    'monitors': {'data', 'pacemaker'},
    'data': {'pacemaker'},
    'pacemaker': set(),
    'remote': set(),
}
"""What each layer may import besides itself."""


def files_of(layer: str) -> list[Path]:
    """Return the modules of a layer."""
    return sorted((PACKAGE / layer).rglob('*.py'))


def imports_of(path: Path) -> Iterator[str]:
    """Yield the absolute name of every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: imports are absolute'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def test_public_names_of_the_domain() -> None:
    """Exactly these names can be imported from ``aiida_autopipec.pacemaker``; to remove one breaks users' scripts."""
    assert sorted(pacemaker.__all__) == PUBLIC_NAMES
    assert all(hasattr(pacemaker, name) for name in PUBLIC_NAMES)


def test_promised_entry_points_are_there() -> None:
    """No entry point that users rely on is missing."""
    for group, names in PROMISED.items():
        assert {f'autopipec.{name}' for name in names} <= set(PROJECT['entry-points'][group])


@pytest.mark.parametrize(('group', 'name', 'target'), ENTRY_POINTS)
def test_entry_point_loads(group: str, name: str, target: str) -> None:
    """Every entry point leads to an object, and AiiDA finds the same one by its name."""
    module, _, attribute = target.partition(':')
    value: Any = getattr(importlib.import_module(module), attribute)
    assert get_entry_point(group, name).value == target, 'install the package again: its entry points are outdated'
    assert load_entry_point(group, name) is value


@pytest.mark.parametrize('target', PROJECT['scripts'].values())
def test_console_script_loads(target: str) -> None:
    """The command of the package can be imported."""
    module, _, attribute = target.partition(':')
    assert callable(getattr(importlib.import_module(module), attribute))


def test_layers_are_all_known() -> None:
    """Every folder of the package has its place among the layers."""
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != '__pycache__'} == set(LAYERS)


@pytest.mark.parametrize('layer', LAYERS)
def test_imports_point_down(layer: str) -> None:
    """A layer imports from itself and from those below only, never from its siblings."""
    allowed = LAYERS[layer] | {layer}
    for path in files_of(layer):
        for name in imports_of(path):
            parts = name.split('.')
            if parts[0] == 'aiida_autopipec' and len(parts) > 1 and parts[1] != '__version__':
                assert parts[1] in allowed, f'{path.relative_to(PACKAGE)} imports {name}'


def test_domain_does_not_name_aiida() -> None:
    """No file of the domain imports AiiDA, not even inside a function."""
    for path in files_of('pacemaker'):
        found = {name.split('.')[0] for name in imports_of(path)} & {'aiida', 'aiida_shell', 'plumpy'}
        assert not found, path


def test_domain_works_without_aiida() -> None:
    """Importing every module of the domain loads nothing of AiiDA."""
    modules = [
        '.'.join(path.relative_to(PACKAGE.parent).with_suffix('').parts).removesuffix('.__init__')
        for path in files_of('pacemaker')
        if 'sandbox' not in path.parts
    ]
    code = f'import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n'
    code += "print([name for name in sys.modules if name.split('.')[0] in ('aiida', 'aiida_shell', 'plumpy')])"
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == '[]'


def test_travelling_scripts_are_self_contained() -> None:
    """They import the standard library, what python-ace brings, and scripts that travel with them, nothing else."""
    brought = {'numpy', 'scipy', 'pandas', 'ase', 'pyace', 'ruamel', 'tensorflow', 'tensorpotential'}
    allowed = set(sys.stdlib_module_names) | brought
    allowed |= {path.stem for path in files_of('remote')} - {'__init__'}
    for path in files_of('remote'):
        for name in imports_of(path):
            assert name.split('.')[0] in allowed, f'{path.name} imports {name}'


@pytest.mark.parametrize(
    'target', [target for group, _, target in ENTRY_POINTS if group in ('aiida.calculations', 'aiida.workflows')]
)
def test_exit_statuses_are_unique(target: str) -> None:
    """In every process one status means one thing."""
    module, _, attribute = target.partition(':')
    loaded = getattr(importlib.import_module(module), attribute)
    process = loaded if isinstance(loaded, type) else loaded.process_class
    assert issubclass(process, Process)
    own = process.spec().exit_codes
    statuses = [code.status for code in own.values()]
    assert len(statuses) == len(set(statuses)), sorted(statuses)


def test_package_is_typed() -> None:
    """The marker by which type checkers trust the annotations is there."""
    assert (PACKAGE / 'py.typed').is_file()
