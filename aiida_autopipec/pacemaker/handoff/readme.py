"""The page beside a potential that says what it is and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiida_autopipec.pacemaker.dataset import recorded as records
from aiida_autopipec.pacemaker.handoff.lammps import LEAST_VERSION, LEAST_VERSION_GRADES, SETUP

if TYPE_CHECKING:
    from aiida_autopipec.pacemaker.handoff.folder import Handoff

UNITS_OF_ERRORS = (
    ('rmse_energy_mev_per_atom', 'RMSE of energies (meV/atom)'),
    ('mae_energy_mev_per_atom', 'MAE of energies (meV/atom)'),
    ('rmse_forces_mev_per_angstrom', 'RMSE of force components (meV/Å)'),
    ('mae_forces_mev_per_angstrom', 'MAE of force components (meV/Å)'),
)


def readme_text(handoff: Handoff, inputs: Mapping[str, list[str]]) -> str:
    """Return ``README.md``.

    :param inputs: lines for LAMMPS by name of file.
    """
    parts = [_facts(handoff), _errors(handoff), _lammps(handoff, inputs), _python(handoff), _provenance(handoff)]
    return '\n\n'.join(filter(None, parts)) + '\n'


def include_header(handoff: Handoff, name: str) -> list[str]:
    """Return the comment at the top of a file for LAMMPS."""
    types = ', '.join(f'{number} {element}' for number, element in enumerate(handoff.info.elements, 1))
    version = LEAST_VERSION_GRADES if name.endswith('-grades.lammps') else LEAST_VERSION
    return [
        f'# include {name}: after {"; ".join(SETUP)}; and the atoms',
        f'# atom types: {types}; LAMMPS of {version} or later, with the package ML-PACE',
    ]


def _facts(handoff: Handoff) -> str:
    info = handoff.info
    energies = 'The energy of atoms far from each other is zero.' if handoff.recorded else ''
    rows = [
        ('elements', ', '.join(info.elements)),
        ('cutoff', f'{info.cutoff:g} Å'),
        ('functions', ', '.join(f'{element} {count}' for element, count in info.n_functions.items())),
        ('units', 'eV, Å, eV/Å (`units metal` in LAMMPS)'),
        ('subtracted before training', _subtracted(handoff)),
    ]
    table = '\n'.join(['| | |', '|---|---|', *(f'| {key} | {value} |' for key, value in rows)])
    title = f'# Atomic cluster expansion for {", ".join(info.elements)}'
    return '\n\n'.join(filter(None, [title, table, energies]))


def _subtracted(handoff: Handoff) -> str:
    return 'not recorded' if handoff.recorded is None else records.describe(handoff.recorded)


def _errors(handoff: Handoff) -> str:
    if not handoff.errors:
        return ''
    parts = list(handoff.errors)
    rows = [
        f'| {label} | ' + ' | '.join(f'{handoff.errors[part][key]:.2f}' for part in parts) + ' |'
        for key, label in UNITS_OF_ERRORS
        if all(key in handoff.errors[part] for part in parts)
    ]
    names = {'train': 'training set', 'test': 'test set'}
    header = '| | ' + ' | '.join(names.get(part, part) for part in parts) + ' |'
    return '\n'.join(['## Errors', '', header, '|---' * (len(parts) + 1) + '|', *rows])


def _lammps(handoff: Handoff, inputs: Mapping[str, list[str]]) -> str:
    if not inputs and handoff.reference is not None:
        return (
            '## LAMMPS\n\nLAMMPS has no potential like the one that was subtracted before training, so this potential '
            'cannot be used there: without it, energies and forces are wrong.'
        )
    if not inputs:
        return '## LAMMPS\n\nThere is no `.yace`: make it with `pace_yaml2yace`.'
    types = ', '.join(f'{number} is {element}' for number, element in enumerate(handoff.info.elements, 1))
    blocks = []
    for name, lines in inputs.items():
        grades = name.endswith('-grades.lammps')
        purpose = (
            f'With extrapolation grades per atom (`f_gamma`); LAMMPS of {LEAST_VERSION_GRADES} or later:'
            if grades
            else f'Energies and forces; LAMMPS of {LEAST_VERSION} or later:'
        )
        blocks.append('\n'.join([purpose, '', '```', *lines, '```', '', f'(`include {name}`)']))
    reference = (
        '\n\nThe second style of `hybrid/overlay` belongs to the potential, with exactly these numbers: its energies '
        'and forces were subtracted before training. Without it, atoms fall into each other.'
        if handoff.reference is not None
        else ''
    )
    setup = '\n'.join(SETUP)
    return (
        f'## LAMMPS\n\nThe package ML-PACE has to be built in. Atom type {types}. At the top of the input:\n\n'
        f'```\n{setup}\n```{reference}\n\n' + '\n\n'.join(blocks)
    )


def _python(handoff: Handoff) -> str:
    what = ', the reference potential included' if handoff.reference is not None else ''
    return (
        f'## Python\n\nA calculator of ASE{what} (`pip install aiida-autopipec python-ace`):\n\n```python\n'
        'from aiida_autopipec.pacemaker.handoff import load_calculator\n\n'
        f"atoms.calc = load_calculator('{handoff.file('yaml')}')\n```"
    )


def _provenance(handoff: Handoff) -> str:
    if not handoff.uuids:
        return ''
    rows = [f'| {what} | `{uuid}` |' for what, uuid in handoff.uuids.items()]
    versions = [
        f'| {key.removesuffix("_version")} | {value} |'
        for key, value in handoff.info.metadata.items()
        if key.endswith('_version')
    ]
    return '\n'.join(['## Where it comes from', '', '| node | UUID |', '|---|---|', *rows, *versions])
