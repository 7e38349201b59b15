"""The child process: reads a dataset from standard input, writes arrays to standard output, and can do nothing else.

Started as ``python -I -S main.py REQUEST`` with a JSON request: ``packages`` (folders with numpy and isal), the limits
``bytes``, ``memory`` and ``seconds``. Standard input and output are regular files that the parent opened.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent
_HEAD_ROOM = 16 << 20  # the answer's line of JSON comes before the arrays
_PACKAGES = ('aiida_autopipec', 'aiida_autopipec.pacemaker', 'aiida_autopipec.pacemaker.pickles')


def _provide_packages(folders: list[str]) -> None:
    """Make numpy, isal and our own modules importable, without running our packages' own ``__init__`` files."""
    sys.path.extend(folders)
    for name, folder in zip(reversed(_PACKAGES), _HERE.parents, strict=False):
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def _restrict(limits: dict[str, int]) -> None:
    """Give up what reading does not need: memory, time, children, and any further file or socket."""
    try:
        import resource  # absent on Windows
    except ImportError:
        return
    wanted = {
        'RLIMIT_CORE': 0,
        'RLIMIT_NPROC': 0,
        'RLIMIT_NOFILE': 3,  # standard input, output and error are open; nothing else can be opened
        'RLIMIT_FSIZE': limits['bytes'] + _HEAD_ROOM,
        'RLIMIT_CPU': limits['seconds'],
        'RLIMIT_AS': limits['memory'],
    }
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.argv[1])
    _provide_packages(request['packages'])
    from aiida_autopipec.pacemaker.pickles.sandbox import decode, wire  # importable only now

    gc.disable()  # a million small records are kept to the end anyway
    _restrict(request)
    try:
        arrays, ignored = decode.decode_file(sys.stdin.buffer, request['bytes'])
        decode.require_room(arrays, request['bytes'])
        wire.send(sys.stdout.buffer, arrays, ignored)
    except BaseException as error:  # whatever a hostile file provokes is told, never raised
        sys.stdout.buffer.seek(0)
        sys.stdout.buffer.truncate()
        wire.send_error(sys.stdout.buffer, *decode.describe(error))


if __name__ == '__main__':
    main()
