"""Active sets that real runs wrote, and archives that are none."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from aiida_autopipec.pacemaker.errors import FileFormatError, UnsafeFileError
from aiida_autopipec.pacemaker.outputs import parse_active_set


def archive(**arrays: np.ndarray) -> bytes:
    """Return an npz archive."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def member(name: str, content: bytes) -> bytes:
    """Return an archive with one member."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as written:
        written.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    ('run', 'sizes'),
    [('activeset', {'Cu': 9}), ('activeset_binary', {'Al': 12, 'Cu': 12}), ('activeset_barely', {'Cu': 9})],
)
def test_sizes_of_real_active_sets(read_bytes, run, sizes):
    """Each element has as many rows as functions."""
    info = parse_active_set(read_bytes(run, 'p.asi'))
    assert info.n_functions == sizes
    assert info.elements == tuple(sorted(sizes))
    assert info.finite
    assert all(0 < info.largest_entry[element] < 1e8 for element in sizes)


def test_an_active_set_of_equal_structures_shows_in_its_entries(read_bytes):
    """Isolated atoms cannot be told apart: the inverse explodes although the program exits with 0."""
    assert parse_active_set(read_bytes('activeset_zero_columns', 'p.asi')).largest_entry['Cu'] > 1e12


def test_nan_is_seen():
    """An inverse with NaN is not finite."""
    assert not parse_active_set(archive(Cu=np.array([[np.nan]]))).finite


def test_fortran_order_and_single_precision_are_read():
    """Layout and precision are the writer's choice."""
    matrix = np.asfortranarray(np.array([[1.0, 2.0], [3.0, -4.0]], dtype='<f4'))
    assert parse_active_set(archive(Cu=matrix)).largest_entry == {'Cu': 4.0}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'damaged or not an `.asi`'),
        (b'no archive', 'damaged or not an `.asi`'),
        (archive(), 'has no element'),
        (archive(notes=np.eye(2)), 'which is no element'),
        (archive(Cu=np.ones((2, 3))), 'not a square matrix'),
        (archive(Cu=np.ones(3)), 'not a square matrix'),
        (archive(Cu=np.eye(2, dtype=complex)), 'not a square matrix'),
        (archive(Cu=np.eye(2, dtype=int)), 'not a square matrix'),
        (member('Cu.npy', b'no array'), 'not a numpy array'),
        (member('Cu.npy', b'\x93NUMPY\x09\x00'), 'not a numpy array'),
    ],
)
def test_what_is_no_active_set_is_refused(content, message):
    """Other archives and arrays are errors that say so."""
    with pytest.raises(FileFormatError, match=message):
        parse_active_set(content)


def test_every_cut_of_an_active_set_is_refused(read_bytes):
    """A file that breaks off is damaged."""
    content = read_bytes('activeset', 'p.asi')
    for length in range(0, len(content), 13):
        with pytest.raises(FileFormatError):
            parse_active_set(content[:length])


def test_flipped_bits_are_noticed(read_bytes):
    """The archive's checksum shows a damaged matrix."""
    content = bytearray(read_bytes('activeset', 'p.asi'))
    content[300] ^= 1
    with pytest.raises(FileFormatError, match='damaged'):
        parse_active_set(bytes(content))


def test_pickled_objects_are_refused():
    """An array of objects would be unpickled: it is refused unread."""
    stream = io.BytesIO()
    np.savez(stream, Cu=np.array([[object]], dtype=object))
    with pytest.raises(UnsafeFileError, match='Python objects'):
        parse_active_set(stream.getvalue())


def test_a_compression_bomb_is_refused():
    """The unpacked size is checked before anything is unpacked."""
    stream = io.BytesIO()
    np.savez_compressed(stream, Cu=np.zeros((1000, 1000)))
    assert len(stream.getvalue()) < 20_000
    with pytest.raises(UnsafeFileError, match='unpacks to'):
        parse_active_set(stream.getvalue(), max_bytes=1_000_000)


def test_a_header_that_promises_too_much_is_refused():
    """A small file whose header asks for a huge matrix allocates nothing."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (900000, 900000), }".ljust(117) + b'\n'
    content = b'\x93NUMPY\x01\x00' + struct.pack('<H', len(header)) + header
    with pytest.raises(FileFormatError, match='promises'):
        parse_active_set(member('Cu.npy', content))


@pytest.mark.parametrize(
    ('scenario', 'singular'),
    [('activeset', ()), ('activeset_barely', ()), ('activeset_binary', ('Al',)), ('activeset_zero_columns', ('Cu',))],
)
def test_singular_elements_are_those_whose_atoms_cannot_tell_all_functions_apart(
    scenario: str, singular: tuple[str, ...], read_bytes: Callable[..., bytes]
) -> None:
    """The program calls a singular set a success: the matrix itself says otherwise."""
    assert parse_active_set(read_bytes(scenario, 'p.asi')).singular_elements == singular
