"""What a hostile or damaged dataset file meets."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.pickles import ReadLimits, read_frame
from aiida_autopipec.pacemaker.pickles.sandbox import decode

LIMIT = 1 << 26


def text(string: str) -> bytes:
    """Spell a string."""
    return b'X' + struct.pack('<I', len(string)) + string.encode()


def name(module: str, attribute: str) -> bytes:
    """Spell a global by STACK_GLOBAL."""
    return text(module) + text(attribute) + b'\x93'


def program(*opcodes: bytes) -> bytes:
    """Spell a pickle of protocol 4."""
    return b'\x80\x04' + b''.join(opcodes) + b'.'


def array(shape: bytes, dtype: bytes, data: bytes) -> bytes:
    """Spell an array as this package writes it."""
    new = name('numpy', 'ndarray') + b'(K\x00t' + text('b') + b'\x86R'
    dtype = name('numpy', 'dtype') + text(dtype.decode()) + b'\x85R'
    return new + b'(K\x01' + shape + dtype + b'\x89' + data + b'tb'


def frame(column: bytes, label: str = 'energy') -> bytes:
    """Spell a table of one column."""
    return program(name('pandas', 'DataFrame'), b'}(', text(label), column, b'u\x85R')


def binary(data: bytes) -> bytes:
    """Spell bytes."""
    return b'B' + struct.pack('<I', len(data)) + data


class Shell:
    """Unpickles to a call of os.system."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


EIGHT_BYTES = binary(bytes(8))
NESTED = 200_000
REFUSED = {
    'eval': (program(name('builtins', 'eval'), text('1'), b'\x85R'), 'builtins.eval'),
    'exec in old spelling': (b"c__builtin__\nexec\n(S'1'\ntR.", '__builtin__.exec'),
    'import': (program(name('builtins', '__import__'), text('os'), b'\x85R'), 'builtins.__import__'),
    'INST': (b"(S'true'\nios\nsystem\n.", 'os.system'),
    'OBJ': (b"(cos\nsystem\nS'true'\no.", 'os.system'),
    'NEWOBJ_EX': (program(name('subprocess', 'Popen'), b')}\x92'), 'subprocess.Popen'),
    'dotted name': (program(name('numpy', 'ndarray.tofile'), b')R'), 'numpy.ndarray.tofile'),
    'dotted name below an allowed module': (program(name('ase.atoms', 'np.os.system'), b')R'), 'np.os.system'),
    'numpy loader of pickles': (program(name('numpy', 'load'), text('x'), b'\x85R'), 'numpy.load'),
    'pandas eval': (program(name('pandas', 'eval'), text('1'), b'\x85R'), 'pandas.eval'),
    'a class as state of a class': (
        program(name('ase.atoms', 'Atoms'), b'}(', text('get_forces'), name('builtins', 'list'), b'ub'),
        'change the class ase.atoms.Atoms',
    ),
    'slot state on a class': (
        program(name('pandas', 'DataFrame'), b'N}', b'(', text('__init__'), name('builtins', 'list'), b'u\x86b'),
        'change the class pandas.DataFrame',
    ),
    'getattr': (program(name('builtins', 'getattr'), name('ase.atoms', 'Atoms'), text('edit'), b'\x86R'), "'edit'"),
    'getattr on the allowed name': (
        program(name('builtins', 'getattr'), b']', text('_deprecated_get_spin_polarized'), b'\x86R'),
        'getattr',
    ),
    'partial': (program(name('functools', 'partial'), name('builtins', 'map'), b'\x85R'), 'functools.partial'),
    'partial redirected by its state': (
        program(
            *(name('functools', 'partial'), name('pandas._libs.internals', '_unpickle_block'), b'\x85R'),
            *(b'(', name('builtins', 'map'), b')}Ntb'),
        ),
        'functools.partial',
    ),
    'call of a result': (program(name('builtins', 'list'), b']\x85R', b')R'), 'call the result of builtins.list'),
    'persistent id': (program(b'NQ'), 'persistent id'),
    'persistent id of protocol 0': (b'Pabc\n.', 'persistent id'),
    'extension code': (program(b'\x82\x01'), 'extension code'),
    'long extension code': (program(b'\x84' + struct.pack('<i', 70000)), 'extension code'),
    'claim of more than the limit': (program(b'\x8e' + struct.pack('<Q', 1 << 27)), 'claims to hold'),
    'impossible claim': (program(b'\x8e' + struct.pack('<Q', 1 << 60)), 'limits allow'),
}
DAMAGED = {
    'no pickle': b'hello',
    'empty': b'',
    'only a stop': b'.',
    'stack underflow': program(b'R'),
    'no table': program(b']'),
    'a class for a table': program(name('pandas', 'DataFrame')),
    'unhashable key': program(b'}(]]u'),
    'append to a class': program(name('ase.atoms', 'Atoms'), b'Na'),
    'item of a class': program(name('ase.calculators.calculator', 'Parameters'), b'NNs'),
    'attributes for a list': program(b']}b'),
    'huge shape with few bytes': frame(array(b'(\x8a\x07' + b'\xff' * 6 + b'\x7ft', b'<f8', EIGHT_BYTES)),
    'negative shape': frame(array(b'(J\xff\xff\xff\xfft', b'<f8', EIGHT_BYTES)),
    'shape that overflows': frame(array(b'(' + (b'\x8a\x05' + b'\x00' * 4 + b'\x01') * 4 + b't', b'<f8', EIGHT_BYTES)),
    'more objects than there are': frame(array(b'(K\x09t', b'O8', b']')),
    'array of objects': frame(array(b'(K\x01t', b'O8', b'](]e')),
    'structured type': frame(array(b'(K\x01t', b'f8,i8', EIGHT_BYTES)),
    'pointer type': frame(array(b'(K\x01t', b'O', EIGHT_BYTES)),
    'map of something': frame(
        name('builtins', 'list') + name('builtins', 'map') + name('ase.atoms', 'Atoms') + b']\x86R\x85R'
    ),
    'endless repeat': frame(name('builtins', 'list') + name('itertools', 'repeat') + b'K\x01\x85R\x85R'),
}
IGNORED_VALUES = {
    'deep tuples': b')' + b'\x85' * NESTED,
    'deep lists': b']' * NESTED + b'a' * (NESTED - 1),
    'tuples that double': b')' + b'2\x86' * 64,
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_no_dataset_needs_is_refused(case: str) -> None:
    """A file that names or does what no dataset needs is called unsafe, and the sentence says what it wanted."""
    content, wanted = REFUSED[case]
    kind, message = failure(gzip.compress(content))
    assert (kind, wanted in message) == ('UnsafeFileError', True), message


@pytest.mark.parametrize('case', DAMAGED)
def test_what_makes_no_sense_is_refused(case: str) -> None:
    """A file that contradicts itself ends in a sentence that calls it damaged or no dataset."""
    kind, message = failure(gzip.compress(DAMAGED[case]))
    assert kind in ('FileFormatError', 'UnsafeFileError')
    assert any(word in message for word in ('damaged', 'not a Pacemaker dataset', 'truncated', 'refused')), message


@pytest.mark.parametrize('case', IGNORED_VALUES)
def test_nested_values_are_left_out(case: str) -> None:
    """A column of deeply nested or doubling objects is left out and named, without descending into it."""
    column = b'](' + IGNORED_VALUES[case] + b'e'
    arrays, ignored = decode.decode_file(io.BytesIO(gzip.compress(frame(column, 'odd'))), LIMIT)
    assert 'column:odd' not in arrays
    assert len(ignored) == 1
    assert 'odd' in ignored[0]


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_shell_command_does_not_run(tmp_path: Path, protocol: int) -> None:
    """A call of os.system is refused by name at every protocol, and its command has no effect."""
    trace = tmp_path / 'trace'
    content = gzip.compress(pickle.dumps({'ase_atoms': [Shell(f'touch {trace}')]}, protocol=protocol))
    kind, message = failure(content)
    assert (kind, 'system' in message) == ('UnsafeFileError', True)
    assert not trace.exists()


def test_a_class_is_not_changed_in_the_caller(tmp_path: Path) -> None:
    """BUILD on an allowed class, the attack that an allow-list alone lets through, is refused."""
    path = tmp_path / 'd.pckl.gzip'
    path.write_bytes(gzip.compress(REFUSED['a class as state of a class'][0]))
    with pytest.raises(UnsafeFileError, match=r'd\.pckl\.gzip: The file would change the class ase\.atoms\.Atoms'):
        read_frame(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    """A file that decompresses to more than the limit is refused before it is in memory."""
    path = tmp_path / 'bomb.pckl.gzip'
    data = bytes(1 << 22)
    with gzip.open(path, 'wb', compresslevel=1) as file:
        file.write(b'\x80\x04\x8e' + struct.pack('<Q', len(data)) + data + b'.')
    with pytest.raises(UnsafeFileError, match='more than 1048576 bytes'):
        read_frame(path, ReadLimits(max_decompressed_bytes=1 << 20))


def test_a_small_bomb_of_opcodes_is_refused() -> None:
    """Opcodes count against the limit as well as the bytes objects that they announce."""
    kind, message = failure(gzip.compress(b'\x80\x04' + b'N0' * 600_000 + b'N.'), limit=1 << 20)
    assert (kind, 'more than 1048576 bytes' in message) == ('UnsafeFileError', True)


def test_memory_is_limited(tmp_path: Path) -> None:
    """A file that needs more memory than allowed is refused, and the caller lives on."""
    path = tmp_path / 'greedy.pckl.gzip'
    path.write_bytes(gzip.compress(b'\x80\x04N' + b'r' + struct.pack('<I', (1 << 32) - 2) + b'.'))
    with pytest.raises(UnsafeFileError, match='more memory'):
        read_frame(path, ReadLimits(memory_bytes=1 << 30))


def test_arrays_that_a_small_file_blows_up_are_refused(tmp_path: Path) -> None:
    """One long name makes all rows of a column as long: what is handed back counts against the limit as well."""
    column = b'](' + text('x' * 100_000) + b'q\x00' + text('y') + b'q\x01' + b'h\x01' * 1000 + b'e'
    path = tmp_path / 'd.pckl.gzip'
    path.write_bytes(gzip.compress(frame(column, 'name')))
    with pytest.raises(UnsafeFileError, match='limits allow'):
        read_frame(path)


def test_time_is_limited(tmp_path: Path) -> None:
    """A file that takes longer than allowed is given up."""
    path = tmp_path / 'slow.pckl.gzip'
    path.write_bytes(gzip.compress(b'\x80\x04N.'))
    with pytest.raises(UnsafeFileError, match=r'more than 0\.001 s'):
        read_frame(path, ReadLimits(seconds=0.001))


@pytest.mark.parametrize('keep', [5, 100, -9, -1])
def test_a_truncated_file_is_called_truncated(keep: int) -> None:
    """A file that was copied in part says so, wherever it was cut."""
    content = gzip.compress(frame(array(b'(K\x40t', b'<f8', binary(os.urandom(512)))))
    kind, message = failure(content[:keep])
    assert (kind, 'truncated' in message) == ('FileFormatError', True), message


def test_flipped_bits_are_noticed() -> None:
    """A damaged file is called damaged: gzip's checksum covers what pickle would not notice."""
    content = bytearray(gzip.compress(frame(array(b'(K\x40t', b'<f8', binary(os.urandom(512)))), compresslevel=0))
    content[-300] ^= 1
    kind, message = failure(bytes(content))
    assert (kind, 'damaged' in message) == ('FileFormatError', True), message


@pytest.mark.parametrize('content', [b'', b'structures: 12\n', b'PK\x03\x04', pickle.dumps([])])
def test_what_is_no_gzip_is_no_dataset(content: bytes) -> None:
    """Text, an archive or a bare pickle under a dataset's name is told apart at once."""
    assert failure(content) == ('FileFormatError', 'This is not a Pacemaker dataset: it is no gzip file.')


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A wrong file name ends in a sentence with that name."""
    with pytest.raises(FileFormatError, match=r'absent\.pckl\.gzip: The file cannot be opened \(No such file'):
        read_frame(tmp_path / 'absent.pckl.gzip')


def failure(content: bytes, limit: int = LIMIT) -> tuple[str, str]:
    """Return kind and sentence of the error that reading ``content`` ends in, as the child process tells them."""
    try:
        decode.decode_file(io.BytesIO(content), limit)
    except BaseException as error:
        return decode.describe(error)
    pytest.fail('the file was accepted')
