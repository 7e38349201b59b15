"""What ``pace_yaml2yace``, ``pace_corerep``, ``pace_augment`` and ``pace_collect`` print."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiida_autopipec.pacemaker.errors import OutputError
from aiida_autopipec.pacemaker.outputs.records import parse_records


@dataclass(frozen=True)
class CoreRepulsion:
    """The inner cutoffs that ``pace_corerep`` put into a potential.

    :param inner_cutoffs: below these distances (Å) the core repulsion takes over, by pair of elements.
    :param automatic: the program computed them; otherwise they are the user's.
    :param file_name: where the potential was written.
    """

    inner_cutoffs: Mapping[tuple[str, str], float]
    automatic: bool
    file_name: str


@dataclass(frozen=True)
class Augmentation:
    """How many structures ``pace_augment`` made.

    :param n_seeds: structures of the data that were compressed and stretched.
    :param n_made: structures made of them; ``n_filtered`` those that passed the filters on distances and forces.
    :param n_selected: those that D-optimality chose, which are written.
    :param file_name: where they were written.
    """

    n_seeds: int
    n_made: int
    n_filtered: int
    n_selected: int
    file_name: str


@dataclass(frozen=True)
class Collection:
    """What ``pace_collect`` gathered from VASP runs.

    :param elements: sorted chemical symbols.
    :param reference_energies: subtracted from the energies (eV) by element.
    :param energy_range: smallest and largest corrected energy (eV/atom), with the three decimals of the log.
    :param force_range: smallest and largest norm of all forces of a structure (eV/Å).
    :param unreadable: the program's words about each file that it could not read and left out.
    :param file_name: where the dataset was written.
    """

    n_structures: int
    n_atoms: int
    elements: tuple[str, ...]
    reference_energies: Mapping[str, float]
    energy_range: tuple[float, float]
    force_range: tuple[float, float]
    unreadable: tuple[str, ...]
    file_name: str


def parse_pace_yaml2yace(stdout: str) -> str:
    """Return the name of the ``.yace`` file that ``pace_yaml2yace`` wrote.

    :param stdout: its standard output.
    :raises OutputError: if it names none.
    """
    return _find(r"^Saving Ctilde-basis to '(.*)'$", stdout, 'pace_yaml2yace')[0]


def parse_pace_corerep(stderr: str) -> CoreRepulsion:
    """Read the log of ``pace_corerep``.

    :param stderr: what it printed to stderr.
    :raises OutputError: if it wrote no potential.
    """
    text = _text(stderr)
    pairs = re.findall(r'^ ([A-Z][a-z]?)-([A-Z][a-z]?): (-?[\d.]+) Ang$', text, re.MULTILINE)
    return CoreRepulsion(
        inner_cutoffs={(first, second): float(cutoff) for first, second, cutoff in pairs},
        automatic='Calculated inner cutoff' in text,
        file_name=_find(r'^Auto-tuned potential is saved into (.*)$', text, 'pace_corerep')[0],
    )


def parse_pace_augment(stderr: str) -> Augmentation:
    """Read the log of ``pace_augment``.

    :param stderr: what it printed to stderr.
    :raises OutputError: if it wrote no structures.
    """
    text = _text(stderr)

    def number(pattern: str) -> int:
        return int(_find(pattern, text, 'pace_augment')[0])

    return Augmentation(
        n_seeds=number(r'^(\d+) structures selected to seed dataset$'),
        n_made=number(r'^(\d+) augmented structures before filtering$'),
        n_filtered=number(r'^(\d+) augmented structures after filtering$'),
        n_selected=number(r'^(\d+) augmented structures after D-optimality selection$'),
        file_name=_find(r'^Saving augmented structures to (.*)$', text, 'pace_augment')[0],
    )


def parse_pace_collect(stderr: str) -> Collection:
    """Read the log of ``pace_collect``.

    :param stderr: what it printed to stderr.
    :raises OutputError: if it wrote no dataset.
    """
    text = _text(stderr)

    def find(pattern: str) -> tuple[str, ...]:
        return _find(pattern, text, 'pace_collect')

    energies = find(r'^Minimum/maximum energy per atom: (\S+)/(\S+) eV/atom$')
    forces = find(r'^Minimum/maximum force magnitude: (\S+)/(\S+) eV/A$')
    references = find(r'^Following atomic reference energies will be subtracted: (.*)$')[0]
    return Collection(
        n_structures=int(find(r'^Total number of structures: (\d+)$')[0]),
        n_atoms=int(find(r'^Total number of atoms: (\d+)$')[0]),
        elements=tuple(re.findall(r"'([A-Z][a-z]?)'", find(r'^List of elements: \[(.*)\]$')[0])),
        reference_energies={
            key: float(value) for key, value in re.findall(r'(\w+):(-?[\d.]+(?:e[+-]?\d+)?)', references)
        },
        energy_range=(float(energies[0]), float(energies[1])),
        force_range=(float(forces[0]), float(forces[1])),
        unreadable=tuple(re.findall(r'^Filename could not be read: (.*)$', text, re.MULTILINE)),
        file_name=find(r'^Store dataset into (.*)$')[0],
    )


def _text(stderr: str) -> str:
    """Return the records of a log without their time stamps and the noise between them."""
    return '\n'.join(record.first_line for record in parse_records(stderr))


def _find(pattern: str, text: str, program: str) -> tuple[str, ...]:
    """Return the groups of the last match."""
    matches = list(re.finditer(pattern, text, re.MULTILINE))
    if not matches:
        raise OutputError(
            f'{program} did not finish: its output lacks `{pattern.strip("^$")}`; read the end of its stderr.'
        )
    return matches[-1].groups()
