"""A file that one process holds at a time; the system releases it when the process ends, however that happens."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["held"]


@contextmanager
def held(path: Path, on_taken: Callable[[], None]) -> Iterator[None]:
    """Hold `path` for the length of the block.

    `on_taken` is called once when another process holds it now: it raises, or the block waits until the file is free.
    Raises OSError when the file cannot be created or locked.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_taken()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
