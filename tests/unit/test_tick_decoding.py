"""Trades and quotes read by compiled code: the records of the codec's own reader, and its errors."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DataValidationError
from market.quote import Quote
from market.trade import Trade
from schemas.codec import Codec, encode_body
from schemas.records import Record
from schemas.tick_decoding import read_ticks
from schemas.topics import QUOTES, TRADES
from tests.builders import START, make_trade
from tests.gateway_parts import make_quote
from tests.ingest_parts import IDS
from tests.unit.test_tick_encoding import MARKED, QUOTE, TICKER, TRADE

compiled = pytest.importorskip("schemas._tick_reading_compiled", exc_type=ImportError)

TOLD = make_trade()
SIDELESS = TOLD._replace(side=None, exchange_time=None, published_at=None)
SEVERAL = TOLD._replace(trade_id="a-b", first_trade_id="a", last_trade_id="b", trade_count=3, price=1, size=2**62)
TOP = make_quote(sequence=5, bid=1, bid_size=2, ask=3, ask_size=4, published_at=START)
DAY = TOP._replace(sequence=None, bid=None, change_24h=-5, mark_price=7, index_price=0)

PLAIN, SWIFT = (Codec(IDS, lambda schema_id: None) for _ in range(2))
read_ticks(SWIFT)
FRAMES = {Trade: PLAIN.header(TRADES.name, Trade), Quote: PLAIN.header(QUOTES.name, Quote)}
READERS: dict[type[Record], Callable[[bytes], Record | None]] = {Trade: compiled.decode_trade, Quote: compiled.decode_quote}


def read(codec: Codec, kind: type[Record], body: bytes) -> Record | str:
    try:
        return codec.decode(FRAMES[kind] + body)
    except DataValidationError as error:
        return f"{error.reason}: {error}"


def body_of(record: Any) -> bytes | None:
    try:
        return encode_body(record)
    except (DataValidationError, UnicodeEncodeError):
        return None


def assert_same(kind: type[Record], body: bytes) -> None:
    found, wanted = read(SWIFT, kind, body), read(PLAIN, kind, body)
    assert found == wanted
    assert type(found) is type(wanted)
    assert list(map(type, found)) == list(map(type, wanted))


@given(st.one_of(TRADE, QUOTE, MARKED, TICKER))
def test_records_are_read_as_by_the_schema(record: Trade | Quote) -> None:
    if (body := body_of(record)) is not None:
        assert_same(type(record), body)


@given(st.sampled_from([TOLD, SIDELESS, SEVERAL, TOP, DAY]), st.data())
def test_damaged_bytes_are_read_or_refused_as_by_the_schema(record: Trade | Quote, data: st.DataObject) -> None:
    body = bytearray(encode_body(record))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(0, len(body)) | st.just(len(body))) :]
    body += data.draw(st.binary(max_size=3))
    assert_same(type(record), bytes(body))


@pytest.mark.parametrize("record", [TOLD, SIDELESS, SEVERAL, TOP, DAY])
def test_what_streams_tell_is_not_left_to_the_codec(record: Trade | Quote) -> None:
    assert READERS[type(record)](encode_body(record)) == record


@pytest.mark.parametrize("kind", [Trade, Quote])
@pytest.mark.parametrize("body", [b"", b"\x00", b"\xff" * 40, b"\x02a" + b"\x00" * 30])
def test_what_is_no_plain_body_is_left_to_the_codec(kind: type[Record], body: bytes) -> None:
    assert READERS[kind](body) is None
    assert_same(kind, body)
