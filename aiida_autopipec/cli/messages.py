"""One sentence instead of a traceback, and what a dataset looks like on the screen."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from aiida_autopipec.pacemaker.errors import InputError

if TYPE_CHECKING:
    from aiida_autopipec.data.dataset import PaceDatasetData


@contextmanager
def blame(option: str | None = None) -> Iterator[None]:
    """Turn an error about the input into one about the option that it came with.

    A calculation function that fails also reports its traceback through AiiDA's log: that is kept quiet.

    :raises click.BadParameter: instead of :class:`~aiida_autopipec.pacemaker.errors.InputError`.
    """
    logger = logging.getLogger('aiida.orm.nodes.process')
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    except InputError as exception:
        if option is None:
            raise click.ClickException(str(exception)) from exception
        raise click.BadParameter(str(exception), param_hint=option) from exception
    finally:
        logger.setLevel(level)


def fail(sentence: object) -> NoReturn:
    """End the command with one sentence."""
    raise click.ClickException(str(sentence))


def describe(dataset: PaceDatasetData) -> str:
    """Return a table of what a dataset holds."""
    rows = [
        ('uuid', dataset.uuid),
        ('pk', str(dataset.pk)),
        ('label', dataset.label or '-'),
        ('structures', str(dataset.n_structures)),
        ('atoms', str(dataset.n_atoms)),
        ('elements', ', '.join(dataset.elements)),
        ('energy', _range(dataset.energy_per_atom_range)),
        ('corrected energy', _range(dataset.energy_corrected_per_atom_range)),
        ('largest force', '-' if dataset.force_max is None else f'{dataset.force_max:.3f} eV/Å'),
        ('stress', 'yes' if dataset.has_stress else 'no'),
        ('weights', 'yes' if dataset.has_weights else 'no'),
        ('reference', _reference(dataset)),
    ]
    width = max(len(key) for key, _ in rows)
    return '\n'.join(f'{key:<{width}}  {value}' for key, value in rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, title: str, text: Collection[int] = (0,)) -> str:
    """Return rows as aligned columns.

    :param text: columns that are text; the others are numbers.
    """
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    aligned = [
        '  '.join(
            cell.ljust(width) if column in text else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return '\n'.join([title, aligned[0], '  '.join('-' * width for width in widths), *aligned[1:]])


def _range(values: tuple[float, float] | None) -> str:
    return '-' if values is None else f'{values[0]:.4f} to {values[1]:.4f} eV/atom'


def _reference(dataset: PaceDatasetData) -> str:
    if dataset.reference is None:
        return '-'
    from aiida_autopipec.pacemaker.dataset.recorded import describe as describe_reference

    return f'{dataset.reference["method"]}: {describe_reference(dataset.reference)}'
