"""Dead letters as text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from market.dead_letter import DeadLetter, LetterReplay
from market.errors import DataValidationError
from schemas.records import Record
from tapeline.dead_letters.shelf import Letter, Shelf, by_reason

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_BYTES = 600
_WORDS = 60


def table_of(shelf: Shelf, letters: Sequence[Letter]) -> Table:
    """A line for each letter."""
    table = Table("number", "refused", "by", "met at", "reason", "error", "replayed", box=None, pad_edge=False)
    for letter in letters:
        error = " ".join(letter.error.split())
        error = error if len(error) <= _WORDS else error[: _WORDS - 1] + "…"
        replayed = shelf.replayed_at(letter)
        state = "" if replayed is None else f"at {replayed}"
        when = time_text(letter.failed_at)[:-8]
        cells = str(letter.number), when, letter.stage, letter.place_text, letter.reason, error, state
        table.add_row(*map(Text, cells))  # what was refused may look like markup
    return table


def totals(letters: Sequence[Letter], strange: int) -> Iterator[str]:
    """How many there are, by source and reason."""
    yield f"{len(letters)} letters" + (f", and {strange} records that are none" if strange else "")
    for source, reason, count in by_reason(letters):
        yield f"{count:8d} {source} {reason}"


def whole(
    number: int, letter: DeadLetter, notes: Sequence[LetterReplay], decode: Callable[[bytes | None], Record]
) -> Iterator[str]:
    """Everything about one letter."""
    place = "" if letter.source_partition is None else f", partition {letter.source_partition}, offset {letter.source_offset}"
    yield f"number    {number}"
    yield f"met at    {letter.source}{place}"
    yield f"refused   by {letter.stage} at {time_text(letter.failed_at)}"
    yield f"reason    {letter.reason}" + (f", field {letter.field}" if letter.field else "")
    yield f"error     {letter.error}"
    yield f"key       {bytes_text(letter.key)}"
    yield f"value     {bytes_text(letter.value)}" + (" (only its beginning was kept)" if letter.truncated else "")
    yield f"decoded   {_decoded(letter, decode)}"
    for note in notes:
        yield f"replay    {_note_text(note)}"


def bytes_text(data: bytes | None) -> str:
    """Bytes as they are where they are text, else in hexadecimal; cut where they are many."""
    if data is None:
        return "none"
    head = data[:_MOST_BYTES]
    text = head.decode(errors="replace")
    shown = head.hex(" ") if "\ufffd" in text or not text.isprintable() else text
    return f"{len(data)} bytes: {shown}{'…' if len(data) > len(head) else ''}"


def time_text(micros: int) -> str:
    """An instant, UTC."""
    return f"{_EPOCH + timedelta(microseconds=micros):%Y-%m-%d %H:%M:%S.%f}Z"


def _decoded(letter: DeadLetter, decode: Callable[[bytes | None], Record]) -> str:
    if letter.truncated:
        return "not tried"
    try:
        return str(decode(letter.value))
    except DataValidationError as error:
        return f"no: {error}"


def _note_text(note: LetterReplay) -> str:
    if note.error is not None:
        state = f"not sent: {note.error}"
    else:
        state = "begun" if note.offset is None else f"lies at offset {note.offset}"
    return f"{time_text(note.noted_at)} by {note.run}: {state}"
