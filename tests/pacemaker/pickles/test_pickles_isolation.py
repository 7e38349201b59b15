"""What the process that reads untrusted files is left with."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from aiida_autopipec.pacemaker.errors import AutopipecError, FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.pickles import ReadLimits, read_frame, reader
from aiida_autopipec.pacemaker.pickles.sandbox import main

PROBE = f"""
import importlib.util, json, os, resource, socket, sys
spec = importlib.util.spec_from_file_location('main', {main.__file__!r})
main = importlib.util.module_from_spec(spec)
spec.loader.exec_module(main)
main._restrict(json.loads(sys.argv[1]))

def refused(action):
    try:
        action()
    except OSError:
        return True
    return False

found = [
    sorted(os.environ),
    os.getcwd(),
    [refused(lambda: open('/etc/hostname')), refused(lambda: open('x', 'w')), refused(socket.socket), refused(os.pipe)],
    [resource.getrlimit(kind)[1] for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)],
]
print(json.dumps({{'error': 'FileFormatError', 'message': json.dumps(found)}}))
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Give any file: these tests replace what would read it."""
    path = tmp_path / 'd.pckl.gzip'
    path.write_bytes(bytes(10))
    return path


def replace_child(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Let another script answer in the place of the child process."""
    script = folder / 'child.py'
    script.write_text(code)
    monkeypatch.setattr(reader, '_CHILD', script)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='limits of processes are a matter of POSIX systems')
def test_the_child_has_neither_secrets_nor_files_nor_sockets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path
) -> None:
    """The child inherits no variable but the loader's, works in an empty folder, can open nothing, and has limits."""
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'secret')
    replace_child(monkeypatch, tmp_path, PROBE)
    limits = ReadLimits(memory_bytes=1 << 30, seconds=9)
    with pytest.raises(FileFormatError) as caught:
        read_frame(dataset, limits)
    variables, folder, refused, resources = json.loads(str(caught.value).split(': ', 1)[1])
    allowed = {*reader._LOADER_VARIABLES, *reader._ONE_THREAD, 'LC_CTYPE'}  # Python itself sets LC_CTYPE
    assert set(variables) <= allowed
    assert not Path(folder).exists()
    assert refused == [True] * 4
    assert resources == [1 << 30, 9, limits.decompressed_bytes_for(10) + main._HEAD_ROOM]


@pytest.mark.parametrize(
    'answer',
    [
        {'arrays': [['offsets', '<i8', [1]]]},
        {'arrays': [['offsets', '|O', [1]]]},
        {'arrays': [['offsets', '<i8', [-1]]]},
        {'arrays': []},
        {'arrays': [['offsets', '<i8', [0]], ['index', '<i8', [0]]]},
        {'arrays': 3},
    ],
)
def test_a_lying_child_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path, answer: dict[str, object]
) -> None:
    """Even a child that was taken over can only hand back arrays that are complete, plain and of fitting shapes."""
    replace_child(monkeypatch, tmp_path, f'print({json.dumps(json.dumps(answer))})')
    with pytest.raises(UnsafeFileError, match='arrays that contradict each other'):
        read_frame(dataset)


def test_a_killed_child_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path) -> None:
    """A child that the system kills ends in a sentence about its limits."""
    replace_child(monkeypatch, tmp_path, f'import os; os.kill(os.getpid(), {int(signal.SIGKILL)})')
    with pytest.raises(UnsafeFileError, match=r'ended without an answer \(signal 9\)'):
        read_frame(dataset)


def test_a_child_that_cannot_start_is_not_blamed_on_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path
) -> None:
    """A broken installation is told apart from a hostile file."""
    replace_child(monkeypatch, tmp_path, 'raise SystemExit(1)')
    with pytest.raises(AutopipecError, match='must be able to import numpy and isal') as caught:
        read_frame(dataset)
    assert not isinstance(caught.value, ValueError)


def test_control_characters_of_a_file_do_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path
) -> None:
    """An error that quotes the file is cut and holds printable characters only."""
    answer = json.dumps({'error': 'FileFormatError', 'message': '\x1b[31m' + 'x' * 9999})
    replace_child(monkeypatch, tmp_path, f'print({json.dumps(answer)})')
    with pytest.raises(FileFormatError) as caught:
        read_frame(dataset)
    assert str(caught.value).startswith('d.pckl.gzip: ?[31mxxx')
    assert len(str(caught.value)) < 600
