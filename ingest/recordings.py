"""Opens recorded files: plain or gzip, of any format in `ingest.formats`, recognised by what they hold, not by their names."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import IO, cast

from ingest.formats import names, recognise
from ingest.recorded import NAMELESS, Closed, Ended, Frame, Item, Opened, RecordingError

_GZIP = b"\x1f\x8b"
_LONGEST_LINE = 64 << 20  # what is longer is cut and refused, rather than filling the memory


def read_recordings(paths: Sequence[Path]) -> Iterator[Item]:
    """The items of one or several files in the order of their times; files that overlap are interleaved.

    Each line that is open at the end of its file is said to end there; one that the recording does not name has the name of
    its file, so that connections of two files are never taken for one. All files are opened before the first item is given.
    Raises RecordingError when a file is missing, unreadable, damaged or of no known format.
    """
    opened = [_read(path) for path in paths]
    return merge(*opened, key=lambda item: item.at)


def first_line(path: Path) -> bytes:
    """The first line of a file that is not empty of text; empty when there is none. Raises RecordingError."""
    return next(_lines(path), b"")


def is_whole(path: Path) -> bool:
    """Whether a file can be read to its end; it is read through for it."""
    try:
        for _ in _lines(path):
            pass
    except RecordingError:
        return False
    return True


def _read(path: Path) -> Iterator[Item]:
    lines = _lines(path)
    first = next(lines, b"")
    if not first:
        raise RecordingError(f"{path} is empty")
    format_ = recognise(first)
    if format_ is None:
        raise RecordingError(f"{path} is no recording that is known ({', '.join(names())}): it begins with {first[:60]!r}")
    return _with_ends(_named(format_.read(chain([first], lines)), str(path)))


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
            if cast("BufferedReader", file).peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
                file = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=file)))
            while line := file.readline(_LONGEST_LINE):
                if stripped := line.rstrip(b"\r\n"):
                    yield stripped
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecordingError(f"{path} cannot be read: {reason}") from error


def _named(items: Iterable[Item], name: str) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Opened | Frame | Closed) and item.line == NAMELESS:
            yield item._replace(line=name)
        else:
            yield item


def _with_ends(items: Iterable[Item]) -> Iterator[Item]:
    open_lines: dict[str, None] = {}
    at = 0
    for item in items:
        at = max(at, item.at)
        if isinstance(item, Closed):
            open_lines.pop(item.line, None)
        elif isinstance(item, Opened | Frame):
            open_lines[item.line] = None
        yield item
    yield from (Ended(at, line) for line in open_lines)
