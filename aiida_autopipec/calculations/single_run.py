"""A job that is submitted twice runs once.

A connection that ends between a submission and its answer makes AiiDA submit again, and so does a daemon that is killed
there: two jobs of the scheduler in one folder, of which AiiDA knows the second. Side by side they would write the same
files. So the one that comes later waits for the first, and does nothing if that came to the end of its script.
"""

from __future__ import annotations

from aiida_autopipec.pacemaker import filenames

BEGIN = f"""\
exec 9>> {filenames.LOCK} && flock 9 2> /dev/null
[ ! -e {filenames.END_OF_SCRIPT} ] || exit 0
"""
"""The programs inherit the lock, and the system takes it back when the last of them has ended, however that was. Where
there is no ``flock`` or the disk knows no locks, the job begins at once."""

END = f'touch {filenames.END_OF_SCRIPT}\n'


def run_once(script: str) -> str:
    """Return the script of a job with what keeps a second job out of its folder.

    :param script: with the directives for the scheduler in the comments at its beginning.
    """
    lines = script.splitlines(keepends=True)
    header = next((number for number, line in enumerate(lines) if not line.startswith('#')), len(lines))
    return f'{"".join(lines[:header])}\n{BEGIN}{"".join(lines[header:]).rstrip()}\n\n{END}'
