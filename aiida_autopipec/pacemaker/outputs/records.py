"""Log records of Pacemaker's programs, from ``log.txt`` and from what they print to stderr."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

#: After the time, ``log.txt`` has ``I - text`` and stderr ``- pyace.generalfit - INFO - text``.
_RECORD = re.compile(
    r'^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) '
    r'(?:(?P<letter>[DIWEC]) - |- \S+ - (?P<word>DEBUG|INFO|WARNING|ERROR|CRITICAL) - )(?P<message>.*)$'
)
_TIME_FORMAT = '%Y-%m-%d %H:%M:%S,%f'


@dataclass(frozen=True)
class LogRecord:
    """One record of a log.

    :param time: when it was written, in the local time of the computer.
    :param level: first letter of the level: D, I, W, E or C.
    :param message: the text, with the lines that followed it before the next record.
    """

    time: datetime
    level: str
    message: str

    @property
    def first_line(self) -> str:
        """Return the line that carries the time stamp; what follows may be noise of other libraries."""
        return self.message.partition('\n')[0]


def parse_records(text: str) -> list[LogRecord]:
    """Return the records of a log, whichever of Pacemaker's two formats it has.

    Lines without a time stamp belong to the record before them; those before the first record are dropped. A line that
    progress bars share with a record (they are separated by carriage returns) is taken apart.

    :param text: content of ``log.txt``, or what a program printed to stderr.
    :return: the records in their order; none where the text has none.
    """
    records: list[LogRecord] = []
    pending: list[str] = []
    for line in re.split(r'[\r\n]+', text):
        match = _RECORD.match(line)
        if match is None:
            pending.append(line)
            continue
        _attach(records, pending)
        time = datetime.strptime(match['time'], _TIME_FORMAT)
        records.append(LogRecord(time, match['letter'] or match['word'][0], match['message']))
        pending = []
    _attach(records, pending)
    return records


def _attach(records: list[LogRecord], lines: list[str]) -> None:
    """Append lines without a time stamp to the last record."""
    if records and any(lines):
        last = records[-1]
        records[-1] = LogRecord(last.time, last.level, '\n'.join([last.message, *lines]).rstrip('\n'))
