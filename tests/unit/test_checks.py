"""What a topic carries: records of its kinds, with sound figures, under their own key."""

import json
import struct
from collections.abc import Container
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.book_top import BookTop
from market.depth import BookState, Depth, DepthKind, Level
from market.errors import DataValidationError
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition, InstrumentType
from market.open_interest import OpenInterest
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore
from market.quote import Kline
from market.trade import GapMark, TimeMark, Trade
from schemas.checks import check_carried
from schemas.codec import Codec
from schemas.records import Record, schema_text
from schemas.topics import TOPICS
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.gateway_parts import make_candle, make_quote
from tests.ingest_parts import IDS
from tests.price_parts import make_price

CODEC = Codec(IDS, lambda _id: None)
STATUS = FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START, source="primary")
KLINE = Kline(INSTRUMENT, "1m", START, 10, 12, 9, 11, 0, None, None, None, None, None, False, None, START)
CHANGE = PriceChangedEvent(INSTRUMENT, 100, 110, 10, 10**13, 3, True, None, START, "md.trades", 2, 70)
LEVELS = ((Level(99, 1),), (Level(101, 3),))
DEPTH = Depth(INSTRUMENT, DepthKind.DELTA, *LEVELS, 1, 2, 0, None, None, START)
TOP = BookTop(INSTRUMENT, BookState.LIVE, *LEVELS, 2, -(5 * 10**11), 100, False, 2, None, START, "md.depth", 2, 70)
EVENT = QualityEvent(
    *(
        INSTRUMENT,
        QualityRule.KLINE_DIFFERENCE,
        Severity.WARNING,
        "volume",
        10**24,
        2 * 10**24,
        1,
        "",
        START,
        START,
        "1m",
        START,
    ),
    *("md.klines", 2, 70),
)
DEFINITION = InstrumentDefinition(
    *(INSTRUMENT, "BTCUSDT", InstrumentType.SPOT, "BTC", "USDT", "USDT", 1, 1, 1, 0, None, "BTC", None, "24/7", "TRADING"),
    *(True, START),
)
FUNDING = Funding(INSTRUMENT, "tickers", 1, None, None, None, None, None, START)
OPEN_INTEREST = OpenInterest(INSTRUMENT, "tickers", 0, None, None, START)
SCORE = QualityScore(INSTRUMENT, START, 9, {"GAP": 1}, 45, 25 * 10**12, START, "md.trades", 2, 70)
AHEAD = make_trade(at=START + 6_000_000, received_at=START)
SOUND: list[tuple[str, Record]] = [
    ("md.trades", make_trade()),
    ("md.trades", TimeMark(INSTRUMENT, START)),
    ("md.trades", GapMark(INSTRUMENT, None, START)),
    ("md.quotes", make_quote(bid=1)),
    ("md.klines", KLINE),
    ("md.funding", FUNDING),
    ("md.instruments", DEFINITION),
    ("md.open-interest", OPEN_INTEREST),
    ("md.depth", DEPTH),
    ("md.books", TOP),
    ("md.status", STATUS),
    ("md.candles", make_candle()),
    ("md.price-changes", CHANGE),
    ("md.prices", make_price()),
    ("md.quality", EVENT),
    ("md.quality", SCORE),
]


def check(topic: str, record: Record, max_skew: int = 5_000_000) -> Record:
    return check_carried(topic, TOPICS[topic].place(record)[0], record, max_skew=max_skew)


@pytest.mark.parametrize(("topic", "record"), SOUND)
def test_sound_record_is_returned_unchanged(topic: str, record: Record) -> None:
    assert check(topic, record) is record


@pytest.mark.parametrize(("topic", "record"), SOUND)
@pytest.mark.parametrize("key", [None, b"", b"binance:ETH-USDT"])
def test_record_under_another_key_is_refused(topic: str, record: Record, key: bytes | None) -> None:
    with pytest.raises(DataValidationError) as caught:
        check_carried(topic, key, record)
    assert (caught.value.reason, caught.value.field) == ("wrong_key", "key")


@pytest.mark.parametrize(("topic", "record"), SOUND)
def test_no_topic_carries_what_belongs_to_another(topic: str, record: Record) -> None:
    for other in TOPICS.keys() - {topic}:
        with pytest.raises(DataValidationError) as caught:
            check_carried(other, INSTRUMENT.encode(), record)
        assert caught.value.reason == "unexpected_record"


@pytest.mark.parametrize(
    ("topic", "record", "field"),
    [
        ("md.trades", make_trade()._replace(size=0), "size"),
        ("md.trades", AHEAD, "exchange_time"),
        ("md.trades", TimeMark(INSTRUMENT, 0), "time"),
        ("md.trades", GapMark("nonsense", None, START), "instrument"),
        ("md.trades", GapMark(INSTRUMENT, None, START, published_at=2**62), "published_at"),
        ("md.quotes", make_quote(bid=-1), "bid"),
        ("md.klines", KLINE._replace(high=8), "low"),
        ("md.instruments", DEFINITION._replace(tick_size=0), "tick_size"),
        ("md.funding", FUNDING._replace(mark_price=0), "mark_price"),
        ("md.open-interest", OPEN_INTEREST._replace(open_interest=-1), "open_interest"),
        ("md.depth", DEPTH._replace(bids=(Level(0, 1),)), "bids"),
        ("md.depth", DEPTH._replace(first_sequence=3), "first_sequence"),
        ("md.books", TOP._replace(asks=(Level(101, 0),)), "asks"),
        ("md.books", TOP._replace(bids=(Level(98, 1), Level(99, 1))), "bids"),
        ("md.books", TOP._replace(spread=1), "spread"),
        ("md.books", TOP._replace(imbalance=None), "imbalance"),
        ("md.books", TOP._replace(microprice=99), "microprice"),
        ("md.books", TOP._replace(is_crossed=True), "is_crossed"),
        ("md.books", TOP._replace(sequence=2**63), "sequence"),
        ("md.status", STATUS._replace(instrument="nonsense"), "instrument"),
        ("md.status", STATUS._replace(channel=""), "channel"),
        ("md.status", STATUS._replace(venue="v" * 1000), "venue"),
        ("md.status", STATUS._replace(changed_at=START // 1000), "changed_at"),
        ("md.status", STATUS._replace(published_at=START * 1000), "published_at"),
        ("md.candles", make_candle()._replace(close_time=START + 2 * MINUTE), "close_time"),
        ("md.price-changes", CHANGE._replace(change=1), "change"),
        ("md.prices", make_price()._replace(open_24h=-1), "open_24h"),
        ("md.quality", EVENT._replace(observed=10**50), "observed"),
        ("md.quality", EVENT._replace(field=""), "field"),
        ("md.quality", EVENT._replace(interval="m" * 300), "interval"),
        ("md.quality", EVENT._replace(detail="d" * 501), "detail"),
        ("md.quality", EVENT._replace(open_time=START // 1000), "open_time"),
        ("md.quality", EVENT._replace(occurrences=0), "occurrences"),
        ("md.quality", EVENT._replace(source_offset=-1), "source_offset"),
        ("md.quality", SCORE._replace(open_time=START + 1), "open_time"),
        ("md.quality", SCORE._replace(counts={"LUNAR": 1}), "counts"),
        ("md.quality", SCORE._replace(counts={"GAP": 0}), "counts"),
        ("md.quality", SCORE._replace(faulty_seconds=61), "faulty_seconds"),
        ("md.quality", SCORE._replace(score=1), "score"),
        ("md.quality", SCORE._replace(source_partition=2**31), "source_partition"),
    ],
)
def test_nonsense_is_refused_with_the_name_of_the_field(topic: str, record: Record, field: str) -> None:
    with pytest.raises(DataValidationError) as caught:
        check(topic, record)
    assert caught.value.field == field


def test_clock_may_run_ahead_as_far_as_ingest_grants_it() -> None:
    assert check("md.trades", AHEAD, max_skew=7_000_000) is AHEAD


def number_fields(record: Record) -> list[str]:
    """Fields that hold a number, or may hold one."""
    texts = {"origin", "source"}  # that may be null
    holding = {name for name, value in record._asdict().items() if value is None or type(value) is int}
    return sorted(name for name in holding - texts if "_id" not in name)


Change = tuple[str, Record, str, int, int]


@st.composite
def changes(draw: st.DrawFn, topics: Container[str]) -> Change:
    """A sound record of these topics, the field to change, and its new value as `number` takes it."""
    topic, record = draw(st.sampled_from([sound for sound in SOUND if sound[0] in topics]))
    field = draw(st.sampled_from(number_fields(record)))
    more = st.integers(-(2**66), 2**66) | st.integers(START - 10**7, START + 10**7)
    return topic, record, field, draw(st.just(0) | st.integers(-6_000, 6_000)), draw(more)


def number(digits: int, more: int) -> int:
    """Any number, also one of more digits than Python agrees to print."""
    return int(10**digits if digits > 0 else -(10**-digits) if digits else 0) + more


def checked_change(change: Change) -> Record:
    topic, record, field, digits, more = change
    fields: dict[str, Any] = {field: number(digits, more)}
    changed = record._replace(**fields)
    assert check_carried(topic, TOPICS[topic].place(record)[0], changed) is changed
    return changed


@given(changes(TOPICS))
def test_any_number_in_any_field_is_carried_or_refused_by_the_name_of_a_field(change: Change) -> None:
    try:
        checked_change(change)
    except DataValidationError as error:
        assert error.field
        assert error.field in str(error)
        assert len(str(error)) < 500


@given(changes({topic for topic, _ in IDS}))
def test_what_ingest_may_publish_fits_the_wire(change: Change) -> None:
    try:
        record = checked_change(change)
    except DataValidationError:
        return
    assert CODEC.decode(CODEC.encode(change[0], record)) == record


@pytest.mark.parametrize(("sign", "reason"), [(b"\x7f", "too_large"), (b"\x80", "not_positive")])
def test_price_of_a_million_bytes_on_the_wire_is_refused_by_its_field(sign: bytes, reason: str) -> None:
    plain = json.loads(schema_text(Trade).replace('"logicalType": "decimal"', '"doc": "bytes as they are"'))
    buffer = BytesIO(struct.pack(">bI", 0, IDS["md.trades", Trade]))
    buffer.seek(5)
    values = make_trade()._asdict() | {"price": sign + bytes(1_000_000), "size": b"\x01"}
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(plain), values)
    with pytest.raises(DataValidationError) as caught:
        check("md.trades", CODEC.decode(buffer.getvalue()))
    assert (caught.value.field, caught.value.reason) == ("price", reason)
