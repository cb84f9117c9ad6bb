"""What a recording holds, whatever its format: the events of its lines in the order of time.

Times are microseconds since the epoch, UTC, by the recorder's clock; finer digits are cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from market.errors import DataValidationError, MarketDataError


class RecordingError(MarketDataError):
    """A recording cannot be read or written; the message names the file."""

    exit_code = 1


NAMELESS = ""
"""The line of a recording that does not name its connections: there is one, of the file."""


class Opened(NamedTuple):
    """A connection was opened. `market` is the venue's market where the recording says so itself."""

    at: int
    line: str
    url: str
    market: str | None = None


class Frame(NamedTuple):
    """A frame was received, verbatim."""

    at: int
    line: str
    data: bytes


class Closed(NamedTuple):
    """A connection was lost."""

    at: int
    line: str
    reason: str


class Ended(NamedTuple):
    """The recording of a connection ends; whether the connection went on is not known."""

    at: int
    line: str


class Answer(NamedTuple):
    """A REST request was answered."""

    at: int
    url: str
    body: bytes


class Skipped(NamedTuple):
    """Something else that recorders note, by name."""

    at: int
    name: str


class Unreadable(NamedTuple):
    """A line of the file that is not as its format has it."""

    at: int
    data: bytes
    error: DataValidationError


Item = Opened | Frame | Closed | Ended | Answer | Skipped | Unreadable

_FRACTION_DIGITS = 6


def micros_of_seconds(text: bytes) -> int:
    """Microseconds of unix seconds in decimal text (1633998512.0633569), further digits cut off."""
    whole, _, fraction = text.partition(b".")
    return int(whole) * 1_000_000 + int(fraction[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, b"0"))


def line_by_line(lines: Iterable[bytes], item_of: Callable[[bytes, int], Item]) -> Iterator[Item]:
    """One item of each line; `item_of` is given the line and the time of the item before it, for lines without a time."""
    at = 0
    for line in lines:
        item = item_of(line, at)
        at = item.at
        yield item


def bad_line(data: bytes, at: int) -> Unreadable:
    """A line that its format does not explain."""
    return Unreadable(at, data, DataValidationError("bad_line", f"{data[:80]!r} is no line of this format"))
