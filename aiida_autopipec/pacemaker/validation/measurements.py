"""What the travelling script measured, checked before it is believed: it comes from another computer."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.validation.parameters import CHECKS, Check

Array = NDArray[np.float64]

MAX_BYTES = 512 * 1024 * 1024
"""Largest archive that is read: predictions for ten million atoms take half of it."""
_NAME = re.compile(rf'({"|".join(CHECKS)})_[A-Za-z_]{{1,60}}')
_LONGEST_TEXT = 500


@dataclass(frozen=True, eq=False)
class Measurements:
    """Arrays and facts by check.

    :param arrays: ``CHECK_QUANTITY``; all are of floats, which need not be finite: that is a finding, too.
    :param facts: what was found, by check: numbers, texts, lists of numbers, or ``None``; ``error`` where it broke.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[Check, Mapping[str, Any]]

    def of(self, check: Check) -> dict[str, Array]:
        """Return the arrays of a check, without its name before theirs."""
        return {
            name.removeprefix(f'{check}_'): array for name, array in self.arrays.items() if name.startswith(f'{check}_')
        }

    def number(self, check: Check, key: str) -> float | None:
        """Return a number that was found, ``None`` where it was not."""
        value = self.facts.get(check, {}).get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, check: Check, key: str) -> str:
        """Return a text, empty where there is none."""
        value = self.facts.get(check, {}).get(key)
        return value if isinstance(value, str) else ''


def read_arrays(content: bytes) -> dict[str, Array]:
    """Read ``validation.npz``.

    :raises OutputError: if it is something else, compressed, too large, or holds what no check measures.
    """
    if len(content) > MAX_BYTES:
        raise OutputError(f'the archive has {len(content)} bytes, more than {MAX_BYTES}')
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            # the script that writes it compresses nothing, a bomb does
            if sum(member.file_size for member in archive.infolist()) > len(content):
                raise OutputError('the archive is compressed, which the script that writes it never does')
        with np.load(io.BytesIO(content), allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, MemoryError, KeyError) as error:
        raise OutputError(f'it is no archive of arrays: {error}') from None
    for name, array in arrays.items():
        if not _NAME.fullmatch(name):
            raise OutputError(f'it holds an array {name[:60]!r}, which no check measures')
        if array.dtype != np.float64 or array.ndim not in {1, 2}:
            raise OutputError(f'`{name}` is of {array.dtype} in {array.ndim} dimensions, not of numbers in 1 or 2')
    return arrays


def read_facts(value: Mapping[str, Any]) -> dict[Check, dict[str, Any]]:
    """Take what was found out of ``validation.json``.

    :param value: the JSON object, finite numbers only.
    :raises OutputError: if it has another form.
    """
    facts = value.get('facts')
    if not isinstance(facts, dict):
        raise OutputError('it says nothing about any check')
    result: dict[Check, dict[str, Any]] = {}
    for check, found in facts.items():
        if check not in CHECKS or not isinstance(found, dict) or len(found) > 20:
            raise OutputError(f'it reports {str(check)[:60]!r}, which is no check, or in another form')
        for key, item in found.items():
            if not re.fullmatch(r'[a-z_0-9]{1,40}', key) or not _is_plain(item):
                raise OutputError(f'`{check}` reports {key[:60]!r} in a form that no check has')
        result[cast(Check, check)] = found
    return result


def error_of(value: Mapping[str, Any]) -> str:
    """Return why the script ended early, in one line; empty if it did not."""
    error = value.get('error', '')
    return ' '.join(str(error).split())[:_LONGEST_TEXT]


def parse_facts(text: str) -> dict[str, Any]:
    """Read ``validation.json`` outside of AiiDA.

    :raises OutputError: if it is no JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OutputError(f'it is not JSON: {error}') from None
    if not isinstance(value, dict):
        raise OutputError('it is no JSON object')
    return value


def _is_plain(item: Any) -> bool:
    if isinstance(item, list):
        return len(item) <= 10 and all(isinstance(number, int | float) for number in item)
    if isinstance(item, str):
        return len(item) <= _LONGEST_TEXT
    return item is None or (isinstance(item, bool | int | float) and math.isfinite(item))
