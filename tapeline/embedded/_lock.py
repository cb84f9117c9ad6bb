"""A file that one process holds at a time; the system releases it when the process ends, however that happens."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeline.embedded._errors import FolderUnusable


@contextmanager
def held(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold `path` for the length of the block; `on_wait` is called once when another process holds it now.

    Raises:
        FolderUnusable: the file cannot be created.

    """
    try:
        file = path.open("ab")
    except OSError as error:
        raise FolderUnusable(f"cannot write {path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
