"""Recordings of cryptofeed as JSON lines: `t` says what happened, `ts` when (unix seconds), `data` holds the frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ingest.recorded import NAMELESS, Answer, Frame, Item, Opened, Skipped, bad_line, line_by_line, micros_of_seconds


class _Line(msgspec.Struct):
    t: str
    ts: msgspec.Raw = msgspec.Raw(b"0")  # as text: a float would not hold the microseconds
    conn: str = NAMELESS
    addr: str = ""
    url: str = ""
    data: str = ""


_DECODER = msgspec.json.Decoder(_Line)
_KINDS = ("header", "http", "connect", "send", "recv")


def recognises(line: bytes) -> bool:
    """See `ingest.formats.Format`."""
    try:
        return _DECODER.decode(line).t in _KINDS
    except msgspec.DecodeError:
        return False


def read(lines: Iterable[bytes]) -> Iterator[Item]:
    """See `ingest.formats.Format`."""
    return line_by_line(lines, _item)


def _item(line: bytes, at: int) -> Item:
    try:
        noted = _DECODER.decode(line)
        at = micros_of_seconds(bytes(noted.ts)) or at
    except (msgspec.DecodeError, ValueError):
        return bad_line(line, at)
    if noted.t == "recv":
        return Frame(at, noted.conn, noted.data.encode())
    if noted.t == "connect":
        return Opened(at, noted.conn, noted.addr)
    if noted.t == "http":
        return Answer(at, noted.url, noted.data.encode())
    return Skipped(at, "sent" if noted.t == "send" else noted.t)
