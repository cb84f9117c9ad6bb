"""Recordings of hftbacktest's collectors: receive time in nanoseconds, a space, the frame. They do not name connections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ingest.recorded import NAMELESS, Frame, Item, bad_line

_LINE = re.compile(rb"(\d{19}) (.+)", re.DOTALL)


def recognises(line: bytes) -> bool:
    """See `ingest.formats.Format`."""
    return re.match(rb"\d{19} [\[{]", line) is not None


def read(lines: Iterable[bytes]) -> Iterator[Item]:
    """See `ingest.formats.Format`."""
    at = 0
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            yield bad_line(line, at)
            continue
        at = int(match[1]) // 1000
        yield Frame(at, NAMELESS, match[2])
