"""Recordings of hftbacktest's collectors: receive time in nanoseconds, a space, the frame. They do not name connections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ingest.recorded import NAMELESS, Frame, Item, bad_line, line_by_line

_LINE = re.compile(rb"(\d{19}) (.+)", re.DOTALL)


def recognises(line: bytes) -> bool:
    """See `ingest.formats.Format`."""
    return re.match(rb"\d{19} [\[{]", line) is not None


def read(lines: Iterable[bytes]) -> Iterator[Item]:
    """See `ingest.formats.Format`."""
    return line_by_line(lines, _item)


def _item(line: bytes, at: int) -> Item:
    match = _LINE.fullmatch(line)
    return bad_line(line, at) if match is None else Frame(int(match[1]) // 1000, NAMELESS, match[2])
