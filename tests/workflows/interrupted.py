"""Run Pacemaker and disturb it, as the first line of a plan that is not used up says.

    python interrupted.py PLAN PACEMAKER ARGUMENTS...

A line of the plan is `go`, or a signal, a ladder step, a fit cycle and the iteration after which it is sent, such as
`TERM 0 0 4`; a word after them names what is done to the files then: `half` cuts the last state in half, `garble`
damages the metrics, `vanish` removes everything.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """Run the program, send the signal, and return the exit code of a shell."""
    plan = Path(sys.argv[1])
    first, *rest = plan.read_text().splitlines() or ['go']
    plan.write_text('\n'.join(rest))
    program = subprocess.Popen(sys.argv[2:])
    if first == 'go':
        return program.wait()
    name, step, cycle, iteration, *damage = first.split()
    wait_for(program, [step, cycle, iteration])
    time.sleep(0.05)  # the state is written after the row: half of it would be left at once
    program.send_signal(getattr(signal, f'SIG{name}'))
    code = program.wait()
    for word in damage:
        {'half': cut_in_half, 'garble': garble, 'vanish': vanish}[word]()
    return code if code >= 0 else 128 - code


def wait_for(program: subprocess.Popen[bytes], row: list[str]) -> None:
    """Wait until the metrics have a row, or the program has ended."""
    metrics = Path('metrics.txt')
    while program.poll() is None:
        rows = metrics.read_text().splitlines(keepends=True) if metrics.exists() else []
        if any(line.split()[:3] == row and line.endswith('\n') for line in rows):
            return
        time.sleep(0.01)


def cut_in_half() -> None:
    """Leave the first half of the last state."""
    path = Path('interim_potential_0.yaml')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble() -> None:
    """Put what is no number into the metrics."""
    path = Path('metrics.txt')
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join([*lines[:2], '\x00\x01 garbage\n', *lines[2:]]))


def vanish() -> None:
    """Remove what the job has written."""
    for path in Path().iterdir():
        if path.is_file():
            path.unlink()


if __name__ == '__main__':
    sys.exit(main())
