"""Trades and quotes written by hand and by compiled code: the bytes of the codec's own writer, and its errors."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import PRECISION
from market.errors import DataValidationError
from market.quote import Quote
from market.trade import Trade
from schemas import tick_encoding
from schemas.codec import Codec, encode_body
from schemas.tick_encoding import write_ticks
from schemas.topics import QUOTES, TRADES
from tests.builders import INSTRUMENT, START, make_trade
from tests.ingest_parts import IDS

compiled = pytest.importorskip("schemas._ticks_compiled", exc_type=ImportError)

LONGS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3).flatmap(lambda more: st.sampled_from([2**bits + more for bits in range(62)])),
)
TOO_LONG = st.one_of(LONGS, st.integers(-(2**70), 2**70))
FIGURES = st.one_of(
    st.integers(-(10**PRECISION) - 2, 10**PRECISION + 2),
    st.integers(-3, 3).flatmap(lambda more: st.sampled_from([2**bits + more for bits in range(127)])),
)
NAMES = st.one_of(st.integers(0, 10**18).map(str), st.text(max_size=300), st.sampled_from(["", "é", "\ud800", "x" * 64]))
TRADE = st.builds(
    Trade,
    NAMES,
    NAMES,
    TOO_LONG,
    FIGURES,
    FIGURES,
    st.sampled_from(["buy", "sell", None, "hold"]),
    st.none() | TOO_LONG,
    TOO_LONG,
    NAMES,
    NAMES,
    st.one_of(st.just(1), st.integers(-(2**33), 2**33)),
    st.none() | TOO_LONG,
    st.sampled_from([None, None, "poll"]),
)
MAYBE = st.none() | FIGURES
QUOTE = st.builds(
    Quote, NAMES, NAMES, st.none() | TOO_LONG, *[MAYBE] * 4, *[st.none()] * 9, st.none() | TOO_LONG, TOO_LONG, st.none() | LONGS
)
MARKED = st.builds(lambda quote, mark, index: quote._replace(mark_price=mark, index_price=index), QUOTE, MAYBE, MAYBE)
TICKER = st.builds(
    Quote, NAMES, NAMES, st.none() | LONGS, *[MAYBE] * 13, st.none() | LONGS, LONGS, st.none() | LONGS, MAYBE, MAYBE
)
TRADE_WRITERS = [tick_encoding.encode_trade, compiled.encode_trade]
QUOTE_WRITERS = [tick_encoding.encode_quote, compiled.encode_quote]


def outcome(write: Callable[[Any], bytes], record: Any) -> bytes | tuple[str, str]:
    try:
        return write(record)
    except DataValidationError as error:
        return error.reason, str(error)


@given(TRADE)
def test_every_writer_of_trades_does_what_the_codec_does(trade: Trade) -> None:
    wanted = outcome(encode_body, trade)
    assert [outcome(write, trade) for write in TRADE_WRITERS] == [wanted, wanted]


@given(QUOTE | MARKED | TICKER)
def test_every_writer_of_quotes_does_what_the_codec_does(quote: Quote) -> None:
    wanted = outcome(encode_body, quote)
    assert [outcome(write, quote) for write in QUOTE_WRITERS] == [wanted, wanted]


@given(st.binary(min_size=5, max_size=5), TRADE | QUOTE, LONGS)
def test_every_writer_stamps_as_the_codec_would_write(header: bytes, record: Trade | Quote, at: int) -> None:
    wanted = outcome(encode_body, record._replace(published_at=at))
    writers: list[Any] = TRADE_WRITERS if isinstance(record, Trade) else QUOTE_WRITERS
    for write in writers:
        found = outcome(partial(write, header=header, published_at=at), record)
        assert found == (header + wanted if isinstance(wanted, bytes) else wanted)


@pytest.mark.parametrize("write", TRADE_WRITERS)
def test_what_is_no_value_of_its_field_is_left_to_the_codec(write: Callable[[Any], bytes]) -> None:
    usual = make_trade(1)._replace(published_at=START)
    write(usual)  # equal values of another class may be remembered from now on
    for changed in (
        *({"price": "1"}, {"price": None}, {"price": float(usual.price)}, {"sequence": 1.5}, {"trade_id": b"1"}),
        *({"received_at": None}, {"published_at": float(START)}, {"exchange_time": float(START)}),
    ):
        odd = usual._replace(**changed)
        assert outcome(write, odd) == outcome(encode_body, odd)


@pytest.mark.parametrize("is_built", [True, False])
def test_a_codec_reads_back_what_the_writers_wrote(is_built: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_built:
        monkeypatch.setitem(sys.modules, "schemas._ticks_compiled", None)
    codec = Codec(IDS, lambda _id: None)
    write_ticks(codec)
    quote = Quote._make((INSTRUMENT, "bookTicker", 7, 1, 2, 10**20, 4, *[None] * 9, None, START, START + 5, None, None))
    marked = quote._replace(mark_price=8, index_price=9)
    for topic, record in ((TRADES, make_trade(1)._replace(published_at=START + 1)), (QUOTES, quote), (QUOTES, marked)):
        assert codec.decode(codec.encode(topic.name, record)) == record
