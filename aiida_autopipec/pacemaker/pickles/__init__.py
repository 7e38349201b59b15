"""Pacemaker's dataset files (``.pckl.gzip``): written so that every pandas reads them, read so that no one is attacked.

A ``.pckl.gzip`` is a gzip'ed pickle of a :class:`pandas.DataFrame` that holds :class:`ase.Atoms`, and a pickle is a
program: whoever loads it runs it. :func:`write_frame` therefore spells only public names, which mean the same in all
versions, and :func:`read_frame` never runs the program: a child process with limits records what it says and hands back
plain arrays. Neither needs pandas or ase.
"""

from __future__ import annotations

from aiida_autopipec.pacemaker.pickles.frame import RawFrame, ReadLimits
from aiida_autopipec.pacemaker.pickles.reader import read_frame
from aiida_autopipec.pacemaker.pickles.writer import write_frame

__all__ = ['RawFrame', 'ReadLimits', 'read_frame', 'write_frame']
