"""Recordings of cryptofeed: text lines of REST answers, connections, frames sent and frames received.

A file holds one connection. It is nameless: the URL does not tell it from other connections to the same server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ingest.recorded import NAMELESS, Answer, Frame, Item, Opened, Skipped, bad_line, line_by_line, micros_of_seconds

_TIME = rb"(\d{9,11}(?:\.\d+)?)"
_RECEIVED = re.compile(_TIME + rb": (.*)", re.DOTALL)
_OPENED = re.compile(rb"(wss?://\S+) <-> " + _TIME)
_SENT = re.compile(rb"wss?://\S+ <- " + _TIME + rb": .*", re.DOTALL)
_ANSWERED = re.compile(rb"(https?://\S+) -> " + _TIME + rb": (.*)", re.DOTALL)
_CONFIGURATION = b"configuration: "


def recognises(line: bytes) -> bool:
    """See `ingest.formats.Format`."""
    return line.startswith(_CONFIGURATION) or any(form.fullmatch(line) for form in (_RECEIVED, _OPENED, _SENT, _ANSWERED))


def read(lines: Iterable[bytes]) -> Iterator[Item]:
    """See `ingest.formats.Format`."""
    return line_by_line(lines, _item)


def _item(line: bytes, at: int) -> Item:
    if match := _RECEIVED.fullmatch(line):
        return Frame(micros_of_seconds(match[1]), NAMELESS, match[2])
    if match := _SENT.fullmatch(line):
        return Skipped(micros_of_seconds(match[1]), "sent")
    if match := _OPENED.fullmatch(line):
        return Opened(micros_of_seconds(match[2]), NAMELESS, match[1].decode(errors="replace"))
    if match := _ANSWERED.fullmatch(line):
        return Answer(micros_of_seconds(match[2]), match[1].decode(errors="replace"), match[3])
    return Skipped(at, "configuration") if line.startswith(_CONFIGURATION) else bad_line(line, at)
