"""Order books as their agent keeps them: the head of each, its levels by pages, and how far a partition was read."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from market.book_tops import BookHead
from market.depth import BookState, Level
from processors.expiry import Reached
from processors.states.form import HEAD, MAYBE_LONG, MAYBE_TEXT, define, encode, head, read, reflected_offset
from schemas.depth_decoding import decode_levels
from schemas.primitives import encode_array

BOOK_HEAD = define(
    "BookHead",
    state="string",
    sequence=MAYBE_LONG,
    exchange_time=MAYBE_LONG,
    told_state=MAYBE_TEXT,
    told_at="long",
)

REACHED = define("Reached", resumed_at="long")


def encode_book_head(book: BookHead) -> bytes:
    """Bytes of what is remembered of a book besides its levels."""
    body = encode(
        BOOK_HEAD,
        {
            "state": book.state.value,
            "sequence": book.sequence,
            "exchange_time": book.exchange_time,
            "told_state": book.told_state and book.told_state.value,
            "told_at": book.told_at,
        },
    )
    return head(book.applied_offset) + body


def decode_book_head(data: bytes | None) -> BookHead:
    """What is remembered of a book; the empty state of none."""
    if data is None:
        return BookHead()
    offset, values = read(BOOK_HEAD, data)
    told = values.pop("told_state")
    return BookHead(offset, BookState(values.pop("state")), **values, told_state=told and BookState(told))


def encode_reached(reached: Reached) -> bytes:
    """Bytes of how far a partition was read."""
    return head(reached.offset) + encode(REACHED, {"resumed_at": reached.resumed_at})


def decode_reached(data: bytes | None) -> Reached:
    """How far a partition was read; not at all where there is nothing."""
    if data is None:
        return Reached()
    offset, values = read(REACHED, data)
    return Reached(offset, **values)


def encode_levels_page(reflected: int, encoded: Collection[bytes]) -> bytes:
    """Bytes of some levels of a book, each encoded by `schemas.depth_encoding`, that reflect messages up to an offset."""
    return head(reflected) + encode_array(encoded)


def decode_levels_page(data: bytes) -> tuple[int, Sequence[Level]]:
    """The offset up to which levels reflect messages, and the levels."""
    offset = reflected_offset(data)
    return offset, decode_levels(data, HEAD.size)[0]
