"""Our own recordings, as `ingest.capture` writes them: JSON lines.

The first line is the header; a capture that was continued has further ones. Each other line has `at` in microseconds and
`line`, and one of `frame` (text), `base64` (a frame that is no text), `opened` (a URL, with `market`), `closed` (a reason).
The answer to a REST request has its URL as `answered` and its text as `frame`.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator

import msgspec

from ingest.recorded import Answer, Closed, Frame, Item, Opened, Skipped, bad_line, line_by_line

FORMAT, VERSION = "tapeline-capture", 1


class Header(msgspec.Struct):
    """First line of a capture."""

    venue: str
    format: str = FORMAT
    version: int = VERSION


class Entry(msgspec.Struct, omit_defaults=True):
    """Any other line."""

    at: int
    line: str
    frame: str | None = None
    base64: str | None = None
    opened: str | None = None
    market: str | None = None
    closed: str | None = None
    answered: str | None = None


_HEADER = msgspec.json.Decoder(Header)
_ENTRY = msgspec.json.Decoder(Entry)


def recognises(line: bytes) -> bool:
    """See `ingest.formats.Format`."""
    try:
        header = _HEADER.decode(line)
    except msgspec.DecodeError:
        return False
    return header.format == FORMAT and b'"format"' in line


def read(lines: Iterable[bytes]) -> Iterator[Item]:
    """See `ingest.formats.Format`."""
    return line_by_line(lines, _item)


def _item(line: bytes, at: int) -> Item:
    if recognises(line):
        return Skipped(at, "header") if _HEADER.decode(line).version == VERSION else bad_line(line, at)
    try:
        entry = _ENTRY.decode(line)
        data = b64decode(entry.base64, validate=True) if entry.base64 is not None else None
    except (msgspec.DecodeError, ValueError):
        return bad_line(line, at)
    if entry.answered is not None:
        return Answer(entry.at, entry.answered, (entry.frame or "").encode())
    if entry.frame is not None:
        return Frame(entry.at, entry.line, entry.frame.encode())
    if data is not None:
        return Frame(entry.at, entry.line, data)
    if entry.opened is not None:
        return Opened(entry.at, entry.line, entry.opened, entry.market)
    return Closed(entry.at, entry.line, entry.closed) if entry.closed is not None else bad_line(line, at)
