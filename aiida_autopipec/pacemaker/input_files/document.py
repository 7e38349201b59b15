"""A user's YAML as Pacemaker reads it, with the line of each key.

Pacemaker reads YAML 1.2 (``ruamel.yaml``, ``typ='safe'``), PyYAML reads YAML 1.1: there ``1e-8`` and ``010`` are other
things, ``yes`` is true and the element ``No`` is false. Scalars are resolved by the rules of 1.2 here
(``ruamel/yaml/resolver.py``, 0.18), so that a file means the same as in Pacemaker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

from aiida_autopipec.pacemaker.config.names import dotted
from aiida_autopipec.pacemaker.config.settings import Path
from aiida_autopipec.pacemaker.config.species import normal_key
from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError

#: Largest input that is read (bytes). A start Hessian of 500 parameters takes about 5 MB; nothing else is large.
MAX_BYTES = 16 * 1024 * 1024
#: Collections inside each other; an input has five.
MAX_DEPTH = 16
#: Values, with aliases written out: they are what lets a small text grow without bounds.
MAX_VALUES = 1_000_000

_TAG = 'tag:yaml.org,2002:'
_SPECIES_SECTIONS = ('embeddings', 'bonds', 'functions')
_BASE: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class _Loader(_BASE):  # type: ignore[misc]
    """A safe loader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def _construct_int(loader: Any, node: yaml.ScalarNode) -> int:
    """Read an integer; a leading zero means nothing in YAML 1.2, and octal in PyYAML."""
    text = str(loader.construct_scalar(node)).replace('_', '')
    return int(text, 0 if re.match(r'[-+]?0[xob]', text) else 10)


_Loader.add_constructor(f'{_TAG}int', _construct_int)
for _name, _pattern, _first in (
    ('bool', r'true|True|TRUE|false|False|FALSE', 'tTfF'),
    ('int', r'[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)', '-+0123456789'),
    (
        'float',
        r'[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+'
        r'|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)',
        '-+0123456789.',
    ),
    ('merge', '<<', '<'),
    ('null', r'~|null|Null|NULL|', ['~', 'n', 'N', '']),
):
    _Loader.add_implicit_resolver(f'{_TAG}{_name}', re.compile(f'^(?:{_pattern})$'), list(_first))


@dataclass(frozen=True)
class InputDocument:
    """A mapping, and where its keys stand.

    :param data: the mapping.
    :param lines: line by path, counted from one.
    :param duplicates: path, first and second line of each key that stands twice in one mapping.
    """

    data: dict[str, Any]
    lines: Mapping[Path, int]
    duplicates: tuple[tuple[Path, int, int], ...]

    def line_of(self, path: Path) -> int | None:
        """Return the line of a key, or of the nearest one around it that is there; ``None`` if there is none."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return None

    def path_of(self, sentence: str) -> Path:
        """Return the path that a problem of the settings is about; it stands before the first colon.

        What is missing has no line of its own: then it is the path of the nearest key around it.
        """
        known = {dotted(path): path for path in self.lines}
        for end in reversed([match.start() for match in re.finditer(r'[.\[:]', sentence)]):
            if sentence[:end] in known:
                return known[sentence[:end]]
        return ()


def read_document(text: str) -> InputDocument:
    """Read the YAML of an untrusted ``input.yaml``.

    :param text: content of the file.
    :raises UnsafeFileError: if it is larger, or deeper, or grows further than any input does.
    :raises FileFormatError: if it is no YAML, or no mapping; the message names the line.
    """
    if len(text) > MAX_BYTES:
        raise UnsafeFileError(f'it has {len(text)} characters, more than {MAX_BYTES}: no input is that large')
    try:
        _refuse_deep(text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            lines, duplicates = _index(root)
            data = None if root is None else loader.construct_document(root)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        if isinstance(error, UnsafeFileError):
            raise
        raise FileFormatError(f'it is not YAML: {_reason(error)}') from None
    if not isinstance(data, dict):
        raise FileFormatError('it is empty' if data is None else 'it has to hold a mapping of keys to values')
    return InputDocument({str(key): value for key, value in data.items()}, lines, duplicates)


def read_mapping(text: str) -> dict[str, Any]:
    """Read any YAML file of settings by the same rules, as a mapping.

    :param text: content of the file.
    :raises UnsafeFileError: as :func:`read_document`.
    :raises FileFormatError: as :func:`read_document`, and if a key stands twice.
    """
    document = read_document(text)
    for path, first, line in document.duplicates:
        raise FileFormatError(f'{dotted(path)} stands twice, in lines {first} and {line}: remove one')
    return document.data


def _reason(error: Exception) -> str:
    mark = getattr(error, 'problem_mark', None)
    problem = getattr(error, 'problem', None) or str(error).splitlines()[0]
    return f'{problem} in line {mark.line + 1}' if mark is not None else str(problem)


def _refuse_deep(text: str) -> None:
    """Refuse deep nesting before anything recursive sees it: libyaml's binding dies of it by SIGSEGV."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise UnsafeFileError(f'it is nested deeper than {MAX_DEPTH} levels: no input is that deep')
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _index(root: yaml.Node | None) -> tuple[dict[Path, int], tuple[tuple[Path, int, int], ...]]:
    """Return the line of each key, and the keys that stand twice.

    :raises UnsafeFileError: if aliases lead in a circle, or to too many values.
    """
    lines: dict[Path, int] = {}
    duplicates: list[tuple[Path, int, int]] = []
    n_values = 0
    todo: list[tuple[yaml.Node, Path, int]] = [] if root is None else [(root, (), 0)]
    while todo:
        node, path, depth = todo.pop()
        n_values += 1
        if n_values > MAX_VALUES or depth > MAX_DEPTH:
            raise UnsafeFileError('its aliases (*name) make it larger than any input: write it out')
        if isinstance(node, yaml.SequenceNode):
            todo += [(item, path, depth + 1) for item in node.value if isinstance(item, yaml.CollectionNode)]
            n_values += len(node.value)
        elif isinstance(node, yaml.MappingNode):
            seen: dict[str, int] = {}
            for key, value in node.value:
                name, line = str(key.value), key.start_mark.line + 1
                for spelling in _spellings(path, name):
                    lines.setdefault(spelling, line)
                if name in seen and name != '<<':
                    duplicates.append(((*path, name), seen[name], line))
                seen.setdefault(name, line)
                todo.append((value, (*path, name), depth + 1))
    return lines, tuple(duplicates)


def _spellings(path: Path, name: str) -> Iterator[Path]:
    """Yield the path of a key as it stands there, and as messages about elements write it."""
    full = (*path, name)
    yield full
    if len(full) > 2 and full[0] == 'potential' and full[1] in _SPECIES_SECTIONS:
        yield (*full[:2], normal_key(full[2]), *full[3:])
