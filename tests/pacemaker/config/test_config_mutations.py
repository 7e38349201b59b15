"""Mutation test: every key of every example misspelt, every value broken, and each refused by a sentence of its own.

Examples are those that users start from: the forms of Pacemaker's documentation, the scripts in ``examples/``, the code
of the documentation, and the protocols.
"""

from __future__ import annotations

import ast
import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiida_autopipec.pacemaker.config import TrainingConfig, config_problems, iter_settings
from aiida_autopipec.pacemaker.config.settings import Setting, matches

ROOT = Path(__file__).parents[3]
SECTIONS = {'seed', 'metadata', 'potential', 'data', 'fit', 'backend'}
SETTINGS = tuple(iter_settings(TrainingConfig))
FENCE = re.compile(r'^```\{?(?:code-block\} )?(python|yaml)\}?[^\n]*\n(.*?)^```', re.DOTALL | re.MULTILINE)
FILES = ('filename', 'test_filename', 'initial_potential')

Path_ = tuple[str, ...]
Mapping_ = dict[str, Any]


# Where examples are


def is_config(value: object) -> bool:
    """Say whether a mapping is a training configuration: known sections only, and something in them."""
    return (
        isinstance(value, dict) and bool(value) and set(value) <= SECTIONS and bool({'potential', 'fit'} & set(value))
    )


def mappings_of_python(code: str) -> Iterator[Mapping_]:
    """Yield the configurations that are written out in a script."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            try:
                value = ast.literal_eval(node)
            except ValueError:
                continue
            if is_config(value) and 'Ellipsis' not in repr(value):
                yield value


def mappings_of_yaml(text: str) -> Iterator[Mapping_]:
    """Yield the configurations in a file, alone or under other keys, as in a protocol."""
    try:
        yield from _configs_within(yaml.safe_load(text))
    except yaml.YAMLError:
        return


def _configs_within(value: object) -> Iterator[Mapping_]:
    if is_config(value):
        assert isinstance(value, dict)
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _configs_within(item)


def examples() -> dict[str, Mapping_]:
    """Return every example that this repository shows, by the file that it is in."""
    found: dict[str, Mapping_] = {}
    sources = [
        *sorted((ROOT / 'tests' / 'fixtures' / 'config').glob('*.yaml')),
        *sorted((ROOT / 'examples').glob('**/*.py')),
        *sorted((ROOT / 'examples').glob('**/*.yaml')),
        *sorted((ROOT / 'docs').glob('**/*.md')),
        *sorted((ROOT / 'aiida_autopipec').glob('**/*.yaml')),
        ROOT / 'README.md',
    ]
    for path in sources:
        text = path.read_text()
        parts = (
            FENCE.findall(text) if path.suffix == '.md' else [(path.suffix.replace('.py', 'python').lstrip('.'), text)]
        )
        for kind, part in parts:
            for mapping in mappings_of_python(part) if kind == 'python' else mappings_of_yaml(part):
                settings = without_files(mapping)
                if path.suffix != '.md' or not shows_a_mistake(settings):
                    found[f'{path.relative_to(ROOT)}-{len(found)}'] = settings
    return found


def without_files(mapping: Mapping_) -> Mapping_:
    """Return the settings without the names of files, which are inputs of their own."""
    settings = copy.deepcopy(mapping)
    for section in ('data', 'potential'):
        if isinstance(settings.get(section), dict):
            settings[section] = {key: value for key, value in settings[section].items() if key not in FILES}
    return {key: value for key, value in settings.items() if value and not isinstance(value, str)}


def shows_a_mistake(settings: Mapping_) -> bool:
    """Say whether an example of the documentation is one of what is refused."""
    return any('unknown key' in problem for problem in config_problems(settings))


# Mutations


def key_paths(mapping: Mapping_, prefix: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of every key of a nested mapping."""
    for key, value in mapping.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from key_paths(value, (*prefix, key))


def section_of(mapping: Mapping_, path: Path_) -> Mapping_:
    """Return the mapping that holds a key."""
    for part in path[:-1]:
        mapping = mapping[part]
    return mapping


def misspellings(key: str) -> Iterator[str]:
    """Yield a key with a letter too many, a letter too few, two letters swapped, and in the wrong case."""
    yield key + 'x'
    if len(key) > 3:
        yield key[:-1]
        yield key[0] + key[2] + key[1] + key[3:] if key[1] != key[2] else key[:2] + key[3:]
        yield key.swapcase()


def setting_of(path: Path_) -> Setting | None:
    """Return the setting that a path leads to."""
    return next((setting for setting in SETTINGS if matches(setting.path, path)), None)


def broken_values(path: Path_, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is wrong with a value, and the value."""
    yield 'wrong type', [['?']]
    yield 'wrong type', 'neither this nor that'
    if not isinstance(value, dict):
        yield 'wrong type', {'?': '?'}
    if not isinstance(value, bool):
        yield 'wrong type', True
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from broken_numbers(path, value)
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        yield from broken_lists(path, value)
    if isinstance(value, str):
        yield 'wrong type', 12345.678
        yield 'misspelt', value + 'x'


def broken_numbers(path: Path_, value: float) -> Iterator[tuple[str, Any]]:
    """Yield numbers that no setting can have, and those just outside the range of this one."""
    for number in (math.nan, math.inf, -math.inf):
        yield 'not finite', number
    if 'reference_energy' in path:
        return  # the energy of an atom may have either sign
    setting = setting_of(path)
    yield 'negative', -abs(value) - 2
    for name, beyond in (('gt', 0.0), ('ge', -1e-9), ('lt', 0.0), ('le', 1.0)):
        bound = bounds_of(setting).get(name) if setting else None
        if bound is not None:
            yield 'out of range', type(value)(bound + beyond) if beyond != -1e-9 else bound - 1
    if path[-1] == 'kappa':
        yield 'out of range', 1.1


def bounds_of(setting: Setting) -> dict[str, float]:
    """Return the bounds of a field, however deep its annotation holds them."""
    found = {}
    stack: list[Any] = [setting.field.annotation, *setting.field.metadata]
    while stack:
        item = stack.pop()
        stack += [*getattr(item, '__args__', ()), *getattr(item, '__metadata__', ()), *getattr(item, 'metadata', ())]
        found.update({name: getattr(item, name) for name in ('gt', 'ge', 'lt', 'le') if hasattr(item, name)})
    return {name: bound for name, bound in found.items() if isinstance(bound, int | float)}


def broken_lists(path: Path_, value: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield lists of the wrong length, with wrong items, and in the place of their sister."""
    yield 'empty', []
    yield 'wrong type', ['?' for _ in value]
    yield 'wrong type', value[0] if path[-1] != 'ladder_step' else [value[0], value[0]]
    yield 'not finite', [math.nan for _ in value]
    yield 'negative', [-abs(item) - 1 for item in value]
    if path[-1] != 'ladder_step':  # half of a ladder step is one
        yield 'too short', value[:-1]
        yield 'too long', [*value, *value, *value] if path[-1].endswith('_by_orders') else [*value, value[-1]]
    sister = {'nradmax_by_orders': [0, *value[1:]], 'lmax_by_orders': [3, *value[1:]]}
    if path[-1] in sister:
        yield 'swapped', sister[path[-1]]


def told(problems: list[str], key: str) -> bool:
    """Say whether a sentence names a key."""
    return any(re.search(rf'(?<!\w){re.escape(key)}(?!\w)', problem) for problem in problems)


EXAMPLES = examples()


def cases() -> list[Any]:
    """Return every key of every example, once if two examples have the same."""
    found: dict[str, Any] = {}
    for name, mapping in EXAMPLES.items():
        for path in key_paths(mapping):
            found.setdefault(f'{".".join(map(str, path))}={section_of(mapping, path)[path[-1]]!r}'[:300], (name, path))
    return [pytest.param(name, path, id=f'{name}-{".".join(map(str, path))}') for name, path in found.values()]


def test_there_are_examples_of_each_kind() -> None:
    """The examples of the scripts and of the documentation are found, and not the fixtures alone."""
    folders = {name.split('/', maxsplit=1)[0] for name in EXAMPLES}
    assert {'tests', 'examples', 'docs'} <= folders


@pytest.mark.parametrize('name', list(EXAMPLES))
def test_an_example_is_right_or_knows_what_it_lacks(name: str) -> None:
    """An example that states a potential is a whole one, and nothing is wrong with it."""
    if 'potential' in EXAMPLES[name] and not name.startswith('aiida_autopipec'):
        assert config_problems({**EXAMPLES[name], **consent(EXAMPLES[name])}) == []


def consent(mapping: Mapping_) -> Mapping_:
    """Return the consent that callbacks need, and that is no part of an input file."""
    return {'allow_callbacks': True} if 'callbacks' in mapping.get('fit', {}) else {}


@pytest.mark.parametrize(('name', 'path'), cases())
def test_a_misspelt_key_is_refused(name: str, path: Path_) -> None:
    """However a key is misspelt, a sentence names what was written."""
    if path[0] == 'metadata' and len(path) > 1:
        return  # a note is called what the user likes
    for wrong in misspellings(str(path[-1])):
        mapping = copy.deepcopy(EXAMPLES[name])
        section = section_of(mapping, path)
        if wrong in section or is_alias(wrong, section):
            continue
        section[wrong] = section.pop(path[-1])
        problems = config_problems(mapping)
        assert told(problems, wrong), f'{wrong}: {problems}'


def is_alias(wrong: str, section: Mapping_) -> bool:
    """Say whether a misspelling names other elements, as ``C`` for ``Cu``."""
    from aiida_autopipec.pacemaker.config.species import SYMBOLS, split_species

    try:
        return set(split_species(wrong)) <= SYMBOLS and 'fs_parameters' not in section
    except ValueError:
        return False


@pytest.mark.parametrize(('name', 'path'), cases())
def test_a_broken_value_is_refused(name: str, path: Path_) -> None:
    """However a value is broken, a sentence names the key."""
    original = section_of(EXAMPLES[name], path)[path[-1]]
    before = config_problems({**EXAMPLES[name], **consent(EXAMPLES[name])})
    for kind, value in broken_values(path, original):
        if path[0] == 'metadata' and isinstance(value, str):
            continue  # any text is a note
        mapping = {**copy.deepcopy(EXAMPLES[name]), **consent(EXAMPLES[name])}
        section_of(mapping, path)[path[-1]] = value
        problems = [problem for problem in config_problems(mapping) if problem not in before]
        if isinstance(original, bool) and value is True:
            continue
        # a species key is named in the sentence in its one spelling, without brackets and spaces
        names = {str(path[-1]), re.sub(r'[\s,()]', '', str(path[-1]))}
        assert any(told(problems, key) for key in names), f'{kind} {value!r}: {problems}'
