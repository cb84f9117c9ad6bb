"""How many files and sockets this process may have open at a time."""

from __future__ import annotations

import resource


def allow_files(wanted: int) -> int:
    """Have the system allow so many, or as many as it lets us; how many it allows now. It never allows fewer than before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most
