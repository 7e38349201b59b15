"""What ``pace_info`` and ``pace_timing`` print."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiida_autopipec.pacemaker.errors import OutputError


@dataclass(frozen=True)
class ElementShape:
    """The basis of one element.

    :param n_densities: densities of the embedding.
    :param embedding: name of the embedding function.
    :param embedding_parameters: its parameters, two per density.
    :param n_functions: functions by order, from order 1 on; ``nradmax`` and ``lmax`` likewise.
    """

    n_densities: int
    embedding: str
    embedding_parameters: tuple[float, ...]
    n_functions: tuple[int, ...]
    nradmax: tuple[int, ...]
    lmax: tuple[int, ...]


@dataclass(frozen=True)
class BondShape:
    """The radial part of one ordered pair of elements; lengths in Å."""

    radbase: str
    rcut: float
    r_in: float
    delta_in: float
    inner_cutoff_type: str


@dataclass(frozen=True)
class PaceInfo:
    """The shape of a potential.

    :param total_functions: over all elements.
    :param cutoff: the largest (Å).
    :param shapes: by element.
    :param bonds: by ordered pair of elements, the central one first.
    """

    total_functions: int
    cutoff: float
    shapes: Mapping[str, ElementShape]
    bonds: Mapping[tuple[str, str], BondShape]


@dataclass(frozen=True)
class PrototypeTiming:
    """The speed on one crystal structure: mean and standard deviation, which one sample leaves ``None``.

    :param n_neighbours: per atom.
    :param time: µs/atom on one core; printed without decimals, so a small potential may show 0.
    """

    n_atoms: float
    n_neighbours: float
    n_neighbours_std: float | None
    time: float
    time_std: float | None


@dataclass(frozen=True)
class PaceTiming:
    """The speed of a potential.

    :param functions_of_order_one: by element; ``functions_of_higher_order`` likewise.
    :param cutoff: the largest (Å).
    :param prototypes: by crystal structure.
    :param time: mean over the prototypes (µs/atom).
    """

    functions_of_order_one: Mapping[str, int]
    functions_of_higher_order: Mapping[str, int]
    cutoff: float
    prototypes: Mapping[str, PrototypeTiming]
    time: float
    time_std: float | None


_ORDERS = re.compile(
    r'^(?P<element>[A-Z][a-z]?)\norder +:\t(?P<order>.*)\nnradmax:\t(?P<nradmax>.*)\nlmax +:\t(?P<lmax>.*)\n'
    r'nfuncs +:\t(?P<nfuncs>.*?)sum= *\d+',
    re.MULTILINE,
)
_EMBEDDING = re.compile(r'^([A-Z][a-z]?) *\t(\d+)\t(\S+)\t\[(.*)\]$', re.MULTILINE)
_BOND = re.compile(r'^ *([A-Z][a-z]?) *- *([A-Z][a-z]?) +(\S+) +(\S+) +(\S+) +(\S+) +\S+ +\S+ +(\S+) *$', re.MULTILINE)
_COUNTS = re.compile(r'^([A-Z][a-z]?) *\t\t *(\d+)\t\t\t *(\d+)$', re.MULTILINE)
_PROTOTYPE = re.compile(
    r'^(\S+)\t\t([\d.]+) *\t\t *([\d.]+) \(\+/- *([\d.]+|nan)\)\t\t *(\d+) \(\+/- *(\d+|nan)\)$', re.MULTILINE
)


def parse_pace_info(stdout: str) -> PaceInfo:
    """Read what ``pace_info`` printed about one potential.

    :param stdout: its standard output.
    :raises OutputError: if a part is missing.
    """
    densities = {match[1]: match for match in _EMBEDDING.finditer(stdout)}
    shapes = {}
    for match in _ORDERS.finditer(stdout):
        embedding = densities.get(match['element'])
        if embedding is None:
            raise OutputError(f'pace_info shows functions of {match["element"]}, but no embedding; run it again.')
        shapes[match['element']] = ElementShape(
            n_densities=int(embedding[2]),
            embedding=embedding[3],
            embedding_parameters=tuple(float(word) for word in embedding[4].split(',')),
            n_functions=_integers(match['nfuncs'].split()),
            nradmax=_integers(match['nradmax'].split()),
            lmax=_integers(match['lmax'].split()),
        )
    bonds = {
        (match[1], match[2]): BondShape(match[3], float(match[4]), float(match[5]), float(match[6]), match[7])
        for match in _BOND.finditer(stdout)
    }
    total = re.search(r'^Total number of functions: +(\d+)$', stdout, re.MULTILINE)
    if total is None or not shapes or not bonds:
        raise OutputError('pace_info did not finish: its output lacks functions or bonds; read its stderr.')
    return PaceInfo(int(total[1]), _cutoff(stdout, 'pace_info'), shapes, bonds)


def parse_pace_timing(stdout: str) -> PaceTiming:
    """Read what ``pace_timing`` printed about one potential.

    :param stdout: its standard output.
    :raises OutputError: if a part is missing.
    """
    # the counter of the tests is overwritten with carriage returns, and shares a line with the rule after it
    text = stdout.replace('\r', '\n')
    counts = {match[1]: (int(match[2]), int(match[3])) for match in _COUNTS.finditer(text)}
    prototypes = {
        match[1]: PrototypeTiming(
            n_atoms=float(match[2]),
            n_neighbours=float(match[3]),
            n_neighbours_std=_spread(match[4]),
            time=float(match[5]),
            time_std=_spread(match[6]),
        )
        for match in _PROTOTYPE.finditer(text)
    }
    overall = re.search(r'^Overall timing \(mcs/atom\):\s+(\d+) \(\+/- *(\d+|nan)\)', text, re.MULTILINE)
    if overall is None or not counts or not prototypes:
        raise OutputError('pace_timing did not finish: its output lacks the timings; read its stderr.')
    return PaceTiming(
        functions_of_order_one={element: first for element, (first, _) in counts.items()},
        functions_of_higher_order={element: higher for element, (_, higher) in counts.items()},
        cutoff=_cutoff(text, 'pace_timing'),
        prototypes=prototypes,
        time=float(overall[1]),
        time_std=_spread(overall[2]),
    )


def _cutoff(text: str, program: str) -> float:
    """Return the largest cutoff (Å)."""
    match = re.search(r'^Maximum cutoff: +([\d.]+) Ang', text, re.MULTILINE)
    if match is None:
        raise OutputError(f'{program} did not finish: its output lacks the cutoff; read its stderr.')
    return float(match[1])


def _integers(words: Iterable[str]) -> tuple[int, ...]:
    """Return words as integers."""
    return tuple(int(word) for word in words)


def _spread(word: str) -> float | None:
    """Return a standard deviation; that of a single sample is ``nan``."""
    value = float(word)
    return None if math.isnan(value) else value
