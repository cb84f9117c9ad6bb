"""The lock of a folder of the stack, waited for, with the stack's error when it cannot be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from runtime import file_lock
from tapeline.embedded._errors import FolderUnusable


@contextmanager
def held(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold `path` for the length of the block; `on_wait` is called once when another process holds it now.

    Raises:
        FolderUnusable: the file cannot be created.

    """
    with ExitStack() as stack:
        try:
            stack.enter_context(file_lock.held(path, on_wait))
        except OSError as error:
            raise FolderUnusable(f"cannot write {path}: {error.strerror}") from error
        yield
