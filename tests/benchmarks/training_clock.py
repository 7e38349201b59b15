"""Processor time of the processes that ``training.py`` starts."""

from __future__ import annotations

import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np


class Clock:
    """Seconds of processor time of several processes, one after the other, and which of them was when.

    On one thread, and with nothing to wait for, these are the seconds of a machine that does nothing else.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.seconds = 0.0
        self.times = [time.time()]
        self.seconds_at_times = [0.0]

    def run(self, command: list[Any]) -> None:
        """Run a process, and look at its processor time while it runs."""
        before = self.seconds
        with (self.folder / 'process.txt').open('wb') as output:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=output, stderr=output)
            used = 0.0
            while process.poll() is None:
                used = max(used, processor_seconds(process.pid))
                self.times.append(time.time())
                self.seconds_at_times.append(before + used)
                time.sleep(0.1)
        if process.returncode:
            raise RuntimeError((self.folder / 'process.txt').read_text(errors='replace')[-2000:])
        self.seconds = before + used

    def at(self, when: str) -> float:
        """Return the seconds at a time that stands in Pacemaker's log."""
        stamp = datetime.strptime(when, '%Y-%m-%d %H:%M:%S,%f').timestamp()
        return float(np.interp(stamp, self.times, self.seconds_at_times))


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and of those of its children that have ended (Linux)."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf('SC_CLK_TCK')
