"""Every key that the installed Pacemaker reads is known, so that a new version with new keys is noticed."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from aiida_autopipec.pacemaker.config import TrainingConfig, iter_settings
from aiida_autopipec.pacemaker.config.data import SHIFT
from aiida_autopipec.pacemaker.config.names import ADVICE
from aiida_autopipec.pacemaker.config.species import KEYWORDS

pytestmark = [
    pytest.mark.pacemaker,
    pytest.mark.skipif(find_spec('pyace') is None, reason="needs the real Pacemaker: pip install '.[pacemaker]'"),
]

MODULES = (
    'cli/pacemaker.py',
    'generalfit.py',
    'fitadapter.py',
    'preparedata.py',
    'process_df.py',
    'multispecies_basisextension.py',
    'basisextension.py',
    'pyacefit.py',
    'lossfuncspec.py',
)
#: what holds a part of the input file, by the last word of its name in Pacemaker's code
HOLDERS = re.compile(
    r'(config|config_dict|config_ext|args_yaml|spec|spec_dict|policy_spec|funcs_spec|dict_ext|functions|bonds?|embeddings?'
    r'|options|trainable_parameters|reference_energy|esa_dict)(_ext|_updated)?$'
)
#: classes that take a mapping of the input file as keyword arguments
TAKES_KEYWORDS = ('EnergyBasedWeightingPolicy', 'ExternalWeightingPolicy', 'LossFunctionSpecification')
#: constants of ``pyace/const.py`` that name a key of the input file
KEY_CONSTANTS = re.compile(r'^(FIT|BACKEND|POTENTIAL|ORDERS|WEIGHTING)_|^REFERENCE_ENERGY$')
#: what looks like a key and is none that an input file can hold
NO_KEYS = {
    'rankmax': 'a constant that nothing reads',
    'basisdf': 'a constant that nothing reads',
    'radcoefficients': 'a constant that nothing reads: radial coefficients come with a given potential',
    'optimizer_options': 'a constant that nothing reads',
    'filename_or_df': 'argument of a weighting policy that reads another file',
    'maxiter': 'key of fit, and of the options that Pacemaker makes of it',
}
#: fewer keys than this would mean that the walk has lost its way
AT_LEAST = 75


def source_folder() -> Path:
    """Return the folder of the installed Pacemaker, which need not be imported to be read."""
    spec = find_spec('pyace')
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def string_constants(tree: ast.Module) -> dict[str, str]:
    """Return names of a module that stand for text."""
    return {
        target.id: str(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def last_word(node: ast.expr) -> str:
    """Return the name of what is asked for a key: a variable, an attribute, or the key of another mapping."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return node.id if isinstance(node, ast.Name) else ''


def asked_keys(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is asked of what: ``holder[key]``, ``holder.get(key)`` and ``key in holder``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            yield last_word(node.value), node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == 'get'
            and node.args
        ):
            yield last_word(node.func.value), node.args[0]
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            yield last_word(node.comparators[0]), node.left


def keys_of(tree: ast.Module, constants: dict[str, str]) -> Iterator[str]:
    """Yield every key of the input file that a module reads."""
    names = {**constants, **string_constants(tree)}
    for holder, key in asked_keys(tree):
        if HOLDERS.search(holder):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value
            elif isinstance(key, ast.Name) and key.id in names:
                yield names[key.id]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in TAKES_KEYWORDS:
            yield from _arguments(node)
        elif isinstance(node, ast.Name) and KEY_CONSTANTS.search(node.id) and node.id in constants:
            yield constants[node.id]
        elif isinstance(node, ast.Assign) and last_word(node.targets[0]).endswith('_kw_list'):
            yield from ast.literal_eval(node.value)


def _arguments(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == '__init__':
            yield from (argument.arg for argument in item.args.args if argument.arg != 'self')


def keys_of_pacemaker() -> set[str]:
    """Return every key that the installed Pacemaker reads from the input file."""
    folder = source_folder()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pacemaker's code has escape sequences that Python no longer likes
        constants = string_constants(ast.parse((folder / 'const.py').read_text()))
        trees = [ast.parse((folder / module).read_text()) for module in MODULES]
    declared = {value for name, value in constants.items() if KEY_CONSTANTS.search(name)}
    return declared | {key for tree in trees for key in keys_of(tree, constants)}


def known_keys() -> set[str]:
    """Return every key that this package takes, or refuses with a reason of its own."""
    taken = {setting.path[-1] for setting in iter_settings(TrainingConfig)}
    return taken | {path[-1] for path in ADVICE} | {*KEYWORDS, SHIFT}


def test_every_key_of_pacemaker_is_known() -> None:
    """A key that Pacemaker reads is a setting, or is refused with a reason, or is listed here as none."""
    found = keys_of_pacemaker()
    assert sorted(found - known_keys() - set(NO_KEYS)) == []
    assert len(found) >= AT_LEAST


def test_every_setting_is_read_by_pacemaker() -> None:
    """A setting that Pacemaker no longer reads would be the very silence that this package is against."""
    elsewhere = {
        'allow_callbacks',  # a key of this package
        *(s.path[-1] for s in iter_settings(TrainingConfig) if s.path[:2] == ('fit', 'options')),  # scipy
        *('gpu_ind', 'mem_limit'),  # TensorPotential
        '*',
    }
    taken = {setting.path[-1] for setting in iter_settings(TrainingConfig)}
    assert sorted(taken - keys_of_pacemaker() - elsewhere) == []


def test_a_new_key_would_be_noticed() -> None:
    """The walk sees a key that a later version might read."""
    tree = ast.parse("if 'w_stress' in fit_config:\n    weight = self.fit_config['w_stress']\n")
    assert 'w_stress' in set(keys_of(tree, {})) - known_keys()
