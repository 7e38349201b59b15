"""The errors of this package.

::

    AutopipecError                  everything that this package raises on purpose
    ├── InputError (ValueError)     the input is to blame; the message says which key or structure, and what to do
    │   ├── DatasetError            labels, shapes, duplicates, empty datasets
    │   ├── FileFormatError         a file is not what it should be, or is damaged
    │   │   └── UnsafeFileError     a file would run code or exceed the limits for untrusted input
    │   └── ConfigError             settings that Pacemaker would ignore or misread
    └── OutputError                 what a program of Pacemaker left behind cannot be understood
"""

from __future__ import annotations


class AutopipecError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(AutopipecError, ValueError):
    """The input is to blame."""


class DatasetError(InputError):
    """Labelled structures are incomplete, inconsistent or contradictory."""


class FileFormatError(InputError):
    """A file is not what it should be, or is damaged."""


class UnsafeFileError(FileFormatError):
    """A file would run code, or exceeds the limits for untrusted input."""


class ConfigError(InputError):
    """Settings that Pacemaker would ignore or misread."""


class ConfigWarning(UserWarning):
    """Settings that are allowed, and probably not meant."""


class OutputError(AutopipecError):
    """What a program of Pacemaker left behind cannot be understood."""
