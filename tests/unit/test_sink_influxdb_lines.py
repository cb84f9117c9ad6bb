"""InfluxDB's lines: read back by an independent parser, and always of the same types."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.errors import DataValidationError
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from market.valuation_record import Valuation
from schemas.records import Record
from sinks.stores._influxdb_lines import TICKS, VERSIONS, fields_of, row_of, series, text
from tapeline.topic_docs.examples import example
from tests.influx_points import TOTALS, point_of

NAMES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1).filter(
    lambda name: name.isprintable() and not name.endswith("\\")
)
TEXTS = st.text(st.characters(codec="utf-8"))
FIGURES = st.integers(-(10**38) + 1, 10**38 - 1)
AMOUNTS = st.integers(-(10**50) + 1, 10**50 - 1)
LONGS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.integers(0, 4_102_444_800_000_000)
OPEN, CLOSE = st.just(100), st.just("1")


class Point(NamedTuple):
    measurement: str
    tags: dict[str, str]
    fields: dict[str, Any]
    time: int


def parse(line: str) -> Point:
    """Read a line by the rules of the line protocol's description, one sign after the other."""
    place = 0

    def until(ends: str) -> str:
        nonlocal place
        found = ""
        while place < len(line) and line[place] not in ends:
            if line[place] == "\\" and place + 1 < len(line) and line[place + 1] in ",= ":
                place += 1
            found += line[place]
            place += 1
        return found

    def value() -> Any:
        nonlocal place
        if line[place] != '"':
            return scalar(until(", "))
        place, found = place + 1, ""
        while line[place] != '"':
            if line[place] == "\\" and line[place + 1] in '"\\':
                place += 1
            found += line[place]
            place += 1
        place += 1
        return found

    measurement, tags, fields = until(", "), dict[str, str](), dict[str, Any]()
    while line[place] == ",":
        place += 1
        name = until("=")
        place += 1
        tags[name] = until(", ")
    while line[place] in " ,":
        place += 1
        if "=" not in line[place:] or re.fullmatch(r"-?\d+", line[place:]):
            break
        name = until("=")
        place += 1
        assert name not in fields
        fields[name] = value()
    return Point(measurement, tags, fields, int(line[place:]))


def scalar(word: str) -> Any:
    if word in ("t", "f"):
        return word == "t"
    return int(word[:-1]) if word.endswith("i") else float(word)


def parsed(record: Record) -> Point:
    row = row_of(record)
    assert row is not None
    [fields] = fields_of([row])
    return parse(f"{row.series} {fields} {row.time * 1000}")


trades = st.builds(
    Trade, NAMES, TEXTS, LONGS, FIGURES, FIGURES, st.sampled_from(["buy", "sell", None]), st.none() | TIMES, TIMES, TEXTS, TEXTS
)
maybe = st.none() | FIGURES
quotes = st.builds(
    Quote, NAMES, NAMES, st.none() | LONGS, *[maybe] * 10, st.none() | AMOUNTS, maybe, maybe, st.none() | TIMES, TIMES
)
klines = st.builds(
    Kline,
    *(NAMES, NAMES, TIMES, FIGURES, FIGURES, FIGURES, FIGURES, maybe, st.none() | AMOUNTS, st.none() | LONGS, maybe),
    *(st.none() | TEXTS, st.none() | TEXTS, st.booleans(), st.none() | TIMES, TIMES),
)
candles = st.builds(
    CandleEvent,
    *(NAMES, NAMES, TIMES, TIMES, st.sampled_from(CandleEventKind), LONGS, FIGURES, FIGURES, FIGURES, FIGURES, FIGURES),
    *(AMOUNTS, FIGURES, maybe, LONGS, TEXTS, TEXTS, st.booleans(), st.booleans(), st.booleans(), TIMES, TIMES),
    *(NAMES, st.integers(0, 9), LONGS),
)
changes = st.builds(
    PriceChangedEvent,
    *(NAMES, FIGURES, FIGURES, FIGURES, FIGURES, LONGS, st.booleans(), st.none() | TIMES, TIMES, NAMES, st.integers(0, 9)),
    LONGS,
)
events = st.builds(
    QualityEvent,
    *(NAMES, st.sampled_from(QualityRule), st.sampled_from(Severity), st.none() | TEXTS, st.none() | AMOUNTS),
    *(st.none() | AMOUNTS, LONGS, TEXTS, TIMES, TIMES, st.none() | TEXTS, st.none() | TIMES, NAMES, st.integers(0, 9), LONGS),
)
scores = st.builds(
    QualityScore,
    *(NAMES, TIMES, LONGS, st.dictionaries(st.sampled_from([rule.value for rule in QualityRule]), LONGS)),
    *(st.integers(0, 60), FIGURES, TIMES, NAMES, st.integers(0, 9), LONGS),
)
statuses = st.builds(FeedStatus, NAMES, NAMES, NAMES, st.sampled_from(FeedState), TEXTS, TIMES)


def valuation(portfolio: str, currency: str, total: int | None, count: int, time: int) -> Valuation:
    known: dict[str, Any] = {"portfolio_id": portfolio, "base_currency": currency, "sequence": count, "valued_at": time}
    return cast("Valuation", example(Valuation))._replace(**dict.fromkeys(TOTALS, total), **known)


fundings = st.builds(
    Funding, NAMES, NAMES, FIGURES, st.none() | TIMES, st.none() | LONGS, maybe, maybe, st.none() | TIMES, TIMES
)
interests = st.builds(OpenInterest, NAMES, NAMES, FIGURES, st.none() | AMOUNTS, st.none() | TIMES, TIMES)
valuations = st.builds(
    valuation,
    *(NAMES, NAMES, st.none() | AMOUNTS, LONGS, TIMES),
)
records = st.one_of(valuations, trades, quotes, klines, fundings, interests, candles, changes, events, scores, statuses)


@settings(max_examples=200)
@given(records)
def test_line_reads_back_as_the_point_it_should_be(record: Any) -> None:
    point = parsed(record)
    wanted = point_of(record)
    assert (point.measurement, tuple(sorted(point.tags.items()))) == (wanted.measurement, wanted.tags)
    assert (tuple(sorted(point.fields.items())), point.time) == (wanted.fields, wanted.time * 1000)


_SEEN: dict[tuple[str, str], type] = {}


@given(records)
def test_field_has_one_type_for_ever(record: Any) -> None:
    point = parsed(record)
    for name, found in point.fields.items():
        assert _SEEN.setdefault((point.measurement, name), type(found)) is type(found), name


@given(trades)
def test_time_is_the_exchanges_or_else_the_receivers(trade: Trade) -> None:
    wanted = trade.received_at if trade.exchange_time is None else trade.exchange_time
    assert parsed(trade).time == wanted * 1000


def test_marks_leave_no_point() -> None:
    assert row_of(TimeMark("binance:BTC-USDT", 5)) is None
    assert row_of(GapMark("binance:BTC-USDT", 5, 6)) is None


@given(records)
def test_ticks_have_no_version_and_states_that_have_one_name_its_fields(record: Record) -> None:
    row, point = row_of(record), parsed(record)
    assert row is not None
    assert (row.version is None) == (row.measurement not in VERSIONS)
    if row.version is not None:
        assert row.version == tuple(point.fields[name] for name in VERSIONS[row.measurement])
        assert dict(row.tags) == point.tags
        assert row.measurement not in TICKS


@pytest.mark.parametrize("value", ["", "a\nb", "a\x00", "ends with \\", "\t"])
def test_tag_that_a_line_cannot_hold_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(DataValidationError, match=r"instrument: .* cannot be a tag") as caught:
        series("trades", ("instrument", value))
    assert (caught.value.reason, caught.value.field) == ("not_storable", "instrument")


def test_line_of_a_trade() -> None:
    trade = Trade("binance:BTC-USDT", 'a"b', 7, 61_685_990_000_000_000, ONE // 2, "buy", 5, 6, "1", "1")
    row = row_of(trade)
    assert row is not None
    assert row.series == "trades,instrument=binance:BTC-USDT,side=buy"
    fields = (
        f"price=61685.99,size=0.5,amount=30842.995,trade_id={text(trade.trade_id)},sequence=7i,trade_count=1i,received_at=6i"
    )
    assert fields_of([row]) == [fields]
    assert row.time == 5


@given(st.lists(records, max_size=8))
def test_fields_of_many_rows_are_those_of_each(some: list[Any]) -> None:
    rows = [row for record in some if (row := row_of(record)) is not None]
    assert fields_of(rows) == [fields for row in rows for fields in fields_of([row])]
