"""Attacks on the process that reads a foreign dataset: each is refused with a sentence, and nothing of it is left."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ase
import numpy as np
import pandas as pd
import pytest

from aiida_autopipec.pacemaker.errors import DatasetError, FileFormatError, InputError, UnsafeFileError
from aiida_autopipec.pacemaker.pickles import ReadLimits, read_frame
from aiida_autopipec.pacemaker.pickles.sandbox import allowed, decode

pytestmark = pytest.mark.skipif(sys.platform == 'win32', reason='limits of processes are a matter of POSIX systems')

MIB = 1 << 20
SMALL = ReadLimits(max_decompressed_bytes=16 * MIB, memory_bytes=1 << 30, seconds=20)
#: Functions that pickles are known to be abused with, or that do harm with one argument.
GADGETS = (
    *('os system', 'posix system', 'nt system', 'os popen', 'os execv', 'os spawnl', 'os putenv', 'os remove'),
    *('subprocess Popen', 'subprocess run', 'subprocess check_output', 'subprocess getoutput', 'pty spawn'),
    *('builtins eval', 'builtins exec', 'builtins compile', 'builtins open', 'builtins __import__', 'builtins setattr'),
    *('builtins vars', 'builtins globals', 'builtins type', 'builtins breakpoint', 'builtins input', 'builtins apply'),
    *('io open', 'codecs open', 'pathlib Path', 'shutil rmtree', 'shutil copyfile', 'tempfile mkstemp', 'glob glob'),
    *('importlib import_module', 'runpy run_path', 'runpy _run_code', 'code interact', 'pdb run', 'timeit timeit'),
    *('cProfile run', 'profile run', 'trace Trace', 'bdb Bdb', 'site main', 'pip main', 'ensurepip bootstrap'),
    *('pickle loads', 'pickle load', '_pickle loads', 'marshal loads', 'shelve open', 'joblib load', 'torch load'),
    *('types FunctionType', 'types CodeType', 'types MethodType', 'functools reduce', 'functools cached_property'),
    *('operator attrgetter', 'operator methodcaller', 'operator itemgetter', 'operator call', 'itertools starmap'),
    *('copyreg __newobj__', 'copyreg add_extension', 'copyreg __newobj_ex__', 'sys setrecursionlimit', 'sys modules'),
    *(
        'ctypes CDLL',
        'ctypes.util find_library',
        'cffi FFI',
        'signal raise_signal',
        'gc get_objects',
        'atexit register',
    ),
    *('socket create_connection', 'urllib.request urlopen', 'http.client HTTPConnection', 'webbrowser open'),
    *(
        'smtplib SMTP',
        'ftplib FTP',
        'asyncio run',
        'multiprocessing Process',
        'threading Thread',
        'logging.config dictConfig',
    ),
    *('numpy load', 'numpy fromfile', 'numpy memmap', 'numpy.testing._private.utils runstring', 'numpy.f2py compile'),
    *('numpy.core.multiarray fromfile', 'numpy._core.multiarray set_string_function', 'numpy ufunc', 'numpy vectorize'),
    *('pandas eval', 'pandas read_pickle', 'pandas.core.computation.eval eval', 'pandas.io.common get_handle'),
    *('pandas._libs.internals BlockPlacement', 'pandas.io.pickle read_pickle', 'pyarrow.lib memory_map'),
    *('ase.io read', 'ase.db connect', 'ase.utils workdir', 'ase.calculators.abinit Abinit', 'ase.cli.main main'),
    *('pyace.generalfit GeneralACEFit', 'pyace.basis ACEBBasisSet', 'uuid _load_system_functions', 'platform popen'),
)


@pytest.fixture(autouse=True)
def untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Require of each test here that it leaves the process as it was: modules, classes, environment, files, memory."""
    inside, outside = tmp_path / 'inside', tmp_path / 'temporary'
    inside.mkdir()
    outside.mkdir()
    monkeypatch.chdir(inside)
    monkeypatch.setattr(tempfile, 'tempdir', str(outside))
    monkeypatch.setenv('TMPDIR', str(outside))
    before, opened = state(), open_files()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert state() == before
    assert open_files() <= opened
    assert list(inside.iterdir()) == []
    assert list(outside.iterdir()) == []
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
    assert grown < 96 * MIB, f'{grown / MIB:.0f} MiB'


def state() -> list[object]:
    """Return what an attack could change in this process."""
    classes = (ase.Atoms, ase.cell.Cell, pd.DataFrame, np.ndarray, dict, list)
    return [
        set(sys.modules),
        hash(frozenset(item for item in os.environ.items() if item[0] != 'PYTEST_CURRENT_TEST')),  # not for logs
        list(sys.path),
        [{k: v for k, v in vars(kind).items() if k != '__slotnames__'} for kind in classes],  # copyreg's own cache
        resource.getrlimit(resource.RLIMIT_NOFILE),
    ]


def open_files() -> int:
    """Return how many files and sockets this process has open, where the system tells."""
    folder = Path('/proc/self/fd')
    return len(os.listdir(folder)) if folder.exists() else 0


def text(string: str) -> bytes:
    """Spell a string."""
    return b'X' + struct.pack('<I', len(string)) + string.encode()


def name(module: str, attribute: str) -> bytes:
    """Spell a global by STACK_GLOBAL."""
    return text(module) + text(attribute) + b'\x93'


def program(*opcodes: bytes) -> bytes:
    """Spell a pickle of protocol 4."""
    return b'\x80\x04' + b''.join(opcodes) + b'.'


def binary(data: bytes) -> bytes:
    """Spell bytes."""
    return b'B' + struct.pack('<I', len(data)) + data


def integer(value: int) -> bytes:
    """Spell an integer of any size."""
    data = value.to_bytes(value.bit_length() // 8 + 1, 'little', signed=True)
    return b'\x8b' + struct.pack('<i', len(data)) + data


def array(shape: bytes, dtype: bytes, data: bytes) -> bytes:
    """Spell an array from the spelling of its type."""
    return name('numpy', 'ndarray') + b'(K\x00t' + text('b') + b'\x86R(K\x01' + shape + dtype + b'\x89' + data + b'tb'


def dtype(spelling: str, state: bytes = b'') -> bytes:
    """Spell a type of numpy, and its state."""
    return name('numpy', 'dtype') + text(spelling) + b'\x85R' + state


def frame(column: bytes, label: bytes = text('energy')) -> bytes:
    """Spell a table of one column."""
    return program(name('pandas', 'DataFrame'), b'}(', label, column, b'u\x85R')


NUMBER = array(b'(K\x01t', dtype('<f8'), binary(bytes(8)))
TABLE = frame(NUMBER)
FIELDS = b'(K\x03' + text('|') + b'N' + text('a') + b'\x85}' + text('a') + dtype('O8') + b'sK\x08K\x01K\x10tb'
NESTED = 100_000
CALL, LIST = b'\x85R', name('builtins', 'list')


def old_table(columns: bytes, rows: bytes) -> bytes:
    """Spell a table of pandas 1.2 without columns, with the labels given."""
    index = name('pandas.core.indexes.base', '_new_Index')
    bounds = b'}(' + text('start') + b'K\x00' + text('stop') + rows + text('step') + b'K\x01u'
    labels = index + name('pandas', 'RangeIndex') + bounds + b'\x86R'
    names = index + name('pandas', 'Index') + b'}(' + text('data') + columns + b'u\x86R'
    layout = b'}(' + text('axes') + b'](' + names + labels + b'e' + text('blocks') + b']u'
    manager = name('pandas.core.internals.managers', 'BlockManager') + b')R(NNN}(' + text('0.14.1') + layout + b'utb'
    return program(name('pandas', 'DataFrame'), b')R}(', text('_mgr'), manager, b'ub')


def spellings(module: str, attribute: str, argument: str) -> Iterator[tuple[str, bytes]]:
    """Yield a call in every way that the protocols of pickle have."""
    line = f'{module}\n{attribute}\n'.encode()
    yield 'protocol 0 REDUCE', b'c' + line + f'(V{argument}\ntR.'.encode()
    yield 'protocol 0 INST', f'(V{argument}\ni{module}\n{attribute}\n.'.encode()
    yield 'protocol 1 OBJ', b'(c' + line + text(argument) + b'o.'
    yield 'protocol 1 REDUCE', b'c' + line + b'(' + text(argument) + b'tR.'
    for protocol in (2, 3):
        yield f'protocol {protocol} NEWOBJ', b'\x80' + bytes([protocol]) + b'c' + line + text(argument) + b'\x85\x81.'
        yield f'protocol {protocol} REDUCE', b'\x80' + bytes([protocol]) + b'c' + line + text(argument) + b'\x85R.'
    for protocol in (4, 5):
        body = name(module, attribute) + text(argument) + b'\x85R.'
        framed = b'\x95' + struct.pack('<Q', len(body)) + body
        yield f'protocol {protocol} REDUCE', b'\x80' + bytes([protocol]) + framed
        keywords = name(module, attribute) + text(argument) + b'\x85}\x92.'
        yield f'protocol {protocol} NEWOBJ_EX', b'\x80' + bytes([protocol]) + keywords
    # hidden where a dataset has its structures, and behind the memo
    recalled = b'\x940' + text(attribute) + b'\x940h\x00h\x01\x93'
    yield 'in a column', frame(b'](' + name(module, attribute) + text(argument) + CALL + b'e', text('ase_atoms'))
    yield 'from the memo', program(text(module), recalled, text(argument), CALL)


def refusal(content: bytes, limit: int = 64 * MIB) -> tuple[str, str]:
    """Return kind and sentence of the error that reading a pickle ends in, as the child tells them, but in here."""
    try:
        decode.decode_file(io.BytesIO(gzip.compress(content, 1)), limit)
    except BaseException as error:
        return decode.describe(error)
    pytest.fail('the file was accepted')


def read(tmp_path: Path, content: bytes, limits: ReadLimits = SMALL) -> InputError:
    """Return the error that reading a compressed file ends in."""
    path = tmp_path / 'd.pckl.gzip'
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_frame(path, limits)
    return caught.value


@pytest.mark.parametrize('gadget', GADGETS)
def test_gadgets_are_refused_at_every_protocol(gadget: str) -> None:
    """A harmful function is refused by name, in every protocol and by every opcode that makes an object."""
    module, attribute = gadget.split()
    for how, content in spellings(module, attribute, 'true'):
        kind, message = refusal(content)
        # protocols 0 to 2 have the names of Python 2, which the unpickler translates
        assert (kind, 'which no dataset needs: refused.' in message) == ('UnsafeFileError', True), (how, message)


ALLOWED = sorted(allowed._ROLES)


@pytest.mark.parametrize('state', ['dictionary', 'slots'])
def test_no_allowed_name_can_be_changed(state: str) -> None:
    """BUILD on a global, which would change it for the whole process, is refused for each allowed name."""
    attributes = b'}' + text('__init__') + LIST + b's'
    content = attributes if state == 'dictionary' else b'N' + attributes + b'\x86'
    for module, attribute in ALLOWED:
        kind, message = refusal(program(name(module, attribute), content, b'b'))
        assert (kind, f'change the class {module}.{attribute}' in message) == ('UnsafeFileError', True), message


@pytest.mark.parametrize('suffix', ['.__init__', '.__class__', '.__globals__', '.__reduce__', '.os', '.'])
def test_no_allowed_name_opens_the_way_to_others(suffix: str) -> None:
    """A dotted name, which protocol 4 would follow from attribute to attribute, is refused below each allowed name."""
    for module, attribute in ALLOWED:
        kind, message = refusal(program(name(module, attribute + suffix), CALL[:0]))
        assert (kind, 'refused' in message) == ('UnsafeFileError', True), message


def test_no_allowed_name_makes_a_dataset_of_nothing() -> None:
    """Calling each allowed name with nothing, with a string or with another allowed name gives no dataset."""
    for module, attribute in ALLOWED:
        for arguments in (b')', text('x') + b'\x85', name('builtins', 'getattr') + text('x') + b'\x86'):
            kind, _ = refusal(program(name(module, attribute), arguments, b'R'))
            assert kind in ('UnsafeFileError', 'FileFormatError')


TRICKS = {
    'getattr of a class': program(name('builtins', 'getattr'), name('ase.atoms', 'Atoms'), text('__init__'), b'\x86R'),
    'getattr with a default': program(name('builtins', 'getattr'), b'(', name('ase.atoms', 'Atoms'), text('a'), b'NtR'),
    'getattr with keywords': program(name('builtins', 'getattr'), b')}', text('name'), text('x'), b's\x92'),
    'partial of getattr': program(name('functools', 'partial'), name('builtins', 'getattr'), CALL),
    'partial of a partial': program(name('functools', 'partial'), name('functools', 'partial'), CALL),
    'partial without arguments': program(name('functools', 'partial'), b')R'),
    'partial with keywords': program(name('functools', 'partial'), b')}', text('func'), LIST, b's\x92'),
    'reconstructor of a function': program(name('copyreg', '_reconstructor'), b'(NNNtR'),
    'reconstructor on another base': program(name('copyreg', '_reconstructor'), b'(', LIST, LIST, b'NtR'),
    'reconstructor of getattr': program(
        name('copyreg', '_reconstructor'), b'(', name('builtins', 'getattr'), name('builtins', 'object'), b'NtR'
    ),
    'extension code of one byte': program(b'\x82\x07'),
    'extension code of two bytes': program(b'\x83\x07\x01'),
    'extension code of four bytes': program(b'\x84\x07\x00\x00\x01'),
    'persistent id of text': b'Psecret\n.',
    'persistent id of any object': program(name('ase.atoms', 'Atoms'), b'Q'),
    'memo of 64 GiB': program(b'Nr' + struct.pack('<I', (1 << 32) - 2)),
    'frame of 2^60 bytes': b'\x80\x04\x95' + struct.pack('<Q', 1 << 60) + b'N.',
    'string of 2^62 bytes': program(b'\x8d' + struct.pack('<Q', 1 << 62)),
    'bytearray of 2^40 bytes': program(b'\x96' + struct.pack('<Q', 1 << 40)),
    'rows beyond 2^31 without content': old_table(b']', integer(1 << 33)),
    'rows without width': frame(array(b'(' + integer(1 << 33) + b'K\x00t', dtype('<f8'), b'C\x00')),
    'deep calls of bytearray': frame(
        array(b'(K\x01t', dtype('<f8'), name('builtins', 'bytearray') * NESTED + b'C\x00' + CALL * NESTED)
    ),
    'a name of megabytes': frame(NUMBER, b'\x8d' + struct.pack('<Q', 17 << 20) + b'x' * (17 << 20)),
}
NONSENSE = {
    'extension code below zero': program(b'\x84' + struct.pack('<i', -1)),
    'memo that was never set': program(b'j\xff\xff\xff\x7f'),
    'buffer out of band': program(b'\x97'),
    'read-only buffer': program(b'N\x98'),
    'frame longer than the file': b'\x80\x04\x95' + struct.pack('<Q', 1 << 20) + b'N.',
    'frame that cuts an opcode': b'\x80\x04\x95' + struct.pack('<Q', 3) + b'X\x20\x00\x00\x00' + b'a' * 32 + b'.',
    'protocol of the future': b'\x80\x06N.',
    'number of a million digits': b'I' + b'9' * 1_000_000 + b'\n.',
    'long of a million digits': b'L' + b'9' * 1_000_000 + b'L\n.',
    'shape of gigantic integers': frame(array(b'(' + integer(1 << 2_000_000) * 8 + b't', dtype('<f8'), binary(b''))),
    'shape beyond 2^63': frame(array(b'(' + integer(1 << 64) + b't', dtype('<f8'), binary(bytes(8)))),
    'shape of too many axes': frame(array(b'(' + b'K\x01' * 64 + b't', dtype('<f8'), binary(bytes(8)))),
    'type without width': frame(array(b'(' + integer(1 << 40) + b't', dtype('S0'), b'C\x00')),
    'type with fields': frame(
        array(
            b'(K\x01t',
            dtype(
                'V8',
                b'(K\x03' + text('|') + b'N' + text('a') + b'\x85}' + text('a') + dtype('O8') + b'sK\x08K\x01K\x10tb',
            ),
            binary(bytes(8)),
        )
    ),
    'plain type with fields of objects': frame(
        array(
            b'(K\x01t',
            dtype('<f8', b'(K\x03' + text('<') + b'N' + text('a') + b'\x85}K\x08K\x01K\x10tb'),
            binary(bytes(8)),
        )
    ),
    'type with a subarray': frame(
        array(b'(K\x01t', dtype('<f8', b'(K\x03' + text('<') + dtype('O8') + b'(K\x01t\x86NNtb'), binary(bytes(8)))
    ),
    'type that names itself without end': frame(
        array(b'(K\x01t', name('numpy', 'dtype') + b')' + b'2\x86' * 64 + CALL, binary(bytes(8)))
    ),
    'bytes as objects': frame(array(b'(K\x01t', dtype('O8'), binary(bytes(8)))),
    'deep calls of list': frame(LIST * NESTED + b']' + CALL * NESTED),
    'a list within itself as table': program(b']\x94h\x00a'),
    'columns of different length': program(
        *(name('pandas', 'DataFrame'), b'}(', text('a'), NUMBER),
        *(text('b'), array(b'(K\x02t', dtype('<f8'), binary(bytes(16))), b'u\x85R'),
    ),
    'a column whose name is no Unicode': frame(NUMBER, b'X\x03\x00\x00\x00\xed\xa0\x80'),
    'a column whose name is a class': frame(NUMBER, LIST),
    'labels for columns that are not there': old_table(b'](' + text('energy') + b'e', b'K\x01'),
    'steps of zero': old_table(b']', b'K\x01').replace(text('step') + b'K\x01', text('step') + b'K\x00'),
}


@pytest.mark.parametrize('case', TRICKS)
def test_tricks_are_refused_by_the_reader(tmp_path: Path, case: str) -> None:
    """What no honest program writes is called unsafe in one sentence by the caller, which stays as it was."""
    error = read(tmp_path, gzip.compress(TRICKS[case], 1))
    assert isinstance(error, UnsafeFileError), error
    assert_one_sentence(error)


@pytest.mark.parametrize('case', NONSENSE)
def test_nonsense_is_refused_by_the_reader(tmp_path: Path, case: str) -> None:
    """What contradicts itself is called damaged, or no dataset, in one sentence by the caller."""
    error = read(tmp_path, gzip.compress(NONSENSE[case], 1))
    assert isinstance(error, (FileFormatError, UnsafeFileError)), error
    assert_one_sentence(error)


def assert_one_sentence(error: InputError) -> None:
    """Require a message for people: the file, what is wrong with it, one line."""
    message = str(error)
    assert message.startswith('d.pckl.gzip: '), message
    assert message.endswith(('.', ')')), message
    assert message.isprintable(), message
    assert len(message) < 600


def member(content: bytes, level: int = 1) -> bytes:
    """Return a gzip member."""
    return gzip.compress(content, level, mtime=0)


ZEROS = bytes(64 * MIB)
PIECE = binary(bytes(MIB))
COMPRESSED: dict[str, tuple[Callable[[], bytes], str]] = {
    'two datasets joined': (lambda: member(TABLE) * 2, 'goes on after its dataset'),
    'a pickle after the dataset': (lambda: member(TABLE + b'cos\nsystem\n.'), 'goes on after its dataset'),
    'garbage after the dataset': (lambda: member(TABLE) + b'garbage', 'damaged|truncated'),
    'second member cut off': (lambda: member(TABLE[:50]) + member(TABLE[50:])[:-12], 'truncated'),
    'second member missing': (lambda: member(TABLE[:50]), 'truncated'),
    'second member damaged': (lambda: member(TABLE[:50]) + b'\x1f\x8b\x08\x00' + bytes(30), 'damaged'),
    'wrong checksum': (lambda: member(TABLE)[:-8] + bytes(4) + member(TABLE)[-4:], 'damaged'),
    'wrong length': (lambda: member(TABLE)[:-4] + b'\xff' * 4, 'damaged'),
    'header without an end': (lambda: b'\x1f\x8b\x08\x08' + bytes(6) + b'x' * 100_000, 'truncated'),
    'many empty members': (lambda: member(b'') * 50_000, 'truncated'),
    'a bomb in the first member': (lambda: member(program(b'\x8e' + struct.pack('<Q', 64 * MIB)) + ZEROS), 'more than'),
    'a bomb in the second member': (lambda: member(b'\x80\x04') + member((PIECE + b'0') * 64), 'more than'),
    'a bomb of many members': (lambda: member(b'\x80\x04') + member(PIECE + b'0') * 64, 'more than'),
    'gzip in gzip': (lambda: member(member(TABLE)), 'damaged'),
}


@pytest.mark.parametrize('case', COMPRESSED)
def test_compressed_tricks_are_refused(tmp_path: Path, case: str) -> None:
    """Members that are cut, joined, damaged or blown up end in a sentence, and the limit holds across members."""
    make, words = COMPRESSED[case]
    error = read(tmp_path, make())
    assert_one_sentence(error)
    assert any(word in str(error) for word in words.split('|')), error


def test_quadratic_work_is_stopped_at_the_limit(tmp_path: Path) -> None:
    """Keys whose hashes collide take quadratic time: the reader is stopped when its time is over."""
    keys = b''.join(integer(i * ((1 << 61) - 1)) + b'N' for i in range(1, 60_000))
    start = time.monotonic()
    error = read(tmp_path, gzip.compress(program(b'}(', keys, b'u'), 1), ReadLimits(seconds=1))
    assert 'took more than 1 s' in str(error) or 'ended without an answer' in str(error)
    assert time.monotonic() - start < 5


def test_secrets_are_not_in_the_childs_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that would write the environment into a file is refused, and leaves none."""
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'secret')
    trace = tmp_path / 'trace'
    content = program(name('os', 'system'), text(f'env > {trace}'), CALL)
    assert isinstance(read(tmp_path, gzip.compress(content)), UnsafeFileError)
    assert not trace.exists()
    monkeypatch.delenv('AWS_SECRET_ACCESS_KEY')


def test_a_pipe_is_no_dataset(tmp_path: Path) -> None:
    """A named pipe, which may never end, is refused without being opened."""
    os.mkfifo(tmp_path / 'd.pckl.gzip')
    with pytest.raises(FileFormatError, match='no regular file'):
        read_frame(tmp_path / 'd.pckl.gzip')


def test_duplicate_columns_are_named(tmp_path: Path) -> None:
    """Two columns of one name, of which Pacemaker would take either, are refused by that name."""
    table = pd.DataFrame([[1.0, 2.0]], columns=['energy', 'energy'])
    table.to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')
    with pytest.raises(DatasetError, match='two columns named `energy`'):
        read_frame(tmp_path / 'd.pckl.gzip')


def test_text_that_is_no_unicode_is_replaced(tmp_path: Path) -> None:
    """Halves of surrogate pairs, as Python keeps of old file names, become U+FFFD, and that is said."""
    names = pd.Series(['a\udce9b', 'c'], dtype=object)
    pd.DataFrame({'energy': [1.0, 2.0], 'name': names}).to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip')
    found = read_frame(tmp_path / 'd.pckl.gzip')
    assert found.columns['name'].tolist() == ['a\ufffdb', 'c']
    assert found.ignored == ('characters of the column `name` that are no Unicode, each replaced by U+FFFD',)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_honest_tables_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    """The allow-list does not stop what pandas itself writes, at any protocol, with calculators attached."""
    atoms = ase.Atoms('H2', positions=[[0, 0, 0], [0, 0, 0.7]])
    atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=-1.0, forces=np.ones((2, 3)))
    table = pd.DataFrame({'ase_atoms': [atoms], 'name': ['a']})
    table.to_pickle(tmp_path / 'd.pckl.gzip', compression='gzip', protocol=protocol)
    found = read_frame(tmp_path / 'd.pckl.gzip')
    np.testing.assert_array_equal(found.positions, atoms.positions)
    np.testing.assert_array_equal(found.calculator_energy, [-1.0])
    np.testing.assert_array_equal(found.calculator_forces, np.ones((2, 3)))
