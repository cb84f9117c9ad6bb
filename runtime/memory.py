"""How the C library deals with freed memory, and Python with its garbage."""

from __future__ import annotations

import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""

COLLECTOR_THRESHOLDS = 50_000, 20, 50
"""With Python's own, a worker that catches up spends a seventh of its time in the garbage collector."""

KEPT_BYTES = 32 << 20
"""The most that glibc takes for its second parameter."""


def keep_freed_memory() -> bool:
    """Have glibc keep freed buffers for the next ones; False with any other C library, where nothing is changed.

    By default it gives large ones back to the system at once. Whoever decompresses batch after batch then spends more time on
    having the same pages cleared and mapped again than on decompressing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(parameter, KEPT_BYTES) == 1 for parameter in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))


def spare_the_collector() -> None:
    """Have the garbage collector look at what is made from now on, and more rarely: state is many tuples that live long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
