"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

import click


def check_target(file: Path, force: bool, option: str) -> None:
    """Check that a file may be written.

    :param option: the option or argument that names it.
    :raises click.BadParameter: if it exists, or its folder does not.
    """
    if file.exists() and not force:
        raise click.BadParameter(
            f'`{file}` exists: choose another name, or overwrite it with --force', param_hint=option
        )
    if not file.absolute().parent.is_dir():
        raise click.BadParameter(f'there is no folder `{file.parent}`: make it first', param_hint=option)
