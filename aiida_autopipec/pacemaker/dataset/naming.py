"""Names of structures that have none: after what they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def content_names(
    numbers: NDArray[np.int32],
    offsets: NDArray[np.int64],
    fingerprints: NDArray[np.bytes_],
    seen: dict[str, int] | None = None,
) -> NDArray[np.str_]:
    """Name each structure after its formula and geometry, e.g. ``Al4-0f3c2a91b7d4``; number repeated geometries.

    :param numbers: ``(a,)`` atomic numbers.
    :param offsets: ``(n + 1,)`` where the atoms of each structure begin.
    :param fingerprints: ``(n,)`` hashes of the geometries.
    :param seen: how often each name was given in parts before this one; counted on.
    :return: ``(n,)``.
    """
    from ase.formula import Formula

    formulas: dict[bytes, str] = {}
    seen = {} if seen is None else seen
    names = []
    for begin, end, digest in zip(offsets[:-1], offsets[1:], fingerprints, strict=True):
        composition = np.sort(numbers[begin:end])
        formula = formulas.get(composition.tobytes())
        if formula is None:
            formula = formulas[composition.tobytes()] = Formula.from_list(_symbols(composition)).format('metal')
        name = f'{formula}-{digest[:12].decode()}'
        repeat = seen[name] = seen.get(name, 0) + 1
        names.append(name if repeat == 1 else f'{name}-{repeat}')
    return np.array(names, dtype=np.str_)


def numbered_names(stem: str, begin: int, end: int) -> NDArray[np.str_]:
    """Return ``stem`` with each of the numbers ``begin``, …, ``end - 1`` behind it, without an object for each.

    :param begin: not negative.
    :return: ``(end - begin,)``.
    """
    first, most = len(stem), len(str(max(begin, end - 1)))
    letters = np.zeros((end - begin, first + most), dtype=np.uint32)
    letters[:, :first] = [ord(letter) for letter in stem]
    for digits in range(len(str(begin)), most + 1):
        smallest, beyond = max(begin, 10 ** (digits - 1) if digits > 1 else 0), min(end, 10**digits)
        rows, rest = letters[smallest - begin : beyond - begin], np.arange(smallest, beyond)
        for place in reversed(range(first, first + digits)):
            rest, digit = np.divmod(rest, 10)
            rows[:, place] = digit + ord('0')
    return letters.view(f'U{first + most}').reshape(-1)


def _symbols(numbers: NDArray[np.int32]) -> list[str]:
    from ase.data import chemical_symbols

    return [chemical_symbols[z] for z in numbers]
