"""What the process that reads untrusted files is left with."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest

from aiida_autopipec.pacemaker.dataset.structures import LabelledStructures
from aiida_autopipec.pacemaker.errors import AutopipecError, FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.formats import save_to_pacemaker_format
from aiida_autopipec.pacemaker.pickles import ReadLimits, read_frame, reader
from aiida_autopipec.pacemaker.pickles.sandbox import decode, main, wire

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
    allowed = {*reader._LOADER_VARIABLES, *reader._SETTINGS, 'LC_CTYPE'}  # Python itself sets LC_CTYPE
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


@pytest.fixture
def few() -> LabelledStructures:
    """Give two structures of different sizes, with labels."""
    return LabelledStructures(
        numbers=np.array([13, 13, 29]),
        positions=np.arange(9.0).reshape(3, 3),
        cells=np.tile(9 * np.eye(3), (2, 1, 1)),
        pbc=np.ones((2, 3), dtype=bool),
        offsets=np.array([0, 1, 3]),
        energy=np.array([-1.0, -2.0]),
        forces=np.zeros((3, 3)),
        names=np.array(['a', 'b']),
    )


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir('/proc/self/fd'))


@pytest.fixture(params=['told', 'not built in', 'not allowed'])
def waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let Python know of the end of a process, or not: conda's is built without, and containers may forbid it."""

    def refuse(*_: object) -> int:
        raise PermissionError(1, 'Operation not permitted')

    if request.param == 'not built in':
        monkeypatch.delattr(os, 'pidfd_open', raising=False)
    elif request.param == 'not allowed':
        monkeypatch.setattr(os, 'pidfd_open', refuse, raising=False)
    return str(request.param)


@pytest.mark.usefixtures('waiting')
def test_a_child_that_sleeps_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path) -> None:
    """A child beyond its time is killed, whether it works or not, and leaves neither a process nor an open file."""
    replace_child(monkeypatch, tmp_path, 'import time; time.sleep(600)')
    before = open_files()
    with pytest.raises(UnsafeFileError, match=r'more than 0\.5 s'):
        read_frame(dataset, ReadLimits(seconds=0.5))
    assert open_files() == before
    assert not [child for child in psutil.Process().children() if 'child.py' in ' '.join(child.cmdline())]


@pytest.mark.usefixtures('waiting')
def test_no_limit_of_time_is_too_long(few: LabelledStructures, tmp_path: Path) -> None:
    """Whoever wants no limit states a large one."""
    path = save_to_pacemaker_format(few, tmp_path / 'd.pckl.gzip')
    assert len(read_frame(path, ReadLimits(seconds=1e7)).offsets) == len(few) + 1


@pytest.mark.parametrize('mapped', [True, False])
def test_arrays_can_be_changed_and_are_aligned(
    few: LabelledStructures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool
) -> None:
    """What comes back is memory like any other, a part of a file or not; small answers keep no file open."""
    monkeypatch.setattr(wire, 'MIN_MAPPED_BYTES', 0 if mapped else 1 << 40)
    path = save_to_pacemaker_format(few, tmp_path / 'd.pckl.gzip')
    before = open_files()
    found = read_frame(path)
    assert open_files() == before + mapped
    for array in (found.numbers, found.positions, found.cells, found.pbc, found.columns['energy']):
        assert array is not None
        assert array.flags.writeable
        assert array.flags.aligned
    np.testing.assert_array_equal(found.positions, few.positions)
    found.positions[:] = 0.0
    np.testing.assert_array_equal(read_frame(path).positions, few.positions)


@pytest.mark.parametrize('mapped', [True, False])
def test_a_system_without_files_in_memory(
    few: LabelledStructures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: bool
) -> None:
    """Where there are none, the arrays come through a temporary file."""

    def refuse(name: str) -> int:
        raise OSError(38, 'Function not implemented')

    monkeypatch.setattr(wire, 'MIN_MAPPED_BYTES', 0 if mapped else 1 << 40)
    path = save_to_pacemaker_format(few, tmp_path / 'd.pckl.gzip')
    expected = read_frame(path)
    assert ('memfd:' in Path('/proc/self/maps').read_text()) == mapped
    monkeypatch.setattr(os, 'memfd_create', refuse, raising=False)
    del expected
    found = read_frame(path)
    assert 'memfd:' not in Path('/proc/self/maps').read_text()
    np.testing.assert_array_equal(found.positions, few.positions)
    monkeypatch.delattr(os, 'memfd_create')
    np.testing.assert_array_equal(read_frame(path).positions, few.positions)


def test_no_room_for_the_answer() -> None:
    """A full folder for temporary files is called that, and no damaged file."""
    kind, message = decode.describe(OSError(errno.ENOSPC, 'No space left on device'))
    assert kind == 'FileFormatError'
    assert 'TMPDIR' in message


def test_a_lying_child_is_not_believed_about_a_large_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dataset: Path
) -> None:
    """What an answer announces has to be in it, also where the file is mapped."""
    monkeypatch.setattr(wire, 'MIN_MAPPED_BYTES', 0)
    for answer in ([['offsets', '<i8', [1]]], [['offsets', '<i8', [1 << 60]]], [['name', '<U9', [3]]], []):
        replace_child(monkeypatch, tmp_path, f'print({json.dumps(json.dumps({"arrays": answer}))})')
        with pytest.raises(UnsafeFileError, match='arrays that contradict each other'):
            read_frame(dataset)
