"""What stands in an ``input.yaml`` and is no setting: names of files, and keys that Pacemaker does not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiida_autopipec.pacemaker.config.names import unknown_key
from aiida_autopipec.pacemaker.config.settings import Path, Setting, matches
from aiida_autopipec.pacemaker.input_files.remarks import Level, Remark

_OLD_DATABASE = 'belonged to the database of Pacemaker before 0.3 and is not read any more; remove it'

#: Keys that Pacemaker 0.4.0rc1 does not read, although an older version did or somebody documented them.
DEAD: Mapping[Path, str] = {
    ('cutoff',): 'Pacemaker 0.4 ignores it and takes the largest rcut of potential.bonds; 0.3 needs it; remove it',
    ('data', 'seed'): 'is not read; use the top-level key seed',
    ('data', 'config'): _OLD_DATABASE,
    ('data', 'query_limit'): _OLD_DATABASE,
    ('data', 'force_query'): _OLD_DATABASE,
    ('data', 'cache_ref_df'): _OLD_DATABASE,
    ('data', 'force_rebuild'): _OLD_DATABASE,
    ('data', 'parallel'): _OLD_DATABASE,
    ('data', 'db_conn_string'): _OLD_DATABASE,
    ('potential', 'metadata'): 'is not read there; use the top-level key metadata',
    ('fit', 'optimizer_options'): 'is not read; use fit.options',
    ('fit', 'weighting', 'cutoff'): 'is ignored; remove it',
}
#: Keys that no setting stands for, and that do something all the same: they are never left out without a word.
ALIVE: frozenset[Path] = frozenset({('fit', 'options', 'maxiter'), ('fit', 'weighting', 'filename')})

_DATASETS = 'is no setting; give the data as the input datasets, or with --dataset'
_TEST = 'is no setting; give the data as the input test_datasets'
_DATAPATH = 'is no setting; data are inputs, which are found without it'
_TEST_SIZE = 'divides anew with other data; use the input split, {test_fraction: 0.1}, or --test-fraction'
_INITIAL = 'is no setting; give it as the input initial_potential, or with --initial-potential'


@dataclass(frozen=True)
class FileNames:
    """The files that an input names; as they stand there, relative to the folder that Pacemaker ran in.

    :param datasets: training sets, which Pacemaker puts one after the other.
    :param test_datasets: test sets.
    :param datapath: folder that is looked in for datasets that are not in the folder of the run.
    :param test_size: number or fraction of structures that Pacemaker sets aside itself.
    :param potential: the potential to go on from, or whose shape is fitted.
    :param initial_potential: start of a ladder.
    """

    datasets: tuple[str, ...] = ()
    test_datasets: tuple[str, ...] = ()
    datapath: str | None = None
    test_size: float | None = None
    potential: str | None = None
    initial_potential: str | None = None


@dataclass
class Separated:
    """An input in its parts.

    :param settings: what is left for :class:`~aiida_autopipec.pacemaker.config.TrainingConfig`.
    :param files: the files that it names.
    :param remarks: one for each key that was taken out.
    """

    settings: dict[str, Any]
    files: FileNames = field(default_factory=FileNames)
    remarks: list[Remark] = field(default_factory=list)


def separate(data: Mapping[str, Any]) -> Separated:
    """Take names of files and dead keys out of an input.

    :param data: the whole mapping; it is not changed.
    """
    parts = Separated(_copy(data))
    for path, text in DEAD.items():
        if _take(parts.settings, path) is not None:
            parts.remarks.append(Remark(Level.ADVICE, path, text))
    parts.files = FileNames(**_take_datasets(parts), **_take_potentials(parts))
    return parts


def drop_unknown(parts: Separated, settings: Sequence[Setting]) -> None:
    """Take out keys that Pacemaker ignores: for a fit that is done, this is what happened to them.

    :param parts: the input; changed in place.
    :param settings: all settings that exist.
    """
    for path in list(_unknown(parts.settings, (), settings)):
        _take(parts.settings, path)
        parts.remarks.append(Remark(Level.ADVICE, path, f'was ignored by Pacemaker: {unknown_key(path, settings)}'))


def _unknown(mapping: Mapping[str, Any], prefix: Path, settings: Sequence[Setting]) -> Iterator[Path]:
    """Yield the paths that no setting stands for, and that Pacemaker does not read either."""
    for key, value in mapping.items():
        path = (*prefix, str(key))
        known = [setting for setting in settings if matches(setting.path, path)]
        inside = [setting for setting in settings if matches(setting.path[: len(path)], path)]
        if not known and not inside:
            if path not in ALIVE:
                yield path
        elif isinstance(value, Mapping) and len(inside) > len(known):
            yield from _unknown(value, path, settings)


def _take_datasets(parts: Separated) -> dict[str, Any]:
    """Take out what names the data."""
    data = parts.settings.get('data')
    if isinstance(data, str):
        parts.settings['data'] = {}
        parts.remarks.append(Remark(Level.ADVICE, ('data',), _DATASETS))
        return {'datasets': (data,)}
    found: dict[str, Any] = {}
    for key, name, text in (('filename', 'datasets', _DATASETS), ('test_filename', 'test_datasets', _TEST)):
        value = _take_noting(parts, ('data', key), text)
        if value is not None:
            found[name] = tuple(str(item) for item in (value if isinstance(value, list) else [value]))
    datapath = _take_noting(parts, ('data', 'datapath'), _DATAPATH)
    test_size = _take_noting(parts, ('data', 'test_size'), _TEST_SIZE)
    if isinstance(test_size, int | float) and not isinstance(test_size, bool):
        found['test_size'] = test_size
    return found | ({} if datapath is None else {'datapath': str(datapath)})


def _take_potentials(parts: Separated) -> dict[str, Any]:
    """Take out what names a potential."""
    potential = parts.settings.get('potential')
    if isinstance(potential, str):
        del parts.settings['potential']
        parts.remarks.append(Remark(Level.ADVICE, ('potential',), _INITIAL))
        return {'potential': potential}
    names = {'potential': 'filename', 'initial_potential': 'initial_potential'}
    values = {field: _take_noting(parts, ('potential', key), _INITIAL) for field, key in names.items()}
    rest = parts.settings.get('potential')
    if isinstance(rest, dict) and values['potential'] is not None:
        if rest.get('reset') is False:
            del rest['reset']
        if not rest:
            del parts.settings['potential']
    return {field: str(value) for field, value in values.items() if value is not None}


def _take_noting(parts: Separated, path: Path, text: str) -> Any:
    """Take out a key and say where it belongs."""
    value = _take(parts.settings, path)
    if value is not None:
        parts.remarks.append(Remark(Level.ADVICE, path, text))
    return value


def _take(mapping: dict[str, Any], path: Path) -> Any:
    """Remove a key, and return what it held; ``None`` if it is not there."""
    for part in path[:-1]:
        inner = mapping.get(part)
        if not isinstance(inner, dict):
            return None
        mapping = inner
    return mapping.pop(path[-1], None)


def _copy(value: Any) -> Any:
    """Copy nested mappings and lists."""
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
