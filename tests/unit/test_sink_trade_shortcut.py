"""Trades read straight from their bytes: every entry is that of the whole way, and whatever is unusual goes it."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import PRECISION
from market.quality import EARLIEST, LATEST, MAX_CLOCK_SKEW
from market.trade import TimeMark, Trade
from schemas.codec import Codec
from schemas.topics import TOPICS, TRADES
from sinks.store import Entry, KafkaRecord
from sinks.stores import _postgres_shortcut
from sinks.stores._postgres_rows import RowMaker
from sinks.stores._postgres_shortcut import trade_reader
from sinks.translation import Translator
from tests.builders import INSTRUMENT, START, make_trade

IDS = {(topic.name, kind): number for number, (topic, kind) in enumerate((t, k) for t in TOPICS.values() for k in t.records)}
CODEC = Codec(IDS, lambda _id: None)
HEADER = CODEC.header(TRADES.name, Trade)
SHORTCUT = trade_reader(HEADER, MAX_CLOCK_SKEW)
WHOLE_WAY = Translator(CODEC.decode, RowMaker(1_000_000))

TIMES = st.one_of(st.integers(EARLIEST, LATEST - 1), st.integers(0, 10**6).map(lambda more: START + more))
FIGURES = st.one_of(st.integers(1, 10**19), st.integers(1, 10**PRECISION - 1))
ODD_NAMES = st.sampled_from(["a\\b", "a\tb", "\x00", "\u00e9", "x" * 63, "x" * 64])
NAMES = st.one_of(st.integers(0, 10**18).map(str), st.text(max_size=70), ODD_NAMES)

TRADE = st.builds(
    Trade,
    st.sampled_from([INSTRUMENT, "sse:600519", "no instrument", "v" * 32 + ":" + "C" * 64]),
    NAMES,
    st.integers(-(2**63), 2**63 - 1),
    FIGURES,
    FIGURES,
    st.sampled_from(["buy", "sell", None]),
    st.none() | TIMES,
    TIMES,
    NAMES,
    NAMES,
    st.integers(-1, 2**31 - 1),
    st.none() | TIMES,
    st.sampled_from([None, None, "backfill", "poll"]),
)


def source(trade: Trade, **changed: Any) -> KafkaRecord:
    value = CODEC.encode(TRADES.name, trade)
    appended = trade.received_at // 1000 + 1
    return KafkaRecord(TRADES.name, 3, 2**40 + 7, trade.instrument.encode(), value, appended)._replace(**changed)


def straight(record: KafkaRecord) -> Entry | None:
    if SHORTCUT is None:
        pytest.skip("the extension is not built here")
    return SHORTCUT(record)


def assert_same_or_refused(record: KafkaRecord) -> None:
    """What the shortcut gives is what the whole way gives, which refuses none of it."""
    found = straight(record)
    if found is not None:
        assert found == WHOLE_WAY(record)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"side": None},
        {"exchange_time": None},
        {"published_at": START},
        {"sequence": -5},
        {"price": 10**26 - 1, "size": 10**12},
        {"trade_id": "0xab:cd-EF", "first_trade_id": "1", "last_trade_id": "99", "trade_count": 12},
        {"instrument": "v" * 32 + ":" + "C" * 30},
        {"received_at": 951_782_400_000_000, "exchange_time": 951_782_399_999_999},  # 29 February 2000
        {"received_at": 1_735_689_599_999_999, "exchange_time": EARLIEST},
    ],
)
def test_ordinary_trades_take_the_shortcut(changed: dict[str, Any]) -> None:
    record = source(make_trade(7)._replace(**changed))
    assert straight(record) == WHOLE_WAY(record) is not None


@given(TRADE)
def test_the_shortcut_gives_what_the_whole_way_gives(trade: Trade) -> None:
    assert_same_or_refused(source(trade))


@given(TIMES, st.integers(-10_000, 10_000))
def test_a_shortcut_believes_no_time_that_the_whole_way_does_not(received_at: int, milliseconds: int) -> None:
    trade = make_trade(7, received_at=received_at)._replace(exchange_time=received_at + milliseconds * 1000)
    assert_same_or_refused(source(trade))
    assert_same_or_refused(source(trade, timestamp_ms=received_at // 1000 - 5_000 + milliseconds % 7 - 3))


@given(st.integers(0, 200), st.integers(0, 255), st.binary(max_size=3))
def test_damaged_values_are_never_read_otherwise(place: int, byte: int, more: bytes) -> None:
    value = bytearray(source(make_trade(7)).value or b"")
    value[place % len(value)] = byte
    assert_same_or_refused(source(make_trade(7), value=bytes(value) + more))
    assert_same_or_refused(source(make_trade(7), value=bytes(value[: place % len(value)])))


@pytest.mark.parametrize(
    "changed",
    [
        {"topic": "md.quotes"},
        {"key": None},
        {"key": b"binance:ETH-USDT"},
        {"value": None},
        {"value": b""},
        {"value": struct.pack(">bI", 0, 999)},
        {"value": CODEC.encode(TRADES.name, make_trade(7)._replace(origin="poll"))},
        {"value": CODEC.encode(TRADES.name, TimeMark(INSTRUMENT, START))},
    ],
)
def test_whatever_is_no_trade_under_its_key_goes_the_whole_way(changed: dict[str, Any]) -> None:
    assert straight(source(make_trade(7), **changed)) is None


def test_a_trade_with_a_new_field_goes_the_whole_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_postgres_shortcut, "_FIELDS", (*Trade._fields, "liquidation"))
    assert trade_reader(HEADER, MAX_CLOCK_SKEW) is None


def test_a_translator_asks_its_shortcut_first() -> None:
    record, other = source(make_trade(7)), source(make_trade(8))
    kept = Entry(record, "row")
    translate = Translator(CODEC.decode, lambda trade, _source: trade, shortcut=lambda each: kept if each is record else None)
    assert translate(record) is kept
    found = translate(other)
    assert found is not None
    assert found.row == make_trade(8)
