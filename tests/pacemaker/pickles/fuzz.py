"""Damage real dataset files at random and read them: ``python fuzz.py SEED ROUNDS FILE...``.

Each round takes a file, changes its bytes, its opcodes or its compressed form, and decodes it as the reader's process
does, under the same kind of limits. It must end in arrays of plain types or in a sentence of a known kind. Ends with
the number of files that were refused and read; anything else is a traceback, with the seed that leads there again.
"""

import gzip
import io
import pickletools
import random
import resource
import sys
from pathlib import Path

from aiida_autopipec.pacemaker.pickles.sandbox import decode

LIMIT = 1 << 26
MEMORY = 1 << 30  # one changed byte can ask the unpickler for a memo of 64 GiB
KINDS = ('FileFormatError', 'UnsafeFileError', 'DatasetError')
#: Bytes that steer the unpickler: every opcode, and numbers at the edges.
TOKENS = [opcode.code.encode('latin-1') for opcode in pickletools.opcodes]
TOKENS += [
    b'\x00' * 8,
    b'\xff' * 8,
    b'\xff\xff\xff\x7f',
    b'\x00\x00\x00\x80',
    b'cos\nsystem\n',
    b'\x8c\x02os\x8c\x06system\x93',
]


def change_bytes(content, chance):
    """Change a few bytes anywhere."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed))
        changed[place : place + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
    return bytes(changed)


def change_opcodes(content, chance):
    """Drop, double, swap or insert whole opcodes, so that the rest still makes sense."""
    try:
        starts = [position for _, _, position in pickletools.genops(content) if position is not None]
    except ValueError:
        return change_bytes(content, chance)
    pieces = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)])]  # noqa: B905  # the same length
    pieces = [piece for piece in pieces if piece[:1] != b'\x95']  # frames would not fit any more
    for _ in range(chance.randint(1, 3)):
        place, other = chance.randrange(len(pieces)), chance.randrange(len(pieces))
        action = chance.randrange(5)
        if action == 0:
            del pieces[place]
        elif action == 1:
            pieces.insert(place, pieces[other])
        elif action == 2:
            pieces[place], pieces[other] = pieces[other], pieces[place]
        elif action == 3:
            pieces.insert(place, chance.choice(TOKENS))
        else:
            pieces[place] = pieces[other]
        if not pieces:
            return b'.'
    return b''.join(pieces)


def read(packed):
    """Decode a compressed file; return whether it was accepted."""
    try:
        arrays, _ = decode.decode_file(io.BytesIO(packed), LIMIT)
        decode.require_room(arrays, LIMIT)
    except BaseException as error:
        kind, message = decode.describe(error)
        assert kind in KINDS, kind
        assert message.endswith(('.', ')')), message
        return False
    assert all(values.dtype.kind in 'fibU' for values in arrays.values())
    return True


def main(seed, rounds, *paths):
    """Run and count."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    files = [Path(path).read_bytes() for path in sorted(paths)]
    contents = [gzip.decompress(file) for file in files]
    accepted = 0
    for number in range(int(rounds)):
        chance = random.Random(f'{seed}.{number}')  # noqa: S311  # to be repeated
        which = number % len(files)
        try:
            if number % 8 == 7:
                packed = change_bytes(files[which], chance)
            else:
                change = change_bytes if number % 2 else change_opcodes
                packed = gzip.compress(change(contents[which], chance), 1)
            accepted += read(packed)
        except BaseException:
            sys.stderr.write(f'seed {seed}, round {number}, file {sorted(paths)[which]}\n')
            raise
    sys.stdout.write(f'refused {int(rounds) - accepted}, read {accepted}\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
