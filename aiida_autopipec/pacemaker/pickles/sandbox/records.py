"""Unpickling that executes nothing: each call, each state is only written down.

The unpickler of CPython asks :meth:`RecordingUnpickler.find_class` for every global. It gets a class made on the spot,
whose instances keep the arguments and the state that they are given. What a file says is thus a tree of records, which
the decoders read as far as they understand it. Even the classes live for one file only, so that nothing a pickle does
to them (BUILD on a class with allowed names alone is enough to change it) outlives the reading.
"""

from __future__ import annotations

import pickle
from typing import Any, NoReturn, Protocol, TypeGuard

from aiida_autopipec.pacemaker.errors import UnsafeFileError
from aiida_autopipec.pacemaker.pickles.sandbox.allowed import role_of

#: ase < 3.23 keeps this bound method in the state of each calculator: the one getattr that a dataset may spell.
_HARMLESS_ATTRIBUTE = '_deprecated_get_spin_polarized'


class ReadablePickle(Protocol):
    """What the unpickler reads from."""

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes."""

    def readline(self) -> bytes:
        """Return one line."""


class RecordType(type):
    """The type of the stand-in classes; refuses to have their state set."""

    role: str
    spelling: str

    @property
    def __setstate__(cls) -> NoReturn:  # noqa: PLE0302  # looked up by BUILD, and refused before it is called
        raise UnsafeFileError(f'The file would change the class {cls.spelling}, which no dataset needs: refused.')


class Record(metaclass=RecordType):
    """One object of the file: what it would be made with, and its state."""

    __slots__ = ('args', 'keywords', 'state')
    role = 'opaque'
    spelling = 'object'
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    state: Any

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        """Record a call, or refuse it."""
        record = super().__new__(cls)
        record.args = args
        record.keywords = keywords
        record.state = None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Record a call of what a call gave, or refuse it."""
        raise UnsafeFileError(f'The file would call the result of {self.spelling}, which no dataset needs: refused.')


class MappingRecord(Record):
    """A dictionary of a class of its own; its items are left out."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class GetattrRecord(Record):
    """``getattr`` in the one form that ase wrote."""

    __slots__ = ()

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        """Record a call, or refuse it."""
        if keywords or len(args) != 2 or not has_role(args[0], 'calculator') or args[1] != _HARMLESS_ATTRIBUTE:
            wanted = args[1] if len(args) > 1 and isinstance(args[1], str) else '?'
            raise UnsafeFileError(f'The file would call getattr for {wanted!r}, which no dataset needs: refused.')
        return super().__new__(cls, *args)


class PartialRecord(Record):
    """``functools.partial`` in the one form that pandas 1.3 wrote: ``partial(new_block, ndim=2)``."""

    __slots__ = ()

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        """Record a call, or refuse it."""
        if keywords or len(args) != 1 or not _is_block_type(args[0]):
            raise UnsafeFileError('The file would call functools.partial, which no dataset needs: refused.')
        return super().__new__(cls, *args)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 4 or not _is_block_type(state[0]) or state[1] != ():
            raise UnsafeFileError('The file would change a functools.partial, which no dataset needs: refused.')

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Record a call of what a call gave, or refuse it."""
        return self.args[0](*args, **keywords)


class ReconstructorRecord(Record):
    """``copyreg._reconstructor(cls, base, content)``, by which protocols 0 and 1 make an object without arguments."""

    __slots__ = ()

    def __new__(cls, *args: Any, **keywords: Any) -> Any:
        """Record an object of the class that is asked for, or refuse it."""
        if keywords or len(args) != 3 or not isinstance(args[0], RecordType) or not _is_base(args[1]):
            raise UnsafeFileError('The file would make an object of no plain class, which no dataset needs: refused.')
        return args[0]()


def has_role(value: object, *roles: str) -> TypeGuard[Record]:
    """Return whether ``value`` is a record of one of the ``roles``."""
    return isinstance(value, Record) and type(value).role in roles


def _is_block_type(value: object) -> bool:
    return isinstance(value, RecordType) and value.role == 'block'


def _is_base(value: object) -> bool:
    return isinstance(value, RecordType) and value.role == 'base'


_BASES: dict[str, type[Record]] = {
    'mapping': MappingRecord,
    'getattr': GetattrRecord,
    'partial': PartialRecord,
    'reconstructor': ReconstructorRecord,
}


class RecordingUnpickler(pickle.Unpickler):
    """Reads a pickle into records.

    :param file: the pickle.
    """

    def __init__(self, file: ReadablePickle) -> None:
        super().__init__(file)
        self._types: dict[tuple[str, str], RecordType] = {}

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the stand-in for a global.

        :raises UnsafeFileError: if no dataset needs that global.
        """
        known = self._types.get((module, name))
        if known is None:
            role = role_of(module, name)
            if role is None:
                raise UnsafeFileError(f'The file would call {module}.{name}, which no dataset needs: refused.')
            body = {'__slots__': (), 'role': role, 'spelling': f'{module}.{name}'}
            known = self._types[module, name] = RecordType('Record', (_BASES.get(role, Record),), body)
        return known

    def persistent_load(self, pid: Any, /) -> NoReturn:
        """Refuse: a dataset stands for itself.

        :raises UnsafeFileError: always.
        """
        raise UnsafeFileError('The file refers to objects outside itself (a persistent id): refused.')
