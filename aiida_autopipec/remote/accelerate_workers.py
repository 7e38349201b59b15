"""Several processes for what is the same for many structures or coefficients.

Part of ``accelerate.py``.
"""

import multiprocessing
import os

_shared = []  # processes are forked, so they have it without a copy


def allowed():
    """Return how many processes this job may use: the number that OpenMP is told, or that of its cores."""
    told = os.environ.get('OMP_NUM_THREADS', '')
    if told.isdigit() and int(told) > 0:
        return int(told)
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1


def spread(function, shared, items, processes):
    """Yield ``function(shared, item)`` of all items, in their order.

    :param function: of a module, so that processes find it by its name.
    """
    _shared[:] = [function, shared]
    if processes < 2 or len(items) < 2:
        yield from map(work, items)
        return
    with multiprocessing.get_context('fork').Pool(min(processes, len(items))) as pool:
        yield from pool.imap(work, items)


def work(item):
    """Do one item with what the process was forked with."""
    function, shared = _shared
    return function(shared, item)
