"""What the channels of a topic say of an instrument's prices; values of version 2 had no mark and index prices."""

from __future__ import annotations

from typing import Any

from fastavro.types import Schema

from market.latest_price import Statement, Statements
from market.quote import Quote
from processors.states.form import MAYBE_AMOUNT, MAYBE_LONG, MAYBE_PRICE, array, define, encode, head, read, record


def _statements(**later: Any) -> Schema:
    return define(
        "Statements",
        said=array(
            record(
                "Statement",
                offset="long",
                tells_book="boolean",
                channel="string",
                sequence=MAYBE_LONG,
                bid=MAYBE_PRICE,
                bid_size=MAYBE_PRICE,
                ask=MAYBE_PRICE,
                ask_size=MAYBE_PRICE,
                last=MAYBE_PRICE,
                last_size=MAYBE_PRICE,
                open_24h=MAYBE_PRICE,
                high_24h=MAYBE_PRICE,
                low_24h=MAYBE_PRICE,
                volume_24h=MAYBE_PRICE,
                amount_24h=MAYBE_AMOUNT,
                change_24h=MAYBE_PRICE,
                change_percent_24h=MAYBE_PRICE,
                exchange_time=MAYBE_LONG,
                received_at="long",
                published_at=MAYBE_LONG,
                **later,
            )
        ),
    )


_VERSION = 3
STATEMENTS, STATEMENTS_2 = _statements(mark_price=MAYBE_PRICE, index_price=MAYBE_PRICE), _statements()


def encode_statements(statements: Statements) -> bytes:
    """Bytes of what the channels of one topic say of an instrument."""
    said = [
        one.quote._asdict() | {"offset": one.offset, "tells_book": one.tells_book} for one in statements.by_channel.values()
    ]
    return head(statements.applied_offset, _VERSION) + encode(STATEMENTS, {"said": said})


def decode_statements(data: bytes | None, instrument: str, source: tuple[str, int]) -> Statements:
    """What the channels of one topic say of an instrument, nothing of none; `source` is topic and partition."""
    if data is None:
        return Statements()
    offset, values = read(STATEMENTS, data, _VERSION) if data[:1] == bytes([_VERSION]) else read(STATEMENTS_2, data)
    by_channel = {}
    for said in values["said"]:
        place, tells_book = said.pop("offset"), said.pop("tells_book")
        by_channel[said["channel"]] = Statement(Quote(instrument=instrument, **said), tells_book, *source, place)
    return Statements(offset, by_channel)
