"""Trades read straight from their bytes: every entry is that of the whole way, and whatever is unusual goes it."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import PRECISION
from market.errors import DataValidationError
from market.quality import EARLIEST, LATEST, MAX_CLOCK_SKEW
from market.trade import TimeMark, Trade
from schemas.codec import Codec
from schemas.topics import TOPICS, TRADES
from sinks.store import Entry, KafkaRecord
from sinks.stores import _influxdb_shortcut, _postgres_shortcut, _trade_reading
from sinks.stores._influxdb_lines import fields_of, row_of, trade_series
from sinks.stores._postgres_rows import RowMaker
from sinks.translation import Translator
from tests.builders import INSTRUMENT, START, make_trade

IDS = {(topic.name, kind): number for number, (topic, kind) in enumerate((t, k) for t in TOPICS.values() for k in t.records)}
CODEC = Codec(IDS, lambda _id: None)
HEADER = CODEC.header(TRADES.name, Trade)
SHORTCUTS = {
    "postgres": _postgres_shortcut.trade_reader(HEADER, MAX_CLOCK_SKEW),
    "influxdb": _influxdb_shortcut.trade_reader(HEADER, MAX_CLOCK_SKEW, trade_series),
}
WHOLE_WAYS = {
    "postgres": Translator(CODEC.decode, RowMaker(1_000_000)),
    "influxdb": Translator(CODEC.decode, lambda record, _source: row_of(record)),
}
STORES = list(SHORTCUTS)

TIMES = st.one_of(st.integers(EARLIEST, LATEST - 1), st.integers(0, 10**6).map(lambda more: START + more))
FIGURES = st.one_of(
    st.integers(1, 10**19), st.integers(1, 10**PRECISION - 1), st.integers(-99, 99).map(lambda more: 2**53 + more)
)
ODD_NAMES = st.sampled_from(["a\\b", 'a"b', "a b=c,d", "a\tb", "\x00", "\u00e9", "x" * 63, "x" * 64])
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


def straight(store: str, record: KafkaRecord) -> Entry | None:
    shortcut = SHORTCUTS[store]
    if shortcut is None:
        pytest.skip("the extension is not built here")
    return shortcut(record)


def assert_same_or_refused(record: KafkaRecord) -> None:
    """What a shortcut gives is what the whole way gives, which refuses none of it."""
    for store in STORES:
        found = straight(store, record)
        if found is not None:
            assert found == WHOLE_WAYS[store](record)


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
@pytest.mark.parametrize("store", STORES)
def test_ordinary_trades_take_the_shortcut(store: str, changed: dict[str, Any]) -> None:
    record = source(make_trade(7)._replace(**changed))
    assert straight(store, record) == WHOLE_WAYS[store](record) is not None


def test_fields_of_a_point_are_those_of_the_whole_way() -> None:
    record = source(make_trade(7)._replace(price=61_234_567_890_123_456, size=1, trade_id="0xab cd", sequence=-5))
    found = straight("influxdb", record)
    assert found is not None
    assert fields_of([found.row]) == [
        'price=61234.56789012346,size=1e-12,amount=6.123456789012346e-8,trade_id="0xab cd",sequence=-5i,'
        f"trade_count=1i,received_at={found.received_at}i"
    ]


def test_series_that_is_not_to_be_stored_goes_the_whole_way_until_it_is() -> None:
    answers = [DataValidationError("too_many_series", "beyond the budget"), "trades,instrument=x"]

    def series(instrument: str, side: str | None) -> str:
        assert (instrument, side) == (INSTRUMENT, "buy")
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return str(answer)

    shortcut = _influxdb_shortcut.trade_reader(HEADER, MAX_CLOCK_SKEW, series)
    if shortcut is None:
        pytest.skip("the extension is not built here")
    record = source(make_trade(7)._replace(side="buy"))
    assert shortcut(record) is None
    for _ in range(2):  # the second time it is known
        found = shortcut(record)
        assert found is not None
        assert found.row.series == "trades,instrument=x"


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
    for store in STORES:
        assert straight(store, source(make_trade(7), **changed)) is None


def test_a_trade_with_a_new_field_goes_the_whole_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trade_reading, "_FIELDS", (*Trade._fields, "liquidation"))
    assert _postgres_shortcut.trade_reader(HEADER, MAX_CLOCK_SKEW) is None
    assert _influxdb_shortcut.trade_reader(HEADER, MAX_CLOCK_SKEW, trade_series) is None


def test_a_translator_asks_its_shortcut_first() -> None:
    record, other = source(make_trade(7)), source(make_trade(8))
    kept = Entry(record, "row")
    translate = Translator(CODEC.decode, lambda trade, _source: trade, shortcut=lambda each: kept if each is record else None)
    assert translate(record) is kept
    found = translate(other)
    assert found is not None
    assert found.row == make_trade(8)
